//! The file of the decision log. Lines are added whole or not at all, the file is rotated by size, and it
//! is opened again where it was moved, deleted or truncated.
//!
//! A file that cannot be rotated is written all the same: too large a file is better than lost records.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{Access, access};

/// The mode of a new file: the owner writes, the group reads.
const MODE: u32 = 0o640;
/// Limits how often lines are written again because the file was deleted meanwhile.
const ATTEMPTS: usize = 3;
/// The pause after a rotation that failed.
const ROTATION_PAUSE: Duration = Duration::from_secs(60);
/// Symbolic links that are followed in a name, as many as the kernel follows.
const MOST_LINKS: usize = 40;

/// The file of the decision log.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// Bytes beyond which it is rotated; 0: no limit.
    rotate_bytes: u64,
    /// Older files that are kept.
    keep_files: usize,
    /// True where lines must be on disk (`fdatasync`) before they count as written.
    synced: bool,
    open: Option<File>,
    /// The open file may be renamed, so that another takes its name.
    is_movable: bool,
    /// The file ends in the middle of a line, which could not be taken back.
    has_partial_line: bool,
    /// The moment from which a rotation that failed is tried again.
    rotate_from: Option<Instant>,
}

impl LogFile {
    /// Opens the file or creates it.
    ///
    /// # Errors
    /// The file cannot be opened, or another process writes to it.
    pub fn open(
        path: PathBuf,
        rotate_bytes: usize,
        keep_files: usize,
        synced: bool,
    ) -> io::Result<Self> {
        let mut file = Self {
            path,
            rotate_bytes: rotate_bytes as u64,
            keep_files,
            synced,
            open: None,
            is_movable: false,
            has_partial_line: false,
            rotate_from: None,
        };
        file.current()?;
        Ok(file)
    }

    /// Looks whether the file could be opened, and neither makes nor changes it.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn check(path: &Path) -> io::Result<()> {
        if refuse_pipe(path)? {
            // A file that is taken for a folder has no entry of that name.
            let folder = folder(path).join(".");
            return Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?);
        }
        lock(&OpenOptions::new().append(true).open(path)?)
    }

    /// Returns the bytes that fit into the file before it is rotated.
    pub fn room(&self) -> u64 {
        if !self.is_rotated() {
            return u64::MAX;
        }
        let size = self.open.as_ref().and_then(|file| file.metadata().ok());
        self.rotate_bytes.saturating_sub(size.map_or(0, |it| it.len()))
    }

    /// Returns whether the open file is rotated once it is full.
    fn is_rotated(&self) -> bool {
        let is_due = self.rotate_from.is_none_or(|from| Instant::now() >= from);
        self.rotate_bytes > 0 && self.is_movable && is_due
    }

    /// Adds lines: all of them or, if it fails, none.
    ///
    /// # Errors
    /// The file cannot be opened or written.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            self.rotate_if_full(lines.len() as u64)?;
            let written = self.write(lines);
            if written.is_err() {
                // The next attempt opens the file again.
                self.open = None;
            }
            if written? {
                return Ok(());
            }
        }
        Err(io::Error::other("it is deleted each time it is written"))
    }

    /// Writes lines. Returns false if they are in a file that was deleted meanwhile, and must not be.
    fn write(&mut self, lines: &[u8]) -> io::Result<bool> {
        let (has_partial_line, synced) = (self.has_partial_line, self.synced);
        let file = self.current()?;
        let before = file.metadata()?;
        let written = if has_partial_line { file.write_all(b"\n") } else { Ok(()) };
        let written = written.and_then(|()| file.write_all(lines));
        let written = written.and_then(|()| if synced { file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            let taken_back = before.is_file() && file.set_len(before.len()).is_ok();
            self.has_partial_line = !taken_back || has_partial_line;
            return Err(error);
        }
        let is_there = !before.is_file() || file.metadata()?.nlink() > 0;
        self.has_partial_line = false;
        if !is_there {
            self.open = None;
        }
        // Unless records are required, lines in a deleted file are lost with the file.
        Ok(is_there || !synced)
    }

    /// Returns the file that has the name at this moment, opening it where it is another.
    fn current(&mut self) -> io::Result<&mut File> {
        let is_current = self.open.as_ref().is_some_and(|file| {
            let named = fs::metadata(&self.path);
            let open = file.metadata();
            named.is_ok_and(|named| open.is_ok_and(|open| is_same(&named, &open)))
        });
        if !is_current {
            // Closed before the new one is opened, which could be the same file and locked by this one.
            self.open = None;
            let file = open(&self.path, self.synced)?;
            let is_shared = leads_through_proc(&self.path);
            self.is_movable = file.metadata()?.is_file() && !is_shared;
            if self.rotate_bytes > 0 && file.metadata()?.is_file() && is_shared {
                tracing::warn!(
                    path = %self.path.display(),
                    "the decision log is not rotated, for its name leads to a file that another \
                     program has opened: name the file itself"
                );
            }
            self.open = Some(file);
            self.has_partial_line = false;
        }
        self.open.as_mut().ok_or_else(|| io::Error::other("it is not open"))
    }

    fn rotate_if_full(&mut self, more: u64) -> io::Result<()> {
        let size = self.current()?.metadata()?.len();
        let is_full = size > 0 && size.saturating_add(more) > self.rotate_bytes;
        if is_full && self.is_rotated() {
            self.rotate_from = None;
            if let Err(error) = self.rotate() {
                self.rotate_from = Instant::now().checked_add(ROTATION_PAUSE);
                tracing::warn!(
                    path = %self.path.display(),
                    %error,
                    "cannot rotate the decision log: it grows, and a minute later it is tried again"
                );
            }
            self.current()?;
        }
        Ok(())
    }

    /// Moves `log` to `log.1`, `log.1` to `log.2` and so on, and deletes the oldest. Where `log` is a
    /// link, this is done with the file that it leads to, in the folder of that.
    fn rotate(&self) -> io::Result<()> {
        let log = fs::canonicalize(&self.path)?;
        if self.keep_files == 0 {
            return fs::remove_file(log);
        }
        // First the file itself goes to a place of its own: should it not be movable, no older file must
        // have made way for it.
        let moved = older(&log, 0);
        if is_there(&moved) {
            // A rotation that ended here.
            self.shift(&log)?;
        }
        fs::rename(&log, moved)?;
        self.shift(&log)
    }

    /// Moves `log.0` to `log.1`, `log.1` to `log.2` and so on up to a number that is free, or else to the
    /// oldest. So files that cannot be moved cost none of the others, however often it is tried.
    fn shift(&self, log: &Path) -> io::Result<()> {
        let free = (1..self.keep_files).find(|number| !is_there(&older(log, *number)));
        for number in (0..free.unwrap_or(self.keep_files)).rev() {
            fs::rename(older(log, number), older(log, number + 1))?;
        }
        Ok(())
    }
}

fn older(log: &Path, number: usize) -> PathBuf {
    let mut name = OsString::from(log);
    name.push(format!(".{number}"));
    name.into()
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Returns whether a name leads to a file that a process has open, as `/dev/stdout` does. Whoever opened
/// it goes on to write to it, whatever its name.
fn leads_through_proc(path: &Path) -> bool {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(folder) = fs::canonicalize(folder(&path)) else { return false };
        if folder.starts_with("/proc") {
            return true;
        }
        let Ok(leads_to) = fs::read_link(&path) else { return false };
        path = folder.join(leads_to);
    }
    false
}

fn folder(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn open(path: &Path, synced: bool) -> io::Result<File> {
    let is_new = refuse_pipe(path)?;
    let mut file = OpenOptions::new().append(true).create(true).mode(MODE).open(path)?;
    lock(&file)?;
    if is_new && synced {
        // The name of the file is in the folder to which a link leads.
        File::open(folder(&fs::canonicalize(path)?))?.sync_all()?;
    }
    end_last_line(path, &mut file)?;
    Ok(file)
}

/// Refuses a pipe, since opening one waits for a reader. Returns whether there is no file yet.
fn refuse_pipe(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.file_type().is_fifo() => {
            Err(io::Error::other("it is a pipe: leave the file out to write to stdout"))
        }
        Ok(_) => Ok(false),
        Err(_) => Ok(true),
    }
}

/// Keeps other processes from writing to the file, for as long as it is open.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::other("another process writes to it: name another file"))
        }
        // Some file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// Ends the last line, which a killed process may have left unfinished.
fn end_last_line(path: &Path, file: &mut File) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;

    let metadata = file.metadata()?;
    let Some(last) = metadata.len().checked_sub(1).filter(|_| metadata.is_file()) else {
        return Ok(());
    };
    let mut byte = [b'\n'];
    // A file that may be written but not read is appended to unchecked.
    if let Ok(readable) = File::open(path) {
        readable.read_exact_at(&mut byte, last)?;
    }
    if byte == [b'\n'] { Ok(()) } else { file.write_all(b"\n") }
}
