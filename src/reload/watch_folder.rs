//! Watching a policies folder for somebody who reads it.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    Reloader,
    folder::{FolderStores, stores_of, take_settled},
    folder_error::FolderError,
    signal::{MOST_SETTLES, Signal},
    watcher::FolderWatcher,
};
use crate::store::{Bounds, STACK_BYTES};

/// The watch over a policies folder, or the folder of a single store.
#[derive(Debug, Clone)]
pub struct WatchFolder {
    /// The folder.
    pub path: PathBuf,
    /// Bounds on the size of a store.
    pub bounds: Bounds,
    /// Time that it must be quiet before it is read. While changes go on it is read after five
    /// times as long.
    pub settle: Duration,
    /// Interval at which it is read even without an event.
    pub interval: Duration,
}

impl WatchFolder {
    /// Calls `look` with what is in the folder, on a thread of its own, at once and whenever a file
    /// may have changed, until the reloader is dropped.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        self,
        look: impl FnMut(Result<FolderStores, FolderError>) + Send + 'static,
    ) -> io::Result<Reloader> {
        let signal = Arc::new(Signal::default());
        let watched = Arc::clone(&signal);
        let thread = thread::Builder::new().name("watch-folder".to_owned());
        thread.stack_size(STACK_BYTES).spawn(move || self.run(watched, look))?;
        Ok(Reloader { signal })
    }

    fn run(self, signal: Arc<Signal>, mut look: impl FnMut(Result<FolderStores, FolderError>)) {
        let mut watch = FolderWatcher::new(Arc::clone(&signal), true);
        loop {
            // Between reading and checking, so that no change falls between the two.
            let snapshot = take_settled(&self.path, &self.bounds, |places| watch.arm(places));
            let stores = stores_of(&self.path, snapshot);
            if catch_unwind(AssertUnwindSafe(|| look(stores))).is_err() {
                tracing::error!("looking at a changed folder panicked");
            }
            let next = Instant::now().checked_add(self.interval.max(self.settle));
            if !watch.wait(next, self.settle, self.settle.saturating_mul(MOST_SETTLES)) {
                return;
            }
        }
    }
}
