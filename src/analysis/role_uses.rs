//! The roles that policies of a store ask for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cedar_policy_core::ast::EntityType;
use smol_str::SmolStr;

use super::policy_reads::PolicyReads;
use crate::{
    schema::{RecordShape, Schema, Shape},
    store::PolicyStore,
};

/// The roles that policies of a store ask for, on conditions or without. It may have more than those: a
/// role that it does not have makes no difference for any request.
#[derive(Debug, Default)]
pub(super) struct RoleUses {
    /// Slots with the types of which policies look at them.
    of_types: BTreeSet<(EntityType, SmolStr)>,
    /// Slots that policies look at, of whatever type.
    of_any: BTreeSet<SmolStr>,
    /// True where a Role may be reached otherwise than by its slot or its name.
    all: bool,
}

impl RoleUses {
    /// Reads the policies of a store.
    pub(super) fn of(store: &PolicyStore) -> Self {
        let schema = store.schema();
        let mut uses = Self { all: has_other_roles(store), ..Self::default() };
        let mut read: BTreeMap<&str, PolicyReads> = BTreeMap::new();
        for policy in store.engine().slices().policies() {
            let reads = PolicyReads::of(policy.policy());
            uses.of_any.extend(reads.of_others.iter().cloned());
            let named = reads.entities.iter().chain(policy.variables().values());
            for role in named.filter(|uid| schema.is_role(uid)) {
                match schema.scope_of(role) {
                    Some((scope, slot)) => {
                        uses.of_types.insert((scope.entity_type().clone(), slot.as_str().into()));
                    }
                    None => uses.all = true,
                }
            }
            read.insert(policy.id(), reads);
        }
        for action in schema.actions() {
            let slices = store.engine().slices();
            for policy in slices.of_action(&action.uid).chain(slices.of_any()) {
                let Some(reads) = read.get(policy.id()) else { continue };
                uses.add(&action.principals, &policy.principal().entity_type, &reads.of_principal);
                uses.add(&action.resources, &policy.resource().entity_type, &reads.of_resource);
            }
        }
        uses
    }

    /// Returns whether a policy may ask for a role.
    pub(super) fn has(&self, scope_type: &EntityType, slot: &str) -> bool {
        let of_type = (scope_type.clone(), SmolStr::new(slot));
        self.all || self.of_any.contains(slot) || self.of_types.contains(&of_type)
    }

    fn add(
        &mut self,
        types: &[EntityType],
        only: &Option<Arc<EntityType>>,
        fields: &BTreeSet<SmolStr>,
    ) {
        for ty in types.iter().filter(|ty| only.as_deref().is_none_or(|only| only == *ty)) {
            self.of_types.extend(fields.iter().map(|field| (ty.clone(), field.clone())));
        }
    }
}

/// Returns whether Roles are more than what slots and names stand for: values of other fields, or
/// entities that are in others or are held by the store.
fn has_other_roles(store: &PolicyStore) -> bool {
    let schema = store.schema();
    let of_entities = schema.entities().any(|shape| {
        let is_slot = |name: &str| shape.slots.contains_key(name);
        let in_tags = shape.tags.as_ref().is_some_and(|shape| may_be_role(schema, shape));
        let is_more = schema.is_role_type(&shape.entity_type) && !shape.parents.is_empty();
        is_more || in_tags || has_role(schema, &shape.attributes, &is_slot)
    });
    of_entities
        || schema.actions().any(|action| has_role(schema, &action.context, &|_| false))
        || store.stored().uids().any(|uid| schema.is_role(uid))
}

fn has_role(schema: &Schema, record: &RecordShape, is_slot: &dyn Fn(&str) -> bool) -> bool {
    let mut fields = record.fields.iter();
    fields.any(|(name, field)| !is_slot(name) && may_be_role(schema, &field.shape))
}

fn may_be_role(schema: &Schema, shape: &Shape) -> bool {
    match shape {
        Shape::Entity(ty) => schema.is_role_type(ty),
        Shape::Set(element) => may_be_role(schema, element),
        Shape::Record(record) => has_role(schema, record, &|_| false),
        Shape::Bool | Shape::Long | Shape::String | Shape::Extension(_) => false,
    }
}
