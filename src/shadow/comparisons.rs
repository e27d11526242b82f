//! The differences between the answers that were given and those of the candidate.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use serde::Serialize;

use super::{
    answer::{ShadowAnswer, ShadowDirection, Shadowed},
    metrics::ShadowMetrics,
    question::Given,
};
use crate::{
    model::{Revision, StoreName},
    store::PolicyStore,
};

/// Pairs of action and direction that are kept of one store.
const KEPT: usize = 1_000;

/// The answers of two revisions of one store.
#[derive(Debug, Clone, Serialize)]
pub struct ShadowComparison {
    /// The store.
    pub store: StoreName,
    /// The revision that gives the answers.
    pub live_revision: Revision,
    /// The candidate's revision.
    pub candidate_revision: Revision,
    /// Answers that were compared.
    pub compared: u64,
    /// Those denied, and allowed by the candidate.
    pub gains: u64,
    /// Those allowed, and denied by the candidate.
    pub losses: u64,
    /// Those decided, and refused by the candidate.
    pub refused: u64,
    /// The differences by action, gains first, the most frequent first.
    pub differences: Vec<ShadowDifference>,
    /// Differences of actions beyond those that are kept.
    pub unlisted: u64,
}

/// A difference on one action.
#[derive(Debug, Clone, Serialize)]
pub struct ShadowDifference {
    /// The action's id.
    pub action: String,
    /// The change that it would make.
    pub direction: ShadowDirection,
    /// Number of answers.
    pub count: u64,
    /// The id of the decision in which it was last seen.
    pub decision_id: String,
    /// The answer that was given.
    pub live: ShadowAnswer,
    /// The candidate's answer; none where it refuses the question.
    pub candidate: Option<ShadowAnswer>,
    /// The field because of which it refuses the question.
    pub refused_field: Option<String>,
}

/// The comparisons of all stores, each of the revisions that decide now.
#[derive(Debug)]
pub(super) struct Comparisons {
    metrics: ShadowMetrics,
    by_store: Mutex<BTreeMap<StoreName, Tally>>,
}

#[derive(Debug)]
struct Tally {
    revisions: (Revision, Revision),
    compared: u64,
    totals: BTreeMap<ShadowDirection, u64>,
    differences: BTreeMap<(ShadowDirection, String), ShadowDifference>,
    unlisted: u64,
}

impl Comparisons {
    pub(super) fn new(metrics: ShadowMetrics) -> Self {
        Self { metrics, by_store: Mutex::default() }
    }

    /// Counts an answer. The differences of other revisions than these are forgotten: they say
    /// nothing of the change that is tried now.
    pub(super) fn add(
        &self,
        live: &PolicyStore,
        candidate: &PolicyStore,
        given: &Given,
        shadowed: Shadowed,
    ) {
        let direction = shadowed.direction(&given.answer);
        self.metrics.compared(live.name(), &given.action, direction);
        let revisions = (*live.revision(), *candidate.revision());
        let mut by_store = self.by_store.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = by_store.entry(live.name().clone()).or_insert_with(|| Tally::new(revisions));
        if tally.revisions != revisions {
            *tally = Tally::new(revisions);
        }
        tally.compared += 1;
        let Some(direction) = direction else { return };
        *tally.totals.entry(direction).or_default() += 1;
        let count = tally.add(direction, given, &shadowed);
        drop(by_store);
        // The first, the tenth, the hundredth and so on.
        if count.is_some_and(|count| count == 10_u64.pow(count.ilog10())) {
            log(live, candidate, direction, given, &shadowed, count);
        }
    }

    /// Returns the comparisons, by store.
    pub(super) fn all(&self) -> Vec<ShadowComparison> {
        let by_store = self.by_store.lock().unwrap_or_else(PoisonError::into_inner);
        by_store.iter().map(|(store, tally)| tally.comparison(store)).collect()
    }
}

impl Tally {
    fn new(revisions: (Revision, Revision)) -> Self {
        Self {
            revisions,
            compared: 0,
            totals: BTreeMap::new(),
            differences: BTreeMap::new(),
            unlisted: 0,
        }
    }

    /// Returns how often the difference was seen; nothing where it is not kept.
    fn add(
        &mut self,
        direction: ShadowDirection,
        given: &Given,
        shadowed: &Shadowed,
    ) -> Option<u64> {
        let key = (direction, given.action.clone());
        if self.differences.len() >= KEPT && !self.differences.contains_key(&key) {
            self.unlisted += 1;
            return None;
        }
        let count = self.differences.get(&key).map_or(0, |difference| difference.count) + 1;
        let (candidate, refused_field) = match shadowed {
            Shadowed::Decided(answer) => (Some(answer.clone()), None),
            Shadowed::Refused(field) => (None, Some(field.clone())),
        };
        let difference = ShadowDifference {
            action: given.action.clone(),
            direction,
            count,
            decision_id: given.decision_id.clone(),
            live: given.answer.clone(),
            candidate,
            refused_field,
        };
        self.differences.insert(key, difference);
        Some(count)
    }

    fn comparison(&self, store: &StoreName) -> ShadowComparison {
        let mut differences: Vec<_> = self.differences.values().cloned().collect();
        differences.sort_by_key(|one| (one.direction, std::cmp::Reverse(one.count)));
        let total = |direction| self.totals.get(&direction).copied().unwrap_or_default();
        ShadowComparison {
            store: store.clone(),
            live_revision: self.revisions.0,
            candidate_revision: self.revisions.1,
            compared: self.compared,
            gains: total(ShadowDirection::Gain),
            losses: total(ShadowDirection::Loss),
            refused: total(ShadowDirection::Refused),
            differences,
            unlisted: self.unlisted,
        }
    }
}

/// Logs a difference. Whose question it was stands in the decision log, under the decision's id.
fn log(
    live: &PolicyStore,
    candidate: &PolicyStore,
    direction: ShadowDirection,
    given: &Given,
    shadowed: &Shadowed,
    count: Option<u64>,
) {
    tracing::info!(
        store = %live.name(),
        action = given.action,
        direction = direction.name(),
        live = %given.answer,
        candidate = %shadowed,
        live_revision = %live.revision(),
        candidate_revision = %candidate.revision(),
        decision_id = given.decision_id,
        count,
        "the candidate policies would change an answer"
    );
}
