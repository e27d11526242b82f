use std::{num::NonZeroUsize, thread::available_parallelism, time::Duration};

use crate::{engine::OnForbidError, request::RequestLimits};

/// How the server answers and how much it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// How large a question may be.
    pub limits: RequestLimits,
    /// Items in a batch.
    pub batch_items: usize,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// What a forbid whose evaluation fails does.
    pub on_forbid_error: OnForbidError,
    /// Calls that may be under way in the process at the same time; further ones are shed.
    pub concurrent_requests: usize,
    /// How long one call may take, the arrival of its message included.
    pub request_timeout: Duration,
    /// How long the head of an HTTP request may take, and how long a connection may be without one.
    pub http_head_timeout: Duration,
    /// How long calls that are under way may go on once the server is told to stop.
    pub drain_timeout: Duration,
    /// Threads on which calls are answered.
    pub workers: NonZeroUsize,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            limits: RequestLimits::default(),
            batch_items: 1_000,
            message_bytes: 4 * 1024 * 1024,
            on_forbid_error: OnForbidError::default(),
            concurrent_requests: 1_024,
            request_timeout: Duration::from_secs(10),
            http_head_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
            workers: available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}
