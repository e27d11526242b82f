//! The settings of reloads.

use std::{path::PathBuf, time::Duration};

use super::FirstState;
use crate::reload::{self, Gate};

/// The settings of reloads.
#[derive(Debug, Clone)]
pub struct ReloadSettings {
    /// Time that the folder must be quiet before it is read.
    pub settle: Duration,
    /// Time that a store of which a file is gone must be unchanged before that is put in force.
    pub settle_removals: Duration,
    /// Interval at which the folder is read even without an event.
    pub rehash_interval: Duration,
    /// Listen to the file system's events, which network file systems do not send.
    pub use_events: bool,
    /// Refuse a store that has warnings.
    pub deny_warnings: bool,
    /// The gates that a valid store must pass before it comes in force.
    pub require: Vec<Gate>,
    /// The folder with which `no-gains` compares a store that this process has not had in force;
    /// unset: what was in force last, where `data` keeps it.
    pub baseline: Option<PathBuf>,
    /// The answer of `no-gains` to a store that this process has not had in force and that is
    /// neither kept nor in the baseline.
    pub first: FirstState,
    /// Time that the gates that take a solver have for one store.
    pub gate_timeout: Duration,
}

impl Default for ReloadSettings {
    fn default() -> Self {
        let reload::Options {
            settle,
            settle_removals,
            rehash_interval,
            use_events,
            deny_warnings,
            ..
        } = reload::Options::default();
        Self {
            settle,
            settle_removals,
            rehash_interval,
            use_events,
            deny_warnings,
            require: Vec::new(),
            baseline: None,
            first: FirstState::default(),
            gate_timeout: Duration::from_secs(60),
        }
    }
}
