//! The thread that keeps the stores up to date.

use std::{
    collections::{BTreeMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    Options,
    known_store::StoreState,
    loader::Loader,
    paths::FolderId,
    signal::{MOST_SETTLES, Signal, Wake},
    snapshot::{Read, StoreContent, take},
    tree::{Flaw, Layout},
    watcher::FolderWatcher,
};
use crate::{
    model::{StoreName, panic_message},
    reload::Live,
    store::{FileKind, StoreFiles},
};

/// Pause before a store that is being written to is read again.
const RETRY: Duration = Duration::from_millis(50);
/// Time after which a store that is never at rest is reported.
const NEVER_SETTLES: Duration = Duration::from_secs(2);
/// Time that events may take to arrive.
const EVENT_DELAY: Duration = Duration::from_millis(5);
/// The shortest pause between two periodic readings.
const MIN_REHASH: Duration = Duration::from_millis(10);
/// Pause after a panic.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// Keeps the stores of one folder up to date.
pub(super) struct Worker {
    path: PathBuf,
    options: Options,
    live: Arc<Live>,
    signal: Arc<Signal>,
    watch: FolderWatcher,
    loader: Loader,
    layout: Option<Layout>,
    /// Stores that are being written to, with the moment of the first event.
    unsettled: BTreeMap<StoreName, Instant>,
    /// The folders in which the files of the stores in force lay.
    roots: BTreeMap<StoreName, FolderId>,
    /// Stores of which a file is gone.
    removals: BTreeMap<StoreName, Removal>,
    /// Stores in force of which the folder is gone, with the moment at which that was seen.
    vanished: BTreeMap<StoreName, Instant>,
    /// The folder in which the stores' folders lay.
    root: Option<FolderId>,
    /// The moment from which the folder as a whole has been changing.
    moving: Option<Instant>,
}

/// A store of which a file is gone, which may be on its way back.
struct Removal {
    /// The digest of its files after the last change.
    digest: String,
    /// The moment of that change.
    since: Instant,
    /// The moment at which the first file was gone.
    first: Instant,
}

impl Worker {
    pub fn new(
        path: PathBuf,
        source: String,
        options: Options,
        live: Arc<Live>,
        signal: Arc<Signal>,
    ) -> Self {
        Self {
            watch: FolderWatcher::new(Arc::clone(&signal), options.use_events),
            loader: Loader::resume(source, options.clone(), &live).waking(Arc::clone(&signal)),
            layout: None,
            unsettled: BTreeMap::new(),
            roots: BTreeMap::new(),
            removals: BTreeMap::new(),
            vanished: BTreeMap::new(),
            root: None,
            moving: None,
            path,
            options,
            live,
            signal,
        }
    }

    /// Runs until the signal says stop. A panic is reported, and the work goes on.
    pub fn run(mut self) {
        loop {
            let panic = match catch_unwind(AssertUnwindSafe(|| self.keep_up())) {
                Ok(()) => return,
                Err(panic) => panic,
            };
            let message = format!("loading panicked: {}", panic_message(&*panic));
            // Should the status itself be what panics, the log still has the message.
            let told = AssertUnwindSafe(|| self.loader.keep(message.clone(), &self.live));
            if catch_unwind(told).is_err() {
                tracing::error!("{message}");
            }
            thread::sleep(AFTER_PANIC);
        }
    }

    fn keep_up(&mut self) {
        // Whatever happened since the first load is found by reading once more.
        let mut heard = Instant::now();
        loop {
            self.reload(heard);
            let pause = self.options.rehash_interval.max(MIN_REHASH);
            let rehash_at = Instant::now().checked_add(pause);
            heard = match self.signal.wait(self.next_time(rehash_at)) {
                Wake::Stop => return,
                Wake::Hint => self.settle(),
                Wake::Time => Instant::now(),
                Wake::WatcherBroke(error) => {
                    self.watch.broke(&error);
                    Instant::now()
                }
            };
        }
    }

    /// Waits until the folder is quiet, and says when the first of the hints came.
    fn settle(&self) -> Instant {
        let settle = self.options.settle;
        let burst = self.signal.settle(settle, self.longest_settle());
        burst.map_or_else(Instant::now, |burst| burst.first)
    }

    fn longest_settle(&self) -> Duration {
        self.options.settle.saturating_mul(MOST_SETTLES)
    }

    fn next_time(&self, rehash_at: Option<Instant>) -> Option<Instant> {
        let is_waiting = !self.unsettled.is_empty() || self.moving.is_some();
        let retry_at = is_waiting.then(|| Instant::now() + RETRY);
        let look_at = self.loader.look_at();
        [rehash_at, retry_at, self.watch.retry_at(), look_at].into_iter().flatten().min()
    }

    /// Reads the folder and puts in force what is new. `heard` is when the first word came.
    fn reload(&mut self, heard: Instant) {
        let watch = &mut self.watch;
        let snapshot =
            take(&self.path, &self.options.bounds, self.layout, |places| watch.arm(places));
        self.loader.watching(self.watch.problem());
        if self.signal.is_stopped() {
            return;
        }
        if snapshot.moved {
            let since = *self.moving.get_or_insert(heard);
            if since.elapsed() >= NEVER_SETTLES {
                let error = super::FolderError::Unsettled(self.path.clone());
                self.loader.keep(error.to_string(), &self.live);
            }
            return;
        }
        self.moving = None;
        let content = match snapshot.folder {
            Ok(content) => content,
            Err(error) => return self.loader.keep(error.to_string(), &self.live),
        };
        let problem = content.problem(&self.path);
        if !content.holds_store() {
            return self.loader.keep(problem.unwrap_or_default(), &self.live);
        }
        self.layout = Some(content.layout);
        let mut found = BTreeMap::new();
        for (name, store) in content.stores {
            if is_empty(&store) && self.loader.in_force(&name).is_none() {
                // A folder of something else.
                continue;
            }
            let store = self.classify(&name, store, heard, snapshot.begun);
            found.insert(name, store);
        }
        let is_swapped = self.root.is_some() && self.root != content.root;
        self.root = content.root;
        if !is_swapped {
            self.keep_vanished(&mut found);
        }
        self.unsettled.retain(|name, _| found.contains_key(name));
        self.removals.retain(|name, _| found.contains_key(name));
        self.loader.unread(content.unread);
        self.loader.apply(found, problem, &self.live);
    }

    /// Keeps stores whose folder is gone for no longer than `settle_removals`. It may be on its way back, and
    /// until then a request that names no store must not be decided by another one.
    fn keep_vanished(&mut self, found: &mut BTreeMap<StoreName, StoreState>) {
        let is_gone = |name: &StoreName| !found.contains_key(name);
        let gone: Vec<_> = self.loader.names_in_force().filter(|name| is_gone(name)).collect();
        self.vanished.retain(|name, _| gone.contains(name));
        for name in gone {
            let since = *self.vanished.entry(name.clone()).or_insert_with(Instant::now);
            if since.elapsed() < self.options.settle_removals {
                self.unsettled.entry(name.clone()).or_insert(since);
                found.insert(name, StoreState::Unsettled);
            }
        }
    }

    /// Returns what was found of a store. A state that may be half written is not relied on: a file that
    /// is being written to in place could be valid all the same.
    fn classify(
        &mut self,
        name: &StoreName,
        store: StoreContent,
        heard: Instant,
        begun: Instant,
    ) -> StoreState {
        let since = *self.unsettled.entry(name.clone()).or_insert(heard);
        let is_settled = match &store.read {
            Read::Moved => false,
            Read::Files(_) | Read::Flawed(_) => {
                self.is_quiet(&store, since) && !self.signal.is_written(&store.paths, begun)
            }
        };
        if !is_settled {
            let is_overdue = since.elapsed() >= NEVER_SETTLES;
            return if is_overdue { StoreState::NeverSettles } else { StoreState::Unsettled };
        }
        if let Read::Files(files) = &store.read {
            let hidden = self.hidden_guards(name, files);
            if !hidden.is_empty() {
                self.unsettled.remove(name);
                return StoreState::Flawed(hidden);
            }
            if let Some(removed) = self.fresh_removal(name, files, &store) {
                return with_removed(files, removed);
            }
        }
        self.unsettled.remove(name);
        self.removals.remove(name);
        if let Some(root) = store.root {
            self.roots.insert(name.clone(), root);
        }
        match store.read {
            Read::Files(files) => StoreState::Files(files),
            Read::Flawed(flaws) => StoreState::Flawed(flaws),
            Read::Moved => StoreState::Unsettled,
        }
    }

    /// Returns what cannot be read of a store and lies where files of the state in force do: they may still
    /// be there.
    fn hidden_guards(&self, name: &StoreName, files: &StoreFiles) -> Vec<Flaw> {
        let Some(in_force) = self.loader.in_force(name) else { return Vec::new() };
        let lies_in = |file: &str, folder: &str| {
            file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        };
        let hides =
            |folder: &str| in_force.files().deciding().any(|(file, _)| lies_in(file, folder));
        files.unreadable(hides).map(Flaw::of_problem).collect()
    }

    /// Returns the files that decide and are gone from a store that has not been as it is for
    /// `settle_removals`. They may be on their way back: an editor that deletes or empties a guard and
    /// writes it again must not let an allow through in between. Files that were whole when they came
    /// to lie where they do show a whole state.
    fn fresh_removal(
        &mut self,
        name: &StoreName,
        files: &StoreFiles,
        store: &StoreContent,
    ) -> Option<Vec<(String, Arc<[u8]>)>> {
        let in_force = self.loader.in_force(name)?;
        let before = self.roots.get(name).copied();
        let is_swapped = store.root.zip(before).is_some_and(|(now, before)| now != before);
        let kept: HashSet<_> =
            files.deciding().filter_map(|(path, bytes)| kind_and_bytes(path, bytes)).collect();
        // A file that only has another name now is not gone.
        let is_gone = |(path, bytes): &(&str, &[u8])| {
            let is_missing = files.get(path).is_none_or(is_blank);
            is_missing
                && !is_blank(bytes)
                && kind_and_bytes(path, bytes).is_none_or(|file| !kept.contains(&file))
        };
        let gone = in_force.files().deciding().filter(is_gone);
        let gone: Vec<_> = gone.map(|(path, bytes)| (path.to_owned(), Arc::from(bytes))).collect();
        if gone.is_empty() || (is_swapped && store.arrived_whole()) {
            return None;
        }
        let (digest, now, settle) = (files.digest(), Instant::now(), self.options.settle_removals);
        let begin = || Removal { digest: digest.clone(), since: now, first: now };
        let removal = self.removals.entry(name.clone()).or_insert_with(begin);
        if removal.digest != digest {
            (removal.digest, removal.since) = (digest, now);
        }
        // One that is changed all the time must come in force some time.
        let is_overdue = removal.first.elapsed() >= settle.saturating_mul(MOST_SETTLES);
        (removal.since.elapsed() < settle && !is_overdue).then_some(gone)
    }

    /// Returns whether nobody wrote to a store a moment ago. Under constant changes, accepts a store that
    /// nobody wrote during the read, if every writer is heard of.
    fn is_quiet(&self, store: &StoreContent, since: Instant) -> bool {
        if !store.changed_within(self.options.settle / 2) {
            return true;
        }
        let is_late = since.elapsed() >= self.longest_settle();
        if is_late && self.watch.hears_all() {
            thread::sleep(EVENT_DELAY);
            return true;
        }
        false
    }
}

/// Returns what makes a file the same under another name.
fn kind_and_bytes<'a>(path: &str, bytes: &'a [u8]) -> Option<(FileKind, &'a [u8])> {
    Some((FileKind::of(path)?, bytes))
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}

/// Returns the files of a store together with those that are gone from it for a moment only.
fn with_removed(files: &StoreFiles, removed: Vec<(String, Arc<[u8]>)>) -> StoreState {
    let files = removed
        .into_iter()
        .fold(files.clone(), |files, (path, bytes)| files.with_file(path, bytes));
    StoreState::Meanwhile(files)
}

fn is_empty(store: &StoreContent) -> bool {
    matches!(&store.read, Read::Files(files) if files.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{fs, path::Path};

    use super::*;

    const SCHEMA: &str = "entity User; action view appliesTo { principal: User, resource: User };";

    fn write(root: &Path, id: &str) {
        fs::create_dir_all(root.join("main")).unwrap();
        fs::write(root.join("main/s.cedarschema"), SCHEMA).unwrap();
        let policy = format!("@id(\"{id}\") permit (principal, action, resource);");
        fs::write(root.join("main/p.cedar"), policy).unwrap();
    }

    fn start(root: &Path) -> (Arc<Live>, Arc<Signal>) {
        let (live, signal) = (Arc::new(Live::default()), Arc::new(Signal::default()));
        let rehash_interval = Duration::from_secs(3_600);
        let options = Options { rehash_interval, ..Options::default() };
        let (path, source) = (root.to_owned(), root.display().to_string());
        let worker = Worker::new(path, source, options, Arc::clone(&live), Arc::clone(&signal));
        thread::spawn(|| worker.run());
        (live, signal)
    }

    fn until(what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}: not within 10 s");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn decides(live: &Live, id: &str) -> bool {
        live.stores().get("main").is_ok_and(|store| {
            store.policies().policies().all(|policy| policy.id().to_string() == id)
        })
    }

    #[test]
    fn a_broken_watcher_is_reported_and_replaced() {
        let home = tempfile::tempdir().unwrap();
        write(home.path(), "first");
        let (live, signal) = start(home.path());
        until("it loads", || decides(&live, "first"));
        for id in ["second", "third"] {
            signal.watcher_broke(signal.watcher(), "of a sudden".to_owned());
            until("it is reported", || {
                live.status().watch_problem.as_deref() == Some("watching broke off: of a sudden")
            });
            // Nobody tells of this change: the new watcher begins with reading.
            write(home.path(), id);
            until("it is found", || decides(&live, id));
            until("it is well again", || live.status().watch_problem.is_none());
            let edited = format!("{id}-edited");
            write(home.path(), &edited);
            until("it is heard of", || decides(&live, &edited));
        }
        signal.stop();
    }

    #[test]
    fn a_replaced_watcher_has_no_say() {
        let home = tempfile::tempdir().unwrap();
        write(home.path(), "first");
        let (live, signal) = start(home.path());
        until("it loads", || decides(&live, "first"));
        let replaced = signal.watcher();
        signal.watcher_broke(replaced, "of a sudden".to_owned());
        until("it is reported", || live.status().watch_problem.is_some());
        until("it is replaced", || live.status().watch_problem.is_none());
        signal.watcher_broke(replaced, "a late word".to_owned());
        write(home.path(), "second");
        until("it is heard of", || decides(&live, "second"));
        assert_eq!(live.status().watch_problem, None);
        signal.stop();
    }
}
