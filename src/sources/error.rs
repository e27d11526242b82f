//! Why a source cannot start.

/// The reason for which a directory waits whose rows cannot be checked yet.
pub(super) const NOT_LOADED: &str = "its policy store is not loaded";

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
