//! The database of one directory: a SQLite file that is read whole at the start and written with every
//! change.
//!
//! Its content is sealed: one row has digests of all rows and of the history, and a digest of
//! itself. A file of which any of them is wrong is refused, so that a damaged file never grants more or
//! less than was written. The write-ahead log is emptied before a write is acknowledged, since SQLite
//! takes a damaged log for the end of the log, and would forget what follows.

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{Connection, TransactionBehavior};

use super::{
    connection::{connect, create, data_version, flags, verified},
    error::DatabaseError,
    files::{self, DatabaseFile, Lock},
    history,
    meta::Meta,
    rows,
};
use crate::{
    directory::{Change, DirectoryVersion, Position},
    reload::{KeptChanges, VersionChanges},
    schema::Schema,
};

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    connection: Connection,
    meta: Meta,
    /// Changes that the history keeps.
    history_limit: u64,
    /// The file at the path, after it was last written.
    seen: DatabaseFile,
    /// SQLite's number of writes of others.
    data_version: i64,
    /// Why the file is not written any more, if so.
    lost: Option<Lost>,
    /// The schema by which rows have other names than those of the changes to come, if any have.
    names: Option<Arc<Schema>>,
    _lock: Lock,
}

/// Why a file is not written any more until it is opened anew.
#[derive(Debug, Clone)]
enum Lost {
    /// Nobody knows what it holds.
    Unknown(String),
    /// Another program touched it.
    Foreign(String),
}

impl Lost {
    fn error(&self) -> DatabaseError {
        match self.clone() {
            Self::Unknown(problem) => DatabaseError::Unknown(problem),
            Self::Foreign(problem) => DatabaseError::Foreign(problem),
        }
    }
}

impl Database {
    /// Opens the database at a path and verifies all of it. Where no file is, makes an empty one.
    /// Returns it with its rows.
    ///
    /// # Errors
    /// Another process has it, it cannot be read, or anything of it is not as it was written.
    pub fn open(path: &Path, history_limit: u64) -> Result<(Self, Vec<Change>), DatabaseError> {
        let lock = files::lock(path)?;
        if !files::exists(path)? {
            create(path)?;
        }
        let seen = DatabaseFile::at(path)?;
        let connection = connect(path)?;
        // Before all is read, so that what others write meanwhile is found later.
        let data_version = data_version(&connection)?;
        let (meta, rows) = verified(&connection)?;
        let mut database = Self {
            path: path.to_owned(),
            connection,
            meta,
            history_limit,
            seen,
            data_version,
            lost: None,
            names: None,
            _lock: lock,
        };
        database.empty_log();
        database.seen = database.seen.again(path)?;
        Ok((database, rows))
    }

    /// Returns the version of the state.
    pub fn version(&self) -> DirectoryVersion {
        self.version_of(self.meta.counter)
    }

    /// Returns the version of a number of writes.
    pub fn version_of(&self, counter: u64) -> DirectoryVersion {
        let generation = self.meta.uuid.clone();
        DirectoryVersion { generation, position: Position::Count(counter) }
    }

    /// Says by which schema types of rows have other names than those of the changes to come, if any
    /// have. A change of a row then ends it under those names too.
    pub fn set_names(&mut self, schema: Option<Arc<Schema>>) {
        self.names = schema;
    }

    /// Returns whether the file is known to hold what is in force.
    pub fn is_known(&self) -> bool {
        self.lost.is_none()
    }

    /// Makes sure that the file at the path is the open one, and holds what this process wrote.
    ///
    /// # Errors
    /// It is not ([`DatabaseError::Foreign`]), and nothing is written any more; or nobody can say.
    pub fn look(&mut self) -> Result<(), DatabaseError> {
        if let Some(lost) = &self.lost {
            return Err(lost.error());
        }
        self.look_at_file().map_err(|error| self.lose(error.while_in_use()))
    }

    fn look_at_file(&mut self) -> Result<(), DatabaseError> {
        let seen = self.seen.again(&self.path)?;
        if seen == self.seen && data_version(&self.connection)? == self.data_version {
            return Ok(());
        }
        // It may be no more than the log that was emptied. The pages that are in memory say nothing.
        let connection = connect(&self.path)?;
        let data_version = data_version(&connection)?;
        let (meta, _) = verified(&connection)?;
        if meta != self.meta {
            return Err(DatabaseError::foreign("its content is another one"));
        }
        (self.connection, self.data_version, self.seen) = (connection, data_version, seen);
        Ok(())
    }

    /// Remembers an error after which nothing is written any more.
    fn lose(&mut self, error: DatabaseError) -> DatabaseError {
        match &error {
            DatabaseError::Foreign(problem) => self.lost = Some(Lost::Foreign(problem.clone())),
            DatabaseError::Unknown(problem) => self.lost = Some(Lost::Unknown(problem.clone())),
            _ => {}
        }
        error
    }

    /// Returns the number of writes so far.
    pub fn counter(&self) -> u64 {
        self.meta.counter
    }

    /// Reads all rows again. Where that fails nothing is written any more.
    ///
    /// # Errors
    /// They cannot be read, or are not those that this process wrote.
    pub fn rows(&mut self) -> Result<Vec<Change>, DatabaseError> {
        self.look()?;
        match rows::read(&self.connection) {
            Ok((rows, hash)) if hash == self.meta.rows => Ok(rows),
            Ok(_) => Err(self.lose(DatabaseError::foreign("its rows are others"))),
            Err(error) => Err(self.lose(DatabaseError::Unknown(error.to_string()))),
        }
    }

    /// Makes writes, all or none, each with a version of its own. They are on disk once this returns.
    ///
    /// # Errors
    /// They could not be made durable, and nothing of them is there. Where nobody knows that
    /// ([`DatabaseError::Unknown`]) nothing is written any more.
    pub fn commit<'a>(
        &mut self,
        writes: impl IntoIterator<Item = &'a [Change]>,
    ) -> Result<(), DatabaseError> {
        self.look()?;
        self.commit_seen(writes)
    }

    /// Makes writes to a file that was just looked at.
    fn commit_seen<'a>(
        &mut self,
        writes: impl IntoIterator<Item = &'a [Change]>,
    ) -> Result<(), DatabaseError> {
        let (limit, names) = (self.history_limit, self.names.as_deref());
        let known = (self.meta.clone(), self.data_version);
        match commit(&mut self.connection, known, limit, names, writes) {
            Ok(meta) => {
                self.meta = meta;
                self.empty_log();
                // Where another file is in the place, the write is not in that one.
                let seen = self.seen.again(&self.path);
                self.seen = seen.map_err(|error| self.unknown(&error))?;
                Ok(())
            }
            Err(error @ DatabaseError::Touched) => Err(error),
            Err(error) => match self.is_written() {
                Ok(true) => Ok(()),
                Ok(false) => Err(error),
                Err(second) => Err(self.unknown(&format!("{error}; then {second}"))),
            },
        }
    }

    fn unknown(&mut self, problem: &impl ToString) -> DatabaseError {
        self.lose(DatabaseError::Unknown(problem.to_string()))
    }

    /// Finds out whether a write is there that failed: SQLite may have failed after the write was in its
    /// log.
    fn is_written(&mut self) -> Result<bool, DatabaseError> {
        self.seen = self.seen.again(&self.path)?;
        let is_own = data_version(&self.connection)? == self.data_version;
        let connection = connect(&self.path)?;
        self.data_version = data_version(&connection)?;
        let meta = if is_own { Meta::read(&connection)? } else { verified(&connection)?.0 };
        self.connection = connection;
        self.empty_log();
        self.seen = self.seen.again(&self.path)?;
        let is_written = meta != self.meta;
        self.meta = meta;
        Ok(is_written)
    }

    /// Reads the changes that are kept.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn history(&self) -> Result<KeptChanges, DatabaseError> {
        let versions = history::read(&self.connection)?.into_iter().map(|(counter, changes)| {
            VersionChanges { changes: changes.into(), version: self.version_of(counter) }
        });
        Ok(KeptChanges { after: self.version_of(self.meta.trimmed), versions: versions.collect() })
    }

    /// Brings everything from the write-ahead log into the database.
    fn empty_log(&self) {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let is_busy = self.connection.query_row(sql, [], |row| row.get::<_, bool>(0));
        if !matches!(is_busy, Ok(false)) {
            // The write is durable all the same, and the next one tries again.
            let path = self.path.display();
            tracing::warn!(%path, result = ?is_busy, "the log of a directory is still in use");
        }
    }
}

/// Puts a verified copy of a backup in the place of a database, with a generation of its own: versions
/// that were given after the backup was made are never reached by other writes.
///
/// # Errors
/// The backup is not whole, or a process uses the database.
pub(super) fn restore(backup: &Path, path: &Path) -> Result<DirectoryVersion, DatabaseError> {
    let _lock = files::lock(path)?;
    let new = files::copy_beside(backup, path)?;
    let connection = Connection::open_with_flags(&new, flags())?;
    // A backup that SQLite wrote anew has none.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let (meta, _) = verified(&connection)?;
    let meta = meta.of_new_generation();
    meta.write(&connection)?;
    connection.close().map_err(|(_, error)| error)?;
    files::remove_logs(path)?;
    files::put_in_place(&new, path)?;
    let position = Position::Count(meta.counter);
    Ok(DirectoryVersion { generation: meta.uuid, position })
}

fn commit<'a>(
    connection: &mut Connection,
    (mut meta, known): (Meta, i64),
    history_limit: u64,
    names: Option<&Schema>,
    writes: impl IntoIterator<Item = &'a [Change]>,
) -> Result<Meta, DatabaseError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Nobody else can write from here on.
    if data_version(&transaction)? != known {
        return Err(DatabaseError::Touched);
    }
    for changes in writes {
        meta.counter += 1;
        for change in changes {
            let others = names.map(|schema| change.deletions_of_other_names(schema));
            for other in others.iter().flatten().chain([change]) {
                rows::change(&transaction, &mut meta.rows, other)?;
            }
        }
        history::add(&transaction, &mut meta.history, meta.counter, changes)?;
    }
    let trimmed = history::trim(&transaction, &mut meta.history, meta.counter, history_limit)?;
    meta.trimmed = trimmed.unwrap_or(meta.trimmed);
    meta.write(&transaction)?;
    transaction.commit()?;
    Ok(meta)
}
