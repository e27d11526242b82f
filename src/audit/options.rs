use std::{io, path::PathBuf};

use super::RecordField;
use crate::telemetry::Variables;

/// Whether decisions are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogMode {
    /// They are not.
    #[default]
    Off,
    /// They are, and no decision ever waits for that: what there is no room for is dropped and
    /// counted.
    On,
    /// The same, but they are sent to an OpenTelemetry collector.
    Otlp,
    /// No answer leaves without its record on disk.
    Required,
}

/// What is recorded, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// Whether decisions are recorded.
    pub mode: LogMode,
    /// The file; none: the standard output.
    pub file: Option<PathBuf>,
    /// How large the file may become before another is begun; 0: without end.
    pub rotate_bytes: usize,
    /// How many older files are kept.
    pub keep_files: usize,
    /// How many bytes may wait in memory to be written.
    pub queue_bytes: usize,
    /// One in so many plain allows is recorded; 0: none.
    pub sample_allows: usize,
    /// Fields of which the value is replaced by `[masked]`.
    pub mask: Vec<RecordField>,
    /// Fields of which the value is replaced by its keyed hash.
    pub hash: Vec<RecordField>,
    /// Fields that are left out.
    pub omit: Vec<RecordField>,
    /// The file with the key of hashes; none: a key that lives as long as the process.
    pub hash_key_file: Option<PathBuf>,
    /// Where the collector is, if records are sent to one.
    pub otlp: Variables,
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
        }
    }
}

/// Why the decision log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file.
    #[error("cannot open the decision log `{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The key of hashes.
    #[error("cannot use the key of hashes in `{}`: {reason}", path.display())]
    Key {
        /// The file of the key.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The collector.
    #[error("decision records cannot be sent to a collector: {0}")]
    Otlp(String),
    /// The thread that writes.
    #[error("cannot start the writer of the decision log: {0}")]
    Thread(io::Error),
}
