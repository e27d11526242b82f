//! Reading a database without writing, for those who ask what is wrong with it.

use std::{os::unix::ffi::OsStrExt as _, path::Path};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{
    connection::{BUSY, verified},
    error::DatabaseError,
    files::{self, Use},
};
use crate::directory::Change;

/// The characters of a path that its URI writes otherwise.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Verifies all of a database as at a start, and returns its rows; nothing where no file is. A process
/// may use it meanwhile.
///
/// # Errors
/// It cannot be read, or anything of it is not as it was written.
pub(super) fn read(path: &Path) -> Result<Option<Vec<Change>>, DatabaseError> {
    // A process that starts meanwhile waits.
    let other = files::find_use(path)?;
    if !files::exists(path)? {
        return Ok(None);
    }
    // SQLite would make a log beside a file that nobody has open.
    let is_at_rest = matches!(other, Use::Free(_)) && !files::has_log(path)?;
    let name = percent_encode(path.as_os_str().as_bytes(), &ESCAPED);
    let mode = if is_at_rest { "immutable=1" } else { "mode=ro" };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{name}?{mode}"), flags)?;
    // The log of a process that was killed stays for the next start.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // All of it is read in one state.
    connection.execute_batch("BEGIN")?;
    let (_, rows) = verified(&connection)?;
    Ok(Some(rows))
}
