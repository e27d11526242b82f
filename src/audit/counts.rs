use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

/// What becomes of records.
#[derive(Debug, Default)]
pub(super) struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    sampled_out: AtomicU64,
    /// What is wrong with writing, at this moment.
    problem: Mutex<Option<String>>,
}

/// The state of the decision log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogCounts {
    /// Where records go: `stdout`, the file or the collector.
    pub destination: String,
    /// Whether no answer leaves without its record.
    pub required: bool,
    /// Records that were written.
    pub written: u64,
    /// Records for which the queue had no room.
    pub dropped: u64,
    /// Records that could not be written.
    pub failed: u64,
    /// Allows that were left out by sampling.
    pub sampled_out: u64,
    /// Bytes that wait in memory.
    pub queued_bytes: usize,
    /// What is wrong with writing, at this moment.
    pub problem: Option<String>,
}

impl Counts {
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

    pub fn all_dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Says what is wrong, or that nothing is any more. Whether that is news.
    pub fn set_problem(&self, problem: Option<String>) -> bool {
        let mut place = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        let news = place.is_some() != problem.is_some();
        *place = problem;
        news
    }

    /// Says what is wrong, and logs it if nothing was wrong before.
    pub fn tell_trouble(&self, destination: &str, error: &str) {
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
