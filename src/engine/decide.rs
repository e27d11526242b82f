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
    let outcome = match graph::entities(engine, request) {
        Ok(entities) => {
            let request = graph::cedar_request(request);
            evaluate(engine.slices(), &request, &entities, on_forbid_error)
        }
        Err(message) => Outcome::undecidable(message),
    };
    Decision::from(outcome)
}
