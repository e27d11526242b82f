//! The policies that can have a say in a request.

use std::sync::Arc;

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::{evaluation::Evaluation, truth::Truth, world::World};
use crate::engine::{Engine, PreparedPolicy};

/// The policies of a store that apply to an action and to types of principal and resource, in the
/// order of their ids.
pub(super) struct Policies<'a> {
    pub engine: &'a Engine,
    pub permits: Vec<&'a PreparedPolicy>,
    pub forbids: Vec<&'a PreparedPolicy>,
}

impl<'a> Policies<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        action: &EntityUID,
        principal: &EntityType,
        resource: &EntityType,
    ) -> Self {
        let slices = engine.slices();
        let mut all: Vec<&Arc<PreparedPolicy>> =
            slices.of_action(action).chain(slices.of_any()).collect();
        all.sort_by_key(|policy| policy.id());
        let fits = |scope: &crate::engine::Scope, ty: &EntityType| {
            let parents = engine.schema().entity(ty).map(|shape| &shape.parents);
            let may_be_in = |of: &EntityType| parents.is_some_and(|types| types.contains(of));
            let entity = scope.entity.as_deref().map(EntityUID::entity_type);
            scope.entity_type.as_deref().is_none_or(|of| of == ty)
                && entity.is_none_or(|of| of == ty || (!scope.exact && may_be_in(of)))
        };
        let (forbids, permits) = all
            .into_iter()
            .map(|policy| &**policy)
            .filter(|policy| {
                fits(policy.principal(), principal) && fits(policy.resource(), resource)
            })
            .partition(|policy| policy.is_forbid());
        Self { engine, permits, forbids }
    }

    /// Returns whether the request of a world is allowed.
    pub(super) fn allow(&self, world: &World<'_>) -> Truth {
        let first = world.notes();
        if world.is_refused_by(self.engine.schema()) {
            return Truth::False;
        }
        // A forbid that applies decides alone, so it is the cheaper reason for a deny.
        let forbidden = self.any_applies(&self.forbids, world);
        if forbidden == Truth::True {
            return Truth::False;
        }
        let of_permits = world.notes();
        let permitted = self.any_applies(&self.permits, world);
        if permitted == Truth::False {
            world.forget_notes(first..of_permits);
        }
        Truth::all([permitted, forbidden.not()])
    }

    /// Returns whether a policy applies. Of one that does no others are noted: it decides alone.
    fn any_applies(&self, policies: &[&PreparedPolicy], world: &World<'_>) -> Truth {
        let (evaluation, first) = (Evaluation::new(self.engine, world), world.notes());
        Truth::any(policies.iter().map(|policy| {
            let own = world.notes();
            let applies = evaluation.applies(policy);
            if applies == Truth::True {
                world.forget_notes(first..own);
            }
            applies
        }))
    }

    /// Returns whether a policy of the store applies to the request of a world.
    pub(super) fn applies(&self, policy: &PreparedPolicy, world: &World<'_>) -> Truth {
        Evaluation::new(self.engine, world).applies(policy)
    }
}
