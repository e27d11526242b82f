//! The meaning of a change of the schema for policies that stay as they are.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_core::ast::{Entity, EntityUID, ExprKind};
use smol_str::SmolStr;

use crate::{
    engine::PreparedPolicy,
    schema::{EntityShape, RecordShape},
    store::PolicyStore,
};

/// The declarations of a schema that are not as they were, as far as policies can tell.
#[derive(Debug, Default)]
pub(super) struct SchemaChange {
    /// Attributes of entities.
    attributes: BTreeSet<SmolStr>,
    /// Facts of requests, by action.
    facts: BTreeMap<EntityUID, BTreeSet<SmolStr>>,
    /// Actions that are in other groups.
    regrouped: BTreeSet<EntityUID>,
    /// True where entities of a type may be in others, have other tags, other ids or other role slots, or
    /// where another type is one of roles.
    types: bool,
}

impl SchemaChange {
    /// Compares two schemas in what both declare.
    pub fn between(old: &PolicyStore, new: &PolicyStore) -> Self {
        let (before, after) = (old.schema(), new.schema());
        let mut change = Self::default();
        for shape in after.entities() {
            if let Some(was) = before.entity(&shape.entity_type) {
                change.attributes.extend(differing(&was.attributes, &shape.attributes));
                let ty = &shape.entity_type;
                change.types |=
                    is_other(was, shape) || before.is_role_type(ty) != after.is_role_type(ty);
            }
        }
        for action in after.actions() {
            let uid = &action.uid;
            let was = before.action(&uid.entity_type().to_string(), uid.eid().as_ref());
            let Some(was) = was.filter(|was| was.uid == *uid) else { continue };
            change.facts.insert(uid.clone(), differing(&was.context, &action.context));
            let groups = |store: &PolicyStore| -> BTreeSet<EntityUID> {
                let entity = store.stored().get(uid);
                entity
                    .map(|entity| Entity::ancestors(entity).cloned().collect())
                    .unwrap_or_default()
            };
            if groups(old) != groups(new) {
                change.regrouped.insert(uid.clone());
            }
        }
        change
    }

    /// Returns whether policies on an action may decide otherwise because of it.
    pub fn touches<'p>(
        &self,
        action: &EntityUID,
        mut policies: impl Iterator<Item = &'p PreparedPolicy>,
    ) -> bool {
        let facts = self.facts.get(action);
        self.types
            || self.regrouped.contains(action)
            || policies.any(|policy| {
                names(policy).any(|name| {
                    self.attributes.contains(name)
                        || facts.is_some_and(|facts| facts.contains(name))
                })
            })
    }
}

/// Returns the names of fields that one record alone has, or that are of another type.
fn differing(one: &RecordShape, other: &RecordShape) -> BTreeSet<SmolStr> {
    let names = one.fields.keys().chain(other.fields.keys());
    names.filter(|name| one.fields.get(*name) != other.fields.get(*name)).cloned().collect()
}

fn is_other(one: &EntityShape, other: &EntityShape) -> bool {
    one.parents != other.parents
        || one.tags != other.tags
        || one.ids != other.ids
        || one.slots != other.slots
}

/// Returns the attributes that a policy looks at.
fn names(policy: &PreparedPolicy) -> impl Iterator<Item = &SmolStr> {
    let parts = policy.condition().into_iter().flat_map(|condition| condition.subexpressions());
    parts.flat_map(|part| -> Vec<&SmolStr> {
        match part.expr_kind() {
            ExprKind::GetAttr { attr, .. } | ExprKind::HasAttr { attr, .. } => vec![attr],
            ExprKind::ExtHasAttr { attrs, .. } => attrs.iter().collect(),
            _ => Vec::new(),
        }
    })
}
