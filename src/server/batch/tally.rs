//! What the decisions of a batch came to.

use super::{Answer, RPC};
use crate::{model::StoreName, server::metrics::Metrics};

/// Counts the decisions of a batch. Those that were another's too are counted in the metrics at the
/// end, however the call ends; the others are when they are made.
pub(super) struct Tally<'a> {
    metrics: &'a Metrics,
    store: &'a StoreName,
    once: Counts,
    again: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    allowed: usize,
    denied: usize,
}

impl<'a> Tally<'a> {
    pub fn new(metrics: &'a Metrics, store: &'a StoreName) -> Self {
        Self { metrics, store, once: Counts::default(), again: Counts::default() }
    }

    /// A decision was made.
    pub fn once(&mut self, is_allow: bool) {
        self.once.count(is_allow);
    }

    /// A decision was made before.
    pub fn again(&mut self, answer: &Answer) {
        self.again.count(answer.decision().is_allow());
    }

    /// How many were allows, and how many denies.
    pub fn all(&self) -> (usize, usize) {
        (self.once.allowed + self.again.allowed, self.once.denied + self.again.denied)
    }
}

impl Counts {
    fn count(&mut self, is_allow: bool) {
        *(if is_allow { &mut self.allowed } else { &mut self.denied }) += 1;
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        let Counts { allowed, denied } = self.again;
        self.metrics.decided_again(self.store, RPC, allowed as u64, denied as u64);
    }
}
