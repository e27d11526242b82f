//! The decision: the policies that can matter to a request, in a compact form where their meaning is
//! beyond doubt, and by Cedar's own evaluator everywhere else.

mod compiled;
mod decision;
mod evaluate;
mod explain;
mod graph;
mod list_actions;
mod prepared;
mod slices;
mod symmetry;
mod verify;

pub use decision::{Decision, Effect, EvaluationFailure, OnForbidError, PolicyNote};
pub use evaluate::{Outcome, evaluate};
pub use explain::{Explanation, Obstacle, explain};
pub use list_actions::{ListedActions, UndecidedAction, list_actions, list_actions_by};
pub use slices::Slices;
pub use symmetry::{Kind, Likeness, Symmetry};
pub use verify::{Difference, Verified, verify};

pub(crate) use graph::{cedar_request, entities as request_entities};
pub(crate) use prepared::{PreparedPolicies, slices};

use crate::{request::Request, store::PolicyStore};

/// Decides a request that fits the store's schema.
#[must_use]
pub fn decide(store: &PolicyStore, request: &Request, on_forbid_error: OnForbidError) -> Decision {
    match decide_compiled(store, request) {
        Some(decision) => decision,
        None => decide_by_cedar(store, request, on_forbid_error),
    }
}

/// Decides a request by the compact form of the policies alone; nothing where it does not suffice,
/// as where an evaluation fails. For comparing it with [`decide_by_cedar`].
#[must_use]
pub fn decide_compiled(store: &PolicyStore, request: &Request) -> Option<Decision> {
    let outcome = store.prepared().compiled()?.decide(store, request)?;
    Some(Decision::new(outcome, *store.revision()))
}

/// Decides a request by Cedar's evaluator alone. The answer is that of [`decide`], only slower.
#[must_use]
pub fn decide_by_cedar(
    store: &PolicyStore,
    request: &Request,
    on_forbid_error: OnForbidError,
) -> Decision {
    let outcome = match graph::entities(store, request) {
        Ok(entities) => {
            let request = graph::cedar_request(request);
            evaluate(store.prepared().slices(), &request, &entities, on_forbid_error)
        }
        Err(message) => Outcome::undecidable(message),
    };
    Decision::new(outcome, *store.revision())
}
