//! The policies of a store, prepared at load so that a decision does no work twice.

use std::collections::HashSet;

use cedar_policy::PolicySet;
use cedar_policy_core::ast::{EntityUID, Expr, ExprKind, Literal, Policy};

use super::{compiled::CompiledPolicies, slices::Slices, symmetry::NamedEntities};
use crate::{
    roles::Slot,
    store::{FixedEntities, PolicyStore, StoreSchema},
};

/// The policies of a store, arranged and with what they name known.
#[derive(Debug)]
pub(crate) struct PreparedPolicies {
    slices: Slices,
    /// None where only Cedar decides.
    compiled: Option<CompiledPolicies>,
    literals: Vec<EntityUID>,
    named_roles: Vec<(EntityUID, Slot)>,
    named: NamedEntities,
}

impl PreparedPolicies {
    pub(crate) fn new(policies: &PolicySet, schema: &StoreSchema, fixed: &FixedEntities) -> Self {
        let set: &cedar_policy_core::ast::PolicySet = policies.as_ref();
        let uids: HashSet<_> = set.policies().flat_map(uids_of).collect();
        let mut roles: Vec<_> = uids.iter().filter(|uid| schema.is_role(uid)).cloned().collect();
        roles.sort();
        let named_roles = roles.iter().filter_map(|uid| schema.scope_of(uid)).collect();
        // A policy may look into an entity that its condition names, and not into one that only its
        // scope names; it can hold something only if the store holds it or it has slots.
        let looked_into = set.policies().flat_map(uids_of_condition).collect::<HashSet<_>>();
        let mut literals: Vec<_> = looked_into.into_iter().collect();
        literals.sort();
        literals.retain(|uid| {
            let has_slots =
                schema.entity(uid.entity_type()).is_some_and(|shape| !shape.slots.is_empty());
            fixed.contains(uid) || has_slots
        });
        let slices = arranged(set.policies(), schema, fixed);
        let compiled = CompiledPolicies::new(&slices, schema, fixed);
        let named = NamedEntities::new(uids, schema, fixed);
        Self { slices, compiled, literals, named_roles, named }
    }

    pub(super) fn compiled(&self) -> Option<&CompiledPolicies> {
        self.compiled.as_ref()
    }

    pub(crate) fn slices(&self) -> &Slices {
        &self.slices
    }

    /// Entities that the policies name and may look into, whatever the request is about.
    pub(crate) fn literals(&self) -> &[EntityUID] {
        &self.literals
    }

    /// The entities that the policies and the store itself say something about.
    pub(super) fn named(&self) -> &NamedEntities {
        &self.named
    }

    /// The roles that policies name themselves, as they do for singletons.
    pub(crate) fn named_roles(&self) -> &[(EntityUID, Slot)] {
        &self.named_roles
    }
}

/// Policies arranged for requests to a store, whichever policies the store itself has.
pub(crate) fn slices<'a>(
    store: &PolicyStore,
    policies: impl IntoIterator<Item = &'a Policy>,
) -> Slices {
    arranged(policies, store.schema(), store.fixed())
}

fn arranged<'a>(
    policies: impl IntoIterator<Item = &'a Policy>,
    schema: &StoreSchema,
    fixed: &FixedEntities,
) -> Slices {
    let actions: Vec<_> = schema
        .actions()
        .map(|action| {
            let ancestors =
                fixed.get(&action.uid).into_iter().flat_map(|entity| entity.ancestors().cloned());
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
