//! The decision: compiled policies, or Cedar's evaluator where they do not suffice.

use cedar_policy_core::entities::Entities;

use super::{CedarDecision, Decision, Engine, EvaluationFailure, evaluate, graph};
use crate::{model::OnForbidError, request::Request};

/// Decides a request that fits the store's schema.
#[must_use]
pub fn decide(engine: &Engine, request: &Request, on_forbid_error: OnForbidError) -> Decision {
    match decide_compiled(engine, request) {
        Some(decision) => decision,
        None => decide_by_cedar(engine, request, on_forbid_error),
    }
}

/// Decides a request by the compiled policies alone; nothing where they do not suffice, as where an
/// evaluation fails. For comparing it with [`decide_by_cedar`].
#[must_use]
pub fn decide_compiled(engine: &Engine, request: &Request) -> Option<Decision> {
    engine.compiled()?.decide(engine.schema(), engine.stored(), request).map(Decision::from)
}

/// Decides a request by Cedar's evaluator alone. The answer is that of [`decide`], only slower.
#[must_use]
pub fn decide_by_cedar(
    engine: &Engine,
    request: &Request,
    on_forbid_error: OnForbidError,
) -> Decision {
    let (entities, unreadable) = match graph::readable_entities(engine, request) {
        Ok(gathered) => gathered,
        Err(message) => return Decision::from(CedarDecision::undecidable(message)),
    };
    let mut outcome = outcome(engine, request, &entities, on_forbid_error);
    if let Some(message) = unreadable.filter(|_| outcome.reads_unknown) {
        outcome.errors.insert(0, EvaluationFailure { policy_id: String::new(), message });
    }
    Decision::from(outcome)
}

/// Decides a request by Cedar's evaluator alone.
///
/// # Errors
/// Cedar's evaluator cannot be asked: it is given all that a policy could look at, and something of that
/// cannot be read.
pub(super) fn try_by_cedar(
    engine: &Engine,
    request: &Request,
    on_forbid_error: OnForbidError,
) -> Result<Decision, String> {
    let entities = graph::entities(engine, request)?;
    Ok(Decision::from(outcome(engine, request, &entities, on_forbid_error)))
}

fn outcome(
    engine: &Engine,
    request: &Request,
    entities: &Entities,
    on_forbid_error: OnForbidError,
) -> CedarDecision {
    evaluate(engine.slices(), &graph::cedar_request(request), entities, on_forbid_error)
}
