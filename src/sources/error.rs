//! Why a source cannot start.

/// A source cannot start, whatever its rows.
#[derive(Debug, thiserror::Error)]
pub enum SourceStartError {
    /// A setting is missing or wrong.
    #[error("{0}")]
    Setting(String),
    /// A thread cannot be started.
    #[error("cannot start the thread of a directory")]
    Thread(#[source] std::io::Error),
}
