//! Listening to the file system's events.

use std::{
    collections::BTreeMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use notify::{
    Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};
use rustix::io::Errno;

use super::{
    paths::{FolderId, Places},
    signal::{FileChange, Signal, Wake},
};

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// Watches the places that matter, and again after anything went wrong.
///
/// Every folder is watched by itself: a recursive watch would follow symbolic links anywhere.
#[derive(Debug)]
pub(super) struct FolderWatcher {
    signal: Arc<Signal>,
    is_wanted: bool,
    watcher: Option<RecommendedWatcher>,
    armed: BTreeMap<PathBuf, Option<FolderId>>,
    problem: Option<String>,
    retry_at: Option<Instant>,
    retry_after: Duration,
}

impl FolderWatcher {
    /// A watch that tells the signal; nothing is watched where it is not wanted.
    pub fn new(signal: Arc<Signal>, is_wanted: bool) -> Self {
        Self {
            signal,
            is_wanted,
            watcher: None,
            armed: BTreeMap::new(),
            problem: None,
            retry_at: None,
            retry_after: FIRST_RETRY,
        }
    }

    /// Returns the fault of watching, if there is one.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Returns whether every change is heard of.
    pub fn hears_all(&self) -> bool {
        self.watcher.is_some() && self.problem.is_none()
    }

    /// Returns the moment at which a broken watcher should be tried again.
    pub fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Waits until the places are to be looked at: after a hint that is followed by quiet, at `next`,
    /// or when a broken watcher should be tried again. Returns false where the signal says stop.
    pub fn wait(&mut self, next: Option<Instant>, quiet: Duration, longest: Duration) -> bool {
        let next = [next, self.retry_at].into_iter().flatten().min();
        match self.signal.wait(next) {
            Wake::Stop => return false,
            Wake::Hint => drop(self.signal.settle(quiet, longest)),
            Wake::Time => {}
            Wake::WatcherBroke(error) => self.broke(&error),
        }
        true
    }

    /// Gives up the watcher after an error; the next [`Self::arm`] after a while makes another.
    pub fn broke(&mut self, error: &str) {
        self.drop_watcher();
        self.problem = Some(format!("watching broke off: {error}"));
        self.retry_at = Instant::now().checked_add(self.retry_after);
        self.retry_after = self.retry_after.saturating_mul(2).min(LAST_RETRY);
    }

    /// Watches those places and nothing else. Every watch is set anew: the folder at a path may be
    /// another one than before, even with the number of the old one.
    pub fn arm(&mut self, places: &Places) {
        if !self.is_wanted || self.retry_at.is_some_and(|retry_at| Instant::now() < retry_at) {
            return;
        }
        // The library panics where its thread has ended.
        let armed = catch_unwind(AssertUnwindSafe(|| self.try_arm(places)));
        match armed {
            Ok(Ok(problem)) => {
                self.problem = problem;
                self.retry_at = None;
                self.retry_after = FIRST_RETRY;
            }
            Ok(Err(error)) => self.broke(&explain(&error)),
            Err(_) => self.broke("the watching thread has ended"),
        }
    }

    fn try_arm(&mut self, places: &Places) -> notify::Result<Option<String>> {
        self.signal.listen_to(places.clone());
        let mut watcher = match self.watcher.take() {
            Some(watcher) => watcher,
            None => new_watcher(&self.signal)?,
        };
        let wanted = places.to_watch();
        self.armed.retain(|folder, id| {
            let is_same = *id == places.folders.get(folder).copied();
            let stays = wanted.contains(folder.as_path()) && is_same;
            if !stays {
                // It may be gone, and its watch with it.
                let _ = watcher.unwatch(folder);
            }
            stays
        });
        let mut problem = None;
        for folder in wanted {
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    let id = places.folders.get(folder).copied();
                    self.armed.insert(folder.to_owned(), id);
                }
                Err(error) if is_harmless(&error, folder, places) => {}
                Err(error) => {
                    problem = Some(explain(&error));
                    if matches!(error.kind, ErrorKind::MaxFilesWatch) {
                        break;
                    }
                }
            }
        }
        self.watcher = Some(watcher);
        Ok(problem)
    }

    fn drop_watcher(&mut self) {
        self.armed.clear();
        self.signal.next_watcher();
        let watcher = self.watcher.take();
        // The library panics where its thread has ended.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(watcher)));
    }
}

impl Drop for FolderWatcher {
    fn drop(&mut self) {
        self.drop_watcher();
    }
}

/// A folder that has just vanished is found by the check of the snapshot, and one on the way to the
/// policies that this process may not read is one that it need not watch.
fn is_harmless(error: &notify::Error, folder: &Path, places: &Places) -> bool {
    let denied = matches!(&error.kind, ErrorKind::Io(error)
        if error.kind() == io::ErrorKind::PermissionDenied);
    matches!(error.kind, ErrorKind::PathNotFound)
        || (denied && !places.folders.contains_key(folder))
}

fn new_watcher(signal: &Arc<Signal>) -> notify::Result<RecommendedWatcher> {
    let id = signal.next_watcher();
    let ended = WhenEnded { signal: Arc::clone(signal), id };
    let handler = move |event: notify::Result<Event>| match event {
        Ok(event) => {
            if let Some(change) = change(&event) {
                ended.signal.event(id, change, &event.paths);
            }
        }
        Err(error) => ended.signal.watcher_broke(id, explain(&error)),
    };
    RecommendedWatcher::new(handler, Config::default().with_follow_symlinks(false))
}

/// Reports the end of the watcher's thread; notify has no event for it.
struct WhenEnded {
    signal: Arc<Signal>,
    id: u64,
}

impl Drop for WhenEnded {
    fn drop(&mut self) {
        self.signal.watcher_broke(self.id, "the watching thread has ended".to_owned());
    }
}

/// Converts an event; nothing where it tells of reading, which the reload does itself.
fn change(event: &Event) -> Option<FileChange> {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(FileChange::Closed),
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Data(_)) => Some(FileChange::Written),
        EventKind::Remove(_)
        | EventKind::Modify(ModifyKind::Name(RenameMode::From | RenameMode::To)) => {
            Some(FileChange::Replaced)
        }
        _ => Some(FileChange::Other),
    }
}

fn explain(error: &notify::Error) -> String {
    let at = error.paths.first().map(|path| format!(" `{}`", path.display())).unwrap_or_default();
    match &error.kind {
        ErrorKind::MaxFilesWatch => format!(
            "cannot watch{at}: the limit of inotify watches is reached; raise the sysctl \
             `fs.inotify.max_user_watches`"
        ),
        // If inotify is full, the system says that too many files are open.
        ErrorKind::Io(error) if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) => {
            format!(
                "cannot watch{at}: {error}; raise the sysctl `fs.inotify.max_user_instances` or the \
             limit of open files"
            )
        }
        ErrorKind::Io(error) => format!("cannot watch{at}: {error}"),
        _ => format!("cannot watch{at}: {error}"),
    }
}
