//! A request as it was sent, before any schema has been looked at.

use crate::model::{Timestamp, Uid, Value};

/// A request as it was sent. Names are as written: the store's namespace may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestInput {
    /// The principal.
    pub principal: Option<Uid>,
    /// The action.
    pub action: Option<Uid>,
    /// The resource.
    pub resource: Option<Uid>,
    /// The context, by name.
    pub context: Vec<(String, Value)>,
    /// The entities that the caller describes.
    pub entities: Vec<EntityInput>,
    /// The role assignments.
    pub role_assignments: Vec<RoleAssignmentInput>,
}

/// An entity as it was sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntityInput {
    /// The entity.
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
    /// The holder; unset: the request's principal.
    pub principal: Option<Uid>,
    /// The name of the role slot.
    pub role: String,
    /// The entity on which it is held; unset: the request's resource.
    pub scope: Option<Uid>,
    /// From this moment on the assignment does not exist.
    pub expires_at: Option<Timestamp>,
}
