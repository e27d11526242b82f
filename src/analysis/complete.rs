//! Requests with every required fact: in place of one that is missing stands a plain value.

use cedar_policy_core::ast::{Eid, EntityUID};
use smol_str::SmolStr;

use super::{
    Witness,
    candidates::name_of,
    world::{Base, Choice, Fact, Place, World},
};
use crate::{
    model::{Timestamp, Uid, Value},
    request::{EntityInput, RequestInput, RoleAssignmentInput},
    schema::{RecordShape, Schema, Shape},
};

/// Adds required facts that a request lacks, and returns where they are.
pub(super) fn completed(
    schema: &Schema,
    input: &RequestInput,
    now: Timestamp,
) -> (RequestInput, Vec<Place>) {
    let (mut input, mut added) = (input.clone(), Vec::new());
    let plain = Plain { schema, now };
    let action = input.action.as_ref().and_then(|uid| schema.action(&uid.type_name, &uid.id));
    if let Some(action) = action {
        let missing = plain.add_missing(&action.context, &mut input.context, &|name| {
            name == "now" && action.wants_now
        });
        added.extend(
            missing.into_iter().map(|name| Place { base: Base::Context, path: vec![name] }),
        );
    }
    for entity in &mut input.entities {
        let uid = entity.uid.as_ref().and_then(|uid| full(schema, uid));
        let shape = uid.as_ref().and_then(|uid| schema.entity(uid.entity_type()));
        let Some((uid, shape)) = uid.zip(shape) else { continue };
        let missing = plain.add_missing(&shape.attributes, &mut entity.attributes, &|name| {
            shape.slots.contains_key(name)
        });
        let base = Base::Entity(uid);
        added
            .extend(missing.into_iter().map(|name| Place { base: base.clone(), path: vec![name] }));
    }
    (input, added)
}

/// Returns the request of a world, with its choices and every required fact.
pub(super) fn witness(world: &World<'_>) -> Witness {
    let schema = world.schema;
    let mut input = world.input.clone();
    for (fact, choice) in world.choices() {
        match (fact, choice) {
            (Fact::Field(place), Choice::Record) => {
                set(fields_of(schema, &mut input, place), &place.path, None);
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
        entity.uid.as_ref().and_then(|uid| full(schema, uid)).as_ref() == Some(uid)
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

/// The entity of a name as it was written.
fn full(schema: &Schema, uid: &Uid) -> Option<EntityUID> {
    let entity_type = schema.entity_type(&uid.type_name)?.clone();
    Some(EntityUID::from_components(entity_type, Eid::new(uid.id.as_str()), None))
}

/// Makes plain values.
struct Plain<'a> {
    schema: &'a Schema,
    now: Timestamp,
}

impl Plain<'_> {
    /// Adds the required fields that are missing, at every depth, and returns their names, of those
    /// on the top level.
    fn add_missing(
        &self,
        record: &RecordShape,
        fields: &mut Vec<(String, Value)>,
        is_filled: &dyn Fn(&str) -> bool,
    ) -> Vec<SmolStr> {
        for (name, value) in fields.iter_mut() {
            if let (Some(field), Value::Record(inner)) = (record.fields.get(name.as_str()), value)
                && let Shape::Record(shape) = &field.shape
            {
                self.add_missing(shape, inner, &|_| false);
            }
        }
        let is_there =
            |name: &str| is_filled(name) || fields.iter().any(|(field, _)| field == name);
        let missing: Vec<_> = record
            .missing(is_there)
            .map(|(name, shape)| (SmolStr::from(name), self.value(shape)))
            .collect();
        let added = missing.iter().map(|(name, value)| (name.to_string(), value.clone()));
        fields.extend(added.collect::<Vec<_>>());
        missing.into_iter().map(|(name, _)| name).collect()
    }

    fn value(&self, shape: &Shape) -> Value {
        match shape {
            Shape::Bool => Value::Bool(false),
            Shape::Long => Value::Long(0),
            Shape::String => Value::String("text".to_owned()),
            Shape::Entity(ty) => {
                let ids = self.schema.entity(ty).and_then(|shape| shape.ids.as_ref());
                let id = match ids.and_then(|ids| ids.iter().min()) {
                    Some(id) => id.to_string(),
                    None => format!("{}-1", ty.name().basename().to_string().to_lowercase()),
                };
                Value::Entity(Uid::new(ty.to_string(), id))
            }
            Shape::Set(_) => Value::Set(Vec::new()),
            Shape::Record(record) => {
                let mut fields = Vec::new();
                self.add_missing(record, &mut fields, &|_| false);
                Value::Record(fields)
            }
            Shape::Extension(name) => match name.as_str() {
                "decimal" => Value::Decimal("0.0".to_owned()),
                "datetime" => Value::Datetime(self.now),
                "duration" => Value::Duration(0),
                _ => Value::Ip("192.0.2.1".to_owned()),
            },
        }
    }
}
