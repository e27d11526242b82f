//! A request on its way to a decision: as it was sent ([`RequestInput`]), and as it is once it has
//! been checked against the store's schema ([`Request`]).

mod batch;
mod check;
mod context;
mod extension;
mod facts;
mod held;
mod input;
pub mod json;
mod known;
mod limits;
mod role_text;
mod violation;
mod weight;

pub use batch::{BatchChecker, BatchItemInput};
pub(crate) use check::now_with_directory;
pub use check::{
    FilterNames, ListInput, ListRequest, Side, check, check_facts, check_filter, check_list,
    check_with_facts,
};
pub use context::Context;
pub(crate) use extension::extension_value;
pub(crate) use facts::SEARCHED;
pub use facts::{EntityFacts, RoleAssignment, RoleAssignments, SentEntities};
pub(crate) use held::WithoutRoles;
pub use held::{Grant, Held, HeldFacts, HeldPlace, HeldRole, RequestFacts};
pub use input::{EntityInput, RequestInput, RoleAssignmentInput};
pub use known::Known;
pub use limits::RequestLimits;
pub use role_text::RoleTextError;
pub use violation::{FieldPath, Violation};
pub(crate) use violation::{shorten, shorten_to};

use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;

use crate::model::Timestamp;

/// A request that fits the schema of the store that will decide it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The principal.
    pub principal: EntityUID,
    /// The action.
    pub action: EntityUID,
    /// The resource.
    pub resource: EntityUID,
    /// The context.
    pub context: Arc<Context>,
    /// The entities and role assignments that were sent.
    pub facts: Facts,
    /// The time of the decision, at which assignments have expired or not.
    pub now: Timestamp,
}

/// The entities and role assignments of a request. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The entities that the caller describes.
    pub entities: Arc<SentEntities>,
    /// The roles that the caller says are held.
    pub role_assignments: Arc<RoleAssignments>,
    /// The facts that the sidecar itself holds, where the store has a directory.
    pub held: Option<Arc<dyn HeldFacts>>,
}
