//! The decision: policies indexed by their scopes, in a compiled form where their meaning is beyond
//! doubt, and by Cedar's own evaluator everywhere else.

mod clause_note;
mod clause_outcomes;
mod clauses;
mod compiled;
mod decide;
mod decision;
mod decision_record;
mod evaluate;
mod explain;
mod graph;
mod hints;
mod list_actions;
mod list_entities;
mod nearest;
mod nodes;
mod prepared;
mod slices;
mod variations;
mod verify;

pub use clause_note::{ClauseNote, ClauseValue};
pub use clauses::ClauseKind;
pub use decide::{decide, decide_by_cedar, decide_compiled};
pub use decision::{Decision, PolicyNote};
pub use decision_record::{
    ActionsJson, CallerJson, CedarUid, DecisionRecord, ErrorJson, ListedJson, PolicyJson,
    RECORD_KIND, UndecidedEntityJson,
};
pub use evaluate::{CedarDecision, EvaluationFailure, evaluate};
pub use explain::{Explanation, Obstacle, explain};
pub use graph::without_directory;
pub use hints::Hint;
pub use list_actions::{ListedActions, UndecidedAction, list_actions, list_actions_by};
pub use list_entities::{ListOptions, ListedEntities, Page, UndecidedEntity, list_entities};
pub use nearest::NearPermit;
pub use prepared::Engine;
pub use slices::Slices;
pub use verify::{DecisionDifference, Verified, verify};

pub(crate) use clause_outcomes::{clause_outcomes, conditions_of};
pub(crate) use clauses::clauses;
pub(crate) use graph::{cedar_request, entities as request_entities};
pub(crate) use slices::{PreparedPolicy, Scope};
