//! A directory that the sidecar keeps itself, in a SQLite file, and that is written over gRPC.
//!
//! One thread a directory reads and writes the file. A write is answered once it is on disk and in
//! force.

mod connection;
mod database;
mod error;
mod files;
mod history;
mod look;
mod meta;
mod rows;
mod set_hash;
mod write;
mod writer;

pub use write::WriteError;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use tokio::sync::{mpsc, oneshot};

use super::{FolderRows, SourceOptions, SourceStartError, row_problems::words};
use crate::{
    directory::{Change, ChangeFault, Directory, DirectoryVersion, Fault, rows::renamed},
    model::StoreName,
    reload::Live,
    request::RequestLimits,
    store::{PolicyStore, STACK_BYTES},
};
use write::{WAITING, Write};
use writer::DatabaseWriter;

/// Problems of rows that are kept.
const KEPT: usize = 100;

/// The directory of a store, to be written. Clones are the same; its thread ends with the last of
/// them.
#[derive(Debug, Clone)]
pub struct EmbeddedDirectory(mpsc::Sender<Write>);

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
    let writer = DatabaseWriter::new(store.clone(), path, options, Arc::clone(live));
    // Every directory applies changes here, and checks rows against a schema.
    let thread = thread::Builder::new().name("directory".to_owned()).stack_size(STACK_BYTES);
    thread.spawn(move || writer.run(received)).map_err(SourceStartError::Thread)?;
    Ok(EmbeddedDirectory(writes))
}

/// Returns the place of the database of a store.
fn database_of(data: &Path, store: &StoreName) -> PathBuf {
    data.join("directory").join(format!("{store}.sqlite"))
}

/// Reads the database of a store once, as a start does, and writes nothing. Returns nothing where there
/// is none yet. A process may use it meanwhile.
///
/// # Errors
/// It cannot be read, or is damaged.
pub fn look_at_embedded(
    data: &Path,
    store: &PolicyStore,
    limits: &RequestLimits,
) -> Result<Option<FolderRows>, String> {
    let path = database_of(data, store.name());
    let rows = look::read(&path);
    let rows = rows.map_err(|error| format!("the database `{}`: {error}", path.display()))?;
    let Some(mut rows) = rows else { return Ok(None) };
    let (schema, stored) = (store.schema_arc(), store.stored_arc());
    rows = renamed(rows, schema);
    let empty = Directory::new(Arc::clone(schema), Arc::clone(stored), limits.clone());
    let (directory, faults) = empty.apply(&rows);
    let problem_count = faults.len();
    let problems = faults.into_iter().take(KEPT).filter_map(|fault| {
        let Fault { index, field, description } = fault;
        Some(words(rows.get(index)?, ChangeFault { field, description }))
    });
    let problems = problems.collect();
    Ok(Some(FolderRows { directory, problems, problem_count }))
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
