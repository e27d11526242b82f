//! The policies of a store, prepared at load so that a decision does no work twice.

use std::{collections::HashSet, sync::Arc};

use cedar_policy::PolicySet;
use cedar_policy_core::ast::{EntityUID, Expr, ExprKind, Literal, Policy};

use super::{compiled::CompiledPolicies, slices::Slices};
use crate::{
    request::{Held, Known},
    schema::{Schema, Slot, StoredEntities},
};

/// The policies of a store with the schema and the stored entities that they are decided with.
#[derive(Debug)]
pub struct Engine {
    schema: Arc<Schema>,
    stored: Arc<StoredEntities>,
    slices: Slices,
    /// None where only Cedar decides.
    compiled: Option<CompiledPolicies>,
    literals: Vec<EntityUID>,
    looked_into: Vec<EntityUID>,
    named_roles: Vec<(EntityUID, Slot)>,
}

impl Engine {
    /// Prepares policies.
    #[must_use]
    pub fn new(policies: &PolicySet, schema: Arc<Schema>, stored: Arc<StoredEntities>) -> Self {
        let set: &cedar_policy_core::ast::PolicySet = policies.as_ref();
        let uids: HashSet<_> = set.policies().flat_map(uids_of).collect();
        let mut roles: Vec<_> = uids.iter().filter(|uid| schema.is_role(uid)).cloned().collect();
        roles.sort();
        let named_roles = roles.iter().filter_map(|uid| schema.scope_of(uid)).collect();
        // A policy may look into an entity that its condition names, and not into one that only its
        // scope names; it can hold something only if the store holds it or it has slots.
        let looked_into = set.policies().flat_map(uids_of_condition).collect::<HashSet<_>>();
        let mut looked_into: Vec<_> = looked_into.into_iter().collect();
        looked_into.sort();
        let mut literals = looked_into.clone();
        literals.retain(|uid| {
            let has_slots =
                schema.entity(uid.entity_type()).is_some_and(|shape| !shape.slots.is_empty());
            stored.contains(uid) || has_slots
        });
        let slices = arranged(set.policies(), &schema, &stored);
        let compiled = CompiledPolicies::new(&slices, &schema, &stored);
        Self { schema, stored, slices, compiled, literals, looked_into, named_roles }
    }

    /// Returns the schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Returns the entities that the store itself holds.
    #[must_use]
    pub fn stored(&self) -> &StoredEntities {
        &self.stored
    }

    /// Returns what questions are checked against, with what is held for the store.
    #[must_use]
    pub fn known<'a>(&'a self, held: Option<&'a Held>) -> Known<'a> {
        Known { schema: &self.schema, stored: &self.stored, held }
    }

    /// Arranges other policies for requests to the same store.
    pub fn arrange<'a>(&self, policies: impl IntoIterator<Item = &'a Policy>) -> Slices {
        arranged(policies, &self.schema, &self.stored)
    }

    pub(super) fn compiled(&self) -> Option<&CompiledPolicies> {
        self.compiled.as_ref()
    }

    pub(crate) fn slices(&self) -> &Slices {
        &self.slices
    }

    /// Returns the entities that the policies name and may look into, whatever the request.
    pub(super) fn literals(&self) -> &[EntityUID] {
        &self.literals
    }

    /// Returns the entities that conditions of policies name. A directory may hold something of each.
    pub(super) fn looked_into(&self) -> &[EntityUID] {
        &self.looked_into
    }

    /// Returns the roles that policies name themselves, as they do for singletons.
    pub(super) fn named_roles(&self) -> &[(EntityUID, Slot)] {
        &self.named_roles
    }
}

fn arranged<'a>(
    policies: impl IntoIterator<Item = &'a Policy>,
    schema: &Schema,
    stored: &StoredEntities,
) -> Slices {
    let actions: Vec<_> = schema
        .actions()
        .map(|action| {
            let ancestors =
                stored.get(&action.uid).into_iter().flat_map(|entity| entity.ancestors().cloned());
            (action.uid.clone(), ancestors.collect())
        })
        .collect();
    Slices::new(policies, &actions)
}

fn uids_of(policy: &Policy) -> Vec<EntityUID> {
    let principal = policy.principal_constraint();
    let resource = policy.resource_constraint();
    let scopes = [principal.as_inner().get_euid(), resource.as_inner().get_euid()];
    let scopes = scopes.into_iter().flatten().map(|uid| (**uid).clone());
    uids_of_condition(policy).into_iter().chain(scopes).collect()
}

fn uids_of_condition(policy: &Policy) -> Vec<EntityUID> {
    let conditions = policy.non_scope_constraints().into_iter().flat_map(Expr::subexpressions);
    let uids = conditions.filter_map(|expr| match expr.expr_kind() {
        ExprKind::Lit(Literal::EntityUID(uid)) => Some((**uid).clone()),
        ExprKind::Slot(slot) => policy.env().get(slot).cloned(),
        _ => None,
    });
    uids.collect()
}
