//! From a world to the request that it stands for.

use cedar_policy_core::ast::EntityUID;
use smol_str::SmolStr;

use super::{
    Witness,
    complete::completed,
    fact::{Base, Choice, Fact, Place},
    names::{entity_named, name_of},
    world::World,
};
use crate::{
    model::Value,
    request::{EntityInput, RequestInput, RoleAssignmentInput},
    schema::Schema,
};

/// Returns the request of a world, with its choices and every required fact.
pub(super) fn request_of(world: &World<'_>) -> Witness {
    let schema = world.schema;
    let mut input = world.input.clone();
    for (fact, choice) in world.choices() {
        match (fact, choice) {
            (Fact::Field(place), Choice::Record) => {
                set(fields_of(schema, &mut input, place), &place.path, None);
            }
            // A given fact that only stands for something may be absent.
            (Fact::Field(place), Choice::Absent) if world.opened.contains(place) => {
                let is_it = |name: &str| place.path.first().is_some_and(|first| first == name);
                fields_of(schema, &mut input, place).retain(|(name, _)| !is_it(name));
            }
            (Fact::Field(place), Choice::Value(candidate)) => {
                let value = Some(candidate.sent.clone());
                set(fields_of(schema, &mut input, place), &place.path, value);
            }
            (Fact::Tag(uid, name), Choice::Value(candidate)) => {
                let entity = entity_of(schema, &mut input, uid);
                entity.tags.push((name.to_string(), candidate.sent.clone()));
            }
            (Fact::Member(member, of), Choice::Member(true)) => match schema.scope_of(of) {
                Some((scope, slot)) => input.role_assignments.push(RoleAssignmentInput {
                    principal: Some(name_of(schema, member)),
                    role: slot.as_str().to_owned(),
                    scope: Some(name_of(schema, &scope)),
                    expires_at: None,
                }),
                None => entity_of(schema, &mut input, member).parents.push(name_of(schema, of)),
            },
            _ => {}
        }
    }
    let now = world.request.now;
    let (input, _) = completed(schema, &input, now);
    Witness { input, now }
}

fn fields_of<'i>(
    schema: &Schema,
    input: &'i mut RequestInput,
    place: &Place,
) -> &'i mut Vec<(String, Value)> {
    match &place.base {
        Base::Context => &mut input.context,
        Base::Entity(uid) => &mut entity_of(schema, input, uid).attributes,
    }
}

fn entity_of<'i>(
    schema: &Schema,
    input: &'i mut RequestInput,
    uid: &EntityUID,
) -> &'i mut EntityInput {
    let is_it = |entity: &EntityInput| {
        entity.uid.as_ref().and_then(|uid| entity_named(schema, uid)).as_ref() == Some(uid)
    };
    let index = input.entities.iter().position(is_it).unwrap_or_else(|| {
        let uid = Some(name_of(schema, uid));
        input.entities.push(EntityInput { uid, ..EntityInput::default() });
        input.entities.len() - 1
    });
    // The index is that of an element.
    #[expect(clippy::indexing_slicing, reason = "the index was found or made just before")]
    &mut input.entities[index]
}

/// Sets the value at a path; without a value a record is made there.
fn set(fields: &mut Vec<(String, Value)>, path: &[SmolStr], value: Option<Value>) {
    let Some((name, inner)) = path.split_first() else { return };
    if !fields.iter().any(|(field, _)| field == name) {
        fields.push((name.to_string(), Value::Record(Vec::new())));
    }
    for (_, field) in fields.iter_mut().filter(|(field, _)| field == name) {
        match (inner, field, &value) {
            ([], field, Some(value)) => *field = value.clone(),
            ([_, ..], Value::Record(fields), _) => set(fields, inner, value.clone()),
            _ => {}
        }
    }
}
