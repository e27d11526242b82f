//! The policies and entities that two states hold differently, and the policies that cannot be
//! compared.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Policy, PolicySet};
use cedar_policy_core::ast::{Entity, EntityUID};

use super::changes::{PolicyChange, PolicyChangeKind};
use crate::{engine::PreparedPolicy, store::PolicyStore};

/// Returns whether two states hold the same entities, however their files are written.
#[must_use]
pub fn same_entities(old: &PolicyStore, new: &PolicyStore) -> bool {
    changed_entities(old, new).is_empty()
}

/// Returns the entities that two states hold differently, those of which ancestors differ included.
/// Actions and role slots are the schema's.
pub(super) fn changed_entities(old: &PolicyStore, new: &PolicyStore) -> Vec<EntityUID> {
    let (before, after) = (old.stored(), new.stored());
    let is_slot = |uid: &EntityUID, name: &str| {
        [old, new].into_iter().any(|store| {
            let shape = store.schema().entity(uid.entity_type());
            shape.is_some_and(|shape| shape.slots.contains_key(name))
        })
    };
    let is_same = |uid: &EntityUID| match (before.get(uid), after.get(uid)) {
        (Some(old), Some(new)) => {
            let attributes = |entity: &Entity| -> BTreeMap<_, _> {
                let attributes = entity.attrs().filter(|(name, _)| !is_slot(uid, name));
                attributes.map(|(name, value)| (name.clone(), value.clone())).collect()
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
    let is_action = |uid: &EntityUID| old.schema().is_action_type(&uid.entity_type().to_string());
    let uids: BTreeSet<_> = before.uids().chain(after.uids()).collect();
    uids.into_iter().filter(|uid| !is_action(uid) && !is_same(uid)).cloned().collect()
}

fn ancestors(entity: &Entity) -> BTreeSet<EntityUID> {
    entity.ancestors().cloned().collect()
}

/// Returns for each of the entities what it is in in one of the states alone.
pub(super) fn bridges(
    old: &PolicyStore,
    new: &PolicyStore,
    changed: &[EntityUID],
) -> Vec<(EntityUID, EntityUID)> {
    let of = |store: &PolicyStore, uid: &EntityUID| {
        store.stored().get(uid).map(|entity| ancestors(entity)).unwrap_or_default()
    };
    let pairs = changed.iter().flat_map(|uid| {
        let (before, after) = (of(old, uid), of(new, uid));
        let differing: Vec<_> = before.symmetric_difference(&after).cloned().collect();
        differing.into_iter().map(|above| (above, uid.clone()))
    });
    pairs.collect()
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
