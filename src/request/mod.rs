//! A request on its way to a decision: as it was sent ([`RequestInput`]), and as it is once the
//! store's schema has been checked against it ([`Request`]).

mod check;
mod context;
mod input;
mod limits;
mod value;
mod violation;

pub use check::check;
pub use context::Context;
pub use input::{EntityInput, RequestInput, RoleAssignmentInput, Uid, UidParseError, Value};
pub use limits::RequestLimits;
pub(crate) use value::duration_millis;
pub(crate) use violation::shorten;
pub use violation::{FieldPath, Violation};

use std::sync::Arc;

use cedar_policy_core::ast::{self, EntityUID};
use smol_str::SmolStr;

use crate::{roles::Slot, time::Timestamp};

/// A request that fits the schema of the store that will decide it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asks.
    pub principal: EntityUID,
    /// What they want to do.
    pub action: EntityUID,
    /// On what.
    pub resource: EntityUID,
    /// Facts of the request.
    pub context: Arc<Context>,
    /// What the caller knows of entities. No two have the same uid.
    pub entities: Vec<EntityFacts>,
    /// The roles that count, expired ones included.
    pub role_assignments: Vec<RoleAssignment>,
    /// When the decision is made; decides which assignments have expired.
    pub now: Timestamp,
}

/// What the caller knows of one entity.
#[derive(Debug, Clone)]
pub struct EntityFacts {
    /// Which entity.
    pub uid: EntityUID,
    /// Its attributes.
    pub attributes: Vec<(SmolStr, ast::Value)>,
    /// The entities that it is directly in.
    pub parents: Vec<EntityUID>,
    /// Its tags.
    pub tags: Vec<(SmolStr, ast::Value)>,
}

/// States that a principal holds a role on a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleAssignment {
    /// Who holds the role.
    pub principal: EntityUID,
    /// Which role.
    pub slot: Slot,
    /// On what.
    pub scope: EntityUID,
    /// From this moment on the assignment is not there.
    pub expires_at: Option<Timestamp>,
}

impl RoleAssignment {
    /// Whether the assignment still counts at that moment.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}
