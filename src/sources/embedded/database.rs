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
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig};

use super::{
    error::DatabaseError,
    files::{self, Lock},
    history,
    meta::Meta,
    rows,
};
use crate::{
    directory::{Change, DirectoryVersion, Position},
    reload::{KeptChanges, VersionChanges},
    schema::Schema,
};

/// The format of the database, in `user_version`.
const FORMAT: i64 = 1;

/// Time that a write waits for another process that reads the database, e.g. for a backup.
const BUSY: Duration = Duration::from_secs(5);

/// The tables, in the order of their names. The text is compared when a database is opened.
const TABLES: [&str; 4] = [
    "CREATE TABLE assignments (principal_type TEXT NOT NULL, principal_id TEXT NOT NULL, \
     role TEXT NOT NULL, scope_type TEXT NOT NULL, scope_id TEXT NOT NULL, \
     expires_at TEXT NOT NULL, granted_at TEXT NOT NULL, granted_by TEXT NOT NULL, \
     reason TEXT NOT NULL, \
     PRIMARY KEY (principal_type, principal_id, role, scope_type, scope_id)) STRICT, WITHOUT ROWID",
    "CREATE TABLE changes (version INTEGER NOT NULL, place INTEGER NOT NULL, \
     change TEXT NOT NULL, PRIMARY KEY (version, place)) STRICT, WITHOUT ROWID",
    "CREATE TABLE entities (type TEXT NOT NULL, id TEXT NOT NULL, entity TEXT NOT NULL, \
     PRIMARY KEY (type, id)) STRICT, WITHOUT ROWID",
    "CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), uuid TEXT NOT NULL, \
     counter INTEGER NOT NULL, trimmed INTEGER NOT NULL, rows BLOB NOT NULL, \
     history BLOB NOT NULL, seal BLOB NOT NULL) STRICT",
];

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    connection: Connection,
    meta: Meta,
    /// Changes that the history keeps.
    history_limit: u64,
    /// Why nobody knows what the file holds, if so.
    unknown: Option<String>,
    /// The schema by which rows have other names than those of the changes to come, if any have.
    names: Option<Arc<Schema>>,
    _lock: Lock,
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
        let connection = connect(path)?;
        let (meta, rows) = verified(&connection)?;
        let path = path.to_owned();
        let database =
            Self { path, connection, meta, history_limit, unknown: None, names: None, _lock: lock };
        database.empty_log();
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
        self.unknown.is_none()
    }

    /// Returns the number of writes so far.
    pub fn counter(&self) -> u64 {
        self.meta.counter
    }

    /// Reads all rows.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn rows(&self) -> Result<Vec<Change>, DatabaseError> {
        rows::read(&self.connection).map(|(rows, _)| rows)
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
        if let Some(problem) = &self.unknown {
            return Err(DatabaseError::Unknown(problem.clone()));
        }
        let (limit, names) = (self.history_limit, self.names.as_deref());
        match commit(&mut self.connection, self.meta.clone(), limit, names, writes) {
            Ok(meta) => {
                self.meta = meta;
                self.empty_log();
                Ok(())
            }
            Err(error) => match self.is_written() {
                Ok(true) => Ok(()),
                Ok(false) => Err(error),
                Err(second) => {
                    let problem = format!("{error}; then {second}");
                    self.unknown = Some(problem.clone());
                    Err(DatabaseError::Unknown(problem))
                }
            },
        }
    }

    /// Finds out whether a write is there that failed: SQLite may have failed after the write was in its
    /// log.
    fn is_written(&mut self) -> Result<bool, DatabaseError> {
        self.connection = connect(&self.path)?;
        let meta = Meta::read(&self.connection)?;
        self.empty_log();
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

/// Makes an empty database. It has its name only once it is complete.
fn create(path: &Path) -> Result<(), DatabaseError> {
    let new = files::create_beside(path)?;
    let connection = Connection::open_with_flags(&new, flags())?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    for table in TABLES {
        connection.execute_batch(table)?;
    }
    Meta::new().write(&connection)?;
    connection.pragma_update(None, "user_version", FORMAT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.close().map_err(|(_, error)| error)?;
    files::put_in_place(&new, path)
}

fn flags() -> OpenFlags {
    // No file is made in passing, and a path is no URI.
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn connect(path: &Path) -> Result<Connection, DatabaseError> {
    let connection = Connection::open_with_flags(path, flags())?;
    // A file that is refused stays as it is, for whoever looks into it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // Asked and not set, which would write.
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode != "wal" {
        return Err(DatabaseError::damaged("it has no write-ahead log"));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(connection)
}

/// Reads everything, and compares it with what was sealed.
fn verified(connection: &Connection) -> Result<(Meta, Vec<Change>), DatabaseError> {
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if format != FORMAT {
        return Err(DatabaseError::Format(format));
    }
    let mut statement = connection.prepare("SELECT sql FROM sqlite_schema ORDER BY name")?;
    let tables: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if tables != TABLES {
        return Err(DatabaseError::damaged("its tables are not those of a directory"));
    }
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(DatabaseError::Damaged(check));
    }
    let meta = Meta::read(connection)?;
    let (rows, hash) = rows::read(connection)?;
    if hash != meta.rows {
        return Err(DatabaseError::damaged("its rows are not those that were written"));
    }
    if history::hash(connection)? != meta.history {
        return Err(DatabaseError::damaged("its history is not that which was written"));
    }
    Ok((meta, rows))
}

fn commit<'a>(
    connection: &mut Connection,
    mut meta: Meta,
    history_limit: u64,
    names: Option<&Schema>,
    writes: impl IntoIterator<Item = &'a [Change]>,
) -> Result<Meta, DatabaseError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
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
