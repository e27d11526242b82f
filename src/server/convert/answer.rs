//! What a caller is answered, from the core to protobuf.

use bytes::BufMut;
use cedar_policy_core::ast::EntityUID;
use prost::{Message as _, encoding};

use super::time;
use crate::{
    engine::{Decision, Explanation, PolicyNote, UndecidedAction},
    model::Effect,
    proto,
    request::RoleAssignment,
    server::decision_id::DecisionId,
};

/// The answer to one question.
#[derive(Debug)]
pub(in crate::server) struct Response {
    /// What was decided. Its errors are in the rest.
    decision: Decision,
    /// Without the policies that made the decision, and without its name.
    rest: proto::IsAuthorizedResponse,
    id: DecisionId,
}

impl Response {
    /// What is answered after a decision.
    pub fn new(mut decision: Decision, explanation: Option<Explanation>, id: DecisionId) -> Self {
        let effect = match decision.effect {
            Effect::Allow => proto::Decision::Allow,
            Effect::Deny => proto::Decision::Deny,
        };
        let errors = std::mem::take(&mut decision.errors).into_iter();
        let errors = errors.map(|error| proto::EvaluationError {
            policy_id: error.policy_id,
            message: error.message,
        });
        let rest = proto::IsAuthorizedResponse {
            decision: effect.into(),
            determining_policies: Vec::new(),
            errors: errors.collect(),
            revision: decision.revision.to_string(),
            explanation: explanation.map(explained),
            decision_id: String::new(),
        };
        Self { decision, rest, id }
    }

    /// The decision, if nothing else is said that is about this question alone: an error or an
    /// explanation may name who asked.
    pub fn into_repeatable(self) -> Option<Decision> {
        let is_plain = self.rest.errors.is_empty() && self.rest.explanation.is_none();
        is_plain.then_some(self.decision)
    }

    /// Whether it is an allow.
    pub fn is_allow(&self) -> bool {
        self.decision.is_allow()
    }

    /// The whole as a message.
    pub fn into_message(self) -> proto::IsAuthorizedResponse {
        let determining_policies = self.decision.determining.iter().map(determining).collect();
        let decision_id = self.id.into();
        proto::IsAuthorizedResponse { determining_policies, decision_id, ..self.rest }
    }

    /// How many bytes [`Response::encode`] writes.
    pub fn encoded_len(&self) -> usize {
        let determining = self.decision.determining.iter().map(|policy| told(policy).len());
        let id = encoding::string::encoded_len(DECISION_ID, self.id.as_string());
        self.rest.encoded_len() + determining.sum::<usize>() + id
    }

    /// Writes the whole in protobuf, where fields come in any order: the text of the decision's name
    /// comes last.
    pub fn encode(&self, buffer: &mut impl BufMut) {
        self.rest.encode_raw(buffer);
        self.decision.determining.iter().for_each(|policy| buffer.put_slice(told(policy)));
        encoding::string::encode(DECISION_ID, self.id.as_string(), buffer);
    }
}

/// The field of the answer that tells of a policy. It is the same in each answer.
fn told(policy: &PolicyNote) -> &[u8] {
    policy.told(|policy| {
        let mut field = Vec::new();
        encoding::message::encode(DETERMINING_POLICIES, &determining(policy), &mut field);
        field.into()
    })
}

/// The number of the field `determining_policies`.
const DETERMINING_POLICIES: u32 = 2;
/// The number of the field `decision_id`.
const DECISION_ID: u32 = 6;

fn determining(policy: &PolicyNote) -> proto::DeterminingPolicy {
    let annotations = policy.annotations().map(|(name, value)| (name.to_owned(), value.to_owned()));
    proto::DeterminingPolicy {
        policy_id: policy.id().to_owned(),
        annotations: annotations.collect(),
    }
}

fn explained(explanation: Explanation) -> proto::Explanation {
    let assignments = |roles: Vec<RoleAssignment>| roles.iter().map(assignment).collect();
    let obstacles = explanation
        .obstacles
        .into_iter()
        .map(|obstacle| proto::Obstacle { policy_id: obstacle.policy_id, advice: obstacle.advice });
    proto::Explanation {
        summary: explanation.summary,
        missing_roles: assignments(explanation.missing_roles),
        obstacles: obstacles.collect(),
        carried_by: assignments(explanation.carried_by),
    }
}

fn assignment(role: &RoleAssignment) -> proto::RoleAssignment {
    proto::RoleAssignment {
        principal: Some(uid(&role.principal)),
        role: role.slot.to_string(),
        scope: Some(uid(&role.scope)),
        expires_at: role.expires_at.map(time::to_moment),
    }
}

/// An action that could not be decided.
pub(in crate::server) fn undecided(undecided: UndecidedAction) -> proto::UndecidedAction {
    proto::UndecidedAction { action: Some(uid(&undecided.action)), reason: undecided.reason }
}

/// The full name of an entity.
pub(in crate::server) fn uid(uid: &EntityUID) -> proto::EntityUid {
    proto::EntityUid {
        r#type: uid.entity_type().to_string(),
        id: AsRef::<str>::as_ref(uid.eid()).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use bytes::BytesMut;

    use super::*;
    use crate::{
        engine,
        model::{OnForbidError, Timestamp, Uid},
        request::{RequestInput, RequestLimits, RoleAssignmentInput},
        store::{Bounds, PolicyStore, embedded_stores},
    };

    #[test]
    fn bytes_and_message_say_the_same() {
        let files = embedded_stores().into_iter().find(|files| files.name().as_str() == "hitkeep");
        let store = PolicyStore::load(Arc::new(files.unwrap()), &Bounds::default()).unwrap();
        let now = Timestamp::from_millis(0);
        let input = |role: &str| RequestInput {
            principal: Some(Uid::new("User", "alice")),
            action: Some(Uid::action("site.goals.create")),
            resource: Some(Uid::new("Site", "42")),
            role_assignments: vec![RoleAssignmentInput {
                role: role.to_owned(),
                ..RoleAssignmentInput::default()
            }],
            ..RequestInput::default()
        };
        for (role, policies) in [("editor", 1), ("viewer", 0)] {
            let request = store.check(&input(role), now, &RequestLimits::default()).unwrap();
            let decision = engine::decide(&store, &request, OnForbidError::Deny);
            let explanation = engine::explain(&store, &request, &decision, OnForbidError::Deny);
            let answer = Response::new(decision, Some(explanation), DecisionId::new(now));
            let mut bytes = BytesMut::new();
            answer.encode(&mut bytes);
            assert_eq!(bytes.len(), answer.encoded_len());
            let read = proto::IsAuthorizedResponse::decode(bytes).unwrap();
            assert_eq!(read.determining_policies.len(), policies);
            assert_eq!(read, answer.into_message());
        }
    }
}
