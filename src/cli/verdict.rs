//! A decision as it is printed, whether it was made here or by a running sidecar.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

use crate::{
    engine::{self, ClauseKind, Decision, Explanation},
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
    pub missing_roles: Vec<PrintedRole>,
    pub obstacles: Vec<PrintedObstacle>,
    pub carried_by: Vec<PrintedRole>,
    pub hints: Vec<RoleHint>,
    pub nearest: Vec<PrintedNearPermit>,
}

#[derive(Debug, Serialize)]
pub(super) struct RoleHint {
    pub add: PrintedRole,
    pub instead_of: Vec<PrintedRole>,
}

#[derive(Debug, Serialize)]
pub(super) struct PrintedRole {
    pub principal: String,
    pub role: String,
    pub scope: String,
    pub expires_at: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct PrintedObstacle {
    pub policy_id: String,
    pub advice: String,
    pub file: Option<String>,
    pub clauses: Vec<PrintedClause>,
}

#[derive(Debug, Serialize)]
pub(super) struct PrintedNearPermit {
    pub policy_id: String,
    pub file: Option<String>,
    pub clauses_held: usize,
    pub clause: PrintedClause,
}

#[derive(Debug, Serialize)]
pub(super) struct PrintedClause {
    pub kind: ClauseSection,
    pub text: String,
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub values: Vec<PrintedValue>,
    pub error: Option<String>,
}

/// The part of a policy that a clause belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ClauseSection {
    Principal,
    Action,
    Resource,
    When,
    Unless,
    /// One that a later version may add.
    Unknown,
}

#[derive(Debug, Serialize)]
pub(super) struct PrintedValue {
    pub expression: String,
    /// Null where it is absent.
    pub value: Option<String>,
    pub is_in: Vec<String>,
    pub is_in_more: usize,
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
            // The policies fit the schema, so that such an entity was not sent, or not all of it.
            if message.contains("` does not exist")
                || message.contains("does not have the attribute")
            {
                text.push_str("    send the entity with its attributes: `--entities FILE`\n");
            }
        }
        if let Some(reasons) = &self.explanation {
            let _ = writeln!(text, "  why: {}", reasons.summary);
            reasons.clauses(&mut text);
        } else if self.decision == Effect::Deny && self.determining_policies.is_empty() {
            text.push_str("  no policy allows this\n");
        }
        let _ = writeln!(text, "  revision {}", self.revision);
        text
    }
}

impl Reasons {
    /// Writes the clauses that the policies came to.
    fn clauses(&self, text: &mut String) {
        for PrintedNearPermit { policy_id, file, clause, .. } in &self.nearest {
            let _ = writeln!(text, "  near: {policy_id}");
            clause.write(text, file.as_deref(), false);
        }
        for PrintedObstacle { policy_id, file, clauses, .. } in &self.obstacles {
            if !clauses.is_empty() {
                let _ = writeln!(text, "  forbidden: {policy_id}");
            }
            clauses.iter().for_each(|clause| clause.write(text, file.as_deref(), true));
        }
    }
}

impl PrintedClause {
    fn place(&self, file: Option<&str>) -> String {
        let file = file.unwrap_or("an unknown file");
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
            _ => file.to_owned(),
        }
    }

    fn write(&self, text: &mut String, file: Option<&str>, holds: bool) {
        // The condition of an `unless` is false where the clause holds.
        let is = match (&self.error, holds == (self.kind == ClauseSection::Unless)) {
            (Some(error), _) => format!("failed: {error}"),
            (None, true) => "is false".to_owned(),
            (None, false) => "is true".to_owned(),
        };
        let unless = if self.kind == ClauseSection::Unless { "unless " } else { "" };
        let lines: Vec<_> = self.text.lines().map(str::trim).collect();
        let _ = writeln!(text, "    {}: {unless}`{}` {is}", self.place(file), lines.join(" "));
        for PrintedValue { expression, value, is_in, is_in_more } in &self.values {
            let value = value.as_ref().map_or("absent", String::as_str);
            let _ = write!(text, "      `{expression}` is {value}");
            if !is_in.is_empty() {
                let _ = write!(text, ", in {}", is_in.join(", "));
            }
            if *is_in_more > 0 {
                let _ = write!(text, " and {is_in_more} more");
            }
            text.push('\n');
        }
    }
}

impl From<Explanation> for Reasons {
    fn from(explanation: Explanation) -> Self {
        let obstacles = explanation.obstacles.into_iter().map(|obstacle| PrintedObstacle {
            policy_id: obstacle.policy_id,
            advice: obstacle.advice,
            file: obstacle.file,
            clauses: obstacle.clauses.into_iter().map(PrintedClause::from).collect(),
        });
        let nearest = explanation.nearest.into_iter().map(|near| PrintedNearPermit {
            policy_id: near.policy_id,
            file: near.file,
            clauses_held: near.clauses_held,
            clause: PrintedClause::from(near.clause),
        });
        Self {
            summary: explanation.summary,
            missing_roles: explanation.missing_roles.iter().map(PrintedRole::from).collect(),
            obstacles: obstacles.collect(),
            carried_by: explanation.carried_by.iter().map(PrintedRole::from).collect(),
            hints: explanation
                .hints
                .iter()
                .map(|hint| RoleHint {
                    add: PrintedRole::from(&hint.add),
                    instead_of: hint.instead_of.iter().map(PrintedRole::from).collect(),
                })
                .collect(),
            nearest: nearest.collect(),
        }
    }
}

impl From<engine::ClauseNote> for PrintedClause {
    fn from(note: engine::ClauseNote) -> Self {
        let values = note.values.into_iter().map(|value| PrintedValue {
            expression: value.expression,
            value: value.value,
            is_in: value.is_in,
            is_in_more: value.is_in_more,
        });
        Self {
            kind: match note.kind {
                ClauseKind::Principal => ClauseSection::Principal,
                ClauseKind::Action => ClauseSection::Action,
                ClauseKind::Resource => ClauseSection::Resource,
                ClauseKind::When => ClauseSection::When,
                ClauseKind::Unless => ClauseSection::Unless,
            },
            text: note.text,
            line: note.location.map(|location| location.line),
            column: note.location.map(|location| location.column),
            values: values.collect(),
            error: note.error,
        }
    }
}

impl From<&RoleAssignment> for PrintedRole {
    fn from(role: &RoleAssignment) -> Self {
        Self {
            principal: role.principal.to_string(),
            role: role.slot.to_string(),
            scope: role.scope.to_string(),
            expires_at: role.expires_at.map(|moment| moment.to_string()),
        }
    }
}
