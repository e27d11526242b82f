//! Loading stores, several at a time.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{Gate, Options};
use crate::{
    model::{Problem, StoreName, panic_message},
    store::{PolicyStore, STACK_BYTES, StoreFiles},
};

/// The work on one store.
#[derive(Debug)]
pub(super) enum Job {
    /// Load it from its files. `last` is in force.
    Load { files: StoreFiles, last: Option<Arc<PolicyStore>> },
    /// Report its problems.
    Refuse(Vec<Problem>),
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

/// Does the jobs on this thread and on as many more as there are processors. Returns each job's `T`
/// with its result.
pub(super) fn load_each<T: Send>(
    jobs: Vec<(StoreName, (T, Job))>,
    options: &Options,
) -> BTreeMap<StoreName, (T, Loaded)> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    let mut jobs = jobs;
    // The largest is begun first, so that it is not what all wait for in the end.
    jobs.sort_by_key(|(_, (_, job))| Reverse(job.size()));
    let jobs = Mutex::new(jobs.into_iter());
    let done = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((name, (about, job))) = next else { return };
            let loaded = job.run(options);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.insert(name, (about, loaded));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            let helper = thread::Builder::new().name("load".to_owned()).stack_size(STACK_BYTES);
            if let Err(error) = helper.spawn_scoped(scope, work) {
                tracing::debug!(%error, "stores are loaded on one thread");
                break;
            }
        }
        work();
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Job {
    fn size(&self) -> usize {
        match self {
            Self::Load { files, .. } => files.size(),
            Self::Refuse(_) => 0,
        }
    }

    fn run(self, options: &Options) -> Loaded {
        let begun = Instant::now();
        let result = match self {
            Self::Load { files, last } => load_unless_in_force(files, last, options),
            Self::Refuse(problems) => Err(problems.into()),
        };
        Loaded { result, took: begun.elapsed() }
    }
}

fn load_unless_in_force(
    files: StoreFiles,
    in_force: Option<Arc<PolicyStore>>,
    options: &Options,
) -> Result<Arc<PolicyStore>, Refused> {
    match in_force {
        // A bad edit was taken back.
        Some(store) if store.digest() == files.digest() => Ok(store),
        last => load(files, last.as_deref(), options).map(Arc::new),
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
