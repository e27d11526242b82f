//! The process's log.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{
    Layer as _, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::settings::{LogFormat, LogSettings};

/// Begins to log to the standard error, as a line of text or a JSON object an event.
pub(super) fn init(settings: &LogSettings) {
    // Complaining about a log that cannot be written would write to the same place, and panic.
    let layer = fmt::layer().with_writer(io::stderr).log_internal_errors(false);
    let layer = match settings.format {
        LogFormat::Text => layer.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    let subscriber =
        tracing_subscriber::registry().with(settings.filter.to_env_filter()).with(layer);
    // It fails only where something logs already, which then goes on to do so.
    let _ = subscriber.try_init();
}
