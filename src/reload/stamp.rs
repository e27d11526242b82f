//! The stamp of a file: it shows that it has changed.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::regular_file;

/// The attributes that tell one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    pub size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Reads the file of this stamp, up to `most` bytes. Returns false where another file is there, or it
    /// has changed.
    pub fn read(&self, path: &Path, most: u64, bytes: &mut Vec<u8>) -> io::Result<bool> {
        // A pipe may have taken the file's place.
        let mut file = regular_file::open(path)?;
        if Self::of(&file.metadata()?) != *self {
            return Ok(false);
        }
        bytes.clear();
        file.by_ref().take(most.saturating_add(1)).read_to_end(bytes)?;
        Ok(bytes.len() as u64 == self.size && Self::of(&file.metadata()?) == *self)
    }

    /// Returns when anything about the file last changed (ctime, which no program can set).
    pub fn changed(&self) -> SystemTime {
        let (seconds, nanos) = self.changed;
        let since_epoch = u64::try_from(seconds)
            .ok()
            .zip(u32::try_from(nanos).ok())
            .map_or(Duration::ZERO, |(seconds, nanos)| Duration::new(seconds, nanos));
        SystemTime::UNIX_EPOCH.checked_add(since_epoch).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}
