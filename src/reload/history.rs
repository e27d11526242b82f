//! The last revisions of each store that were in force, for comparing them.
//!
//! Their files are kept and not the stores made of them: that takes less memory, and
//! nobody who replaces a store has to wait until the history lets go of it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use crate::{
    model::{Revision, StoreName},
    store::{PolicyStore, StoreFiles, Stores},
};

/// Bytes of files that are kept of one store, whatever the number of revisions.
const BYTES: usize = 64 * 1024 * 1024;

/// A revision that came in force.
#[derive(Debug)]
pub struct PastRevision {
    /// The revision.
    pub revision: Revision,
    /// The moment at which it came in force.
    pub since: SystemTime,
    /// Policies that decide, links included.
    pub policies: usize,
    /// Its files.
    pub files: StoreFiles,
}

/// The last revisions of each store in force, the newest last.
#[derive(Debug)]
pub struct History {
    /// Revisions that are kept of each store.
    kept: usize,
    stores: Mutex<BTreeMap<StoreName, VecDeque<Arc<PastRevision>>>>,
}

impl Default for History {
    fn default() -> Self {
        Self::new(Self::KEPT)
    }
}

impl History {
    /// Revisions that are kept of each store unless the settings say otherwise.
    pub const KEPT: usize = 20;

    /// Creates a history of `kept` revisions of each store.
    #[must_use]
    pub fn new(kept: usize) -> Self {
        Self { kept, stores: Mutex::default() }
    }

    /// Returns the revisions of a store that are kept, the newest last.
    #[must_use]
    pub fn of(&self, store: &StoreName) -> Vec<Arc<PastRevision>> {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.get(store).into_iter().flatten().cloned().collect()
    }

    /// Adds what is new in these stores, and forgets stores that are gone.
    pub(super) fn record(&self, in_force: &Stores) {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.retain(|name, _| in_force.get(name.as_str()).is_ok());
        for store in in_force.iter() {
            let past = stores.entry(store.name().clone()).or_default();
            if past.back().is_none_or(|last| last.revision != *store.revision()) {
                past.push_back(Arc::new(PastRevision::now(store)));
                self.forget_oldest(past);
            }
        }
    }

    fn forget_oldest(&self, past: &mut VecDeque<Arc<PastRevision>>) {
        let mut bytes: usize = past.iter().map(|revision| revision.bytes()).sum();
        // The revision in force stays, however large it is.
        while past.len() > 1 && (past.len() > self.kept || bytes > BYTES) {
            bytes -= past.pop_front().map_or(0, |oldest| oldest.bytes());
        }
    }
}

impl PastRevision {
    fn now(store: &PolicyStore) -> Self {
        Self {
            revision: *store.revision(),
            since: SystemTime::now(),
            policies: store.policies().num_of_policies(),
            files: store.files().clone(),
        }
    }

    fn bytes(&self) -> usize {
        self.files.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::store::Bounds;

    fn store(name: &str, policies: &str) -> Arc<PolicyStore> {
        let schema = "entity User; action \"view\" appliesTo { principal: User, resource: User };";
        let files = [("schema.cedarschema", schema), ("policies.cedar", policies)]
            .map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
        let files = StoreFiles::new(name.parse().unwrap(), files);
        Arc::new(PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap())
    }

    fn count(history: &History, name: &str) -> usize {
        history.of(&name.parse().unwrap()).len()
    }

    #[test]
    fn the_last_revisions_are_kept_and_those_of_a_store_that_is_gone_are_not() {
        let history = History::new(3);
        let permit = |n: usize| format!("{}permit (principal, action, resource);", "\n".repeat(n));
        for n in 0..5 {
            let stores = vec![store("a", &permit(n)), store("b", &permit(0))];
            history.record(&Stores::new(stores, None));
        }
        assert_eq!((count(&history, "a"), count(&history, "b")), (3, 1));
        let last = history.of(&"a".parse().unwrap()).pop().unwrap();
        assert_eq!(last.revision, *store("a", &permit(4)).revision());
        history.record(&Stores::new(vec![store("b", &permit(0))], None));
        assert_eq!((count(&history, "a"), count(&history, "b")), (0, 1));
    }
}
