//! The policies and entities that two states hold differently, and the policies that cannot be
//! compared.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Policy, PolicySet};
use cedar_policy_core::ast::{Entity, EntityUID};

use super::changes::{PolicyChange, PolicyChangeKind};
use crate::{engine::PreparedPolicy, schema::StoredEntities, store::PolicyStore};

/// Returns the entities that two states hold differently, those of which ancestors differ included.
pub(super) fn changed_entities(old: &StoredEntities, new: &StoredEntities) -> Vec<EntityUID> {
    let uids: BTreeSet<_> = old.uids().chain(new.uids()).collect();
    let is_same = |uid: &EntityUID| match (old.get(uid), new.get(uid)) {
        (Some(old), Some(new)) => {
            let ancestors = |entity: &Entity| entity.ancestors().cloned().collect::<BTreeSet<_>>();
            let attributes = |entity: &Entity| -> BTreeMap<_, _> {
                entity.attrs().map(|(name, value)| (name.clone(), value.clone())).collect()
            };
            let tags = |entity: &Entity| -> BTreeMap<_, _> {
                entity.tags().map(|(name, value)| (name.clone(), value.clone())).collect()
            };
            ancestors(old) == ancestors(new)
                && attributes(old) == attributes(new)
                && tags(old) == tags(new)
        }
        _ => false,
    };
    uids.into_iter().filter(|uid| !is_same(uid)).cloned().collect()
}

/// Returns the old policies that do not fit the new schema, each with the reason.
pub(super) fn unfit(old: &PolicyStore, new: &PolicyStore) -> Vec<String> {
    let reason = |policy: &Policy| {
        let alone = PolicySet::from_policies([policy.clone()]).ok()?;
        let error = new.validate(&alone).err()?;
        Some(format!("the policy `{}` does not fit the new schema: {error}", policy.id()))
    };
    let mut reasons: Vec<_> = old.policies().policies().filter_map(reason).collect();
    reasons.sort_unstable();
    reasons
}

/// Returns the policies that are not as they were, by id.
pub(super) fn policies(old: &PolicyStore, new: &PolicyStore) -> Vec<PolicyChange> {
    let all = |store: &'_ PolicyStore| -> BTreeMap<String, PreparedParts> {
        let policies = store.engine().slices().policies();
        policies.map(|policy| (policy.id().to_owned(), PreparedParts::of(policy))).collect()
    };
    let (before, after) = (all(old), all(new));
    let ids: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let kind = |id: &String| match (before.get(id), after.get(id)) {
        (None, _) => Some(PolicyChangeKind::Added),
        (_, None) => Some(PolicyChangeKind::Removed),
        (Some(before), Some(after)) if before.meaning != after.meaning => {
            Some(PolicyChangeKind::Changed)
        }
        (Some(before), Some(after)) if before.annotations != after.annotations => {
            Some(PolicyChangeKind::Annotations)
        }
        _ => None,
    };
    ids.into_iter()
        .filter_map(|id| Some(PolicyChange { id: id.clone(), kind: kind(id)? }))
        .collect()
}

/// The parts of a policy that are compared.
struct PreparedParts {
    /// Cedar's text of what it decides, without annotations.
    meaning: String,
    annotations: BTreeMap<String, String>,
}

impl PreparedParts {
    fn of(policy: &PreparedPolicy) -> Self {
        let cedar = policy.policy();
        let variables: BTreeMap<_, _> =
            policy.variables().iter().map(|(slot, uid)| (slot.to_string(), uid)).collect();
        let meaning = format!(
            "{} {} {} {} {} {variables:?}",
            cedar.effect(),
            cedar.principal_constraint(),
            cedar.action_constraint(),
            cedar.resource_constraint(),
            policy.condition().map(ToString::to_string).unwrap_or_default(),
        );
        let annotations = policy.annotations();
        let annotations =
            annotations.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { meaning, annotations }
    }
}
