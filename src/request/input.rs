//! A request as it was sent, before any schema has been looked at.

use cedar_policy_core::ast;
use smol_str::SmolStr;

use super::{EntityFacts, RoleAssignment};
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
    /// Lays the attributes over those that the store or the directory holds of the entity, name by name.
    /// Otherwise what is sent of a held entity must agree with it. The gRPC contract has no such field.
    pub overrides: bool,
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

impl From<&EntityFacts> for EntityInput {
    fn from(facts: &EntityFacts) -> Self {
        let fields = |fields: &[(SmolStr, ast::Value)]| {
            let value = |value| Value::from_cedar(value).unwrap_or(Value::Missing);
            fields.iter().map(|(name, of)| (name.to_string(), value(of))).collect()
        };
        Self {
            uid: Some(Uid::from(&facts.uid)),
            attributes: fields(&facts.attributes),
            parents: facts.parents.iter().map(Uid::from).collect(),
            tags: fields(&facts.tags),
            overrides: false,
        }
    }
}

impl From<&RoleAssignment> for RoleAssignmentInput {
    fn from(role: &RoleAssignment) -> Self {
        Self {
            principal: Some(Uid::from(&role.principal)),
            role: role.slot.to_string(),
            scope: Some(Uid::from(&role.scope)),
            expires_at: role.expires_at,
        }
    }
}
