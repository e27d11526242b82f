//! All stores as the loader knows them: takes over what was found of each, until it is in force or
//! refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    Gate, Options, announce,
    known_store::{KnownStore, LONG_LOAD, Loading, Seen, StoreState},
    load_queue::{Job, LoadQueue, Loaded, Refused},
    only_narrows,
    proving::Proving,
    retired::Retired,
    signal::Signal,
    tree::Flaw,
};
use crate::{
    model::{Problem, StoreName},
    reload::{Live, LoadStatus},
    store::{PolicyStore, Stores},
};

/// Time that is waited for stores to be loaded, so that those that changed together come in force
/// together. Those that take longer come in force when they are loaded.
const PATIENCE_WITH_STORES: Duration = Duration::from_millis(400);

/// The stores as they were last loaded, and how that went.
#[derive(Debug)]
pub(super) struct KnownStores {
    options: Options,
    stores: BTreeMap<StoreName, KnownStore>,
    /// The stores that are gone, as they were last in force: what a gate compares them with when they
    /// come again. None are kept without such a gate.
    removed: BTreeMap<StoreName, Arc<PolicyStore>>,
    gate_refusals: BTreeMap<Gate, u64>,
    retired: Retired,
    queue: LoadQueue<Seen>,
    /// Wakes the thread that loads when a proof or a load has ended. Without it nobody goes on
    /// meanwhile, and both are waited for.
    signal: Option<Arc<Signal>>,
}

/// The outcome of an attempt.
#[derive(Debug, Default)]
pub(super) struct LoadOutcome {
    /// Something else decides.
    pub changed: bool,
    /// Something was refused that had not been before.
    pub refused: bool,
}

impl KnownStores {
    /// Goes on from the stores in force.
    pub fn resume(options: Options, live: &Live) -> Self {
        let status = live.status();
        let mut stores: BTreeMap<_, KnownStore> = BTreeMap::new();
        for store in &status.stores {
            let known = stores.entry(store.name.clone()).or_default();
            known.loaded_at = store.loaded_at;
            known.problems.clone_from(&store.problems);
            known.seen = store.refused.clone().map(Seen::Digest);
        }
        for store in live.stores().iter() {
            let known = stores.entry(store.name().clone()).or_default();
            if known.problems.is_empty() {
                known.seen = Some(Seen::Digest(store.digest().to_owned()));
            }
            known.in_force = Some(Arc::clone(store));
        }
        Self {
            queue: LoadQueue::new(options.clone(), None),
            options,
            stores,
            removed: BTreeMap::new(),
            gate_refusals: status.gate_refusals.clone(),
            retired: Retired::default(),
            signal: None,
        }
    }

    /// Has proofs and long loads run beside everything else, and be taken up on a signal.
    pub fn wake(&mut self, signal: Arc<Signal>) {
        self.queue = LoadQueue::new(self.options.clone(), Some(Arc::clone(&signal)));
        self.signal = Some(signal);
    }

    /// Returns the store of that name that is in force.
    pub fn in_force(&self, name: &StoreName) -> Option<&PolicyStore> {
        self.stores.get(name)?.in_force.as_deref()
    }

    /// Returns all stores that are in force, in the order of their names.
    pub fn all_in_force(&self) -> impl Iterator<Item = &Arc<PolicyStore>> {
        self.stores.values().filter_map(|known| known.in_force.as_ref())
    }

    /// Returns the names of stores that are there and have never been valid.
    pub fn never_valid(&self) -> impl Iterator<Item = &StoreName> {
        self.stores.iter().filter(|(_, known)| known.in_force.is_none()).map(|(name, _)| name)
    }

    /// Returns when to look again for stores that are still being loaded.
    pub fn look_at(&self) -> Option<Instant> {
        self.stores.values().filter_map(KnownStore::look_at).min()
    }

    /// Completes the state of loading by that of the stores.
    pub fn complete(&self, status: &LoadStatus) -> LoadStatus {
        LoadStatus {
            gate_refusals: self.gate_refusals.clone(),
            stores: self.stores.iter().map(|(name, known)| known.status(name)).collect(),
            ..status.clone()
        }
    }

    /// Drops replaced stores that no call uses, and waits `patience` at most for calls to end.
    pub fn drop_replaced(&mut self, replaced: Option<Arc<Stores>>, patience: Duration) {
        if let Some(replaced) = replaced {
            self.retired.stores(replaced);
        }
        self.retired.drop_unused(patience);
    }

    /// Forgets the stores that were not found.
    pub fn retain_found(
        &mut self,
        found: &BTreeMap<StoreName, StoreState>,
        outcome: &mut LoadOutcome,
    ) {
        self.stores.retain(|name, known| {
            let stays = found.contains_key(name);
            if !stays {
                self.queue.cancel(name);
                announce::removed(name, known.in_force.as_deref());
                outcome.changed |= known.in_force.is_some();
                match known.in_force.take() {
                    Some(last) if self.options.slow_gates.is_some() => {
                        self.removed.insert(name.clone(), last);
                    }
                    last => self.retired.store(last),
                }
            }
            stays
        });
    }

    /// Begins the work for the state of a store, if that is a new one.
    pub fn begin(&mut self, name: StoreName, found: StoreState, outcome: &mut LoadOutcome) {
        let Some(seen) = Seen::new(&found) else { return };
        let known = self.stores.entry(name.clone()).or_default();
        let is_loading = known.loading.as_ref().is_some_and(|loading| loading.seen == seen);
        // Files that are taken while others may be on their way back end no load without those.
        if is_loading || seen.is_in_force(known.in_force.as_deref()) {
            return;
        }
        // Nobody waits for what is not there any more.
        known.loading = None;
        self.queue.cancel(&name);
        if known.seen.as_ref() == Some(&seen) {
            return;
        }
        // A state of which the proof did not end is looked at again where it comes back.
        if known.proving.take().is_some() {
            known.seen = Some(Seen::Superseded);
        }
        let problems = match found {
            StoreState::Files(files) | StoreState::Meanwhile(files) => {
                known.loading = Some(Loading::begin(seen.clone()));
                let job = Job { files, last: known.in_force.clone() };
                return self.queue.add(name, seen, job);
            }
            StoreState::Flawed(flaws) => flaws.iter().map(Flaw::problem).collect(),
            StoreState::NeverSettles | StoreState::Unsettled => vec![unsettled(&name)],
        };
        self.refuse(&name, problems.into(), outcome);
        self.stores.entry(name).or_default().seen = Some(seen);
    }

    /// Takes over the stores that are loaded, for as long as those that changed together are waited
    /// for. Where a proof is waited for, `tell` is called before.
    pub fn take_loaded(&mut self, outcome: &mut LoadOutcome, tell: impl Fn(&Self)) {
        let until = self.signal.as_ref().map(|_| Instant::now() + PATIENCE_WITH_STORES);
        loop {
            let (done, is_more) = self.queue.take(until);
            let is_late = done.is_empty();
            for (name, seen, loaded) in done {
                self.take_over(name.clone(), seen, loaded, outcome);
                if self.signal.is_none() {
                    self.wait_for_proof(&name, outcome, &tell);
                }
            }
            if is_late || !is_more {
                return;
            }
        }
    }

    fn take_over(
        &mut self,
        name: StoreName,
        seen: Seen,
        loaded: Loaded,
        outcome: &mut LoadOutcome,
    ) {
        let Some(known) = self.stores.get_mut(&name) else { return };
        let narrows = loaded
            .result
            .as_ref()
            .is_ok_and(|store| known.in_force.as_ref().is_some_and(|old| only_narrows(store, old)));
        // Two states are mixed in it: rights may be taken away meanwhile, and none given.
        let is_left_alone = matches!(seen, Seen::Meanwhile(_)) && !narrows;
        match &known.loading {
            Some(loading) if loading.seen == seen => known.loading = None,
            Some(newer) => {
                // A store that is changed again before it is loaded must come in force some time, unless
                // the newest change takes the others back. Proofs are for the newest alone, and what
                // only takes rights away waits for none.
                let in_force = known.in_force.as_ref();
                let is_taken_back =
                    in_force.is_some_and(|old| newer.seen == Seen::Digest(old.digest().to_owned()));
                if let Ok(store) = loaded.result
                    && !is_taken_back
                    && !is_left_alone
                    && (narrows || self.options.slow_gates.is_none())
                {
                    known.seen = Some(seen);
                    self.put_in_force(&name, store, loaded.took, outcome);
                }
                return;
            }
            None => return,
        }
        match loaded.result {
            _ if is_left_alone => {}
            Ok(store) => self.judge(&name, store, loaded.took, outcome),
            Err(refused) => {
                if let Some(gate) = refused.gate {
                    *self.gate_refusals.entry(gate).or_default() += 1;
                }
                self.refuse(&name, refused, outcome);
            }
        }
        self.stores.entry(name).or_default().seen = Some(seen);
    }

    /// Puts a valid store in force, once it has passed its gates.
    fn judge(
        &mut self,
        name: &StoreName,
        store: Arc<PolicyStore>,
        took: Duration,
        outcome: &mut LoadOutcome,
    ) {
        let in_force = self.stores.get(name).and_then(|known| known.in_force.clone());
        let last = in_force.or_else(|| self.removed.get(name).cloned());
        let is_taken_back = last.as_ref().is_some_and(|old| old.digest() == store.digest());
        let gates = self.options.slow_gates.clone().filter(|_| !is_taken_back);
        let Some(gates) = gates else { return self.put_in_force(name, store, took, outcome) };
        let narrows = last.as_ref().is_some_and(|old| only_narrows(&store, old));
        let proving = Proving::start(gates, Arc::clone(&store), last, took, self.signal.clone());
        if narrows {
            self.put_in_force(name, store, took, outcome);
        } else {
            announce::proving(&store);
        }
        self.stores.entry(name.clone()).or_default().proving = Some(proving);
    }

    /// Waits for the proof of a store, and tells before that it is waited for.
    fn wait_for_proof(
        &mut self,
        name: &StoreName,
        outcome: &mut LoadOutcome,
        tell: impl Fn(&Self),
    ) {
        if self.stores.get(name).is_none_or(|known| known.proving.is_none()) {
            return;
        }
        tell(self);
        if let Some(proving) = self.stores.get_mut(name).and_then(|known| known.proving.as_mut()) {
            proving.wait();
        }
        self.take_proved(outcome);
    }

    /// Takes up the proofs that have ended.
    pub fn take_proved(&mut self, outcome: &mut LoadOutcome) {
        let ended = self.stores.iter_mut().filter_map(|(name, known)| {
            let refusals = known.proving.as_ref()?.refusals()?;
            Some((name.clone(), known.proving.take()?, refusals))
        });
        for (name, proving, refusals) in ended.collect::<Vec<_>>() {
            for gate in refusals.iter().map(|refusal| refusal.gate).collect::<BTreeSet<_>>() {
                *self.gate_refusals.entry(gate).or_default() += 1;
            }
            let gate = refusals.first().map(|refusal| refusal.gate);
            let problems: Vec<_> = refusals.into_iter().map(|refusal| refusal.problem).collect();
            let candidate = Arc::clone(proving.candidate());
            let is_in_force =
                self.in_force(&name).is_some_and(|old| old.digest() == candidate.digest());
            if problems.is_empty() && !is_in_force {
                self.put_in_force(&name, candidate, proving.loading_took(), outcome);
            } else if is_in_force {
                announce::not_passed(&candidate, &problems);
                self.stores.entry(name).or_default().problems = problems;
            } else {
                self.refuse(&name, Refused { gate, problems }, outcome);
            }
        }
    }

    /// Reports the stores that have been loading for long. They are put in force all the same once
    /// they are loaded and valid.
    pub fn report_long_loads(&mut self, outcome: &mut LoadOutcome) {
        let stores = self.stores.iter_mut();
        let long = stores.filter_map(|(name, known)| known.note_long().then(|| name.clone()));
        for name in long.collect::<Vec<_>>() {
            let message = format!("the store is still being loaded after {LONG_LOAD:?}");
            let problem = Problem::of_file(name.as_str(), message);
            let problem = problem.with_help("make the store smaller, or split it into several");
            self.refuse(&name, vec![problem].into(), outcome);
            // Where the state before comes back, its own report takes the place of this one.
            self.stores.entry(name).or_default().seen = Some(Seen::Superseded);
        }
    }

    fn put_in_force(
        &mut self,
        name: &StoreName,
        store: Arc<PolicyStore>,
        took: Duration,
        outcome: &mut LoadOutcome,
    ) {
        let known = self.stores.entry(name.clone()).or_default();
        let old = known.in_force.replace(Arc::clone(&store));
        let revision = old.as_ref().map(|store| store.revision());
        if revision != Some(store.revision()) {
            known.loaded_at = Some(SystemTime::now());
            outcome.changed = true;
        }
        announce::loaded(&store, revision, took);
        if revision != Some(store.revision()) {
            announce::warnings(&store);
        }
        known.problems.clear();
        self.retired.store(self.removed.remove(name));
        self.retired.store(old.filter(|old| !Arc::ptr_eq(old, &store)));
    }

    fn refuse(&mut self, name: &StoreName, refused: Refused, outcome: &mut LoadOutcome) {
        let Refused { gate, problems } = refused;
        let known = self.stores.entry(name.clone()).or_default();
        // After a start the same problems are told again only if the files changed.
        if known.seen.is_some() || texts(&problems) != texts(&known.problems) {
            announce::refused(name, known.in_force.as_deref(), gate, &problems);
            outcome.refused = true;
        }
        known.problems = problems;
    }
}

fn unsettled(name: &StoreName) -> Problem {
    Problem::of_file(name.as_str(), "the files keep changing, or one is written to and not closed")
        .with_help("write to another file and rename it over the old one")
}

fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}
