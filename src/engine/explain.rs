//! Why a decision came out as it did, found by deciding again with one thing changed.

use std::{collections::BTreeSet, slice};

use cedar_policy_core::ast::EntityUID;

use super::{Decision, OnForbidError, PolicyNote, decide, graph};
use crate::{
    request::{Request, RoleAssignment},
    roles::Slot,
    store::PolicyStore,
};

/// How many roles are tried at most for one explanation.
const CANDIDATES: usize = 200;

/// Why a decision came out as it did.
#[derive(Debug, Clone, Default)]
pub struct Explanation {
    /// The reason in a sentence.
    pub summary: String,
    /// For a deny to which no permit applied: with each of these, added alone, one would; it would
    /// be an allow once the obstacles are out of the way, and no other forbid would come in.
    pub missing_roles: Vec<RoleAssignment>,
    /// For a deny: the forbids that stood in the way.
    pub obstacles: Vec<Obstacle>,
    /// For an allow: taking one of these away would make it a deny or, where several carry it
    /// independently, each of them alone would be enough.
    pub carried_by: Vec<RoleAssignment>,
}

/// A forbid that stood in the way.
#[derive(Debug, Clone)]
pub struct Obstacle {
    /// The policy's id.
    pub policy_id: String,
    /// The policy's `@advice`, or nothing.
    pub advice: String,
}

/// Explains a decision on a request.
#[must_use]
pub fn explain(
    store: &PolicyStore,
    request: &Request,
    decision: &Decision,
    on_forbid_error: OnForbidError,
) -> Explanation {
    let decide_with = |role_assignments: Vec<RoleAssignment>| {
        let request = Request { role_assignments, ..request.clone() };
        decide(store, &request, on_forbid_error)
    };
    if decision.is_allow() {
        return explain_allow(request, decision, |roles| decide_with(roles).is_allow());
    }
    let forbids = || decision.determining.iter().filter(|policy| policy.is_forbid());
    let obstacles: Vec<_> = forbids()
        .map(|policy| Obstacle {
            policy_id: policy.id().to_owned(),
            advice: policy.annotation("advice").unwrap_or_default().to_owned(),
        })
        .collect();
    let stood_already = |policy: &PolicyNote| forbids().any(|forbid| forbid.id() == policy.id());
    let would_do = |candidate: &RoleAssignment| {
        let roles = [&request.role_assignments[..], slice::from_ref(candidate)].concat();
        let decision = decide_with(roles);
        decision.permitted
            && decision.determining.iter().filter(|policy| policy.is_forbid()).all(stood_already)
    };
    let missing_roles: Vec<_> = if decision.permitted {
        Vec::new()
    } else {
        candidates(store, request).into_iter().filter(would_do).collect()
    };
    let summary = summary_of_deny(decision, &missing_roles, &obstacles);
    Explanation { summary, missing_roles, obstacles, carried_by: Vec::new() }
}

fn explain_allow(
    request: &Request,
    decision: &Decision,
    allows: impl Fn(Vec<RoleAssignment>) -> bool,
) -> Explanation {
    let in_force: Vec<_> = request
        .role_assignments
        .iter()
        .filter(|role| role.is_in_force(request.now))
        .take(CANDIDATES)
        .collect();
    let without = |left_out: &RoleAssignment| {
        request.role_assignments.iter().filter(|role| *role != left_out).cloned().collect()
    };
    let needed: Vec<_> =
        in_force.iter().copied().filter(|role| !allows(without(role))).cloned().collect();
    let carried_by = if needed.is_empty() && !allows(Vec::new()) {
        in_force.iter().copied().filter(|role| allows(vec![(*role).clone()])).cloned().collect()
    } else {
        needed
    };
    let policies: Vec<_> =
        decision.determining.iter().map(|policy| format!("`{}`", policy.id())).collect();
    let roles: Vec<_> = carried_by.iter().map(describe).collect();
    let summary = if roles.is_empty() {
        format!("Allowed by {}, without any role assignment.", policies.join(", "))
    } else {
        format!("Allowed by {}, because {}.", policies.join(", "), roles.join(" and "))
    };
    Explanation { summary, carried_by, ..Explanation::default() }
}

fn summary_of_deny(
    decision: &Decision,
    missing_roles: &[RoleAssignment],
    obstacles: &[Obstacle],
) -> String {
    let mut sentences = Vec::new();
    if !decision.permitted {
        let roles: Vec<_> =
            missing_roles.iter().map(|role| format!("`{}` on {}", role.slot, role.scope)).collect();
        sentences.push(match roles.as_slice() {
            [] => "No policy allows this, and no single role would change that.".to_owned(),
            [role] => format!("No policy allows this without the role {role}."),
            roles => {
                format!("No policy allows this without one of these roles: {}.", roles.join(", "))
            }
        });
    }
    sentences.extend(obstacles.iter().map(|obstacle| match obstacle.advice.as_str() {
        "" => format!("`{}` forbids it.", obstacle.policy_id),
        advice => format!("`{}` forbids it: {advice}", obstacle.policy_id),
    }));
    format!("Denied. {}", sentences.join(" "))
}

fn describe(role: &RoleAssignment) -> String {
    format!("{} is `{}` on {}", role.principal, role.slot, role.scope)
}

/// The roles that the principal could be given: every slot of every scope that the request touches,
/// and the roles that the policies name themselves.
fn candidates(store: &PolicyStore, request: &Request) -> Vec<RoleAssignment> {
    let touched = graph::entities(store, request).unwrap_or_default();
    let mut scopes: Vec<&EntityUID> = touched.iter().map(|entity| entity.uid()).collect();
    scopes.sort_by_key(|uid| (*uid != &request.resource, (*uid).clone()));
    let slots_of = |scope: &EntityUID| -> Vec<(EntityUID, Slot)> {
        let shape = store.schema().entity(scope.entity_type());
        shape
            .into_iter()
            .flat_map(|shape| shape.slots.keys())
            .map(|slot| (scope.clone(), slot.clone()))
            .collect()
    };
    let named = store.prepared().named_roles().iter().cloned();
    let mut seen = BTreeSet::new();
    scopes
        .into_iter()
        .flat_map(slots_of)
        .chain(named)
        .filter(|role| seen.insert(role.clone()))
        .filter(|(scope, slot)| can_hold(store, &request.principal, scope, slot))
        .take(CANDIDATES)
        .map(|(scope, slot)| RoleAssignment {
            principal: request.principal.clone(),
            slot,
            scope,
            expires_at: None,
        })
        .collect()
}

fn can_hold(store: &PolicyStore, principal: &EntityUID, scope: &EntityUID, slot: &Slot) -> bool {
    let shape = store.schema().entity(principal.entity_type());
    let role = store.schema().role(scope, slot);
    shape.zip(role).is_some_and(|(shape, role)| shape.parents.contains(role.entity_type()))
}
