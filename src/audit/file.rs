//! The file of the decision log: lines are added whole or not at all, it is rotated by size, and it
//! is opened anew when somebody else has moved it away.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Who may read what was decided: the owner and the group.
const MODE: u32 = 0o640;
/// How often lines are written again because the file was deleted while they were being written.
const ATTEMPTS: usize = 3;

/// The file of the decision log.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    /// How large it may become; 0: without end.
    rotate_bytes: u64,
    /// How many older files are kept.
    keep_files: usize,
    /// Lines are on disk, and not only with the system, before they count as written.
    synced: bool,
    open: Option<File>,
    /// The file ends in the middle of a line, which could not be taken back.
    torn: bool,
}

impl LogFile {
    /// Opens the file or creates it.
    pub fn open(
        path: PathBuf,
        rotate_bytes: usize,
        keep_files: usize,
        synced: bool,
    ) -> io::Result<Self> {
        let rotate_bytes = rotate_bytes as u64;
        let mut file = Self { path, rotate_bytes, keep_files, synced, open: None, torn: false };
        file.current()?;
        Ok(file)
    }

    /// How many more bytes fit into the file, if it is not to be rotated.
    pub fn room(&self) -> u64 {
        let size =
            self.open.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |it| it.len());
        if self.rotate_bytes == 0 { u64::MAX } else { self.rotate_bytes.saturating_sub(size) }
    }

    /// Adds lines: all of them or, if it fails, none.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        for _ in 0..ATTEMPTS {
            self.rotate_if_full(lines.len() as u64)?;
            let written = self.write(lines);
            if written.is_err() {
                // Whatever is wrong with this file, the next attempt begins with a fresh look.
                self.open = None;
            }
            if written? {
                return Ok(());
            }
        }
        Err(io::Error::other("it is deleted again and again"))
    }

    /// Whether the lines are in a file that is still there.
    fn write(&mut self, lines: &[u8]) -> io::Result<bool> {
        let (torn, synced) = (self.torn, self.synced);
        let file = self.current()?;
        let before = file.metadata()?;
        let written = if torn { file.write_all(b"\n") } else { Ok(()) };
        let written = written.and_then(|()| file.write_all(lines));
        let written = written.and_then(|()| if synced { file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            let taken_back = before.is_file() && file.set_len(before.len()).is_ok();
            self.torn = !taken_back || torn;
            return Err(error);
        }
        let is_there = !before.is_file() || file.metadata()?.nlink() > 0;
        self.torn = false;
        if !is_there {
            self.open = None;
        }
        // Without the promise, lines in a file that was deleted a moment ago are just gone.
        Ok(is_there || !synced)
    }

    /// The file that has the name at this moment.
    fn current(&mut self) -> io::Result<&mut File> {
        let is_current = self.open.as_ref().is_some_and(|file| {
            let named = fs::metadata(&self.path);
            let open = file.metadata();
            named.is_ok_and(|named| open.is_ok_and(|open| is_same(&named, &open)))
        });
        if !is_current {
            // Before the new one is opened: it could be the same, and locked by ourselves.
            self.open = None;
            self.open = Some(open(&self.path, self.synced)?);
            self.torn = false;
        }
        self.open.as_mut().ok_or_else(|| io::Error::other("it is not open"))
    }

    fn rotate_if_full(&mut self, more: u64) -> io::Result<()> {
        let limit = self.rotate_bytes;
        let metadata = self.current()?.metadata()?;
        let full = limit > 0 && metadata.len() > 0 && metadata.len().saturating_add(more) > limit;
        if full && metadata.is_file() {
            // A file that grows too large is better than records that are lost.
            if let Err(error) = self.rotate() {
                tracing::warn!(path = %self.path.display(), %error, "cannot rotate the decision log");
            }
            self.current()?;
        }
        Ok(())
    }

    /// Moves `log` to `log.1`, `log.1` to `log.2` and so on, and deletes the oldest.
    fn rotate(&mut self) -> io::Result<()> {
        if self.keep_files == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.keep_files).rev() {
            match fs::rename(self.older(number), self.older(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.older(1))
    }

    fn older(&self, number: usize) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn open(path: &Path, synced: bool) -> io::Result<File> {
    let is_new = match fs::metadata(path) {
        // Opening one waits for a reader.
        Ok(metadata) if metadata.file_type().is_fifo() => {
            return Err(io::Error::other("it is a pipe: leave the file out to write to stdout"));
        }
        Ok(_) => false,
        Err(_) => true,
    };
    let mut file = OpenOptions::new().append(true).create(true).mode(MODE).open(path)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            return Err(io::Error::other("another process writes to it: name another file"));
        }
        // Some file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    if is_new && synced {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    end_last_line(path, &mut file)?;
    Ok(file)
}

/// A process that was killed may have left half a line.
fn end_last_line(path: &Path, file: &mut File) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;

    let metadata = file.metadata()?;
    let Some(last) = metadata.len().checked_sub(1).filter(|_| metadata.is_file()) else {
        return Ok(());
    };
    let mut byte = [b'\n'];
    // Where we may write and not read we cannot know.
    if let Ok(readable) = File::open(path) {
        readable.read_exact_at(&mut byte, last)?;
    }
    if byte == [b'\n'] { Ok(()) } else { file.write_all(b"\n") }
}
