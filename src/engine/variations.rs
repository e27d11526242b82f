//! Decisions on one request with other roles than it has.

use std::{cell::Cell, sync::Arc};

use super::{Decision, Engine, decide};
use crate::{
    model::OnForbidError,
    request::{Facts, Request, RoleAssignment, RoleAssignments},
    schema::ActionSchema,
};

/// Decisions that one explanation takes at most.
pub(super) const DECISIONS: usize = 200;
/// Facts that one explanation looks at, counted anew for each decision: some tens of milliseconds,
/// whatever the size of the request.
const FACTS: usize = 20_000;
/// Parents that cost as much to follow as one fact. Every entity may follow all of them.
const PARENTS_A_FACT: usize = 200;

/// Clauses of policies that may be evaluated for each decision that an explanation may take.
const CLAUSES_A_DECISION: usize = 10;

/// Decisions on the same request with other roles, as many as one explanation may take.
pub(super) struct Variations<'a> {
    pub(super) engine: &'a Engine,
    pub(super) request: &'a Request,
    on_forbid_error: OnForbidError,
    left: Cell<usize>,
}

impl<'a> Variations<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        request: &'a Request,
        on_forbid_error: OnForbidError,
    ) -> Self {
        let left = Cell::new(decisions_for(request));
        Self { engine, request, on_forbid_error, left }
    }

    /// Returns how many decisions are left.
    pub(super) fn left(&self) -> usize {
        self.left.get()
    }

    /// Returns how many clauses of policies an explanation may evaluate one by one.
    pub(super) fn clauses(&self) -> usize {
        decisions_for(self.request) * CLAUSES_A_DECISION
    }

    /// Returns the roles of the request that exist at its time.
    pub(super) fn roles(&self) -> impl Iterator<Item = &'a RoleAssignment> {
        self.request.facts.role_assignments.in_force(self.request.now)
    }

    /// Decides the request with other roles; nothing where no decision is left.
    pub(super) fn decide(&self, roles: Vec<RoleAssignment>) -> Option<Decision> {
        self.left.set(self.left.get().checked_sub(1)?);
        Some(decide(self.engine, &self.with(roles), self.on_forbid_error))
    }

    /// Counts the actions on the same resource that the principal may do with other roles; nothing
    /// where not enough decisions are left.
    pub(super) fn actions_allowed(&self, roles: &[RoleAssignment]) -> Option<usize> {
        let request = self.with(roles.to_vec());
        let (principal, resource) =
            (request.principal.entity_type(), request.resource.entity_type());
        let applies = |action: &&ActionSchema| {
            action.principals.contains(principal) && action.resources.contains(resource)
        };
        let actions: Vec<_> = self.engine.schema().actions().filter(applies).collect();
        // A compiled decision on another action takes a tenth of one on new facts.
        self.left.set(self.left.get().checked_sub(actions.len().div_ceil(10))?);
        let is_allowed = |action: &&&ActionSchema| {
            let request = Request { action: action.uid.clone(), ..request.clone() };
            decide(self.engine, &request, self.on_forbid_error).is_allow()
        };
        Some(actions.iter().filter(is_allowed).count())
    }

    fn with(&self, roles: Vec<RoleAssignment>) -> Request {
        let facts = Facts {
            entities: Arc::clone(&self.request.facts.entities),
            role_assignments: Arc::new(RoleAssignments::new(self.engine.schema(), roles)),
            held: self.request.facts.held.clone(),
        };
        Request { facts, ..self.request.clone() }
    }
}

/// Returns how many decisions the explanation of a request may take: the larger the request, the
/// fewer.
fn decisions_for(request: &Request) -> usize {
    (FACTS / facts_in(request)).min(DECISIONS)
}

/// Returns about how many facts a decision on a request may look at, at least 1.
pub(super) fn facts_in(request: &Request) -> usize {
    let entities = &request.facts.entities;
    let of_entities: usize = entities
        .iter()
        .map(|entity| 1 + entity.attributes.len() + entity.tags.len() + entity.parents.len())
        .sum();
    let parents: usize = entities.iter().map(|entity| entity.parents.len()).sum();
    let followed = entities.len().saturating_mul(parents) / PARENTS_A_FACT;
    1 + request.context.len() + request.facts.role_assignments.len() + of_entities + followed
}
