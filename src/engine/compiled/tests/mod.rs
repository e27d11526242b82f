//! The compiled form against Cedar's evaluator.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod chosen;
pub mod generated;
pub mod held;
mod narrow;
pub mod sample;
mod shipped;

use super::CompiledPolicies;
use crate::{
    engine::{CedarDecision, Slices, cedar_request, evaluate, request_entities},
    model::{Effect, OnForbidError},
    request::Request,
    store::PolicyStore,
};

/// Numbers of requests: those that compiled policies decided, and those left to Cedar.
#[derive(Debug, Default)]
struct Tally {
    compiled: usize,
    allowed: usize,
    forbidden: usize,
    left: usize,
    failed: usize,
}

/// Returns the observable parts of an answer.
fn seen(outcome: &CedarDecision) -> (Effect, bool, Vec<&str>, usize) {
    (outcome.effect, outcome.permitted, outcome.determining().collect(), outcome.errors.len())
}

/// Holds the compiled form against Cedar's evaluator on one request, if it has an answer.
fn compare(
    compiled: &CompiledPolicies,
    slices: &Slices,
    store: &PolicyStore,
    request: &Request,
    tally: &mut Tally,
) -> Result<(), String> {
    let entities = request_entities(store.engine(), request)?;
    let cedar = evaluate(slices, &cedar_request(request), &entities, OnForbidError::Deny);
    let Some(ours) = compiled.decide(store.schema(), store.engine().stored(), request) else {
        tally.left += 1;
        tally.failed += usize::from(!cedar.errors.is_empty());
        return Ok(());
    };
    tally.compiled += 1;
    tally.allowed += usize::from(ours.effect == Effect::Allow);
    tally.forbidden += usize::from(ours.permitted && ours.effect == Effect::Deny);
    // An answer with errors is never ours, so it does not matter here what a failing forbid does.
    if seen(&ours) == seen(&cedar) {
        Ok(())
    } else {
        Err(format!("{:?}, but Cedar {:?}: {:?}", seen(&ours), seen(&cedar), cedar.errors))
    }
}

/// Holds the evaluator that is Humbaba's own arrangement against Cedar's authorizer on all policies.
fn compare_with_authorizer(
    slices: &Slices,
    policies: &cedar_policy_core::ast::PolicySet,
    store: &PolicyStore,
    request: &Request,
) -> Result<(), String> {
    use cedar_policy_core::authorizer::{AuthorizationError, Authorizer, Decision};

    let entities = request_entities(store.engine(), request)?;
    let request = cedar_request(request);
    let ours = evaluate(slices, &request, &entities, OnForbidError::Skip);
    let cedar = Authorizer::new().is_authorized(request, policies, &entities);
    let mut reasons: Vec<&str> = cedar.diagnostics.reason.iter().map(AsRef::as_ref).collect();
    reasons.sort_unstable();
    let errors = cedar.diagnostics.errors.iter().map(|error| match error {
        AuthorizationError::PolicyEvaluationError { id, error } => {
            (id.to_string(), error.to_string())
        }
    });
    let mut errors: Vec<_> = errors.collect();
    errors.sort();
    let failures = ours.errors.iter();
    let failures: Vec<_> = failures.map(|e| (e.policy_id.clone(), e.message.clone())).collect();
    let same = (ours.effect == Effect::Allow) == (cedar.decision == Decision::Allow)
        && ours.determining().eq(reasons.iter().copied())
        && failures == errors;
    if same { Ok(()) } else { Err(format!("{ours:?}, but the authorizer {cedar:?}")) }
}
