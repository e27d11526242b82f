//! The state that the HTTP face shows.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::grpc::GrpcServer;

/// Shows and changes which events are logged.
pub trait LogControl: std::fmt::Debug + Send + Sync {
    /// Returns which events are logged now, e.g. `info` or `humbaba=debug,warn`.
    fn filter(&self) -> String;

    /// Changes which events are logged; an empty text goes back to what the settings say.
    ///
    /// # Errors
    /// The filter is wrong; the text says how, in words for the user.
    fn set_filter(&self, filter: &str) -> Result<(), String>;
}

/// The state that the HTTP face shows. Clones show the same.
#[derive(Debug, Clone)]
pub(super) struct AdminState(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    grpc: GrpcServer,
    log: Option<Arc<dyn LogControl>>,
    settings: serde_json::Value,
    started: Instant,
}

/// Returns whether a request comes from this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct IsLocal(pub bool);

impl AdminState {
    pub fn new(
        grpc: GrpcServer,
        log: Option<Arc<dyn LogControl>>,
        settings: serde_json::Value,
    ) -> Self {
        Self(Arc::new(Inner { grpc, log, settings, started: Instant::now() }))
    }

    pub fn grpc(&self) -> &GrpcServer {
        &self.0.grpc
    }

    /// Returns the control of the log, where it can be changed.
    pub fn log(&self) -> Option<&dyn LogControl> {
        self.0.log.as_deref()
    }

    /// Returns the settings, without secrets.
    pub fn settings(&self) -> &serde_json::Value {
        &self.0.settings
    }

    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }
}
