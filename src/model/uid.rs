//! The name of an entity.

use std::{fmt, str::FromStr};

use super::escapes::unknown_escape;

/// The name of an entity as it is written: its type need not be qualified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid {
    /// The type, with or without the store's namespace; empty for an action of the store.
    pub type_name: String,
    /// The id.
    pub id: String,
}

impl Uid {
    /// Names the entity of a type and id.
    pub fn new(type_name: impl Into<String>, id: impl Into<String>) -> Self {
        Self { type_name: type_name.into(), id: id.into() }
    }

    /// Names the action of an id, in the store's own namespace.
    pub fn action(id: impl Into<String>) -> Self {
        Self::new("", id)
    }

    /// Writes the name of what is no action: an empty type is a mistake, and shown as it is.
    #[must_use]
    pub fn as_entity(&self) -> String {
        match self.type_name.as_str() {
            "" => format!("``::\"{}\"", self.id.escape_debug()),
            _ => self.to_string(),
        }
    }

    /// Reads an action that is written as its id or, like other entities, as type and id.
    #[must_use]
    pub fn read_action(text: &str) -> Self {
        match text.parse::<Self>() {
            Ok(uid) if text.ends_with('"') => uid,
            _ => Self::action(text),
        }
    }
}

/// The text does not name an entity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no entity: write the type and the id, e.g. `Site::\"42\"`")]
pub struct UidParseError(String);

impl FromStr for Uid {
    type Err = UidParseError;

    /// Reads `Type::"id"` with Cedar's escapes, and `Type::id` where the id needs no quotes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || UidParseError(text.chars().take(80).collect());
        if text.ends_with('"') {
            let id = text.split_once('"').map_or("", |(_, id)| id.strip_suffix('"').unwrap_or(id));
            if unknown_escape(id, false).is_some() {
                return Err(error());
            }
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
