//! The options of loading.

use std::{sync::Arc, time::Duration};

use super::SlowGates;
use crate::{
    model::{Problem, StoreName},
    store::{Bounds, PolicyStore},
    testing,
};

/// Options of loading.
#[derive(Debug, Clone)]
pub struct Options {
    /// The store that decides requests which name none.
    pub default_store: Option<StoreName>,
    /// Bounds on the size of a store.
    pub bounds: Bounds,
    /// Refuse a store of which a test fails.
    pub require_tests: bool,
    /// Gates that take longer than loading.
    pub slow_gates: Option<Arc<dyn SlowGates>>,
    /// Runs the tests of a store and returns those that fail.
    pub run_tests: fn(&PolicyStore) -> Vec<Problem>,
    /// Refuse a store that has warnings.
    pub deny_warnings: bool,
    /// Time that the folder must be quiet before it is read. While changes go on it is read after
    /// five times as long.
    pub settle: Duration,
    /// Time that a store of which a file is gone must be unchanged before that is put in force.
    /// A swap of `..data`, of a link or of the store's folder is put in force at once.
    pub settle_removals: Duration,
    /// Interval at which the folder is read even without an event.
    pub rehash_interval: Duration,
    /// Listen to the file system's events. Without them changes are found by hints and by the
    /// periodic reading only, as on network file systems, which send none.
    pub use_events: bool,
    /// The span in which the log tells of loading.
    pub span: tracing::Span,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            default_store: None,
            bounds: Bounds::default(),
            require_tests: false,
            slow_gates: None,
            run_tests: testing::failures,
            deny_warnings: false,
            settle: Duration::from_millis(50),
            settle_removals: Duration::from_secs(1),
            rehash_interval: Duration::from_secs(30),
            use_events: true,
            span: tracing::Span::none(),
        }
    }
}
