//! The layer that all faces share below their protocols: listeners, connections and limits on
//! them, the threads that serve them, and TLS.
//!
//! ```text
//! listener ─ connection permit ─ runtime ─ TLS handshake ─ the face's protocol
//! ```
//!
//! The runtime is that of a worker thread for gRPC, and that of the process for HTTP.

mod accept;
pub mod authority;
mod bearer_tokens;
mod concurrency_limit;
mod connection;
mod connection_limit;
mod face;
mod listener;
mod long_call_pool;
mod peer;
mod read_deadline;
mod shutdown;
pub mod tls;
mod untaken_answers;
mod worker_threads;

pub(crate) use accept::serve;
pub use bearer_tokens::{BearerTokens, TokenError};
pub use concurrency_limit::LimitReachedError;
pub(crate) use concurrency_limit::{CallPermit, ConcurrencyLimit};
pub(crate) use connection::Connection;
pub use connection_limit::ConnectionLimit;
pub(crate) use face::Face;
pub use listener::Listener;
pub(crate) use long_call_pool::LongCallPool;
pub(crate) use peer::Peer;
pub(crate) use shutdown::serve_until_shutdown;
pub use tls::ServerTls;
pub(crate) use untaken_answers::{TrackedBody, UntakenAnswers};
pub(crate) use worker_threads::WorkerThreads;

use std::time::Duration;

/// The default time that calls under way have to end once the server is told to stop.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
