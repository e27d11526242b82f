//! Replaced stores, until the last call has finished with them.
//!
//! To drop a large store takes longer than many calls. Whoever holds it last has to do it, so the
//! loading thread holds on until nobody else does.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::store::{PolicyStore, Stores};

/// Pause between two attempts to drop stores.
const PAUSE: Duration = Duration::from_millis(1);

/// Replaced stores that calls may still use.
#[derive(Debug, Default)]
pub(super) struct Retired {
    stores: Vec<Arc<Stores>>,
    store: Vec<Arc<PolicyStore>>,
}

impl Retired {
    /// Takes over all stores that were in force together.
    pub fn stores(&mut self, stores: Arc<Stores>) {
        self.stores.push(stores);
    }

    /// Takes over a store that is no longer in force, if there was one.
    pub fn store(&mut self, store: Option<Arc<PolicyStore>>) {
        self.store.extend(store);
    }

    /// Drops what no call uses, and waits `patience` at most for calls to end. The rest stays until
    /// next time.
    pub fn drop_unused(&mut self, patience: Duration) {
        let begun = Instant::now();
        loop {
            self.stores.retain(|stores| Arc::strong_count(stores) > 1);
            self.store.retain(|store| Arc::strong_count(store) > 1);
            let is_empty = self.stores.is_empty() && self.store.is_empty();
            if is_empty || begun.elapsed() >= patience {
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_uses_stays_until_it_has_done() {
        let mut retired = Retired::default();
        let (in_use, unused) = (Arc::new(Stores::default()), Arc::new(Stores::default()));
        let (of_in_use, of_unused) = (Arc::downgrade(&in_use), Arc::downgrade(&unused));
        retired.stores(Arc::clone(&in_use));
        retired.stores(unused);
        retired.drop_unused(Duration::ZERO);
        assert_eq!(of_unused.strong_count(), 0);
        drop(in_use);
        assert_eq!(of_in_use.strong_count(), 1, "the call did not have to drop it");
        retired.drop_unused(Duration::ZERO);
        assert_eq!(of_in_use.strong_count(), 0);
    }
}
