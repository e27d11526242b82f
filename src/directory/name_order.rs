//! The order of entities by their names, kept as they come and go.

use std::{cmp::Ordering, sync::Arc};

use crate::request::HeldPlace;

/// The longest run. A change copies the runs that it touches.
const RUN: usize = 256;

/// Places in the order of the names of their entities, in runs of which no one is empty.
#[derive(Clone, Default)]
pub(super) struct NameOrder {
    runs: Arc<Vec<Arc<[HeldPlace]>>>,
}

impl NameOrder {
    /// Returns all places.
    pub(super) fn iter(&self) -> impl Iterator<Item = HeldPlace> {
        self.runs.iter().flat_map(|run| run.iter().copied())
    }

    /// Skips the leading places for which `is_before` is true.
    pub(super) fn skip(
        &self,
        is_before: impl Fn(HeldPlace) -> bool,
    ) -> impl Iterator<Item = HeldPlace> {
        let starts_before =
            |run: &Arc<[HeldPlace]>| run.first().is_some_and(|place| is_before(*place));
        let run = self.runs.partition_point(starts_before).saturating_sub(1);
        let skipped =
            self.runs.get(run).map_or(0, |run| run.partition_point(|place| is_before(*place)));
        let runs = self.runs.get(run..).unwrap_or_default();
        runs.iter().flat_map(|run| run.iter().copied()).skip(skipped)
    }

    /// Adds places that are not there yet, and removes those that are. Both are sorted.
    pub(super) fn change(
        &mut self,
        added: &[HeldPlace],
        removed: &[HeldPlace],
        order: impl Fn(HeldPlace, HeldPlace) -> Ordering,
    ) {
        if added.is_empty() && removed.is_empty() {
            return;
        }
        let (mut added, mut removed) = (added, removed);
        let mut made = Vec::with_capacity(self.runs.len() + added.len() / RUN);
        let mut rest = self.runs.as_slice();
        while let Some(next) = first_of(added, removed, &order) {
            let starts_before = |run: &Arc<[HeldPlace]>| {
                run.first().is_some_and(|first| order(*first, next) != Ordering::Greater)
            };
            let (before, from) =
                rest.split_at(rest.partition_point(starts_before).saturating_sub(1));
            made.extend_from_slice(before);
            let (run, after) = match from.split_first() {
                Some((run, after)) => (&**run, after),
                None => (&[][..], from),
            };
            let end = after.first().and_then(|run| run.first()).copied();
            let of_run = |place: &HeldPlace| end.is_none_or(|end| order(*place, end).is_lt());
            let new;
            (new, added) = added.split_at(added.partition_point(of_run));
            let old;
            (old, removed) = removed.split_at(removed.partition_point(of_run));
            push(&mut made, merged(run, new, old, &order));
            rest = after;
        }
        made.extend_from_slice(rest);
        self.runs = Arc::new(made);
    }
}

fn first_of(
    added: &[HeldPlace],
    removed: &[HeldPlace],
    order: impl Fn(HeldPlace, HeldPlace) -> Ordering,
) -> Option<HeldPlace> {
    match (added.first().copied(), removed.first().copied()) {
        (Some(one), Some(other)) if order(other, one).is_lt() => Some(other),
        (None, other) => other,
        (one, _) => one,
    }
}

fn merged(
    run: &[HeldPlace],
    added: &[HeldPlace],
    removed: &[HeldPlace],
    order: impl Fn(HeldPlace, HeldPlace) -> Ordering,
) -> Vec<HeldPlace> {
    let mut made = Vec::with_capacity(run.len() + added.len());
    let (mut added, mut removed) = (added.iter().peekable(), removed.iter().peekable());
    for place in run {
        while let Some(new) = added.next_if(|new| order(**new, *place).is_lt()) {
            made.push(*new);
        }
        if removed.next_if_eq(&place).is_none() {
            made.push(*place);
        }
    }
    made.extend(added);
    made
}

/// Adds a run: cut where it is too long, joined to the last where both are short.
fn push(runs: &mut Vec<Arc<[HeldPlace]>>, mut run: Vec<HeldPlace>) {
    if let Some(last) = runs.pop_if(|last| last.len() + run.len() <= RUN / 2) {
        run.splice(..0, last.iter().copied());
    }
    if run.len() <= RUN {
        runs.extend((!run.is_empty()).then(|| run.into()));
    } else {
        runs.extend(run.chunks(RUN / 2).map(Arc::from));
    }
}
