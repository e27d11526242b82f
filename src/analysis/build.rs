//! From a world to the request that it stands for.

use cedar_policy_core::ast::EntityUID;
use smol_str::SmolStr;

use super::{
    Witness,
    complete::completed,
    fact::{Base, Choice, Fact, FieldKnowledge, Place},
    names::{entity_named, name_of},
    world::{Optional, World},
};
use crate::{
    engine::Engine,
    model::{Uid, Value},
    request::{EntityInput, RequestInput, RoleAssignmentInput},
    schema::{Schema, Shape},
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
            (Fact::Member(member, of), Choice::Holds(true)) => match schema.scope_of(of) {
                Some((scope, slot)) => input.role_assignments.push(RoleAssignmentInput {
                    principal: Some(name_of(schema, member)),
                    role: slot.as_str().to_owned(),
                    scope: Some(name_of(schema, &scope)),
                    expires_at: None,
                }),
                None => entity_of(schema, &mut input, member).parents.push(name_of(schema, of)),
            },
            (Fact::Sent(uid), Choice::Holds(true)) => {
                entity_of(schema, &mut input, uid);
            }
            _ => {}
        }
    }
    let now = world.request.now;
    let (input, _) = completed(schema, &input, now);
    Witness { input, now, on_forbid_error: world.on_forbid_error }
}

/// Returns the request of a world that is most like an example: open facts are as they are there, what
/// is known stays as it is.
pub(super) fn request_like(world: &World<'_>, engine: &Engine, example: &RequestInput) -> Witness {
    let schema = world.schema;
    let mut input = world.input.clone();
    for place in &world.opened {
        let is_it = |name: &str| place.path.first().is_some_and(|first| first == name);
        fields_of(schema, &mut input, place).retain(|(name, _)| !is_it(name));
    }
    let take = |input: &mut RequestInput, base: &Base, fields: &[(String, Value)]| {
        for (name, value) in fields {
            let place = Place { base: base.clone(), path: vec![name.as_str().into()] };
            if let (FieldKnowledge::Open, Some((shape, _))) =
                (world.field(engine, &place), world.shape(&place))
            {
                let value = match world.optional {
                    Optional::Absent => required_part(value, shape),
                    Optional::Open => value.clone(),
                };
                set(fields_of(schema, input, &place), &place.path, Some(value));
            }
        }
    };
    take(&mut input, &Base::Context, &example.context);
    let of_principal = world.ancestors(engine, &world.request.principal);
    // What is known of the principal's memberships is all that there is.
    let may_join = |uid: &EntityUID, of: &EntityUID| {
        world.may_join(engine, uid, of) && !of_principal.contains(uid)
    };
    let entity = |uid: &Option<Uid>| uid.as_ref().and_then(|uid| entity_named(schema, uid));
    for like in &example.entities {
        let Some(uid) = entity(&like.uid) else { continue };
        take(&mut input, &Base::Entity(uid.clone()), &like.attributes);
        for (name, value) in &like.tags {
            if matches!(world.tag(engine, &uid, &name.as_str().into()), FieldKnowledge::Open) {
                entity_of(schema, &mut input, &uid).tags.push((name.clone(), value.clone()));
            }
        }
        for parent in &like.parents {
            if entity_named(schema, parent).is_some_and(|of| may_join(&uid, &of)) {
                entity_of(schema, &mut input, &uid).parents.push(parent.clone());
            }
        }
    }
    for like in &example.role_assignments {
        let role = entity(&like.scope).and_then(|scope| {
            let shape = schema.entity(scope.entity_type())?;
            let (slot, _) = shape.slots.get_key_value(like.role.as_str())?;
            schema.role(&scope, slot)
        });
        if entity(&like.principal).zip(role).is_some_and(|(uid, of)| may_join(&uid, &of)) {
            input.role_assignments.push(like.clone());
        }
    }
    let now = world.request.now;
    let (input, _) = completed(schema, &input, now);
    Witness { input, now, on_forbid_error: world.on_forbid_error }
}

/// Returns a value without its optional fields, at every depth.
fn required_part(value: &Value, shape: &Shape) -> Value {
    match (value, shape) {
        (Value::Record(fields), Shape::Record(record)) => {
            let required = fields.iter().filter_map(|(name, value)| {
                let field = record.fields.get(name.as_str()).filter(|field| field.required)?;
                Some((name.clone(), required_part(value, &field.shape)))
            });
            Value::Record(required.collect())
        }
        (Value::Set(values), Shape::Set(element)) => {
            Value::Set(values.iter().map(|value| required_part(value, element)).collect())
        }
        _ => value.clone(),
    }
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
