//! The signal by which others wake the reloading thread.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::paths::Places;

/// Multiples of the quiet time that a reader waits at most while events go on.
pub(super) const MOST_SETTLES: u32 = 5;
/// Time after which a writer that does not write counts as one that forgot to close the file.
const WRITER_PATIENCE: Duration = Duration::from_secs(5);
/// Files that are remembered as written to.
const MAX_WRITTEN: usize = 10_000;

/// Wakes the reloading thread. Keeps at most one hint, however many events come.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<SignalState>,
    told: Condvar,
}

#[derive(Debug, Default)]
struct SignalState {
    stop: bool,
    burst: Option<Burst>,
    places: Places,
    written: HashMap<PathBuf, Written>,
    /// The number of the newest watcher; events of older watchers are ignored.
    watcher: u64,
    watcher_error: Option<String>,
}

/// Hints that came shortly after one another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Burst {
    pub first: Instant,
    pub last: Instant,
}

/// A file that was written to in place.
#[derive(Debug, Clone, Copy)]
struct Written {
    last: Instant,
    /// True until the writer closes it.
    open: bool,
}

/// Why a wait ended.
#[derive(Debug)]
pub(super) enum Wake {
    Stop,
    Hint,
    Time,
    WatcherBroke(String),
}

/// A change of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileChange {
    /// The content is being written in place.
    Written,
    /// A writer closed the file.
    Closed,
    /// The path is gone, or leads to something else.
    Replaced,
    /// Anything else.
    Other,
}

impl Signal {
    /// Tells that something may have changed.
    pub fn hint(&self) {
        self.lock().note_hint();
        self.told.notify_one();
    }

    /// Tells the thread to end.
    pub fn stop(&self) {
        self.lock().stop = true;
        self.told.notify_one();
    }

    pub fn is_stopped(&self) -> bool {
        self.lock().stop
    }

    /// Takes an event of a watcher; no paths: something happened anywhere.
    pub fn event(&self, watcher: u64, change: FileChange, paths: &[PathBuf]) {
        let mut state = self.lock();
        let matters = paths.is_empty() || paths.iter().any(|path| state.places.concern(path));
        if watcher != state.watcher || !matters {
            return;
        }
        for path in paths {
            state.note(change, path);
        }
        state.note_hint();
        drop(state);
        self.told.notify_one();
    }

    /// Takes the error of a watcher, or the word that it ended.
    pub fn watcher_broke(&self, watcher: u64, error: String) {
        let mut state = self.lock();
        if watcher == state.watcher {
            state.watcher_error.get_or_insert(error);
            drop(state);
            self.told.notify_one();
        }
    }

    /// Returns the number of a new watcher. Events of older ones are ignored from now on, and what they
    /// said of writers is forgotten.
    pub fn next_watcher(&self) -> u64 {
        let mut state = self.lock();
        state.watcher += 1;
        state.watcher_error = None;
        state.written.clear();
        state.watcher
    }

    /// Returns the number of the watcher whose events count.
    #[cfg(test)]
    pub fn watcher(&self) -> u64 {
        self.lock().watcher
    }

    /// Lets events count only where they concern these places.
    pub fn listen_to(&self, places: Places) {
        self.lock().places = places;
    }

    /// Waits until there is something to do, at most until that moment.
    pub fn wait(&self, until: Option<Instant>) -> Wake {
        let mut state = self.lock();
        loop {
            if state.stop {
                return Wake::Stop;
            }
            if let Some(error) = state.watcher_error.take() {
                return Wake::WatcherBroke(error);
            }
            if state.burst.is_some() {
                return Wake::Hint;
            }
            match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return Wake::Time,
                left => state = self.wait_for(state, left),
            }
        }
    }

    /// Waits until no hint has come for `quiet`, or for at most `most` since the first one, and
    /// takes the hints.
    pub fn settle(&self, quiet: Duration, most: Duration) -> Option<Burst> {
        let mut state = self.lock();
        loop {
            let burst = state.burst?;
            let now = Instant::now();
            let left = quiet
                .saturating_sub(now.duration_since(burst.last))
                .min(most.saturating_sub(now.duration_since(burst.first)));
            if left.is_zero() || state.stop {
                state.burst = None;
                return Some(burst);
            }
            state = self.wait_for(state, Some(left));
        }
    }

    /// Returns whether one of the files is open for writing in place, or was written since a moment.
    pub fn is_written(&self, paths: &[PathBuf], since: Instant) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        state.written.retain(|_, written| now.duration_since(written.last) < WRITER_PATIENCE);
        paths
            .iter()
            .filter_map(|path| state.written.get(path))
            .any(|written| written.open || written.last >= since)
    }

    fn wait_for<'a>(
        &self,
        state: MutexGuard<'a, SignalState>,
        left: Option<Duration>,
    ) -> MutexGuard<'a, SignalState> {
        match left {
            Some(left) => {
                let woken = self.told.wait_timeout(state, left);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.told.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SignalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SignalState {
    fn note_hint(&mut self) {
        let now = Instant::now();
        let first = self.burst.map_or(now, |burst| burst.first);
        self.burst = Some(Burst { first, last: now });
    }

    fn note(&mut self, change: FileChange, path: &Path) {
        let last = Instant::now();
        match change {
            FileChange::Written if cfg!(any(target_os = "linux", target_os = "android")) => {
                if self.written.len() < MAX_WRITTEN {
                    self.written.insert(path.to_owned(), Written { last, open: true });
                }
            }
            FileChange::Closed => {
                if let Some(written) = self.written.get_mut(path) {
                    *written = Written { last, open: false };
                }
            }
            FileChange::Replaced => {
                self.written.remove(path);
            }
            // Other systems do not tell when a writer closes a file.
            FileChange::Written | FileChange::Other => {}
        }
    }
}
