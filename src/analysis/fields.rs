//! Attributes and tags, as far as they are known.

use std::sync::Arc;

use cedar_policy_core::ast::{BinaryOp, Literal, ValueKind};
use smol_str::SmolStr;

use super::{
    abstract_value::{Abstract, Evaluated, Fails, Open, entity},
    evaluation::Evaluation,
    fact::{Base, Fact, FieldKnowledge, Place},
    truth::Truth,
};
use crate::schema::Shape;

impl Evaluation<'_> {
    /// Evaluates `base.name`.
    pub(super) fn attribute(self, base: Abstract, name: &SmolStr) -> Evaluated {
        match base {
            Abstract::Record(mut place) => {
                place.path.push(name.clone());
                self.field(place)
            }
            Abstract::Value(value) => match &value.value {
                ValueKind::Record(fields) => {
                    fields.get(name).cloned().map(Abstract::Value).ok_or(Fails)
                }
                _ => {
                    let base = Base::Entity(entity(&value)?.clone());
                    self.field(Place { base, path: vec![name.clone()] })
                }
            },
            Abstract::Open(open) => {
                let because_of = open.because_of;
                let Some(Shape::Entity(ty)) = &open.shape else {
                    let shape = match &open.shape {
                        Some(Shape::Record(record)) => {
                            record.fields.get(name).map(|field| field.shape.clone())
                        }
                        Some(_) => None,
                        // It may be an entity.
                        None => {
                            self.may_fail(because_of.as_ref());
                            None
                        }
                    };
                    return Ok(Open { because_of, shape, role: None }.into());
                };
                let declared = self.world.schema.entity(ty);
                let field = declared.and_then(|shape| shape.attributes.fields.get(name));
                let slot = declared.and_then(|shape| shape.slots.get_key_value(name.as_str()));
                let role = slot.map(|(slot, _)| ((**ty).clone(), slot.clone()));
                if field.is_some_and(|field| field.required) && role.is_none() {
                    self.may_fail(because_of.as_ref());
                }
                let shape = field.map(|field| field.shape.clone());
                Ok(Open { because_of, shape, role }.into())
            }
        }
    }

    fn field(self, place: Place) -> Evaluated {
        match self.world.field(self.engine, &place) {
            FieldKnowledge::Absent => Err(Fails),
            FieldKnowledge::Record => Ok(Abstract::Record(place)),
            FieldKnowledge::Value(value) => Ok(Abstract::Value(value)),
            FieldKnowledge::Open => {
                let shape = self.world.shape(&place).map(|(shape, _)| shape.clone());
                Ok(Open { because_of: Some(Arc::new(Fact::Field(place))), shape, role: None }
                    .into())
            }
            FieldKnowledge::OpenIfSent(uid) => {
                let shape = self.world.shape(&place).map(|(shape, _)| shape.clone());
                let because_of = Some(Arc::new(Fact::Sent(uid)));
                self.may_fail(because_of.as_ref());
                Ok(Open { because_of, shape, role: None }.into())
            }
        }
    }

    /// Notes that Cedar may fail to look at an attribute, where it is open which entities are sent.
    fn may_fail(self, because_of: Option<&Arc<Fact>>) {
        if self.world.is_partly_sent {
            self.world.may_fail(because_of.cloned());
        }
    }

    /// Evaluates `base has name`.
    pub(super) fn has(self, base: &Abstract, name: &SmolStr) -> Result<Truth, Fails> {
        let place = match base {
            Abstract::Record(place) => {
                let mut place = place.clone();
                place.path.push(name.clone());
                place
            }
            Abstract::Value(value) => match &value.value {
                ValueKind::Record(fields) => return Ok(fields.contains_key(name).into()),
                _ => Place { base: Base::Entity(entity(value)?.clone()), path: vec![name.clone()] },
            },
            Abstract::Open(open) => {
                let record = match &open.shape {
                    Some(Shape::Entity(ty)) => {
                        self.world.schema.entity(ty).map(|shape| &shape.attributes)
                    }
                    Some(Shape::Record(record)) => Some(record),
                    _ => None,
                };
                return Ok(match record.map(|record| record.fields.get(name)) {
                    Some(None) => Truth::False,
                    Some(Some(field)) if field.required && !self.may_be_unsent(open, name) => {
                        Truth::True
                    }
                    _ => Truth::Open(open.because_of.clone()),
                });
            }
        };
        Ok(match self.world.field(self.engine, &place) {
            FieldKnowledge::Absent => Truth::False,
            FieldKnowledge::Record | FieldKnowledge::Value(_) => Truth::True,
            FieldKnowledge::Open
                if self.world.shape(&place).is_some_and(|(_, required)| required) =>
            {
                Truth::True
            }
            FieldKnowledge::Open => Truth::Open(Some(Arc::new(Fact::Field(place)))),
            FieldKnowledge::OpenIfSent(uid) => Truth::Open(Some(Arc::new(Fact::Sent(uid)))),
        })
    }

    /// Returns whether an open value may be an entity of which nothing is sent. Slots it has even then.
    fn may_be_unsent(self, open: &Open, name: &SmolStr) -> bool {
        let Some(Shape::Entity(ty)) = &open.shape else { return false };
        let shape = self.world.schema.entity(ty);
        let is_slot = shape.is_some_and(|shape| shape.slots.contains_key(name.as_str()));
        self.world.is_partly_sent && !is_slot
    }

    /// Evaluates `base.hasTag(name)` and `base.getTag(name)`.
    pub(super) fn tag(self, op: BinaryOp, base: Abstract, name: Abstract) -> Evaluated {
        let (base, name) = match (base, name) {
            (Abstract::Value(base), Abstract::Value(name)) => (base, name),
            (Abstract::Open(open), _) | (_, Abstract::Open(open)) => return Ok(open.anything()),
            _ => return Err(Fails),
        };
        let uid = entity(&base)?;
        let ValueKind::Lit(Literal::String(name)) = &name.value else { return Err(Fails) };
        let known = self.world.tag(self.engine, uid, name);
        if op == BinaryOp::HasTag {
            return Ok(match known {
                FieldKnowledge::Absent => Truth::False.into(),
                FieldKnowledge::Record | FieldKnowledge::Value(_) => Truth::True.into(),
                FieldKnowledge::Open | FieldKnowledge::OpenIfSent(_) => {
                    Truth::Open(Some(Arc::new(Fact::Tag(uid.clone(), name.clone())))).into()
                }
            });
        }
        match known {
            FieldKnowledge::Absent | FieldKnowledge::Record => Err(Fails),
            FieldKnowledge::Value(value) => Ok(Abstract::Value(value)),
            FieldKnowledge::Open | FieldKnowledge::OpenIfSent(_) => {
                let declared = self.world.schema.entity(uid.entity_type());
                Ok(Open {
                    because_of: Some(Arc::new(Fact::Tag(uid.clone(), name.clone()))),
                    shape: declared.and_then(|shape| shape.tags.clone()),
                    role: None,
                }
                .into())
            }
        }
    }
}
