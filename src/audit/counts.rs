//! The counts of records, and the problem of the moment.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

/// Counts records, by what becomes of them.
#[derive(Debug, Default)]
pub(super) struct RecordCounts {
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    sampled_out: AtomicU64,
    /// The reason why records cannot be written at this moment.
    problem: Mutex<Option<String>>,
}

/// The state of the decision log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogCounts {
    /// The destination of records: `stdout`, the file or the collector.
    pub destination: String,
    /// True where no answer leaves without its record.
    pub required: bool,
    /// Records that were written.
    pub written: u64,
    /// Records for which the queue had no room.
    pub dropped: u64,
    /// Records that could not be written.
    pub failed: u64,
    /// Allows that were left out by sampling.
    pub sampled_out: u64,
    /// Bytes of records that wait in memory.
    pub queued_bytes: usize,
    /// The reason why records cannot be written at this moment.
    pub problem: Option<String>,
}

impl RecordCounts {
    pub fn written(&self, records: usize) {
        self.written.fetch_add(records as u64, Ordering::Relaxed);
    }

    pub fn dropped(&self, records: usize) {
        self.dropped.fetch_add(records as u64, Ordering::Relaxed);
    }

    pub fn failed(&self, records: usize) {
        self.failed.fetch_add(records as u64, Ordering::Relaxed);
    }

    pub fn sampled_out(&self) {
        self.sampled_out.fetch_add(1, Ordering::Relaxed);
    }

    pub fn dropped_so_far(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Sets the problem of the moment. Returns true if a problem began or ended.
    pub fn set_problem(&self, problem: Option<String>) -> bool {
        let mut current = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        let has_changed = current.is_some() != problem.is_some();
        *current = problem;
        has_changed
    }

    /// Sets the problem of the moment, and logs it where there was none before.
    pub fn report_problem(&self, destination: &str, error: &str) {
        if self.set_problem(Some(error.to_owned())) {
            tracing::error!(destination, %error, "decision records cannot be written");
        }
    }

    pub fn read(&self, destination: &str, required: bool, queued_bytes: usize) -> LogCounts {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        LogCounts {
            destination: destination.to_owned(),
            required,
            written: self.written.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            sampled_out: self.sampled_out.load(Ordering::Relaxed),
            queued_bytes,
            problem,
        }
    }
}
