//! The tokens that callers of a listener send, and keeping them up to date.

use std::path::Path;

use crate::{
    cli::CliError,
    net::BearerTokens,
    reload::{Reloader, WatchFiles},
    settings::Settings,
};

/// Reads the tokens of a file, if the setting names one.
pub(super) fn load(path: Option<&Path>, setting: &str) -> Result<Option<BearerTokens>, CliError> {
    path.map(BearerTokens::load).transpose().map_err(|error| {
        CliError::Usage(format!("bad configuration\nsetting `{setting}`: {error}"))
    })
}

/// Reads them again whenever their file changes.
pub(super) fn watch(tokens: &BearerTokens, settings: &Settings) -> Reloader {
    let watch = WatchFiles {
        paths: vec![tokens.path().to_owned()],
        settle: settings.reload.settle,
        interval: settings.reload.rehash_interval,
        use_events: settings.reload.use_events,
    };
    let tokens = tokens.clone();
    watch.start(move || tokens.reload())
}
