//! A directory that the sidecar keeps itself, in a SQLite file, and that is written over gRPC.
//!
//! One thread a directory reads and writes the file. A write is answered once it is on disk and in
//! force.

mod database;
mod error;
mod files;
mod history;
mod meta;
mod rows;
mod set_hash;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use tokio::sync::{mpsc, oneshot};

use super::{SourceOptions, SourceStartError};
use crate::{
    directory::{Change, DirectoryVersion, Fault, VersionError},
    model::StoreName,
    reload::Live,
    store::STACK_BYTES,
};
use writer::Writer;

/// Writes that may wait for the thread of a directory; who writes beyond that waits too.
const WAITING: usize = 64;

/// The directory of a store, to be written. Clones are the same; its thread ends with the last of
/// them.
#[derive(Debug, Clone)]
pub struct EmbeddedDirectory(mpsc::Sender<Write>);

/// Changes to be made, all or none.
#[derive(Debug)]
struct Write {
    changes: Vec<Change>,
    /// The version that the directory must have; empty: any.
    if_version: String,
    reply: oneshot::Sender<Result<DirectoryVersion, WriteError>>,
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

/// Begins to keep the directory of a store.
///
/// # Errors
/// There is no folder to keep it in, or its thread cannot be started.
pub(super) fn start(
    store: &StoreName,
    options: &SourceOptions,
    live: &Arc<Live>,
) -> Result<EmbeddedDirectory, SourceStartError> {
    let data = options.data.as_deref().ok_or_else(|| {
        SourceStartError::Setting(format!(
            "`directory.sources`: `{store}=embedded` needs a folder to be kept in: name one with \
             `data`"
        ))
    })?;
    let path = database_of(data, store);
    let (writes, received) = mpsc::channel(WAITING);
    let writer = Writer::new(store.clone(), path, options, Arc::clone(live));
    // Every directory applies changes here, and checks rows against a schema.
    let thread = thread::Builder::new().name("directory".to_owned()).stack_size(STACK_BYTES);
    thread.spawn(move || writer.run(received)).map_err(SourceStartError::Thread)?;
    Ok(EmbeddedDirectory(writes))
}

/// Returns the place of the database of a store.
fn database_of(data: &Path, store: &StoreName) -> PathBuf {
    data.join("directory").join(format!("{store}.sqlite"))
}

/// A backup was not restored. What was in its place is as it was.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not restored: {problem}", backup.display())]
pub struct RestoreError {
    backup: PathBuf,
    problem: String,
}

/// Puts a backup in the place of the database of a store, which no process may use meanwhile, and
/// returns the version that the directory then has. It belongs to a new generation.
///
/// # Errors
/// The backup is not whole, or the files cannot be written.
pub fn restore(
    backup: &Path,
    data: &Path,
    store: &StoreName,
) -> Result<DirectoryVersion, RestoreError> {
    database::restore(backup, &database_of(data, store))
        .map_err(|error| RestoreError { backup: backup.to_owned(), problem: error.to_string() })
}

impl EmbeddedDirectory {
    /// Makes changes, all or none, and returns the version with them once they are on disk and in
    /// force. With an `if_version` they are made only if the directory has that version.
    ///
    /// # Errors
    /// They were not made.
    pub async fn write(
        &self,
        changes: Vec<Change>,
        if_version: String,
    ) -> Result<DirectoryVersion, WriteError> {
        let (reply, answer) = oneshot::channel();
        let write = Write { changes, if_version, reply };
        self.0.send(write).await.map_err(|_| WriteError::Unavailable)?;
        answer.await.map_err(|_| WriteError::Unavailable)?
    }
}
