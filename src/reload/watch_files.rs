//! Watching single files, wherever the symbolic links on the way to them lead.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{self, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    Reloader,
    paths::Places,
    signal::{MOST_SETTLES, Signal},
    watcher::FolderWatcher,
};

/// The watch over some files.
#[derive(Debug, Clone)]
pub struct WatchFiles {
    /// The files.
    pub paths: Vec<PathBuf>,
    /// Time that they must be quiet before they are looked at. While changes go on they are looked
    /// at after five times as long.
    pub settle: Duration,
    /// Interval at which they are looked at even without an event.
    pub interval: Duration,
    /// Listen to the file system's events.
    pub use_events: bool,
}

impl WatchFiles {
    /// Calls `look`, on a thread of its own, at once and whenever one of the files may have
    /// changed, until the reloader is dropped.
    pub fn start(self, look: impl FnMut() + Send + 'static) -> Reloader {
        let signal = Arc::new(Signal::default());
        let watched = Arc::clone(&signal);
        let thread = thread::Builder::new().name("watch-files".to_owned());
        if let Err(error) = thread.spawn(move || self.run(watched, look)) {
            tracing::error!(%error, "files are not watched, for no thread can be started");
        }
        Reloader { signal }
    }

    fn run(self, signal: Arc<Signal>, mut look: impl FnMut()) {
        let mut watch = FolderWatcher::new(Arc::clone(&signal), self.use_events);
        let mut problem = None;
        loop {
            // Before looking, so that no change falls between the two.
            watch.arm(&self.places());
            if watch.problem() != problem.as_deref() {
                problem = watch.problem().map(str::to_owned);
                if let Some(problem) = &problem {
                    tracing::warn!(problem, "files are looked at from time to time only");
                }
            }
            if catch_unwind(AssertUnwindSafe(&mut look)).is_err() {
                tracing::error!("looking at changed files panicked");
            }
            let next = Instant::now().checked_add(self.interval.max(self.settle));
            if !watch.wait(next, self.settle, self.settle.saturating_mul(MOST_SETTLES)) {
                return;
            }
        }
    }

    /// Returns every name on the way to the files, those that do not exist yet included.
    fn places(&self) -> Places {
        let mut places = Places::default();
        for path in &self.paths {
            if let Ok(path) = path::absolute(path) {
                let _ = places.resolve(&path);
            }
        }
        places
    }
}
