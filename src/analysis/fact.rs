//! Open facts and their possible values.

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
}

/// The value that an open fact is tried with.
#[derive(Debug, Clone)]
pub(super) enum Choice {
    Absent,
    /// A record, of which the fields are facts of their own.
    Record,
    Value(Candidate),
    Member(bool),
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
}
