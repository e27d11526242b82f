//! The values that an evaluation computes with: known, records whose fields are facts, and open.

use std::sync::Arc;

use cedar_policy_core::ast::{EntityType, EntityUID, Literal, Value, ValueKind};

use super::{
    fact::{Fact, Place},
    truth::Truth,
};
use crate::schema::{Shape, Slot};

/// The result of an evaluation.
#[derive(Debug, Clone)]
pub(super) enum Abstract {
    Value(Value),
    /// A record whose fields are facts.
    Record(Place),
    Open(Open),
}

/// A value that is open.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub because_of: Option<Arc<Fact>>,
    pub shape: Option<Shape>,
    /// The slot of a scope of that type whose Role it is.
    pub role: Option<(EntityType, Slot)>,
}

/// Cedar's evaluation fails.
#[derive(Debug)]
pub(super) struct Fails;

pub(super) type Evaluated = Result<Abstract, Fails>;

impl From<Truth> for Abstract {
    fn from(truth: Truth) -> Self {
        match truth {
            Truth::True => Self::Value(true.into()),
            Truth::False => Self::Value(false.into()),
            Truth::Open(because_of) => {
                Open { because_of, shape: Some(Shape::Bool), role: None }.into()
            }
        }
    }
}

impl From<Open> for Abstract {
    fn from(open: Open) -> Self {
        Self::Open(open)
    }
}

impl Open {
    /// A value computed from this one, of which nothing is known.
    pub fn anything(self) -> Abstract {
        Self { because_of: self.because_of, shape: None, role: None }.into()
    }
}

impl Abstract {
    /// A value computed from one that is not wholly known.
    pub fn open_value(self) -> Self {
        match self {
            Self::Open(open) => open.anything(),
            Self::Record(_) | Self::Value(_) => {
                Open { because_of: None, shape: None, role: None }.into()
            }
        }
    }
}

/// Collects values, or what is open because one of them is.
pub(super) fn values(
    items: impl Iterator<Item = Evaluated>,
) -> Result<Result<Vec<Value>, Abstract>, Fails> {
    let (mut all, mut open) = (Vec::new(), None);
    for item in items {
        match item? {
            Abstract::Value(value) => all.push(value),
            other => open = open.or(Some(other.open_value())),
        }
    }
    Ok(open.map_or(Ok(all), Err))
}

/// `==` of values that are known or open.
pub(super) fn equal(one: &Abstract, other: &Abstract) -> Truth {
    let shape_of = |value: &Value| match &value.value {
        ValueKind::Lit(Literal::EntityUID(uid)) => Some(uid.entity_type().clone()),
        _ => None,
    };
    match (one, other) {
        (Abstract::Value(one), Abstract::Value(other)) => (one == other).into(),
        (Abstract::Value(value), Abstract::Open(open))
        | (Abstract::Open(open), Abstract::Value(value)) => match (&open.shape, shape_of(value)) {
            (Some(Shape::Entity(ty)), Some(of)) if **ty != of => Truth::False,
            _ => Truth::Open(open.because_of.clone()),
        },
        (Abstract::Open(one), Abstract::Open(other)) => {
            let distinct = matches!(
                (&one.shape, &other.shape),
                (Some(Shape::Entity(one)), Some(Shape::Entity(other))) if one != other
            );
            if distinct {
                return Truth::False;
            }
            Truth::Open(one.because_of.clone().or_else(|| other.because_of.clone()))
        }
        (Abstract::Open(open), _) | (_, Abstract::Open(open)) => {
            Truth::Open(open.because_of.clone())
        }
        (Abstract::Record(_), _) | (_, Abstract::Record(_)) => Truth::Open(None),
    }
}

pub(super) fn known(uid: &EntityUID) -> Abstract {
    Abstract::Value(uid.clone().into())
}

pub(super) fn entity(value: &Value) -> Result<&EntityUID, Fails> {
    match &value.value {
        ValueKind::Lit(Literal::EntityUID(uid)) => Ok(uid),
        _ => Err(Fails),
    }
}
