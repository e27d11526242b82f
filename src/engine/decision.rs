//! A decision and the policies behind it.

use std::sync::Arc;

use super::{
    evaluate::{CedarDecision, EvaluationFailure},
    slices::PreparedPolicy,
};
use crate::model::Effect;

/// The answer to a request, with the policies and errors behind it.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The answer.
    pub effect: Effect,
    /// The policies that made it, by id. Empty for a deny to which no permit applied.
    pub determining: Vec<PolicyNote>,
    /// The policies whose evaluation failed, by id.
    pub errors: Vec<EvaluationFailure>,
    /// True where a permit applied, whatever the forbids say.
    pub(super) permitted: bool,
}

/// A policy that a decision names.
#[derive(Debug, Clone)]
pub struct PolicyNote {
    policy: Arc<PreparedPolicy>,
}

impl From<CedarDecision> for Decision {
    fn from(outcome: CedarDecision) -> Self {
        Self {
            effect: outcome.effect,
            determining: outcome
                .determining
                .into_iter()
                .map(|policy| PolicyNote { policy })
                .collect(),
            errors: outcome.errors,
            permitted: outcome.permitted,
        }
    }
}

impl Decision {
    /// Returns whether the answer is an allow.
    #[must_use]
    pub fn is_allow(&self) -> bool {
        self.effect == Effect::Allow
    }
}

impl PolicyNote {
    /// Returns the policy's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.policy.id()
    }

    /// Returns the policy's annotations, by name.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.policy.annotations()
    }

    /// Returns the value of one annotation.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations().find_map(|(key, value)| (key == name).then_some(value))
    }

    pub(super) fn is_forbid(&self) -> bool {
        self.policy.is_forbid()
    }

    pub(super) fn prepared(&self) -> &PreparedPolicy {
        &self.policy
    }
}
