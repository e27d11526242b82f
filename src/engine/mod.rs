//! The decision: Cedar's own evaluator over the policies that can matter to a request.

mod decision;
mod evaluate;
mod explain;
mod graph;
mod list_actions;
mod prepared;
mod slices;

pub use decision::{Decision, Effect, EvaluationFailure, OnForbidError, PolicyNote};
pub use evaluate::{Outcome, evaluate};
pub use explain::{Explanation, Obstacle, explain};
pub use list_actions::{ListedActions, UndecidedAction, list_actions};
pub use slices::Slices;

pub(crate) use graph::{cedar_request, entities as request_entities};
pub(crate) use prepared::{PreparedPolicies, slices};

use crate::{request::Request, store::PolicyStore};

/// Decides a request that fits the store's schema.
#[must_use]
pub fn decide(store: &PolicyStore, request: &Request, on_forbid_error: OnForbidError) -> Decision {
    let outcome = match graph::entities(store, request) {
        Ok(entities) => {
            let request = graph::cedar_request(request);
            evaluate(store.prepared().slices(), &request, &entities, on_forbid_error)
        }
        Err(message) => Outcome::undecidable(message),
    };
    Decision::new(outcome, store.revision().clone())
}
