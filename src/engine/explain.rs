//! Why a decision came out as it did, found by deciding again with one thing changed.

use std::collections::BTreeSet;

use cedar_policy_core::ast::EntityUID;

use super::{Decision, OnForbidError, decide, graph};
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
    /// For a deny: each of these, added alone, would turn it into an allow.
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
    let allows = |role_assignments: Vec<RoleAssignment>| {
        let request = Request { role_assignments, ..request.clone() };
        decide(store, &request, on_forbid_error).is_allow()
    };
    if decision.is_allow() {
        return explain_allow(request, decision, allows);
    }
    let missing_roles: Vec<_> = candidates(store, request)
        .into_iter()
        .filter(|candidate| allows([&request.role_assignments[..], &[candidate.clone()]].concat()))
        .collect();
    let forbids = decision.determining.iter().filter(|policy| policy.is_forbid());
    let obstacles: Vec<_> = forbids
        .map(|policy| Obstacle {
            policy_id: policy.id().to_owned(),
            advice: policy.annotation("advice").unwrap_or_default().to_owned(),
        })
        .collect();
    Explanation {
        summary: summary_of_deny(&missing_roles, &obstacles),
        missing_roles,
        obstacles,
        carried_by: Vec::new(),
    }
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

fn summary_of_deny(missing_roles: &[RoleAssignment], obstacles: &[Obstacle]) -> String {
    if let [first, ..] = obstacles {
        let advice =
            if first.advice.is_empty() { String::new() } else { format!(": {}", first.advice) };
        return format!("Denied by `{}`{advice}", first.policy_id);
    }
    let roles: Vec<_> =
        missing_roles.iter().map(|role| format!("`{}` on {}", role.slot, role.scope)).collect();
    if roles.is_empty() {
        "Denied: no policy allows this, and no single role would change it.".to_owned()
    } else {
        format!("Denied: no policy allows this. One of these roles would: {}.", roles.join(", "))
    }
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
