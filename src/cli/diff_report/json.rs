//! A comparison as JSON.

use serde_json::{Value as Json, json};

use super::{Compared, Flip, What, not_settled};
use crate::{
    analysis::{
        CellChange, Direction, OtherChange, PersonChange, PolicyChange, PolicyChangeKind, Witness,
    },
    cli::directory::ListedVersions,
    testing::Expected,
};

pub(in crate::cli) fn as_json(compared: &[Compared]) -> Vec<Json> {
    compared.iter().map(Compared::as_json).collect()
}

impl Compared {
    fn as_json(&self) -> Json {
        let (diff, flips, people) = match &self.what {
            What::Added => return json!({ "store": self.name, "change": "added" }),
            What::Removed => return json!({ "store": self.name, "change": "removed" }),
            What::Differs(diff, flips, people) => (diff, flips, people),
        };
        let revisions = self.stores.as_ref().map(|(old, new)| [old.revision(), new.revision()]);
        let list = |parts: &mut dyn Iterator<Item = Json>| parts.collect::<Vec<_>>();
        json!({
            "store": self.name,
            "change": "compared",
            "old_revision": revisions.map(|[old, _]| old.as_str()),
            "new_revision": revisions.map(|[_, new]| new.as_str()),
            "policies": list(&mut diff.policies.iter().map(policy)),
            "cells": list(&mut diff.cells.iter().map(|change| self.cell(change))),
            "others": list(&mut diff.others.iter().map(|change| self.other(change))),
            "trust": self.trust(),
            "recorded": list(&mut flips.iter().map(flip)),
            "people": list(&mut people.changes.iter().map(person)),
            "directory_versions": people.versions.as_ref().map(ListedVersions::as_list),
            "unknown": not_settled(diff).collect::<Vec<_>>(),
            "columns_gone": diff.gone,
            "entities_differ": diff.entities_differ,
            "not_comparable": diff.not_comparable,
        })
    }

    fn cell(&self, change: &CellChange) -> Json {
        let witness = |witness: &Option<Witness>| witness.as_ref().map(|one| self.witness(one));
        json!({
            "scope": change.scope,
            "action": change.action,
            "column": change.column,
            "before": value(change.before),
            "after": value(change.after),
            "direction": direction(change.direction),
            "gain": witness(&change.gain),
            "loss": witness(&change.loss),
        })
    }

    fn other(&self, change: &OtherChange) -> Json {
        json!({
            "action": change.action,
            "principal_type": change.principal,
            "resource_type": change.resource,
            "direction": direction(change.direction),
            "witness": self.witness(&change.witness),
            "without_dropped_facts": change.without_dropped_facts,
        })
    }

    /// Returns a request as a record of the new state, or of the old one where only its schema knows it.
    fn witness(&self, witness: &Witness) -> Json {
        let record = self.stores.as_ref().and_then(|(old, new)| {
            let of = |store| witness.record(store, "witness").ok();
            of(new).or_else(|| of(old))
        });
        record.and_then(|record| serde_json::from_str(&record).ok()).unwrap_or_default()
    }
}

fn policy(change: &PolicyChange) -> Json {
    let kind = match change.kind {
        PolicyChangeKind::Added => "added",
        PolicyChangeKind::Removed => "removed",
        PolicyChangeKind::Changed => "changed",
        PolicyChangeKind::Annotations => "annotations",
    };
    json!({ "id": change.id, "change": kind })
}

fn flip(flip: &Flip) -> Json {
    json!({
        "principal": flip.principal,
        "action": flip.action,
        "gains": flip.gains,
        "count": flip.count,
    })
}

fn person(change: &PersonChange) -> Json {
    json!({
        "principal": change.principal,
        "action": change.action,
        "gains": !change.is_loss,
        "count": change.count,
        "example": change.example,
    })
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Gain => "gain",
        Direction::Loss => "loss",
        Direction::Both => "both",
    }
}

fn value(value: Expected) -> &'static str {
    match value {
        Expected::Allow => "allow",
        Expected::Deny => "deny",
        Expected::Cond => "cond",
    }
}
