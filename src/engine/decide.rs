//! The decision: compiled policies, or Cedar's evaluator where they do not suffice.

use super::{Decision, Engine, Outcome, evaluate, graph};
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
    let decided = try_by_cedar(engine, request, on_forbid_error);
    decided.unwrap_or_else(|message| Decision::from(Outcome::undecidable(message)))
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
    let request = graph::cedar_request(request);
    Ok(Decision::from(evaluate(engine.slices(), &request, &entities, on_forbid_error)))
}
