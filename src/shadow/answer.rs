//! Answers, and how two of them differ.

use std::fmt;

use serde::Serialize;

use crate::{
    engine::{Decision, PolicyNote},
    model::Effect,
    request::Violation,
};

/// An answer and the policies behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShadowAnswer {
    /// Allow or deny.
    pub decision: Effect,
    /// The ids of the determining policies.
    pub policies: Vec<String>,
}

/// The candidate's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shadowed {
    /// It decides.
    Decided(ShadowAnswer),
    /// It refuses the question because of that field.
    Refused(String),
}

/// The change that the candidate would make to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ShadowDirection {
    /// It was denied and would be allowed.
    Gain,
    /// It was allowed and would be denied.
    Loss,
    /// It was decided and would be refused, since it does not fit the candidate's schema.
    Refused,
}

impl ShadowDirection {
    /// The name, as metrics and status write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gain => "gain",
            Self::Loss => "loss",
            Self::Refused => "refused",
        }
    }
}

impl Shadowed {
    pub(super) fn refused(violations: Vec<Violation>) -> Self {
        let field = violations.into_iter().next().map(|violation| violation.field);
        Self::Refused(field.unwrap_or_default())
    }

    /// Returns how it differs from the answer that was given, if it does.
    pub(super) fn direction(&self, given: &ShadowAnswer) -> Option<ShadowDirection> {
        match (given.decision, self) {
            (_, Self::Refused(_)) => Some(ShadowDirection::Refused),
            (Effect::Deny, Self::Decided(ShadowAnswer { decision: Effect::Allow, .. })) => {
                Some(ShadowDirection::Gain)
            }
            (Effect::Allow, Self::Decided(ShadowAnswer { decision: Effect::Deny, .. })) => {
                Some(ShadowDirection::Loss)
            }
            (_, Self::Decided(_)) => None,
        }
    }
}

impl From<&Decision> for ShadowAnswer {
    fn from(decision: &Decision) -> Self {
        let policies = decision.determining.iter().map(PolicyNote::id).map(str::to_owned);
        Self { decision: decision.effect, policies: policies.collect() }
    }
}

impl fmt::Display for ShadowAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decision = match self.decision {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        write!(f, "{decision} by {:?}", self.policies)
    }
}

impl fmt::Display for Shadowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decided(answer) => answer.fmt(f),
            Self::Refused(field) => write!(f, "refused because of the field `{field}`"),
        }
    }
}
