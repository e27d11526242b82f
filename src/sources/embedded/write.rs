//! A write to a directory, on its way to the thread.

use tokio::sync::oneshot;

use crate::directory::{Change, DirectoryVersion, Fault, VersionError};

/// Writes that may wait for the thread of a directory; who writes beyond that waits too.
pub(super) const WAITING: usize = 64;

/// Changes to be made, all or none.
#[derive(Debug)]
pub(super) struct Write {
    pub changes: Vec<Change>,
    /// The version that the directory must have; empty: any.
    pub if_version: String,
    pub reply: oneshot::Sender<Result<DirectoryVersion, WriteError>>,
}

/// Changes were not made: nothing of them is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Some do not fit the schema of the store.
    #[error("changes do not fit the schema of the policy store")]
    Invalid(Vec<Fault>),
    /// The version that the directory must have cannot be compared with its own.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The directory has another version.
    #[error("the version of the directory is `{now}` and not `if_version`: read it again")]
    OtherVersion {
        /// Its version.
        now: DirectoryVersion,
    },
    /// They could not be brought to disk.
    #[error("the changes were not made, because they could not be brought to disk: {0}")]
    NotDurable(String),
    /// Nobody knows whether they are on disk: unlike with the others they may be.
    #[error("{0}")]
    Unknown(String),
    /// The directory is not loaded, or the process is stopping.
    #[error("the directory is not loaded")]
    Unavailable,
}
