//! From the core to protobuf.

use cedar_policy_core::ast::EntityUID;

use super::time;
use crate::{
    engine::{
        ClauseKind, ClauseNote, ClauseValue, Decision, Explanation, Hint, NearPermit, Obstacle,
        PolicyNote, UndecidedAction, UndecidedEntity,
    },
    grpc::decision_id::DecisionId,
    model::{Effect, Revision},
    proto,
    request::{Grant, HeldFacts, RoleAssignment},
};

/// Returns the answer to one question.
pub(in crate::grpc) fn is_authorized_response(
    decision: Decision,
    explanation: Option<Explanation>,
    held: Option<&dyn HeldFacts>,
    revision: &Revision,
    id: DecisionId,
) -> proto::IsAuthorizedResponse {
    let effect = match decision.effect {
        Effect::Allow => proto::Decision::Allow,
        Effect::Deny => proto::Decision::Deny,
    };
    let errors = decision
        .errors
        .into_iter()
        .map(|error| proto::EvaluationError { policy_id: error.policy_id, message: error.message });
    proto::IsAuthorizedResponse {
        decision: effect.into(),
        determining_policies: decision.determining.iter().map(determining).collect(),
        errors: errors.collect(),
        revision: revision.to_string(),
        explanation: explanation.map(|explanation| explained(explanation, held)),
        decision_id: id.into(),
        directory_version: String::new(),
    }
}

fn determining(policy: &PolicyNote) -> proto::DeterminingPolicy {
    let annotations = policy.annotations().map(|(name, value)| (name.to_owned(), value.to_owned()));
    proto::DeterminingPolicy {
        policy_id: policy.id().to_owned(),
        annotations: annotations.collect(),
    }
}

fn explained(explanation: Explanation, held: Option<&dyn HeldFacts>) -> proto::Explanation {
    let assignments = |roles: Vec<RoleAssignment>| roles.iter().map(assignment).collect();
    proto::Explanation {
        summary: explanation.summary,
        missing_roles: assignments(explanation.missing_roles),
        obstacles: explanation.obstacles.into_iter().map(obstacle).collect(),
        carried_by: explanation.carried_by.iter().map(|role| granted(role, held)).collect(),
        hints: explanation.hints.into_iter().map(hint).collect(),
        nearest: explanation.nearest.into_iter().map(near_permit).collect(),
    }
}

fn obstacle(obstacle: Obstacle) -> proto::Obstacle {
    proto::Obstacle {
        policy_id: obstacle.policy_id,
        advice: obstacle.advice,
        file: obstacle.file.unwrap_or_default(),
        clauses: obstacle.clauses.into_iter().map(clause).collect(),
    }
}

fn near_permit(near: NearPermit) -> proto::NearPermit {
    proto::NearPermit {
        policy_id: near.policy_id,
        file: near.file.unwrap_or_default(),
        clauses_held: number(near.clauses_held),
        clause: Some(clause(near.clause)),
    }
}

fn clause(note: ClauseNote) -> proto::Clause {
    let kind = match note.kind {
        ClauseKind::Principal => proto::ClauseKind::Principal,
        ClauseKind::Action => proto::ClauseKind::Action,
        ClauseKind::Resource => proto::ClauseKind::Resource,
        ClauseKind::When => proto::ClauseKind::When,
        ClauseKind::Unless => proto::ClauseKind::Unless,
    };
    proto::Clause {
        kind: kind.into(),
        text: note.text,
        line: note.location.map_or(0, |location| number(location.line)),
        column: note.location.map_or(0, |location| number(location.column)),
        values: note.values.into_iter().map(clause_value).collect(),
        error: note.error.unwrap_or_default(),
    }
}

fn clause_value(value: ClauseValue) -> proto::ClauseValue {
    proto::ClauseValue {
        expression: value.expression,
        value: value.value,
        is_in: value.is_in,
        is_in_more: number(value.is_in_more),
    }
}

fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn hint(hint: Hint) -> proto::Hint {
    proto::Hint {
        add: Some(assignment(&hint.add)),
        instead_of: hint.instead_of.iter().map(assignment).collect(),
    }
}

/// Returns an assignment with who granted it, where the directory holds it.
fn granted(role: &RoleAssignment, held: Option<&dyn HeldFacts>) -> proto::RoleAssignment {
    let grant = held.and_then(|held| {
        let (principal, scope) = (held.place(&role.principal)?, held.place(&role.scope)?);
        held.grant(principal, scope, role.slot.as_str())
    });
    proto::RoleAssignment { grant: grant.map(self::grant), ..assignment(role) }
}

/// Returns who granted a role, when and why.
pub(in crate::grpc) fn grant(grant: Grant) -> proto::Grant {
    proto::Grant {
        granted_at: grant.granted_at.map(time::to_moment),
        granted_by: grant.granted_by,
        reason: grant.reason,
    }
}

fn assignment(role: &RoleAssignment) -> proto::RoleAssignment {
    proto::RoleAssignment {
        principal: Some(uid(&role.principal)),
        role: role.slot.to_string(),
        scope: Some(uid(&role.scope)),
        expires_at: role.expires_at.map(time::to_moment),
        grant: None,
    }
}

/// Returns an action that could not be decided.
pub(in crate::grpc) fn undecided(undecided: UndecidedAction) -> proto::UndecidedAction {
    proto::UndecidedAction { action: Some(uid(&undecided.action)), reason: undecided.reason }
}

/// Returns an entity that could not be decided.
pub(in crate::grpc) fn undecided_entity(undecided: UndecidedEntity) -> proto::UndecidedEntity {
    proto::UndecidedEntity { entity: Some(uid(&undecided.entity)), reason: undecided.reason }
}

/// Returns the full name of an entity.
pub(in crate::grpc) fn uid(uid: &EntityUID) -> proto::EntityUid {
    proto::EntityUid {
        r#type: uid.entity_type().to_string(),
        id: AsRef::<str>::as_ref(uid.eid()).to_owned(),
    }
}
