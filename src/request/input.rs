//! A request as it was sent, before any schema has been looked at.

use crate::model::{Timestamp, Uid, Value};

/// A request as it was sent. Names are as written: the store's namespace may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestInput {
    /// Who asks.
    pub principal: Option<Uid>,
    /// What they want to do.
    pub action: Option<Uid>,
    /// On what.
    pub resource: Option<Uid>,
    /// Facts of the request, by name.
    pub context: Vec<(String, Value)>,
    /// What the caller knows of entities.
    pub entities: Vec<EntityInput>,
    /// The roles that count.
    pub role_assignments: Vec<RoleAssignmentInput>,
}

/// An entity as it was sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntityInput {
    /// Which entity.
    pub uid: Option<Uid>,
    /// Its attributes, by name.
    pub attributes: Vec<(String, Value)>,
    /// The entities that it is directly in.
    pub parents: Vec<Uid>,
    /// Its tags, by name.
    pub tags: Vec<(String, Value)>,
}

/// A role assignment as it was sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoleAssignmentInput {
    /// Who holds the role; unset: the request's principal.
    pub principal: Option<Uid>,
    /// The name of the role slot.
    pub role: String,
    /// On what; unset: the request's resource.
    pub scope: Option<Uid>,
    /// From this moment on the assignment is not there.
    pub expires_at: Option<Timestamp>,
}
