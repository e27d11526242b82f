//! Open facts and their possible values.

use std::fmt;

use cedar_policy_core::ast::{EntityUID, Value};
use smol_str::SmolStr;

use crate::model;

/// The place of a field: in the context, or in an attribute of an entity, at any depth.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub base: Base,
    pub path: Vec<SmolStr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Base {
    Context,
    Entity(EntityUID),
}

/// A fact that may be open.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Fact {
    Field(Place),
    Tag(EntityUID, SmolStr),
    /// The membership of the first entity in the second, directly.
    Member(EntityUID, EntityUID),
    /// That anything is known of the entity: a caller may refer to one that it does not send, and that
    /// no directory holds.
    Sent(EntityUID),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.base {
            Base::Context => f.write_str("context")?,
            Base::Entity(uid) => write!(f, "{}", uid.entity_type())?,
        }
        self.path.iter().try_for_each(|name| write!(f, ".{name}"))
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(place) => write!(f, "`{place}`"),
            Self::Tag(uid, name) => write!(f, "the tag `{name}` of a {}", uid.entity_type()),
            Self::Member(member, of) => write!(f, "that {member} is in {of}"),
            Self::Sent(uid) => write!(f, "that {uid} is sent"),
        }
    }
}

/// The value that an open fact is tried with.
#[derive(Debug, Clone)]
pub(super) enum Choice {
    Absent,
    /// A record, of which the fields are facts of their own.
    Record,
    Value(Candidate),
    /// A membership, or that an entity is sent.
    Holds(bool),
}

/// A value in the two forms that it is needed in.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub sent: model::Value,
    pub known: Value,
}

/// The knowledge of a field.
pub(super) enum FieldKnowledge {
    Absent,
    Record,
    Value(Value),
    Open,
    /// It is there, and open, where its entity is sent, which is open too.
    OpenIfSent(EntityUID),
}
