//! The certificate that the settings name, and keeping it up to date.

use crate::{
    cli::CliError,
    net::ServerTls,
    reload::{Reloader, WatchFiles},
    settings::Settings,
};

/// Reads the certificate, if the settings name one.
pub(super) fn load(settings: &Settings) -> Result<Option<ServerTls>, CliError> {
    let tls = settings.tls_options().map(ServerTls::load).transpose();
    tls.map_err(|error| CliError::Usage(format!("bad configuration\nsetting `tls`: {error}")))
}

/// Reads it again whenever its files change.
pub(super) fn watch(tls: &ServerTls, settings: &Settings) -> Reloader {
    let watch = WatchFiles {
        paths: tls.paths(),
        settle: settings.reload.settle,
        interval: settings.reload.rehash_interval,
        use_events: settings.reload.use_events,
    };
    let tls = tls.clone();
    watch.start(move || tls.reload())
}
