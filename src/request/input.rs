//! A request as it was sent, before any schema has been looked at.

use std::{fmt, str::FromStr};

use crate::time::Timestamp;

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

/// The name of an entity as it was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid {
    /// The type, with or without the store's namespace; empty for an action of the store.
    pub type_name: String,
    /// The id.
    pub id: String,
}

/// A value as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No kind was set.
    Missing,
    /// true or false.
    Bool(bool),
    /// A whole number.
    Long(i64),
    /// Text.
    String(String),
    /// A reference to an entity.
    Entity(Uid),
    /// Values in no order.
    Set(Vec<Value>),
    /// Values by name.
    Record(Vec<(String, Value)>),
    /// A decimal number, as text.
    Decimal(String),
    /// An IP address or range, as text.
    Ip(String),
    /// A moment.
    Datetime(Timestamp),
    /// A span of time in milliseconds.
    Duration(i64),
}

impl Uid {
    /// The entity of that type and id.
    pub fn new(type_name: impl Into<String>, id: impl Into<String>) -> Self {
        Self { type_name: type_name.into(), id: id.into() }
    }

    /// The action of that id, in the store's own namespace.
    pub fn action(id: impl Into<String>) -> Self {
        Self::new("", id)
    }
}

/// A text that names no entity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no entity: write the type and the id, e.g. `Site::\"42\"`")]
pub struct UidParseError(String);

impl FromStr for Uid {
    type Err = UidParseError;

    /// Reads `Type::"id"` with Cedar's escapes, and `Type::id` where the id needs no quotes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || UidParseError(text.chars().take(80).collect());
        if text.ends_with('"') {
            let uid: cedar_policy::EntityUid = text.parse().map_err(|_| error())?;
            return Ok(Self::new(uid.type_name().to_string(), uid.id().unescaped()));
        }
        match text.rsplit_once("::") {
            Some((type_name, id)) if !type_name.is_empty() => Ok(Self::new(type_name, id)),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let type_name = if self.type_name.is_empty() { "Action" } else { &self.type_name };
        write!(f, "{type_name}::\"{}\"", self.id.escape_debug())
    }
}
