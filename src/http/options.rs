//! The options of the HTTP face.

use std::time::Duration;

use crate::net::{ConnectionLimit, DRAIN_TIMEOUT};

/// The options of the HTTP face. Their defaults are those of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// Connections that may be open; further ones are closed.
    pub connections: usize,
    /// The time that a peer has to end what it has begun.
    pub patience: Duration,
    /// The time that the head of a request may take, and that a connection may be without one.
    pub head_timeout: Duration,
    /// The time that requests under way have to end once the server is told to stop.
    pub drain_timeout: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connections: 1_000,
            patience: ConnectionLimit::PATIENCE,
            head_timeout: Duration::from_secs(10),
            drain_timeout: DRAIN_TIMEOUT,
        }
    }
}
