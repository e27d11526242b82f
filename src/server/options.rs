use std::{num::NonZeroUsize, thread::available_parallelism, time::Duration};

use crate::{engine::OnForbidError, request::RequestLimits, telemetry::Sampler};

/// How the server answers and how much it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// How large a question may be.
    pub limits: RequestLimits,
    /// Items in a batch.
    pub batch_items: usize,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Fields of one message, those of the messages in it included: two bytes on the wire may become
    /// two hundred in memory.
    pub message_parts: usize,
    /// What a forbid whose evaluation fails does.
    pub on_forbid_error: OnForbidError,
    /// The share of decisions that Cedar's evaluator makes as well.
    pub verify_sample: Sampler,
    /// Calls that may be under way in the process at the same time; further ones are shed.
    pub concurrent_requests: usize,
    /// Bytes of messages that may be held in the process at the same time; calls that would need
    /// more are shed.
    pub held_bytes: usize,
    /// How many connections there may be, and what each may do.
    pub connections: ConnectionLimits,
    /// How long one call may take, the arrival of its message included.
    pub request_timeout: Duration,
    /// How long the head of an HTTP request may take, and how long a connection may be without one.
    pub http_head_timeout: Duration,
    /// How long calls that are under way may go on once the server is told to stop.
    pub drain_timeout: Duration,
    /// Threads on which calls are answered.
    pub workers: NonZeroUsize,
}

/// Bounds on connections and on what each of them may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections that may be open for gRPC, on all listeners together; further ones are closed.
    pub grpc: usize,
    /// Connections that may be open for HTTP.
    pub http: usize,
    /// Calls under way on one gRPC connection; more wait at the client.
    pub streams: u32,
    /// Bytes of the headers of one call.
    pub header_bytes: u32,
    /// Streams of one connection that its peer may have reset before they were looked at. What
    /// resets so rapidly asks for work without waiting for it, and is closed.
    pub waiting_resets: usize,
    /// Streams of one connection that its peer may have made the server reset until it is closed.
    pub forced_resets: usize,
    /// How long a peer may take to begin, and over HTTP to end what it has begun.
    pub patience: Duration,
    /// A gRPC connection that is silent for this long is asked whether it is still there.
    pub keepalive_interval: Duration,
    /// How long it may take to say so.
    pub keepalive_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            grpc: 10_000,
            http: 1_000,
            streams: 1_024,
            header_bytes: 16 * 1024,
            waiting_resets: 20,
            forced_resets: 100,
            patience: Duration::from_secs(10),
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
        }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            limits: RequestLimits::default(),
            batch_items: 1_000,
            message_bytes: 4 * 1024 * 1024,
            // A batch of a thousand questions with hundreds of parts each fits.
            message_parts: 400_000,
            on_forbid_error: OnForbidError::default(),
            verify_sample: Sampler::default(),
            concurrent_requests: 1_024,
            held_bytes: 32 * 1024 * 1024,
            connections: ConnectionLimits::default(),
            request_timeout: Duration::from_secs(10),
            http_head_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(10),
            workers: available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}
