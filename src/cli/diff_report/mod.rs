//! The forms in which a comparison of two states is told.

mod github;
mod human;
mod json;
mod markdown;

pub(super) use github::github;
pub(super) use human::human;
pub(super) use json::as_json;
pub(super) use markdown::markdown;

use super::diff_people::{People, in_words};
use crate::{
    analysis::{CellChange, Diff, Direction, OtherChange, PolicyChangeKind, Witness},
    model::StoreName,
    store::PolicyStore,
    testing::Expected,
};

/// A store in both states.
pub(super) struct Compared {
    pub name: StoreName,
    pub stores: Option<(PolicyStore, PolicyStore)>,
    pub what: What,
}

pub(super) enum What {
    Added,
    Removed,
    Differs(Box<Diff>, Vec<Flip>, People),
}

/// Recorded requests whose answer differs.
pub(super) struct Flip {
    pub principal: String,
    pub action: String,
    pub gains: bool,
    pub count: usize,
}

/// People of one store that are shown to readers.
const SHOWN: usize = 50;

impl Compared {
    pub(super) fn has_gains(&self) -> bool {
        match &self.what {
            What::Added => true,
            What::Removed => false,
            What::Differs(diff, flips, people) => {
                diff.has_gains()
                    || !self.trust().is_empty()
                    || flips.iter().any(|flip| flip.gains)
                    || people.changes.iter().any(|person| !person.is_loss)
            }
        }
    }

    pub(super) fn has_losses(&self) -> bool {
        match &self.what {
            What::Added => false,
            What::Removed => true,
            What::Differs(diff, flips, people) => {
                diff.has_losses()
                    || flips.iter().any(|flip| !flip.gains)
                    || people.changes.iter().any(|person| person.is_loss)
            }
        }
    }

    /// Returns how the new state understands callers otherwise ([`PolicyStore::understands_otherwise_than`]).
    pub(super) fn trust(&self) -> Vec<String> {
        self.stores.as_ref().map_or_else(Vec::new, |(old, new)| new.understands_otherwise_than(old))
    }

    /// Returns what an approval of the step names: the gains, and what is not known of it.
    pub(super) fn to_approve(&self) -> Vec<String> {
        let What::Differs(diff, ..) = &self.what else { return Vec::new() };
        let gains = self.sentences().into_iter().filter(|(direction, ..)| direction.is_gain());
        let not_comparable = diff.not_comparable.iter().map(|one| format!("not comparable: {one}"));
        let may_gain = diff.unknown.iter().filter(|one| one.direction.is_gain());
        let entities = "not proved: the entities that the store holds differ".to_owned();
        gains
            .map(|(_, sentence, _)| sentence)
            .chain(may_gain.map(|one| format!("not settled: {one}")))
            .chain(diff.not_proved.iter().map(|one| format!("not settled: {one}")))
            .chain(not_comparable)
            .chain(diff.entities_differ.then_some(entities))
            .collect()
    }

    pub(super) fn sentences(&self) -> Vec<(Direction, String, Option<&Witness>)> {
        let trust = self.trust().into_iter();
        let trust = trust.map(|more| {
            (Direction::Gain, format!("callers are understood otherwise: {more}"), None)
        });
        match &self.what {
            What::Differs(diff, ..) => trust.chain(sentences(diff)).collect(),
            What::Added | What::Removed => Vec::new(),
        }
    }

    /// Returns the errors with which the old state denied a request that the new one allows.
    fn errors_before(&self, direction: Direction, witness: Option<&Witness>) -> Vec<String> {
        let asked = self.stores.as_ref().zip(witness).filter(|_| direction.is_gain());
        let decision = asked.and_then(|((old, _), witness)| witness.decide(old).ok());
        let errors = decision.into_iter().flat_map(|decision| decision.errors);
        errors.map(|error| format!("error in {}: {}", error.policy_id, error.message)).collect()
    }

    /// Returns how many cells gain and how many lose, and what is told besides.
    fn summary(&self) -> String {
        let What::Differs(diff, flips, people) = &self.what else { return String::new() };
        let cells = summary(diff);
        let told = [
            (self.trust().len(), "ways in which callers are understood otherwise"),
            (flips.len(), "kinds of recorded requests that are decided otherwise"),
            (people.changes.len(), "gains and losses of people"),
        ];
        let told = told.into_iter().filter(|(count, _)| *count > 0);
        let told: Vec<_> = told.map(|(count, words)| format!("{words}: {count}")).collect();
        match cells.as_str() {
            _ if told.is_empty() => cells,
            NOTHING => told.join(", "),
            _ => format!("{cells}, {}", told.join(", ")),
        }
    }
}

/// Returns every change as a sentence with the request that shows it, gains first.
pub(super) fn sentences(diff: &Diff) -> Vec<(Direction, String, Option<&Witness>)> {
    let mut sentences = Vec::new();
    for cell in &diff.cells {
        for (direction, witness) in [(Direction::Gain, &cell.gain), (Direction::Loss, &cell.loss)] {
            if let Some(witness) = witness {
                sentences.push((direction, of_cell(cell, direction), Some(witness)));
            }
        }
    }
    for other in &diff.others {
        sentences.push((other.direction, of_other(other), Some(&other.witness)));
    }
    sentences.sort_by_key(|(direction, ..)| *direction);
    sentences
}

fn of_cell(cell: &CellChange, direction: Direction) -> String {
    let verb = if direction == Direction::Loss { "loses" } else { "gains" };
    let how = match (direction, cell.before, cell.after) {
        (Direction::Loss, _, Expected::Deny) | (Direction::Gain, _, Expected::Allow) => "",
        _ => " under conditions",
    };
    format!("{} {verb} {}{how}", cell.column, cell.action)
}

fn of_other(other: &OtherChange) -> String {
    let verb = if other.direction == Direction::Loss { "loses" } else { "gains" };
    let how = if other.without_dropped_facts { " without facts that the schema drops" } else { "" };
    format!("a {} {verb} {} on a {}{how}", other.principal, other.action, other.resource)
}

fn sign(kind: PolicyChangeKind) -> (char, &'static str) {
    match kind {
        PolicyChangeKind::Added => ('+', ""),
        PolicyChangeKind::Removed => ('-', ""),
        PolicyChangeKind::Changed => ('~', ""),
        PolicyChangeKind::Annotations => ('~', " (annotations only)"),
    }
}

/// The summary of a comparison that finds nothing.
const NOTHING: &str = "nobody gains or loses anything";
/// Returns what is not known of the change, and what of it no request shows, a line for each.
pub(super) fn not_known(diff: &Diff) -> Vec<String> {
    let gone = diff.gone.iter().map(|column| format!("the column {column} is gone"));
    let not_comparable = diff.not_comparable.iter().map(|one| format!("not comparable: {one}"));
    let not_settled = not_settled(diff).map(|one| format!("not settled: {one}"));
    let advice = "`humbaba prove --against` tells what is not settled".to_owned();
    let advice = (!diff.unknown.is_empty()).then_some(advice);
    let entities = diff.entities_differ.then(|| ENTITIES_DIFFER.to_owned());
    gone.chain(not_comparable).chain(not_settled).chain(advice).chain(entities).collect()
}

/// Returns what neither the search nor the solver settles, in words.
fn not_settled(diff: &Diff) -> impl Iterator<Item = String> {
    diff.unknown.iter().map(ToString::to_string).chain(diff.not_proved.iter().cloned())
}

/// The words for a change of the entities that the store holds.
const ENTITIES_DIFFER: &str =
    "the entities that the store holds differ: the gate `no-gains` wants such a step approved";

/// Returns how many cells gain and how many lose.
pub(super) fn summary(diff: &Diff) -> String {
    let gains = diff.cells.iter().filter(|cell| cell.direction.is_gain()).count();
    let losses = diff.cells.iter().filter(|cell| cell.direction != Direction::Gain).count();
    let others = match diff.others.len() {
        0 => String::new(),
        count => format!(", {count} changes outside the matrix"),
    };
    if gains + losses + diff.others.len() == 0 {
        let is_known = not_settled(diff).next().is_none() && diff.not_comparable.is_empty();
        let nothing = if is_known {
            NOTHING
        } else {
            "nothing is found that anybody gains or loses, and not all is settled"
        };
        return nothing.to_owned();
    }
    format!("cells that gain: {gains}, that lose: {losses}{others}")
}
