//! Deciding cases.

use super::{
    case::{Case, Expectation, ExpectedPolicies},
    report::{CaseFailure, CaseResult, Got, effect_name},
};
use crate::{
    engine::{Decision, decide},
    model::{Effect, OnForbidError},
    request::{Request, RequestLimits},
    store::PolicyStore,
};

/// Decides one case.
pub(super) fn run(store: &PolicyStore, case: Case) -> CaseResult {
    let checked = store.check(&case.input, case.now, &RequestLimits::default());
    let failure = match checked {
        Ok(request) => {
            let decision = decide(store.engine(), &request, OnForbidError::Deny);
            failure(&case.expectation, &decision)
                .map(|reason| CaseFailure { reason, got: got(store, &request, &decision) })
        }
        Err(violations) => {
            let violations: Vec<_> = violations.iter().map(ToString::to_string).collect();
            unexpected_refusal(&case.expectation, &violations)
                .map(|reason| CaseFailure { reason, got: Got::Invalid(violations) })
        }
    };
    CaseResult { case, failure }
}

fn got(store: &PolicyStore, request: &Request, decision: &Decision) -> Got {
    Got::Decision {
        effect: decision.effect,
        policies: decision.determining.iter().map(|policy| policy.id().to_owned()).collect(),
        errors: decision
            .errors
            .iter()
            .map(|error| format!("{}: {}", error.policy_id, error.message))
            .collect(),
        explanation: store.explain(request, decision, OnForbidError::Deny).summary,
    }
}

fn unexpected_refusal(expectation: &Expectation, violations: &[String]) -> Option<String> {
    match expectation {
        Expectation::Invalid { message: Some(message) } => {
            let said = violations.iter().any(|violation| violation.contains(message));
            (!said).then(|| format!("no violation says `{message}`"))
        }
        Expectation::Invalid { message: None } => None,
        Expectation::Decision { .. } => Some("the request does not fit the schema".to_owned()),
    }
}

/// Why a decision is not the expected one.
fn failure(expectation: &Expectation, decision: &Decision) -> Option<String> {
    let policies = decision.determining.iter().map(|policy| policy.id());
    let policies: Vec<&str> = policies.collect();
    mismatch(expectation, decision.effect, &policies, decision.errors.len())
}

/// Why an answer is not the expected one. The policies are in the order of their ids.
pub(super) fn mismatch(
    expectation: &Expectation,
    got: Effect,
    policies: &[&str],
    errors: usize,
) -> Option<String> {
    let (effect, expected_policies, expected_errors) = match expectation {
        Expectation::Decision { effect, policies, errors } => (effect, policies, errors),
        Expectation::Invalid { .. } => {
            return Some("the request fits the schema, and was to be refused".to_owned());
        }
    };
    if *effect != got {
        return Some(format!("expected {}, got {}", effect_name(*effect), effect_name(got)));
    }
    match expected_policies {
        ExpectedPolicies::Any => {}
        ExpectedPolicies::Among(ids) => {
            let missing: Vec<_> =
                ids.iter().filter(|id| !policies.contains(&id.as_str())).cloned().collect();
            if !missing.is_empty() {
                return Some(format!("not decided by `{}`", missing.join("`, `")));
            }
        }
        ExpectedPolicies::Exactly(ids) => {
            let mut ids: Vec<_> = ids.iter().map(String::as_str).collect();
            ids.sort_unstable();
            ids.dedup();
            if ids != policies {
                return Some("decided by other policies".to_owned());
            }
        }
    }
    match expected_errors {
        Some(expected) if *expected != errors => {
            Some(format!("{errors} policies failed, expected {expected}"))
        }
        _ => None,
    }
}
