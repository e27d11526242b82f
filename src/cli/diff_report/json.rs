//! A comparison as JSON.

use serde_json::{Value as Json, json};

use super::{Compared, What};
use crate::cli::directory::ListedVersions;
use crate::{
    analysis::{Direction, PolicyChangeKind, Witness},
    store::PolicyStore,
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
                "without_dropped_facts": other.without_dropped_facts,
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
        let versions = people.versions.as_ref().map(ListedVersions::as_list);
        let people = people.changes.iter().map(|person| {
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
            "directory_versions": versions,
            "unknown": diff.unknown.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "columns_gone": diff.gone,
            "entities_differ": diff.entities_differ,
            "not_comparable": diff.not_comparable,
        })
    }
}
