//! Explanations, found by deciding again with one thing changed.

use std::collections::BTreeSet;

use cedar_policy_core::{ast::EntityUID, entities::Entities};

use super::{
    Decision, Engine, PolicyNote,
    clause_note::{ClauseEvaluation, ClauseNote},
    clauses::clauses,
    graph,
    hints::{Hint, hints},
    nearest::{NearPermit, nearest},
    variations::{DECISIONS, Variations},
};
use crate::{
    model::OnForbidError,
    request::{Request, RoleAssignment},
    schema::Slot,
};

/// The most forbids in one explanation whose clauses are listed.
const FORBIDS_WITH_CLAUSES: usize = 3;
/// Clauses of one forbid that are told.
const CLAUSES: usize = 16;

/// Sentence that is added where the size of a request left roles untried.
const UNTRIED: &str = " Not every role was tried, because the request is large.";

/// The reasons for a decision.
#[derive(Debug, Clone, Default)]
pub struct Explanation {
    /// The reason in a sentence.
    pub summary: String,
    /// For a deny to which no permit applied: with each of these, added alone, one would; it would
    /// be an allow once the obstacles are out of the way, and no other forbid would come in.
    pub missing_roles: Vec<RoleAssignment>,
    /// For a deny: the forbids that stood in the way.
    pub obstacles: Vec<Obstacle>,
    /// For a deny to which no permit applied: the permits that came nearest.
    pub nearest: Vec<NearPermit>,
    /// For a deny: changes of one role that would make it an allow, those that grant least first.
    pub hints: Vec<Hint>,
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
    /// The file that the policy is written in, a link that of its template.
    pub file: Option<String>,
    /// Its conditions, or its scope where it has none, up to one that failed. All others held.
    pub clauses: Vec<ClauseNote>,
}

/// Explains a decision on a request. `file_of` names the file in which the policy or template of an
/// id is written.
#[must_use]
pub fn explain(
    engine: &Engine,
    request: &Request,
    decision: &Decision,
    on_forbid_error: OnForbidError,
    file_of: &dyn Fn(&str) -> Option<String>,
) -> Explanation {
    let request = &graph::spelled_out(engine, request);
    let variations = Variations::new(engine, request, on_forbid_error);
    if decision.is_allow() {
        explain_allow(request, decision, &variations)
    } else {
        explain_deny(decision, &variations, file_of)
    }
}

fn explain_deny(
    decision: &Decision,
    variations: &Variations<'_>,
    file_of: &dyn Fn(&str) -> Option<String>,
) -> Explanation {
    let (engine, request) = (variations.engine, variations.request);
    let gathered = graph::readable_entities(engine, request);
    // Over entities that cannot be read no clause is what it was.
    let clauses_left = if gathered.is_ok() { variations.clauses() } else { 0 };
    let entities = gathered.map(|(entities, _)| entities).unwrap_or_default();
    let evaluation = ClauseEvaluation::new(engine, request, &entities);
    let forbids = || decision.determining.iter().filter(|policy| policy.is_forbid());
    let obstacles: Vec<_> = (0..)
        .zip(forbids())
        .map(|(number, policy)| Obstacle {
            policy_id: policy.id().to_owned(),
            advice: policy.annotation("advice").unwrap_or_default().to_owned(),
            file: file_of(policy.prepared().written_as()),
            clauses: if number < FORBIDS_WITH_CLAUSES {
                what_held(policy, &evaluation, clauses_left.min(CLAUSES))
            } else {
                Vec::new()
            },
        })
        .collect();
    let nearest = if decision.permitted || clauses_left == 0 {
        Vec::new()
    } else {
        nearest(engine, request, &evaluation, file_of, clauses_left)
    };
    let stood_already = |policy: &PolicyNote| forbids().any(|forbid| forbid.id() == policy.id());
    let candidates = candidates(engine, request, &entities);
    let count = candidates.len();
    let roles = &variations.request.facts.role_assignments;
    let tried: Vec<_> = candidates
        .into_iter()
        .map_while(|candidate| {
            let roles = roles.iter().chain([&candidate]).cloned().collect();
            Some((candidate, variations.decide(roles)?))
        })
        .collect();
    let untried = tried.len() < count;
    let would_do = |(_, with): &&(RoleAssignment, Decision)| {
        with.permitted
            && with.determining.iter().filter(|policy| policy.is_forbid()).all(stood_already)
    };
    let mut missing_roles = Vec::new();
    if !decision.permitted {
        missing_roles.extend(tried.iter().filter(would_do).map(|(role, _)| role.clone()));
    }
    let hints = hints(variations, &tried);
    let mut summary = summary_of_deny(decision, &missing_roles, untried, &obstacles);
    if let Some(hint) =
        hints.first().filter(|hint| missing_roles.len() > 1 || !hint.instead_of.is_empty())
    {
        summary.push_str(&summary_of_hint(hint));
    }
    if untried {
        summary.push_str(UNTRIED);
    }
    Explanation { summary, missing_roles, obstacles, nearest, hints, carried_by: Vec::new() }
}

/// Returns the clauses of a forbid that applied, up to one that failed.
fn what_held(
    policy: &PolicyNote,
    evaluation: &ClauseEvaluation<'_>,
    most: usize,
) -> Vec<ClauseNote> {
    let mut clauses = clauses(policy.prepared().policy());
    if clauses.iter().any(|clause| clause.condition().is_some()) {
        clauses.retain(|clause| clause.condition().is_some());
    }
    let mut notes = Vec::new();
    for clause in clauses.iter().take(most) {
        let holds = evaluation.holds(clause);
        notes.push(evaluation.note(clause, &holds));
        if holds != Ok(true) {
            break;
        }
    }
    notes
}

fn summary_of_hint(hint: &Hint) -> String {
    let role = |role: &RoleAssignment| format!("`{}` on {}", role.slot, role.scope);
    let instead: Vec<_> = hint.instead_of.iter().map(role).collect();
    match instead.as_slice() {
        [] => format!(" The least of them: {}.", role(&hint.add)),
        roles => {
            format!(
                " It would be allowed with {} instead of {}.",
                role(&hint.add),
                roles.join(" and ")
            )
        }
    }
}

fn explain_allow(
    request: &Request,
    decision: &Decision,
    variations: &Variations<'_>,
) -> Explanation {
    // Without a decision left nothing is said of a role.
    let allows = |roles| variations.decide(roles).is_none_or(|decision| decision.is_allow());
    let mut in_force: Vec<_> = request.facts.role_assignments.in_force(request.now).collect();
    // Each is tried twice at most, and once none at all.
    let tries = variations.left().saturating_sub(1) / 2;
    let untried = in_force.len() > tries;
    if untried {
        // The likeliest are tried first.
        in_force.sort_by_key(|role| {
            (role.scope != request.resource, role.principal != request.principal)
        });
        in_force.truncate(tries);
    }
    let without = |left_out: &RoleAssignment| {
        request.facts.role_assignments.iter().filter(|role| *role != left_out).cloned().collect()
    };
    let needed: Vec<_> =
        in_force.iter().copied().filter(|role| !allows(without(role))).cloned().collect();
    let carried_by = if needed.is_empty() && !in_force.is_empty() && !allows(Vec::new()) {
        in_force.iter().copied().filter(|role| allows(vec![(*role).clone()])).cloned().collect()
    } else {
        needed
    };
    let policies: Vec<_> =
        decision.determining.iter().map(|policy| format!("`{}`", policy.id())).collect();
    let roles: Vec<_> = carried_by.iter().map(describe).collect();
    let mut summary = match roles.as_slice() {
        [] if untried => format!("Allowed by {}.", policies.join(", ")),
        [] => format!("Allowed by {}, without any role assignment.", policies.join(", ")),
        roles => format!("Allowed by {}, because {}.", policies.join(", "), roles.join(" and ")),
    };
    if untried {
        summary.push_str(UNTRIED);
    }
    Explanation { summary, carried_by, ..Explanation::default() }
}

fn summary_of_deny(
    decision: &Decision,
    missing_roles: &[RoleAssignment],
    untried: bool,
    obstacles: &[Obstacle],
) -> String {
    let mut sentences = Vec::new();
    if !decision.permitted {
        let roles: Vec<_> =
            missing_roles.iter().map(|role| format!("`{}` on {}", role.slot, role.scope)).collect();
        sentences.push(match roles.as_slice() {
            [] if untried => "No policy allows this.".to_owned(),
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

/// Returns the roles that the principal could be given: every slot of every scope that the request touches,
/// and the roles that the policies name themselves.
fn candidates(engine: &Engine, request: &Request, touched: &Entities) -> Vec<RoleAssignment> {
    let mut scopes: Vec<&EntityUID> = touched.iter().map(|entity| entity.uid()).collect();
    scopes.sort_by_key(|uid| (*uid != &request.resource, (*uid).clone()));
    let slots_of = |scope: &EntityUID| -> Vec<(EntityUID, Slot)> {
        let shape = engine.schema().entity(scope.entity_type());
        shape
            .into_iter()
            .flat_map(|shape| shape.slots.keys())
            .map(|slot| (scope.clone(), slot.clone()))
            .collect()
    };
    let named = engine.named_roles().iter().cloned();
    let mut seen = BTreeSet::new();
    scopes
        .into_iter()
        .flat_map(slots_of)
        .chain(named)
        .filter(|role| seen.insert(role.clone()))
        .filter(|(scope, slot)| can_hold(engine, &request.principal, scope, slot))
        .take(DECISIONS + 1)
        .map(|(scope, slot)| RoleAssignment {
            principal: request.principal.clone(),
            slot,
            scope,
            expires_at: None,
        })
        .collect()
}

fn can_hold(engine: &Engine, principal: &EntityUID, scope: &EntityUID, slot: &Slot) -> bool {
    let shape = engine.schema().entity(principal.entity_type());
    let role = engine.schema().role(scope, slot);
    shape.zip(role).is_some_and(|(shape, role)| shape.parents.contains(role.entity_type()))
}
