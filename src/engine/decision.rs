//! What a decision is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Outcome, slices::PreparedPolicy};
use crate::name::Revision;

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// The principal may.
    Allow,
    /// The principal may not.
    Deny,
}

/// What a forbid whose evaluation fails does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnForbidError {
    /// It denies, like a forbid that applies. Nobody gets in because a guardrail broke.
    #[default]
    Deny,
    /// It is skipped, which is Cedar's own rule and fails open.
    Skip,
}

/// The answer to a request and where it comes from.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The answer.
    pub effect: Effect,
    /// The policies that made it, by id. Empty for a deny to which no permit applied.
    pub determining: Vec<PolicyNote>,
    /// The policies whose evaluation failed, by id.
    pub errors: Vec<EvaluationFailure>,
    /// Which policies and entities decided.
    pub revision: Revision,
    /// Whether a permit applied, whatever the forbids say.
    pub(super) permitted: bool,
}

/// A policy as it is told to a caller.
#[derive(Debug, Clone)]
pub struct PolicyNote {
    policy: Arc<PreparedPolicy>,
}

/// A policy whose evaluation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationFailure {
    /// The policy's id.
    pub policy_id: String,
    /// What went wrong, in Cedar's words.
    pub message: String,
}

impl Decision {
    pub(super) fn new(outcome: Outcome, revision: Revision) -> Self {
        let determining =
            outcome.determining.into_iter().map(|policy| PolicyNote { policy }).collect();
        Self {
            effect: outcome.effect,
            determining,
            errors: outcome.errors,
            revision,
            permitted: outcome.permitted,
        }
    }

    /// Whether the answer is an allow.
    #[must_use]
    pub fn is_allow(&self) -> bool {
        self.effect == Effect::Allow
    }
}

impl PolicyNote {
    /// The policy's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.policy.id()
    }

    /// The policy's annotations, by name.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.policy.annotations()
    }

    /// One annotation.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The policy in the form in which callers are told of it, which `tell` makes the first time
    /// that it is asked for. There is one such form.
    pub fn told(&self, tell: impl FnOnce(&Self) -> Box<[u8]>) -> &[u8] {
        self.policy.told(|| tell(self))
    }

    pub(super) fn is_forbid(&self) -> bool {
        self.policy.is_forbid()
    }
}
