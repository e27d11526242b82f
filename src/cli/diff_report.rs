//! The forms in which a comparison of two states is told.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::validate::escaped;
use crate::{
    analysis::{CellChange, Diff, Direction, OtherChange, PersonChange, PolicyChangeKind, Witness},
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
    Differs(Diff, Vec<Flip>, Vec<PersonChange>),
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

/// Returns the change of one principal in words.
fn in_words(person: &PersonChange) -> String {
    let PersonChange { is_loss, principal, action, count, example } = person;
    let verb = if *is_loss { "loses" } else { "gains" };
    match count {
        1 => format!("{principal} {verb} {action} on {example}"),
        _ => format!("{principal} {verb} {action} on {count}, e.g. {example}"),
    }
}

impl Compared {
    pub(super) fn has_gains(&self) -> bool {
        match &self.what {
            What::Added => true,
            What::Removed => false,
            What::Differs(diff, flips, people) => {
                diff.has_gains()
                    || !self.trust().is_empty()
                    || flips.iter().any(|flip| flip.gains)
                    || people.iter().any(|person| !person.is_loss)
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
                    || people.iter().any(|person| person.is_loss)
            }
        }
    }

    /// Returns how the new state believes callers more ([`PolicyStore::more_trust_than`]).
    pub(super) fn trust(&self) -> Vec<String> {
        self.stores.as_ref().map_or_else(Vec::new, |(old, new)| new.more_trust_than(old))
    }

    pub(super) fn sentences(&self) -> Vec<(Direction, String, Option<&Witness>)> {
        let trust = self.trust().into_iter();
        let trust =
            trust.map(|more| (Direction::Gain, format!("callers gain trust: {more}"), None));
        match &self.what {
            What::Differs(diff, ..) => trust.chain(sentences(diff)).collect(),
            What::Added | What::Removed => Vec::new(),
        }
    }

    /// Returns how many cells gain and how many lose, and what is told besides.
    fn summary(&self) -> String {
        let What::Differs(diff, flips, people) = &self.what else { return String::new() };
        let cells = summary(diff);
        let told = [
            (self.trust().len(), "settings that believe callers more"),
            (flips.len(), "kinds of recorded requests that are decided otherwise"),
            (people.len(), "gains and losses of people"),
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
    format!("a {} {verb} {} on a {}", other.principal, other.action, other.resource)
}

pub(super) fn human(compared: &[Compared]) -> String {
    let mut text = String::new();
    for store in compared {
        let _ = writeln!(text, "{}", store.name);
        let (diff, flips, people) = match &store.what {
            What::Added => {
                text.push_str("  a new store: all that it allows is gained\n");
                continue;
            }
            What::Removed => {
                text.push_str("  the store is gone: all that it allowed is lost\n");
                continue;
            }
            What::Differs(diff, flips, people) => (diff, flips, people),
        };
        for change in &diff.policies {
            let (sign, what) = sign(change.kind);
            let _ = writeln!(text, "  {sign} {}{what}", change.id);
        }
        for (_, sentence, witness) in store.sentences() {
            let _ = writeln!(text, "  {sentence}");
            for line in witness.map(ToString::to_string).unwrap_or_default().lines() {
                let _ = writeln!(text, "      {line}");
            }
        }
        for flip in flips {
            let answer = if flip.gains { "is allowed now" } else { "is denied now" };
            let _ = writeln!(
                text,
                "  recorded {} times: {} {answer}: {}",
                flip.count, flip.principal, flip.action
            );
        }
        for person in people.iter().take(SHOWN) {
            let _ = writeln!(text, "  {}", in_words(person));
        }
        if let Some(more @ 1..) = people.len().checked_sub(SHOWN) {
            let _ = writeln!(text, "  and {more} more; `--format json` has them all");
        }
        for reason in &diff.not_comparable {
            let _ = writeln!(text, "  not comparable: {reason}");
        }
        for place in &diff.unknown {
            let _ = writeln!(text, "  unknown: the search was given up for {place}");
        }
        let _ = writeln!(text, "  {}", store.summary());
    }
    text
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

/// Returns how many cells gain and how many lose.
pub(super) fn summary(diff: &Diff) -> String {
    let gains = diff.cells.iter().filter(|cell| cell.direction.is_gain()).count();
    let losses = diff.cells.iter().filter(|cell| cell.direction != Direction::Gain).count();
    let others = match diff.others.len() {
        0 => String::new(),
        count => format!(", {count} changes outside the matrix"),
    };
    if gains + losses + diff.others.len() == 0 {
        let is_known = diff.unknown.is_empty() && diff.not_comparable.is_empty();
        let nothing = if is_known { NOTHING } else { "not everything can be compared" };
        return nothing.to_owned();
    }
    format!("cells that gain: {gains}, that lose: {losses}{others}")
}

pub(super) fn markdown(compared: &[Compared]) -> String {
    let mut text = String::from("# Who gains and who loses what\n");
    for store in compared {
        let _ = writeln!(text, "\n## {}\n", store.name);
        let (diff, flips, people) = match &store.what {
            What::Added => {
                text.push_str("A new store: all that it allows is gained.\n");
                continue;
            }
            What::Removed => {
                text.push_str("The store is gone: all that it allowed is lost.\n");
                continue;
            }
            What::Differs(diff, flips, people) => (diff, flips, people),
        };
        for change in &diff.policies {
            let (sign, what) = sign(change.kind);
            let _ = writeln!(text, "- `{sign} {}`{what}", change.id);
        }
        let _ = writeln!(text, "\n**{}**", store.summary());
        let mut last = None;
        for (direction, sentence, witness) in store.sentences() {
            if last != Some(direction) {
                let head = if direction == Direction::Loss { "Losses" } else { "Gains" };
                let _ = writeln!(text, "\n### {head}\n");
                last = Some(direction);
            }
            let _ = writeln!(text, "- {sentence}");
            if let Some(witness) = witness {
                let _ = writeln!(text, "  ```");
                for line in witness.to_string().lines() {
                    let _ = writeln!(text, "  {line}");
                }
                let _ = writeln!(text, "  ```");
            }
        }
        if !flips.is_empty() {
            text.push_str("\n### Recorded decisions\n\n| times | principal | action | answer |\n|---|---|---|---|\n");
        }
        for flip in flips {
            let answer = if flip.gains { "allowed now" } else { "denied now" };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {answer} |",
                flip.count, flip.principal, flip.action
            );
        }
        if !people.is_empty() {
            text.push_str("\n### People\n\n");
        }
        for person in people.iter().take(SHOWN) {
            let _ = writeln!(text, "- {}", in_words(person));
        }
        if let Some(more @ 1..) = people.len().checked_sub(SHOWN) {
            let _ = writeln!(text, "- and {more} more");
        }
        for reason in &diff.not_comparable {
            let _ = writeln!(text, "\nNot comparable: {reason}");
        }
        for place in &diff.unknown {
            let _ = writeln!(text, "\nUnknown: the search was given up for {place}.");
        }
    }
    text
}

pub(super) fn github(compared: &[Compared]) -> String {
    let mut text = String::new();
    for store in compared {
        let mut line = |kind: &str, message: &str| {
            let _ = writeln!(text, "::{kind} title={}::{}", store.name, escaped(message));
        };
        let diff = match &store.what {
            What::Added => {
                line("warning", "a new store: all that it allows is gained");
                continue;
            }
            What::Removed => {
                line("warning", "the store is gone: all that it allowed is lost");
                continue;
            }
            What::Differs(diff, ..) => diff,
        };
        for (direction, sentence, _) in store.sentences() {
            let kind = if direction == Direction::Loss { "notice" } else { "warning" };
            line(kind, &sentence);
        }
        for reason in &diff.not_comparable {
            line("error", &format!("not comparable: {reason}"));
        }
        for place in &diff.unknown {
            line("error", &format!("unknown: the search was given up for {place}"));
        }
        line("notice", &store.summary());
    }
    text
}

pub(super) fn as_json(compared: &[Compared]) -> Vec<Json> {
    compared.iter().map(Compared::as_json).collect()
}

impl Compared {
    fn as_json(&self) -> Json {
        let (diff, flips, people) = match &self.what {
            What::Added => return json!({ "store": self.name, "change": "added" }),
            What::Removed => return json!({ "store": self.name, "change": "removed" }),
            What::Differs(diff, flips, people) => (diff, flips, people),
        };
        let stores = self.stores.as_ref();
        let revision = |store: &PolicyStore| store.revision().as_str().to_owned();
        let witness = |witness: &Witness| -> Json {
            let record = stores.and_then(|(old, new)| {
                let of = |store| witness.record(store, "witness").ok();
                of(new).or_else(|| of(old))
            });
            record.and_then(|record| serde_json::from_str(&record).ok()).unwrap_or_default()
        };
        let kind = |kind| match kind {
            PolicyChangeKind::Added => "added",
            PolicyChangeKind::Removed => "removed",
            PolicyChangeKind::Changed => "changed",
            PolicyChangeKind::Annotations => "annotations",
        };
        let word = |direction| match direction {
            Direction::Gain => "gain",
            Direction::Loss => "loss",
            Direction::Both => "both",
        };
        let value = |value| match value {
            Expected::Allow => "allow",
            Expected::Deny => "deny",
            Expected::Cond => "cond",
        };
        let policies = diff
            .policies
            .iter()
            .map(|change| json!({ "id": change.id, "change": kind(change.kind) }));
        let cells = diff.cells.iter().map(|cell| {
            json!({
                "scope": cell.scope,
                "action": cell.action,
                "column": cell.column,
                "before": value(cell.before),
                "after": value(cell.after),
                "direction": word(cell.direction),
                "gain": cell.gain.as_ref().map(witness),
                "loss": cell.loss.as_ref().map(witness),
            })
        });
        let others = diff.others.iter().map(|other| {
            json!({
                "action": other.action,
                "principal_type": other.principal,
                "resource_type": other.resource,
                "direction": word(other.direction),
                "witness": witness(&other.witness),
            })
        });
        let flips = flips.iter().map(|flip| {
            json!({
                "principal": flip.principal,
                "action": flip.action,
                "gains": flip.gains,
                "count": flip.count,
            })
        });
        let people = people.iter().map(|person| {
            json!({
                "principal": person.principal,
                "action": person.action,
                "gains": !person.is_loss,
                "count": person.count,
                "example": person.example,
            })
        });
        json!({
            "store": self.name,
            "change": "compared",
            "old_revision": stores.map(|(old, _)| revision(old)),
            "new_revision": stores.map(|(_, new)| revision(new)),
            "policies": policies.collect::<Vec<_>>(),
            "cells": cells.collect::<Vec<_>>(),
            "others": others.collect::<Vec<_>>(),
            "trust": self.trust(),
            "recorded": flips.collect::<Vec<_>>(),
            "people": people.collect::<Vec<_>>(),
            "unknown": diff.unknown,
            "not_comparable": diff.not_comparable,
        })
    }
}
