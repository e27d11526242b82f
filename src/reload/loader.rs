//! From the files of stores to stores in force.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    Options, announce,
    known_store::StoreState,
    known_stores::{KnownStores, LoadOutcome},
    signal::Signal,
};
use crate::{
    model::StoreName,
    reload::{Live, LoadStatus},
    store::{PolicyStore, Stores},
};

/// Time that a load waits, when all is done, for calls that still use replaced stores.
const PATIENCE_WITH_CALLS: Duration = Duration::from_millis(100);

/// Loads what was found in a folder, and publishes the stores in force and the state of loading.
#[derive(Debug)]
pub(super) struct Loader {
    options: Options,
    stores: KnownStores,
    /// The state of loading, without that of the stores.
    status: LoadStatus,
}

impl Loader {
    /// Goes on from the stores in force.
    pub fn resume(source: String, options: Options, live: &Live) -> Self {
        let status = LoadStatus::clone(&live.status());
        Self {
            stores: KnownStores::resume(options.clone(), live),
            options,
            status: LoadStatus { source, stores: Vec::new(), ..status },
        }
    }

    /// Has proofs and long loads run beside everything else, and be taken up on a signal.
    #[must_use]
    pub fn waking(mut self, signal: Arc<Signal>) -> Self {
        self.stores.wake(signal);
        self
    }

    /// Takes over the stores that were found, and puts in force those that are valid and new.
    pub fn apply(
        &mut self,
        found: BTreeMap<StoreName, StoreState>,
        folder_problem: Option<String>,
        live: &Live,
    ) {
        let mut outcome =
            LoadOutcome { refused: self.folder(folder_problem), ..LoadOutcome::default() };
        self.stores.retain_found(&found, &mut outcome);
        for (name, found) in found {
            self.stores.begin(name, found, &mut outcome);
        }
        self.stores.take_proved(&mut outcome);
        let status = &self.status;
        let tell = |stores: &KnownStores| live.publish_status(stores.complete(status));
        self.stores.take_loaded(&mut outcome, tell);
        self.stores.report_long_loads(&mut outcome);
        self.publish(&outcome, live);
    }

    /// Keeps everything in force, for the folder as a whole cannot be used.
    pub fn keep(&mut self, folder_problem: String, live: &Live) {
        let refused = self.folder(Some(folder_problem));
        let mut outcome = LoadOutcome { refused, ..LoadOutcome::default() };
        self.stores.report_long_loads(&mut outcome);
        self.publish(&outcome, live);
    }

    /// Records the files beside the stores' folders that are not read.
    pub fn unread(&mut self, files: Vec<String>) {
        for file in files.iter().filter(|file| !self.status.unread.contains(file)) {
            announce::unread(&self.status.source, file);
        }
        self.status.unread = files;
    }

    /// Records the fault of watching, if there is one.
    pub fn watching(&mut self, problem: Option<&str>) {
        if self.status.watch_problem.as_deref() != problem {
            announce::watching(&self.status.source, problem);
            self.status.watch_problem = problem.map(str::to_owned);
        }
    }

    /// Returns the names of the stores that are in force.
    pub fn names_in_force(&self) -> impl Iterator<Item = StoreName> {
        self.stores.all_in_force().map(|store| store.name().clone())
    }

    /// Returns the store of that name that is in force.
    pub fn in_force(&self, name: &StoreName) -> Option<&PolicyStore> {
        self.stores.in_force(name)
    }

    /// Returns when to look again for stores that are still being loaded.
    pub fn look_at(&self) -> Option<Instant> {
        self.stores.look_at()
    }

    /// Records the fault of the folder as a whole, if there is one. Returns whether it is a new one.
    fn folder(&mut self, problem: Option<String>) -> bool {
        let is_new = problem != self.status.folder_problem;
        if is_new {
            announce::folder(&self.status.source, problem.as_deref());
        }
        self.status.folder_problem = problem;
        is_new && self.status.folder_problem.is_some()
    }

    /// Puts the stores that are now valid in force together, with the state of loading.
    fn publish(&mut self, outcome: &LoadOutcome, live: &Live) {
        let now = SystemTime::now();
        self.status.last_attempt = Some(now);
        self.status.failures += u64::from(outcome.refused);
        if outcome.changed {
            self.status.reloads += 1;
            self.status.last_change = Some(now);
        }
        let status = self.stores.complete(&self.status);
        // A changed test makes another store of the same revision.
        let stores: Vec<_> = self.stores.all_in_force().cloned().collect();
        let live_stores = live.stores();
        let is_same = live_stores.iter().count() == stores.len()
            && live_stores.iter().zip(&stores).all(|(old, new)| Arc::ptr_eq(old, new))
            && live_stores.refused().eq(self.stores.never_valid());
        let is_new =
            |store: &&Arc<PolicyStore>| live_stores.iter().all(|old| !Arc::ptr_eq(old, store));
        let coming: Vec<_> = stores.iter().filter(is_new).cloned().collect();
        drop(live_stores);
        let replaced = if is_same {
            live.publish_status(status);
            None
        } else {
            if let Some(gates) = &self.options.slow_gates
                && !coming.is_empty()
            {
                gates.before_in_force(&coming);
            }
            let stores = Stores::new(stores, self.options.default_store.clone())
                .with_refused(self.stores.never_valid().cloned());
            Some(live.publish(stores, status))
        };
        self.stores.drop_replaced(replaced, PATIENCE_WITH_CALLS);
    }
}
