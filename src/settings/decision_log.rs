//! The settings of the decision log.

use std::{num::NonZeroUsize, path::PathBuf};

use super::{Origin, SettingError};
use crate::{
    audit::{LogMode, LogOptions, RecordField},
    telemetry::Variables,
};

/// The settings of the decision log.
#[derive(Debug, Clone)]
pub struct DecisionLogSettings {
    /// The mode.
    pub mode: LogMode,
    /// The file; unset: the standard output.
    pub file: Option<PathBuf>,
    /// Bytes of the file after which another is begun; 0: never.
    pub rotate_bytes: usize,
    /// Older files that are kept.
    pub keep_files: usize,
    /// Bytes of records that may wait in memory.
    pub queue_bytes: NonZeroUsize,
    /// Records one in this many plain allows; 0: none.
    pub sample_allows: usize,
    /// Fields of which the value is masked.
    pub mask: Vec<RecordField>,
    /// Fields of which the value is hashed.
    pub hash: Vec<RecordField>,
    /// Fields that are left out.
    pub omit: Vec<RecordField>,
    /// The file with the key of hashes; unset: a new key with every start.
    pub hash_key_file: Option<PathBuf>,
}

impl Default for DecisionLogSettings {
    fn default() -> Self {
        let options = LogOptions::default();
        Self {
            mode: options.mode,
            file: options.file,
            rotate_bytes: options.rotate_bytes,
            keep_files: options.keep_files,
            queue_bytes: NonZeroUsize::new(options.queue_bytes).unwrap_or(NonZeroUsize::MIN),
            sample_allows: options.sample_allows,
            mask: options.mask,
            hash: options.hash,
            omit: options.omit,
            hash_key_file: options.hash_key_file,
        }
    }
}

impl DecisionLogSettings {
    /// Returns the options of the decision log. `variables` name the collector.
    #[must_use]
    pub fn options(&self, otlp: Variables) -> LogOptions {
        LogOptions {
            mode: self.mode,
            file: self.file.clone(),
            rotate_bytes: self.rotate_bytes,
            keep_files: self.keep_files,
            queue_bytes: self.queue_bytes.get(),
            sample_allows: self.sample_allows,
            mask: self.mask.clone(),
            hash: self.hash.clone(),
            omit: self.omit.clone(),
            hash_key_file: self.hash_key_file.clone(),
            otlp,
            ..LogOptions::default()
        }
    }

    /// Reports settings that do not go together, or would break the promise that no answer leaves without its
    /// record on disk.
    pub(super) fn conflicts(&self, origin: impl Fn(&str) -> Origin) -> Vec<SettingError> {
        let mut conflicts = Vec::new();
        let mut conflict = |key, message| {
            conflicts.push(SettingError::Conflict { key, origin: origin(key), message });
        };
        if self.mode == LogMode::Required && self.file.is_none() {
            conflict(
                "decision_log.mode",
                "what is required on disk needs a file, and a collector is none: name one with \
                 `--decision-log-file`",
            );
        }
        if self.mode == LogMode::Otlp && self.file.is_some() {
            conflict(
                "decision_log.file",
                "records go to a collector or to a file: leave the file out, or write \
                 `--decision-log`",
            );
        }
        if self.mode == LogMode::Required && self.sample_allows != 1 {
            conflict(
                "decision_log.sample_allows",
                "where records are required every decision is recorded: write 1",
            );
        }
        conflicts
    }
}
