//! The directory of a store as it is in force, and how old its facts are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::change_log::ChangeLog;
use crate::{
    directory::{Directory, DirectoryVersion},
    request::{Held, RequestFacts},
};

/// The directory of a store as it is in force. Clones share how old it is.
#[derive(Debug, Clone)]
pub struct LiveDirectory {
    /// The source of its rows, e.g. `files:/etc/directory`.
    pub source: Arc<str>,
    /// Its state; nothing before the first.
    pub state: Option<Arc<DirectoryState>>,
    /// The fault of its source as it is now; the state stays in force.
    pub problem: Option<Arc<str>>,
    /// The problems of single rows.
    pub rows: RowReport,
    /// True where it has no state and will not have one before the process is started again.
    pub is_refused: bool,
    pub(super) log: Arc<ChangeLog>,
    confirmed: Arc<Confirmed>,
    max_age: Duration,
}

/// The problems of rows of a directory, of which none grants anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowReport {
    /// Rows that the directory does not hold, since they cannot be read or contradict others. Those
    /// that it holds and that do not fit the schema are counted by itself.
    pub left_out: usize,
    /// The first problems, those of rows that do not fit included, and how many there are beside.
    pub problems: Arc<[String]>,
}

/// A state of a directory.
#[derive(Debug)]
pub struct DirectoryState {
    /// The rows.
    pub directory: Arc<Directory>,
    /// The rows as questions are checked against them.
    pub held: Held,
    /// The version of this state.
    pub version: DirectoryVersion,
    /// The version as answers carry it.
    pub version_text: String,
}

/// Why the directory of a store cannot decide.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryUnavailable {
    /// It has not been loaded yet.
    #[error("the directory of the policy store is not loaded yet: {0}")]
    NotLoaded(Arc<str>),
    /// Nobody has confirmed for too long that it is as its source has it.
    #[error(
        "the directory of the policy store was last confirmed {age:.0?} ago, which is more than \
         `directory.max_age_s` allows: {problem}"
    )]
    TooOld {
        /// The time since then.
        age: Duration,
        /// The fault of its source.
        problem: Arc<str>,
    },
}

/// When a source was last heard, in milliseconds since the clock was made.
#[derive(Debug)]
struct Confirmed {
    clock: Instant,
    at: AtomicU64,
}

impl LiveDirectory {
    pub(super) fn new(source: &str, max_age: Duration, kept_changes: usize) -> Self {
        let confirmed = Confirmed { clock: Instant::now(), at: AtomicU64::new(0) };
        Self {
            source: source.into(),
            state: None,
            problem: None,
            rows: RowReport::default(),
            is_refused: false,
            log: Arc::new(ChangeLog::new(kept_changes)),
            confirmed: Arc::new(confirmed),
            max_age,
        }
    }

    /// Returns the state, if it may decide.
    ///
    /// # Errors
    /// There is none, or it is too old.
    pub fn deciding(&self) -> Result<&Arc<DirectoryState>, DirectoryUnavailable> {
        let problem = || self.problem.clone().unwrap_or_else(|| "its source was not heard".into());
        let Some(state) = &self.state else {
            return Err(DirectoryUnavailable::NotLoaded(problem()));
        };
        let age = self.age();
        if age > self.max_age {
            return Err(DirectoryUnavailable::TooOld { age, problem: problem() });
        }
        Ok(state)
    }

    /// Returns how long ago the source last confirmed the state.
    #[must_use]
    pub fn age(&self) -> Duration {
        let at = Duration::from_millis(self.confirmed.at.load(Ordering::Relaxed));
        self.confirmed.clock.elapsed().saturating_sub(at)
    }

    /// Records that the state is as its source has it.
    pub(super) fn confirm(&self) {
        let millis = u64::try_from(self.confirmed.clock.elapsed().as_millis());
        self.confirmed.at.store(millis.unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl DirectoryState {
    pub(super) fn new(
        directory: Directory,
        version: DirectoryVersion,
        request_facts: RequestFacts,
    ) -> Arc<Self> {
        let directory = Arc::new(directory);
        let held = Held { facts: Arc::clone(&directory) as _, request_facts };
        let version_text = version.to_string();
        Arc::new(Self { directory, held, version, version_text })
    }

    /// Returns the same rows as another version that holds them.
    pub(super) fn at(&self, version: DirectoryVersion) -> Arc<Self> {
        let (directory, held) = (Arc::clone(&self.directory), self.held.clone());
        let version_text = version.to_string();
        Arc::new(Self { directory, held, version, version_text })
    }
}
