//! The decision: policies indexed by their scopes, in a compiled form where their meaning is beyond
//! doubt, and by Cedar's own evaluator everywhere else.

mod clause_note;
mod clause_outcomes;
mod clauses;
mod compiled;
mod decision;
mod decision_record;
mod evaluate;
mod explain;
mod graph;
mod hints;
mod list_actions;
mod list_entities;
mod nearest;
mod prepared;
mod slices;
mod variations;
mod verify;

pub use clause_note::{ClauseNote, ClauseValue};
pub use clauses::ClauseKind;
pub use decision::{Decision, PolicyNote};
pub use decision_record::{
    ActionsJson, CallerJson, CedarUid, DecisionRecord, ErrorJson, ListedJson, PolicyJson,
    RECORD_KIND, UndecidedEntityJson,
};
pub use evaluate::{EvaluationFailure, Outcome, evaluate};
pub use explain::{Explanation, Obstacle, explain};
pub use graph::without_directory;
pub use hints::Hint;
pub use list_actions::{ListedActions, UndecidedAction, list_actions, list_actions_by};
pub use list_entities::{ListOptions, ListedEntities, Page, UndecidedEntity, list_entities};
pub use nearest::NearPermit;
pub use prepared::Engine;
pub use slices::Slices;
pub use verify::{Difference, Verified, verify};

pub(crate) use clause_outcomes::{clause_outcomes, conditions_of};
pub(crate) use clauses::clauses;
pub(crate) use graph::{cedar_request, entities as request_entities};
pub(crate) use slices::{PreparedPolicy, Scope};

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
