//! Errors of serving.

use std::io;

/// The server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The contract cannot be described.
    #[error("cannot describe the gRPC services: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The system gives no thread, file descriptor or connection.
    #[error("cannot serve: {0}")]
    Io(#[from] io::Error),
    /// A part of the server ended early.
    #[error("a part of the server ended: {0}")]
    Task(#[from] tokio::task::JoinError),
}
