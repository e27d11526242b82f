//! The options of the gRPC face.

use std::{num::NonZeroUsize, thread::available_parallelism, time::Duration};

use crate::{
    model::OnForbidError,
    net::{BearerTokens, ConnectionLimit, DRAIN_TIMEOUT},
    request::RequestLimits,
    telemetry::Sampler,
};

/// The options of the gRPC face. Their defaults are those of the settings.
#[derive(Debug, Clone)]
pub struct GrpcOptions {
    /// Limits on what one question may carry.
    pub limits: RequestLimits,
    /// Items in a batch.
    pub batch_items: usize,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Fields of one message, those of the messages in it included: two bytes on the wire may become
    /// two hundred in memory.
    pub message_parts: usize,
    /// Bytes of a message up to which a call is answered on the thread of its connection.
    pub inline_bytes: usize,
    /// The effect of a forbid whose evaluation fails.
    pub on_forbid_error: OnForbidError,
    /// The share of decisions that Cedar's evaluator makes as well.
    pub verify_sample: Sampler,
    /// Calls that may be under way in the process at the same time; further ones are shed.
    pub concurrent_requests: usize,
    /// Health watches and reflection streams that may be open at the same time, apart from
    /// `concurrent_requests`; further ones are shed.
    pub watches: usize,
    /// Streams of the changes of directories that may be open at the same time, apart from all others;
    /// further ones are shed.
    pub directory_watches: usize,
    /// Calls that may wait for a version of a directory, apart from `concurrent_requests`. More are
    /// refused.
    pub waiting: usize,
    /// Entities or assignments of one page of a list; more are cut to it.
    pub page_items: usize,
    /// Changes of a directory in one write.
    pub directory_changes: usize,
    /// Bytes of messages that may be held in the process at the same time; calls that would need
    /// more are shed.
    pub held_bytes: usize,
    /// The time that one call may take, the arrival of its message included.
    pub request_timeout: Duration,
    /// The time that calls under way have to end once the server is told to stop.
    pub drain_timeout: Duration,
    /// Connections that may be open on all listeners together; further ones are closed.
    pub connections: usize,
    /// The time that a peer has to begin to speak HTTP/2, and to take each piece of an answer.
    pub patience: Duration,
    /// Limits on what each connection may do.
    pub http2: Http2Limits,
    /// Threads on which connections are served.
    pub workers: NonZeroUsize,
    /// The tokens of which callers of the listeners for decisions must send one; unset: none.
    pub tokens: Option<BearerTokens>,
}

/// Limits on what one HTTP/2 connection may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http2Limits {
    /// Calls under way; more wait at the client.
    pub streams: u32,
    /// Bytes of the headers of one call.
    pub header_bytes: u32,
    /// Streams that the peer may have reset before they were accepted. A peer that resets so rapidly
    /// asks for work without waiting for it, and its connection is closed.
    pub waiting_resets: usize,
    /// Streams that the peer may have made the server reset until the connection is closed.
    pub forced_resets: usize,
    /// A connection that is silent for this long is pinged.
    pub keepalive_interval: Duration,
    /// The time that the answer to a ping may take.
    pub keepalive_timeout: Duration,
}

impl Default for GrpcOptions {
    fn default() -> Self {
        Self {
            limits: RequestLimits::default(),
            batch_items: 1_000,
            message_bytes: 4 * 1024 * 1024,
            // A batch of a thousand questions with hundreds of parts each fits.
            message_parts: 400_000,
            inline_bytes: 64 * 1024,
            on_forbid_error: OnForbidError::default(),
            verify_sample: Sampler::default(),
            concurrent_requests: 1_024,
            watches: 1_024,
            directory_watches: 1_024,
            waiting: 1_024,
            page_items: 1_000,
            directory_changes: 10_000,
            held_bytes: 32 * 1024 * 1024,
            request_timeout: Duration::from_secs(10),
            drain_timeout: DRAIN_TIMEOUT,
            connections: 10_000,
            patience: ConnectionLimit::PATIENCE,
            http2: Http2Limits::default(),
            workers: available_parallelism().unwrap_or(NonZeroUsize::MIN),
            tokens: None,
        }
    }
}

impl Http2Limits {
    /// Bytes of one frame, of which a connection buffers one.
    pub(crate) const FRAME_BYTES: u32 = 16 * 1024;
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams: 1_024,
            header_bytes: 16 * 1024,
            waiting_resets: 20,
            forced_resets: 100,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
        }
    }
}
