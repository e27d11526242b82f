//! The options of the decision log, and the errors of opening it.

use std::{io, path::PathBuf};

use super::RecordField;
use crate::telemetry::Variables;

/// The way in which decisions are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogMode {
    /// Not at all.
    #[default]
    Off,
    /// On the standard output or in a file. No decision waits for its record: one for which the queue
    /// has no room is dropped and counted.
    On,
    /// At an OpenTelemetry collector, otherwise as with `On`.
    Otlp,
    /// In a file, and no answer leaves before its record is on disk.
    Required,
}

/// The settings of the decision log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// The way in which decisions are recorded.
    pub mode: LogMode,
    /// The file; `None`: the standard output.
    pub file: Option<PathBuf>,
    /// Bytes of the file beyond which another is begun; 0: no limit.
    pub rotate_bytes: usize,
    /// Older files that are kept.
    pub keep_files: usize,
    /// Bytes of records that may wait in memory.
    pub queue_bytes: usize,
    /// Records one in this many plain allows; 0: none.
    pub sample_allows: usize,
    /// Fields whose value becomes `[masked]`.
    pub mask: Vec<RecordField>,
    /// Fields whose value becomes its keyed hash.
    pub hash: Vec<RecordField>,
    /// Fields that are left out.
    pub omit: Vec<RecordField>,
    /// The file with the key of hashes; `None`: a random key for each start.
    pub hash_key_file: Option<PathBuf>,
    /// The variables that name the collector, if records are sent to one.
    pub otlp: Variables,
    /// Decisions that are kept in memory for the console, in any mode; 0: none.
    pub recent: usize,
    /// Readers that may follow them at once.
    pub recent_readers: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            mode: LogMode::Off,
            file: None,
            rotate_bytes: 100 * 1024 * 1024,
            keep_files: 10,
            queue_bytes: 16 * 1024 * 1024,
            sample_allows: 1,
            mask: Vec::new(),
            hash: Vec::new(),
            omit: Vec::new(),
            hash_key_file: None,
            otlp: Variables::default(),
            recent: 0,
            recent_readers: 200,
        }
    }
}

/// A decision log that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened.
    #[error("cannot open the decision log `{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The key of hashes cannot be read, or is too short.
    #[error("cannot use the key of hashes in `{}`: {reason}", path.display())]
    Key {
        /// The file of the key.
        path: PathBuf,
        /// The problem with it.
        reason: String,
    },
    /// The system has no random key for hashes.
    #[error("cannot make a key of hashes: the system has no random bytes: {0}")]
    Random(getrandom::Error),
    /// The key is refused by the hash.
    #[error("cannot use the key of hashes: {0}")]
    Hmac(String),
    /// The variables of the collector cannot be honoured.
    #[error("decision records cannot be sent to a collector: {0}")]
    Otlp(String),
    /// The thread of the log cannot be started.
    #[error("cannot start the writer of the decision log: {0}")]
    Thread(io::Error),
}
