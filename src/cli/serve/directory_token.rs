//! The token that callers of `DirectoryService` send, and keeping it up to date.

use crate::{
    cli::CliError,
    net::BearerToken,
    reload::{Reloader, WatchFiles},
    settings::Settings,
};

/// Reads the token, if the settings name one.
pub(super) fn load(settings: &Settings) -> Result<Option<BearerToken>, CliError> {
    let token = settings.directory.token_file.as_deref().map(BearerToken::load).transpose();
    token.map_err(|error| {
        CliError::Usage(format!("bad configuration\nsetting `directory.token_file`: {error}"))
    })
}

/// Reads it again whenever its file changes.
pub(super) fn watch(token: &BearerToken, settings: &Settings) -> Reloader {
    let watch = WatchFiles {
        paths: vec![token.path().to_owned()],
        settle: settings.reload.settle,
        interval: settings.reload.rehash_interval,
        use_events: settings.reload.use_events,
    };
    let token = token.clone();
    watch.start(move || token.reload())
}
