//! The answer to a request, and the rule for guards that fail.

use serde::{Deserialize, Serialize};

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// The request is allowed.
    Allow,
    /// The request is denied.
    Deny,
}

/// The rule for a forbid whose evaluation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnForbidError {
    /// It denies, like a forbid that applies. Nobody gets in because a guardrail broke.
    #[default]
    Deny,
    /// It is skipped, which is Cedar's own rule and fails open.
    Skip,
}
