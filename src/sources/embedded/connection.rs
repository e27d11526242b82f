//! Connections to the database of a directory: its tables, its settings, and that it is as it was sealed.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{error::DatabaseError, files, history, meta::Meta, rows};
use crate::directory::Change;

/// Time that a write waits for another process that reads the database, e.g. for a backup.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// The format of the database, in `user_version`.
const FORMAT: i64 = 1;

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

/// Makes an empty database. It has its name only once it is complete.
pub(super) fn create(path: &Path) -> Result<(), DatabaseError> {
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

/// Returns the flags of a connection that writes.
pub(super) fn flags() -> OpenFlags {
    // No file is made in passing, and a path is no URI.
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// Opens the database for writing, as it is.
pub(super) fn connect(path: &Path) -> Result<Connection, DatabaseError> {
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

/// Returns a number that is another one once another connection has written.
pub(super) fn data_version(connection: &Connection) -> Result<i64, DatabaseError> {
    Ok(connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
}

/// Reads everything, and compares it with what was sealed.
pub(super) fn verified(connection: &Connection) -> Result<(Meta, Vec<Change>), DatabaseError> {
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
