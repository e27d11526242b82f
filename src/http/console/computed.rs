//! Values that take long to compute, kept for those who ask again.
//!
//! Each is computed once, on a thread of its own that yields to calls, and of one store one at a time.
//! A caller waits for a moment, and is asked to come back if that does not suffice.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use crate::{model::StoreName, store::STACK_BYTES};

/// The niceness of the threads: they get a third of the time of a busy thread that answers calls.
const NICENESS: i32 = 5;

/// Values that are kept of all stores.
pub(super) const KEPT: usize = 64;

/// Values of stores; the oldest give way.
#[derive(Debug)]
pub(super) struct Computed<V> {
    /// Values that are kept of one store.
    of_store: usize,
    values: Mutex<VecDeque<(ComputedKey, PendingValue<V>)>>,
}

/// A store, and the digest of its files or the two revisions that a value is made of.
pub(super) type ComputedKey = (StoreName, String);

type PendingValue<V> = watch::Receiver<Option<Arc<V>>>;

/// A value that was asked for.
#[derive(Debug)]
pub(super) enum Lookup<V> {
    /// The value.
    Ready(Arc<V>),
    /// The value is being computed.
    Working,
    /// The computation ended without a value.
    Failed,
}

/// Lets one value of each store be computed at a time.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<BTreeMap<StoreName, Arc<Semaphore>>>);

impl Turns {
    fn of(&self, store: &StoreName) -> Arc<Semaphore> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(store.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

impl<V: Send + Sync + 'static> Computed<V> {
    /// Keeps `of_store` values of each store.
    pub fn new(of_store: usize) -> Self {
        Self { of_store, values: Mutex::default() }
    }

    /// Returns the value of a key. Where it is not there yet `compute` makes it, and this waits for
    /// `patience` at most.
    pub async fn get(
        &self,
        key: ComputedKey,
        turns: &Turns,
        patience: Duration,
        compute: impl FnOnce() -> V + Send + 'static,
    ) -> Lookup<V> {
        let mut value = self.value(key, turns, compute);
        match timeout(patience, value.wait_for(Option::is_some)).await {
            Err(_) => Lookup::Working,
            Ok(Err(_)) => Lookup::Failed,
            Ok(Ok(value)) => value.clone().map_or(Lookup::Failed, Lookup::Ready),
        }
    }

    fn value(
        &self,
        key: ComputedKey,
        turns: &Turns,
        compute: impl FnOnce() -> V + Send + 'static,
    ) -> PendingValue<V> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        // A computation that broke off is tried again.
        values.retain(|(_, value)| value.has_changed().is_ok() || value.borrow().is_some());
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == key) {
            return value.clone();
        }
        let (sender, value) = watch::channel(None);
        tokio::spawn(compute_in_turn(turns.of(&key.0), sender, compute));
        let is_of_store = |(known, _): &(ComputedKey, PendingValue<V>)| known.0 == key.0;
        if values.iter().filter(|value| is_of_store(value)).count() >= self.of_store
            && let Some(oldest) = values.iter().position(is_of_store)
        {
            values.remove(oldest);
        }
        if values.len() >= KEPT {
            values.pop_front();
        }
        values.push_back((key, value.clone()));
        value
    }
}

async fn compute_in_turn<V: Send + Sync + 'static>(
    turn: Arc<Semaphore>,
    sender: watch::Sender<Option<Arc<V>>>,
    compute: impl FnOnce() -> V + Send + 'static,
) {
    let Ok(permit) = turn.acquire_owned().await else { return };
    // It may have given way meanwhile, with nobody waiting for it.
    if sender.is_closed() {
        return;
    }
    let run = move || {
        let _permit = permit;
        // If the system refuses it, the thread has the same priority as others.
        let _ = rustix::process::nice(NICENESS);
        sender.send_replace(Some(Arc::new(compute())));
    };
    let thread = thread::Builder::new().name("console".to_owned()).stack_size(STACK_BYTES);
    if let Err(error) = thread.spawn(run) {
        tracing::error!(%error, "the console cannot start a thread");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn key(store: &str, of: u32) -> ComputedKey {
        (store.parse().unwrap(), of.to_string())
    }

    #[tokio::test]
    async fn a_value_is_computed_once_until_it_gives_way_to_another_of_its_store() {
        let (values, turns) = (Computed::new(2), Turns::default());
        let count = Arc::new(AtomicUsize::new(0));
        for (store, of) in [("a", 1), ("a", 1), ("b", 1), ("a", 2), ("b", 1), ("a", 3), ("a", 1)] {
            let count = Arc::clone(&count);
            let compute = move || (count.fetch_add(1, Ordering::Relaxed), of).1;
            let Lookup::Ready(value) = values.get(key(store, of), &turns, PATIENCE, compute).await
            else {
                panic!("it is quick");
            };
            assert_eq!(*value, of);
        }
        assert_eq!(count.load(Ordering::Relaxed), 5);
    }

    #[tokio::test]
    async fn what_broke_off_is_said_and_tried_again() {
        let (values, turns) = (Computed::new(2), Turns::default());
        let broken = values.get(key("a", 1), &turns, PATIENCE, || panic!("on purpose")).await;
        assert!(matches!(broken, Lookup::Failed));
        assert!(matches!(values.get(key("a", 1), &turns, PATIENCE, || 7).await, Lookup::Ready(_)));
    }
}
