//! Types of which one entity stands for all: policies ask for roles on that entity by its name, and for no
//! others of its type.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_core::ast::{EntityType, EntityUID};
use smol_str::SmolStr;

use super::{constants::is_nameless, policy_reads::PolicyReads};
use crate::{
    engine::{PreparedPolicy, Scope},
    schema::EntityShape,
    store::PolicyStore,
};

/// The only entity of each type that has one.
pub(super) type Singletons = BTreeMap<EntityType, EntityUID>;

/// Returns the singletons of a store, e.g. `Instance::"main"` where policies name
/// `Role::"Instance::main#owner"`. Where a policy looks at the slots of whichever resource is asked about, an
/// entity that another one names is an exception, and no singleton.
pub(super) fn singletons(store: &PolicyStore) -> Singletons {
    let schema = store.schema();
    let slices = store.engine().slices();
    let policies: BTreeMap<_, _> =
        slices.policies().map(|one| (one.id(), Reads::of(one))).collect();
    let has_slots = |ty: &EntityType| schema.entity(ty).filter(|shape| !shape.slots.is_empty());
    let mut found = Singletons::new();
    for policy in policies.values() {
        let of_roles = policy.named.iter().filter_map(|uid| schema.scope_of(uid));
        let scopes = of_roles.map(|(scope, _)| scope);
        let direct = policy.named.iter().filter(|uid| {
            has_slots(uid.entity_type()).is_some_and(|shape| policy.looks_at_slots(shape))
        });
        for uid in scopes.chain(direct.cloned()).filter(|uid| !is_nameless(uid)) {
            let first = found.entry(uid.entity_type().clone()).or_insert_with(|| uid.clone());
            if uid < *first {
                *first = uid;
            }
        }
    }
    found.retain(|ty, _| {
        let Some(shape) = has_slots(ty) else { return false };
        !schema.actions().any(|action| {
            let all = slices.of_action(&action.uid).chain(slices.of_any());
            let mut reads = all.filter_map(|policy| policies.get(policy.id()));
            let is = |types: &[EntityType]| types.contains(ty);
            let asked = (is(&action.principals), is(&action.resources));
            reads.any(|policy| policy.looks_at_any(shape, asked))
        })
    });
    found
}

/// The facts that a policy looks at, and the entities that it names.
struct Reads<'a> {
    policy: &'a PreparedPolicy,
    facts: PolicyReads,
    named: BTreeSet<EntityUID>,
}

impl<'a> Reads<'a> {
    fn of(policy: &'a PreparedPolicy) -> Self {
        let facts = PolicyReads::of(policy.policy());
        let named = facts.entities.iter().chain(policy.variables().values()).cloned().collect();
        Self { policy, facts, named }
    }

    /// Returns whether the policy looks at a slot of that type's, of whatever entity.
    fn looks_at_slots(&self, shape: &EntityShape) -> bool {
        let PolicyReads { of_principal, of_resource, of_others, .. } = &self.facts;
        [of_principal, of_resource, of_others].into_iter().any(|fields| has_slot(shape, fields))
    }

    /// Returns whether the policy looks at a slot of whichever entity of that type is principal, resource, or
    /// what something refers to. `asked` says which of the first two may be of the type.
    fn looks_at_any(&self, shape: &EntityShape, asked: (bool, bool)) -> bool {
        let ty = &shape.entity_type;
        let is_open = |scope: &Scope| {
            scope.entity_type.as_deref().is_none_or(|only| only == ty) && !scope.exact
        };
        let names_one = self.named.iter().any(|uid| uid.entity_type() == ty);
        (asked.0 && is_open(self.policy.principal()) && has_slot(shape, &self.facts.of_principal))
            || (asked.1
                && is_open(self.policy.resource())
                && has_slot(shape, &self.facts.of_resource))
            || (!names_one && has_slot(shape, &self.facts.of_others))
    }
}

fn has_slot(shape: &EntityShape, fields: &BTreeSet<SmolStr>) -> bool {
    fields.iter().any(|field| shape.slots.contains_key(field.as_str()))
}
