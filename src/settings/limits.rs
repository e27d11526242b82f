//! The settings of limits.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use crate::{grpc::GrpcOptions, http::HttpOptions, net::tls::TlsOptions, request::RequestLimits};

/// Limits on requests and connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Limits on one question.
    pub request: RequestLimits,
    /// Bytes of one message over gRPC, or of the body of one request to AuthZEN.
    pub message_bytes: NonZeroUsize,
    /// Fields of one message, those of the messages in it included; JSON values of one body.
    pub message_parts: NonZeroUsize,
    /// Bytes of a message up to which a call is answered on the thread of its connection.
    pub inline_bytes: usize,
    /// Questions in one batch.
    pub batch_items: NonZeroUsize,
    /// Calls that are served at once; more are refused.
    pub concurrent_requests: NonZeroUsize,
    /// Open health watches and reflection streams; more are refused.
    pub watches: NonZeroUsize,
    /// Open streams of the changes of directories; more are refused.
    pub directory_watches: NonZeroUsize,
    /// Calls that wait for a version of a directory; more are refused.
    pub waiting: NonZeroUsize,
    /// Entities or assignments of one page of a list; more are cut to it.
    pub page_items: NonZeroUsize,
    /// Changes in one write to a directory.
    pub directory_changes: NonZeroUsize,
    /// Bytes of messages that are held at once; calls that need more are refused.
    pub held_bytes: NonZeroUsize,
    /// Open gRPC connections; more are closed at once.
    pub connections: NonZeroUsize,
    /// Open HTTP connections; more are closed at once.
    pub http_connections: NonZeroUsize,
    /// Open connections to `web_listen`; more are closed at once.
    pub web_connections: NonZeroUsize,
    /// Calls under way on one HTTP/2 connection; more wait at the client.
    pub streams: NonZeroU32,
    /// Bytes of the headers of one call.
    pub header_bytes: NonZeroU32,
    /// Streams of one connection that may be reset before they were looked at, until it is closed.
    pub waiting_resets: NonZeroUsize,
    /// Streams of one connection that the server may have to reset until it is closed.
    pub forced_resets: NonZeroUsize,
    /// Time that a peer may take to begin, to take an answer over HTTP/2, and over HTTP/1.1 to end what it
    /// has begun.
    pub patience: Duration,
    /// Silence after which an HTTP/2 connection is pinged.
    pub keepalive_interval: Duration,
    /// Time that the answer to the ping may take.
    pub keepalive_timeout: Duration,
    /// Time that one call may take, the arrival of its message included.
    pub request_timeout: Duration,
    /// Time that a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// TLS handshakes that may be under way on one listener; with one more, the oldest gives way.
    pub handshakes: NonZeroUsize,
    /// Time that the head of an HTTP request may take, and that a connection may be without one.
    pub http_head_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let (grpc, http) = (GrpcOptions::default(), HttpOptions::default());
        // No default is zero.
        let positive = |default| NonZeroUsize::new(default).unwrap_or(NonZeroUsize::MIN);
        let small = |default| NonZeroU32::new(default).unwrap_or(NonZeroU32::MIN);
        Self {
            request: grpc.limits,
            message_bytes: positive(grpc.message_bytes),
            message_parts: positive(grpc.message_parts),
            inline_bytes: grpc.inline_bytes,
            batch_items: positive(grpc.batch_items),
            concurrent_requests: positive(grpc.concurrent_requests),
            watches: positive(grpc.watches),
            directory_watches: positive(grpc.directory_watches),
            waiting: positive(grpc.waiting),
            page_items: positive(grpc.page_items),
            directory_changes: positive(grpc.directory_changes),
            held_bytes: positive(grpc.held_bytes),
            connections: positive(grpc.connections),
            http_connections: positive(http.connections),
            web_connections: positive(http.connections),
            streams: small(grpc.http2.streams),
            header_bytes: small(grpc.http2.header_bytes),
            waiting_resets: positive(grpc.http2.waiting_resets),
            forced_resets: positive(grpc.http2.forced_resets),
            patience: grpc.patience,
            keepalive_interval: grpc.http2.keepalive_interval,
            keepalive_timeout: grpc.http2.keepalive_timeout,
            request_timeout: grpc.request_timeout,
            handshake_timeout: TlsOptions::HANDSHAKE_TIMEOUT,
            handshakes: TlsOptions::HANDSHAKES,
            http_head_timeout: http.head_timeout,
        }
    }
}
