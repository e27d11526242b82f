//! The options of all sources.

use std::{path::PathBuf, time::Duration};

use crate::request::RequestLimits;

/// The options of all sources.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Time after which a directory that its source does not confirm decides nothing.
    pub max_age: Duration,
    /// Limits on ids, values and parents, those of requests.
    pub limits: RequestLimits,
    /// Bounds on folders of files.
    pub bounds: FileBounds,
    /// Interval at which a folder is looked at even without an event.
    pub rehash_interval: Duration,
    /// Listen to the file system's events.
    pub use_events: bool,
    /// The folder of embedded directories.
    pub data: Option<PathBuf>,
    /// Changes that an embedded directory keeps in its database.
    pub kept_changes: usize,
    /// Changes that every directory keeps in memory for those who follow it.
    pub followed_changes: usize,
    /// The file with the connection string of PostgreSQL.
    pub postgres_url_file: Option<PathBuf>,
    /// Interval at which PostgreSQL is asked for changes.
    pub poll: Duration,
    /// Interval at which all rows of PostgreSQL are compared, at most.
    pub compare: Duration,
}

/// Bounds on a directory that is read from files. Beyond them the last state stays in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileBounds {
    /// Rows of all files together.
    pub rows: usize,
    /// Bytes of one file.
    pub file_bytes: usize,
}

impl Default for FileBounds {
    fn default() -> Self {
        Self { rows: 5_000_000, file_bytes: 1024 * 1024 * 1024 }
    }
}
