//! The state that callers and the thread of shadow decisions share.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use opentelemetry::metrics::Meter;

use super::comparisons::{Comparisons, ShadowComparison};
use crate::{
    model::{Revision, StoreName},
    reload::{Live, Reloader},
    store::PolicyStore,
};

/// The state that the queue and the thread that empties it share.
#[derive(Debug)]
pub(super) struct ShadowState {
    pub live: Arc<Live>,
    pub candidate: Arc<Live>,
    pub reloader: OnceLock<Reloader>,
    pub waiting_bytes: AtomicUsize,
    pub left_out: AtomicU64,
    pub failed: AtomicU64,
    pub comparisons: Comparisons,
}

impl ShadowState {
    /// Returns whether the candidate has other policies for a store. One that it does not have is
    /// not compared: who tries a change of one store need not copy the others.
    pub fn compares(&self, store: &PolicyStore) -> bool {
        revision(&self.candidate, store.name())
            .is_some_and(|candidate| candidate != *store.revision())
    }

    /// Returns whether these revisions are those that would be compared now.
    pub fn is_current(&self, comparison: &ShadowComparison) -> bool {
        revision(&self.live, &comparison.store) == Some(comparison.live_revision)
            && revision(&self.candidate, &comparison.store) == Some(comparison.candidate_revision)
    }

    pub fn leave_out(&self, questions: usize) {
        self.left_out.fetch_add(questions as u64, Ordering::Relaxed);
    }
}

fn revision(live: &Live, store: &StoreName) -> Option<Revision> {
    live.stores().get(store.as_str()).ok().map(|store| *store.revision())
}

/// Adds the number of answers that were not compared.
pub(super) fn observe_left_out(meter: &Meter, state: &Arc<ShadowState>) {
    let state = Arc::downgrade(state);
    meter
        .u64_observable_counter("humbaba_shadow_left_out_total")
        .with_description("Answers that were not compared: the queue was full, or the two states cannot be compared")
        .with_callback(move |observer| {
            if let Some(state) = state.upgrade() {
                observer.observe(state.left_out.load(Ordering::Relaxed), &[]);
            }
        })
        .build();
}
