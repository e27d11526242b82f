//! A decision as it is printed, whether it was made here or by a running sidecar.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

use crate::{
    engine::{Decision, Explanation},
    model::{Effect, Revision},
    request::RoleAssignment,
};

/// A decision. The names of the fields are those of the gRPC contract.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub decision: Effect,
    pub determining_policies: Vec<Policy>,
    pub errors: Vec<PolicyError>,
    pub explanation: Option<Reasons>,
    pub revision: String,
    /// Only a sidecar gives decisions an id.
    pub decision_id: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Policy {
    pub policy_id: String,
    pub annotations: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
pub(super) struct PolicyError {
    pub policy_id: String,
    pub message: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Reasons {
    pub summary: String,
    pub missing_roles: Vec<Role>,
    pub obstacles: Vec<Obstacle>,
    pub carried_by: Vec<Role>,
    pub hints: Vec<RoleHint>,
}

#[derive(Debug, Serialize)]
pub(super) struct RoleHint {
    pub add: Role,
    pub instead_of: Vec<Role>,
}

#[derive(Debug, Serialize)]
pub(super) struct Role {
    pub principal: String,
    pub role: String,
    pub scope: String,
    pub expires_at: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Obstacle {
    pub policy_id: String,
    pub advice: String,
}

impl Verdict {
    pub(super) fn new(
        decision: Decision,
        explanation: Option<Explanation>,
        revision: &Revision,
    ) -> Self {
        let policies = decision.determining.iter().map(|policy| Policy {
            policy_id: policy.id().to_owned(),
            annotations: policy
                .annotations()
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .collect(),
        });
        Self {
            decision: decision.effect,
            determining_policies: policies.collect(),
            errors: decision
                .errors
                .into_iter()
                .map(|error| PolicyError { policy_id: error.policy_id, message: error.message })
                .collect(),
            explanation: explanation.map(Reasons::from),
            revision: revision.to_string(),
            decision_id: None,
        }
    }

    /// The decision for people.
    pub(super) fn human(&self) -> String {
        let mut text = match self.decision {
            Effect::Allow => "ALLOW\n".to_owned(),
            Effect::Deny => "DENY\n".to_owned(),
        };
        for Policy { policy_id, annotations } in &self.determining_policies {
            let _ = write!(text, "  by {policy_id}");
            if let Some(doc) = annotations.get("doc") {
                let _ = write!(text, ": {doc}");
            }
            text.push('\n');
            if let Some(advice) = annotations.get("advice") {
                let _ = writeln!(text, "     advice: {advice}");
            }
        }
        for PolicyError { policy_id, message } in &self.errors {
            let _ = writeln!(text, "  error in {policy_id}: {message}");
        }
        if let Some(reasons) = &self.explanation {
            let _ = writeln!(text, "  why: {}", reasons.summary);
        } else if self.decision == Effect::Deny && self.determining_policies.is_empty() {
            text.push_str("  no policy allows this\n");
        }
        let _ = writeln!(text, "  revision {}", self.revision);
        text
    }
}

impl From<Explanation> for Reasons {
    fn from(explanation: Explanation) -> Self {
        let obstacles = explanation
            .obstacles
            .into_iter()
            .map(|obstacle| Obstacle { policy_id: obstacle.policy_id, advice: obstacle.advice });
        Self {
            summary: explanation.summary,
            missing_roles: explanation.missing_roles.iter().map(Role::from).collect(),
            obstacles: obstacles.collect(),
            carried_by: explanation.carried_by.iter().map(Role::from).collect(),
            hints: explanation
                .hints
                .iter()
                .map(|hint| RoleHint {
                    add: Role::from(&hint.add),
                    instead_of: hint.instead_of.iter().map(Role::from).collect(),
                })
                .collect(),
        }
    }
}

impl From<&RoleAssignment> for Role {
    fn from(role: &RoleAssignment) -> Self {
        Self {
            principal: role.principal.to_string(),
            role: role.slot.to_string(),
            scope: role.scope.to_string(),
            expires_at: role.expires_at.map(|moment| moment.to_string()),
        }
    }
}
