//! The declarations that a schema has for the facts of a request.

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::fact::{Base, Place};
use crate::schema::{ActionSchema, RecordShape, Schema, Shape};

/// Returns the declaration of an action.
pub(super) fn action_in<'s>(schema: &'s Schema, uid: &EntityUID) -> Option<&'s ActionSchema> {
    schema.action(&uid.entity_type().to_string(), uid.eid().as_ref())
}

/// Returns whether a schema declares such requests.
pub(super) fn knows(
    schema: &Schema,
    action: &EntityUID,
    (principal, resource): (&EntityType, &EntityType),
) -> bool {
    action_in(schema, action).is_some_and(|action| {
        action.principals.contains(principal) && action.resources.contains(resource)
    })
}

/// Returns the declared type of a field of a request, and whether it is required.
pub(super) fn shape_in<'s>(
    schema: &'s Schema,
    action: &EntityUID,
    place: &Place,
) -> Option<(&'s Shape, bool)> {
    let field = record_in(schema, action, place)?.fields.get(place.path.last()?)?;
    Some((&field.shape, field.required))
}

/// Returns the record in which a field is declared.
pub(super) fn record_in<'s>(
    schema: &'s Schema,
    action: &EntityUID,
    place: &Place,
) -> Option<&'s RecordShape> {
    let mut record = match &place.base {
        Base::Context => &*action_in(schema, action)?.context,
        Base::Entity(uid) => &schema.entity(uid.entity_type())?.attributes,
    };
    let (_, inner) = place.path.split_last()?;
    for name in inner {
        match &record.fields.get(name)?.shape {
            Shape::Record(fields) => record = fields,
            _ => return None,
        }
    }
    Some(record)
}

/// Returns whether the sidecar adds a field: the time where an action declares it.
pub(super) fn is_now(schema: &Schema, action: &EntityUID, place: &Place) -> bool {
    place.base == Base::Context
        && matches!(&*place.path, [name] if name == "now")
        && action_in(schema, action).is_some_and(|action| action.wants_now)
}

/// Returns the Role that fills an attribute, if it is a slot.
pub(super) fn slot_of(schema: &Schema, uid: &EntityUID, name: &str) -> Option<EntityUID> {
    let (slot, _) = schema.entity(uid.entity_type())?.slots.get_key_value(name)?;
    schema.role(uid, slot)
}

/// Returns whether an entity may be in another, as far as their types tell.
pub(super) fn may_be_parent(schema: &Schema, uid: &EntityUID, of: &EntityUID) -> bool {
    let types = schema.entity(uid.entity_type()).map(|shape| &shape.parents);
    types.is_some_and(|types| types.contains(of.entity_type()))
}
