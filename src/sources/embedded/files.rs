//! The files of a database: its lock, and how a new one comes to its place.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::error::DatabaseError;

/// Nobody but the process's own user reads or writes who holds which role.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// The lock of a database, held until it is dropped or the process ends. SQLite's own locks are left to
/// those who read the database meanwhile, e.g. for a backup.
#[derive(Debug)]
pub(super) struct Lock(#[allow(dead_code, reason = "open for as long as it is locked")] File);

/// The file at the path of a database, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DatabaseFile {
    /// Its device and inode.
    file: (u64, u64),
    size: u64,
    /// When its content changed, in seconds and nanoseconds.
    changed: (i64, i64),
}

impl DatabaseFile {
    /// Looks at the path.
    pub fn at(path: &Path) -> Result<Self, DatabaseError> {
        match fs::metadata(path) {
            Ok(file) => Ok(Self {
                file: (file.dev(), file.ino()),
                size: file.size(),
                changed: (file.mtime(), file.mtime_nsec()),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(DatabaseError::foreign("the file is gone"))
            }
            Err(error) => Err(DatabaseError::io("look at", path)(error)),
        }
    }

    /// Looks at the path again, at which this file must still be.
    pub fn again(&self, path: &Path) -> Result<Self, DatabaseError> {
        let now = Self::at(path)?;
        if now.file == self.file {
            Ok(now)
        } else {
            Err(DatabaseError::foreign("another file is in its place"))
        }
    }
}

/// Makes the folder of a database, and locks the database against other processes.
pub(super) fn lock(path: &Path) -> Result<Lock, DatabaseError> {
    if let Some(folder) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder);
        made.map_err(DatabaseError::io("make the folder", folder))?;
        // Else the folder might be gone after a power failure, and an empty directory take its place.
        folder.parent().map_or(Ok(()), sync_folder)?;
    }
    let lock = beside(path, ".lock");
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(FILE_MODE);
    let file = options.open(&lock).map_err(DatabaseError::io("open", &lock))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(DatabaseError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(DatabaseError::io("lock", &lock)(error)),
    }
}

/// The use that other processes make of a database.
#[derive(Debug)]
pub(super) enum Use {
    /// One has it open.
    InUse,
    /// None has, and none can as long as this is held; nothing is held where none ever had.
    Free(#[allow(dead_code, reason = "open for as long as it is locked")] Option<File>),
}

/// Finds out whether another process has a database open, and makes no file.
pub(super) fn find_use(path: &Path) -> Result<Use, DatabaseError> {
    let lock = beside(path, ".lock");
    let file = match File::open(&lock) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Use::Free(None)),
        Err(error) => return Err(DatabaseError::io("open", &lock)(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Use::Free(Some(file))),
        Err(TryLockError::WouldBlock) => Ok(Use::InUse),
        Err(TryLockError::Error(error)) => Err(DatabaseError::io("lock", &lock)(error)),
    }
}

/// Returns whether a database has a write-ahead log with anything in it.
pub(super) fn has_log(path: &Path) -> Result<bool, DatabaseError> {
    let log = beside(path, "-wal");
    match fs::metadata(&log) {
        Ok(file) => Ok(file.len() > 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(DatabaseError::io("look at", &log)(error)),
    }
}

/// Returns whether there is a database.
///
/// # Errors
/// Nobody can say, or it is gone but its log is there: SQLite would take that for the log of a new one.
pub(super) fn exists(path: &Path) -> Result<bool, DatabaseError> {
    let exists = |path: &Path| path.try_exists().map_err(DatabaseError::io("look for", path));
    if exists(path)? {
        return Ok(true);
    }
    let log = beside(path, "-wal");
    if exists(&log)? {
        return Err(DatabaseError::Missing { database: path.to_owned(), log });
    }
    Ok(false)
}

/// Makes an empty file in which a database can be prepared, beside the place where it will be.
pub(super) fn create_beside(path: &Path) -> Result<PathBuf, DatabaseError> {
    open_beside(path).map(|(new, _)| new)
}

/// Copies a backup beside the place where it will be.
pub(super) fn copy_beside(backup: &Path, path: &Path) -> Result<PathBuf, DatabaseError> {
    let mut from = File::open(backup).map_err(DatabaseError::io("read", backup))?;
    let (new, mut to) = open_beside(path)?;
    io::copy(&mut from, &mut to).map_err(DatabaseError::io("write", &new))?;
    Ok(new)
}

fn open_beside(path: &Path) -> Result<(PathBuf, File), DatabaseError> {
    let new = beside(path, ".new");
    remove(&new)?;
    remove_logs(&new)?;
    let mut options = OpenOptions::new();
    let made = options.create_new(true).write(true).mode(FILE_MODE).open(&new);
    let made = made.map_err(DatabaseError::io("make", &new))?;
    Ok((new, made))
}

/// Removes what SQLite keeps beside a database.
pub(super) fn remove_logs(path: &Path) -> Result<(), DatabaseError> {
    remove(&beside(path, "-wal"))?;
    remove(&beside(path, "-shm"))
}

fn remove(path: &Path) -> Result<(), DatabaseError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(DatabaseError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Puts a prepared database in its place, durably.
pub(super) fn put_in_place(new: &Path, path: &Path) -> Result<(), DatabaseError> {
    let synced = File::open(new).and_then(|file| file.sync_all());
    synced.map_err(DatabaseError::io("write", new))?;
    fs::rename(new, path).map_err(DatabaseError::io("make", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> Result<(), DatabaseError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(DatabaseError::io("write", folder))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}
