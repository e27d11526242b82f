//! Loading stores, several at a time, beside everything else.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{Gate, Options, announce, signal::Signal};
use crate::{
    model::{Problem, StoreName, panic_message},
    store::{PolicyStore, STACK_BYTES, StoreFiles},
    testing,
};

/// A store to load from its files.
#[derive(Debug)]
pub(super) struct Job {
    pub files: StoreFiles,
    /// The state in force.
    pub last: Option<Arc<PolicyStore>>,
}

/// The result of the work.
#[derive(Debug)]
pub(super) struct Loaded {
    pub result: Result<Arc<PolicyStore>, Refused>,
    pub took: Duration,
}

/// Why a store is refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// The gate that it does not pass, where it is valid.
    pub gate: Option<Gate>,
    pub problems: Vec<Problem>,
}

impl From<Vec<Problem>> for Refused {
    fn from(problems: Vec<Problem>) -> Self {
        Self { gate: None, problems }
    }
}

/// Loads stores on threads of its own, the smallest first, so that a store that takes long holds up no
/// change of another. Of one store two states are loaded at a time at most: a newer one does not wait
/// for one that nobody wants any more. What is said of a job, `T`, stays with it.
///
/// A load that has begun is not ended before its time: where a store changes faster than it loads, the older
/// state has to come in force while the newer one is loaded, or none ever would.
#[derive(Debug)]
pub(super) struct LoadQueue<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
struct Shared<T> {
    options: Options,
    /// Gets a hint when a store is loaded and nobody waits for it.
    signal: Option<Arc<Signal>>,
    most_threads: usize,
    state: Mutex<QueueState<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct QueueState<T> {
    waiting: BTreeMap<StoreName, (T, Job)>,
    /// The stores of which states are being loaded, and of how many.
    running: BTreeMap<StoreName, usize>,
    done: Vec<(StoreName, T, Loaded)>,
    threads: usize,
    /// True while somebody waits in [`LoadQueue::take`].
    is_awaited: bool,
}

impl<T> QueueState<T> {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    fn next(&mut self) -> Option<(StoreName, (T, Job))> {
        let has_room = |name: &StoreName| self.running.get(name).is_none_or(|count| *count < 2);
        let free = self.waiting.iter().filter(|(name, _)| has_room(name));
        let next = free.min_by_key(|(_, (_, job))| job.files.size())?.0.clone();
        let job = self.waiting.remove(&next)?;
        *self.running.entry(next.clone()).or_default() += 1;
        Some((next, job))
    }

    /// Counts one state of a store less that is being loaded.
    fn ended(&mut self, name: &StoreName) {
        if let Some(count) = self.running.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                self.running.remove(name);
            }
        }
    }
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, QueueState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until nothing is left to begin, and counts one thread less then.
    fn work(&self) {
        loop {
            let mut state = self.state();
            let Some((name, (about, job))) = state.next() else {
                state.threads = state.threads.saturating_sub(1);
                return;
            };
            drop(state);
            let loaded = job.run(&self.options);
            let mut state = self.state();
            state.ended(&name);
            state.done.push((name, about, loaded));
            let is_awaited = state.is_awaited;
            drop(state);
            self.changed.notify_all();
            if let Some(signal) = self.signal.as_ref().filter(|_| !is_awaited) {
                signal.hint();
            }
        }
    }
}

impl<T: Send + 'static> LoadQueue<T> {
    pub fn new(options: Options, signal: Option<Arc<Signal>>) -> Self {
        let state = QueueState {
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            done: Vec::new(),
            threads: 0,
            is_awaited: false,
        };
        // One more than there are processors, so that a small store finds one beside large ones.
        let most_threads = thread::available_parallelism().map_or(1, usize::from) + 1;
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Self { shared: Arc::new(Shared { options, signal, most_threads, state, changed }) }
    }

    /// Adds work, instead of that for the same store which has not begun.
    pub fn add(&self, name: StoreName, about: T, job: Job) {
        self.shared.state().waiting.insert(name, (about, job));
    }

    /// Drops the work for a store that has not begun.
    pub fn cancel(&self, name: &StoreName) {
        self.shared.state().waiting.remove(name);
    }

    /// Waits for work that is done, and returns it and whether there is more to come. Nothing where
    /// it is not done in time.
    pub fn take(&self, until: Option<Instant>) -> (Vec<(StoreName, T, Loaded)>, bool) {
        self.start_threads();
        let mut state = self.shared.state();
        while state.done.is_empty() && !state.is_idle() {
            state.is_awaited = true;
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => break,
                Some(left) => {
                    let waited = self.shared.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.is_awaited = false;
        let is_more = !state.is_idle();
        (std::mem::take(&mut state.done), is_more)
    }

    fn start_threads(&self) {
        loop {
            let mut state = self.shared.state();
            let running: usize = state.running.values().sum();
            let idle = state.threads.saturating_sub(running);
            if state.threads >= self.shared.most_threads || idle >= state.waiting.len() {
                return;
            }
            state.threads += 1;
            drop(state);
            let shared = Arc::clone(&self.shared);
            let helper = thread::Builder::new().name("load".to_owned()).stack_size(STACK_BYTES);
            if let Err(error) = helper.spawn(move || shared.work()) {
                tracing::debug!(%error, "no thread more can be started for loading");
                if self.shared.state().threads == 1 {
                    self.shared.work();
                } else {
                    self.shared.state().threads -= 1;
                }
                return;
            }
        }
    }
}

impl Job {
    fn run(self, options: &Options) -> Loaded {
        let begun = Instant::now();
        let result = match self.last {
            // A bad edit was taken back.
            Some(store) if store.digest() == self.files.digest() => Ok(store),
            last => load(self.files, last.as_deref(), options).map(Arc::new),
        };
        Loaded { result, took: begun.elapsed() }
    }
}

/// Parses, validates and checks one store. A panic in it is a problem of this store alone.
fn load(
    files: StoreFiles,
    last: Option<&PolicyStore>,
    options: &Options,
) -> Result<PolicyStore, Refused> {
    let name = files.name().clone();
    let load = || {
        let store = PolicyStore::load_after(Arc::new(files), &options.bounds, last)?;
        if options.deny_warnings && !store.warnings().is_empty() {
            return Err(store.warnings().to_vec().into());
        }
        let failing = if options.require_tests { (options.run_tests)(&store) } else { Vec::new() };
        if failing.is_empty() {
            if options.require_tests && testing::cases(&store).is_ok_and(|cases| cases.is_empty()) {
                announce::nothing_to_judge(&store, Gate::Tests);
            }
            Ok(store)
        } else {
            let told = |problem: Problem| problem.found_by(Gate::Tests.as_str());
            let problems = failing.into_iter().map(told).collect();
            Err(Refused { gate: Some(Gate::Tests), problems })
        }
    };
    catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|panic| {
        let message = format!("loading the store panicked: {}", panic_message(&*panic));
        let problem = Problem::of_file(name.as_str(), message).with_help(
            "take back the last change of the store, and report this as a defect of Humbaba",
        );
        Err(vec![problem].into())
    })
}
