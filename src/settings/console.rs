//! The settings of the console.

use std::num::NonZeroUsize;

use crate::{audit::LogOptions, reload::History};

/// The settings of the console.
#[derive(Debug, Clone)]
pub struct ConsoleSettings {
    /// Keep the last decisions in memory and show them.
    pub decisions: bool,
    /// Decisions that are kept.
    pub kept_decisions: NonZeroUsize,
    /// Readers that may follow the decisions at once.
    pub readers: NonZeroUsize,
    /// Revisions of each store that are kept for comparing them.
    pub history: NonZeroUsize,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        let positive = |number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN);
        Self {
            decisions: false,
            kept_decisions: const { NonZeroUsize::new(1_000).unwrap() },
            readers: positive(LogOptions::default().recent_readers),
            history: positive(History::KEPT),
        }
    }
}

impl ConsoleSettings {
    /// Returns the options of the decision log with what the console wants of it.
    #[must_use]
    pub fn keeping(&self, options: LogOptions) -> LogOptions {
        let recent = if self.decisions { self.kept_decisions.get() } else { 0 };
        LogOptions { recent, recent_readers: self.readers.get(), ..options }
    }
}
