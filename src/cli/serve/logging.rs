//! The process's log.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io,
    panic::{self, PanicHookInfo},
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry,
    filter::filter_fn,
    fmt,
    layer::SubscriberExt as _,
    reload::{self, Handle},
    util::SubscriberInitExt as _,
};

use super::log_writer::LogWriter;
use crate::{
    cli::output::has_colours,
    http::LogControl,
    model::panic_message,
    settings::{LogFilter, LogFormat, LogSettings},
    telemetry::SdkEvents,
};

/// Begins to log to the standard error, as a line of text or a JSON object an event. Returns the control of
/// the log, and what writes it.
///
/// # Errors
/// The thread of the log cannot be started.
pub(super) fn init(settings: &LogSettings) -> io::Result<(Arc<dyn LogControl>, LogWriter)> {
    let writer = LogWriter::start(io::stderr())?;
    let lines = writer.clone();
    // Complaining about a log that cannot be written would write to the same place, and panic.
    let layer = fmt::layer().with_writer(move || lines.clone()).log_internal_errors(false);
    let layer = match settings.format {
        LogFormat::Text => layer.with_ansi(has_colours(&io::stderr())).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    let (filter, handle) = reload::Layer::new(settings.filter.to_env_filter());
    let layer = layer.with_filter(filter_fn(|metadata| {
        !SdkEvents::replaces(metadata) && !is_of_vanished_watch(metadata)
    }));
    let subscriber = tracing_subscriber::registry().with(filter).with(layer).with(SdkEvents);
    // It fails only where something logs already, which then goes on to do so.
    let _ = subscriber.try_init();
    // The standard library's would wait for whoever reads the standard error.
    panic::set_hook(Box::new(log_panic));
    let now = Mutex::new(settings.filter.clone());
    Ok((Arc::new(Log { handle, settled: settings.filter.clone(), now }), writer))
}

/// Returns whether an event may be of a watch that the kernel removed with its folder, as with each change of a
/// ConfigMap. The library warns of it, and nothing is wrong; what is wrong with watching it returns as an error.
fn is_of_vanished_watch(metadata: &Metadata<'_>) -> bool {
    let is_shown = [Level::WARN, Level::INFO].contains(metadata.level());
    is_shown && metadata.target().starts_with("notify::")
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let location = panic.location().map(ToString::to_string);
    tracing::error!(
        location,
        backtrace,
        panic = panic_message(panic.payload()),
        "a thread panicked"
    );
}

/// The log of the process, of which the filter can be changed.
#[derive(Debug)]
struct Log {
    handle: Handle<EnvFilter, Registry>,
    /// The filter of the settings.
    settled: LogFilter,
    now: Mutex<LogFilter>,
}

impl LogControl for Log {
    fn filter(&self) -> String {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).to_string()
    }

    fn set_filter(&self, filter: &str) -> Result<(), String> {
        let new = if filter.is_empty() { self.settled.clone() } else { filter.parse()? };
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        // Before it holds, so that even silence is announced.
        tracing::warn!(old = %now, new = %new, "the log filter is changed");
        self.handle.reload(new.to_env_filter()).map_err(|error| error.to_string())?;
        *now = new;
        Ok(())
    }
}
