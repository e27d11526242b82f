//! The schema in which what is sent of an entity is optional.

use std::collections::BTreeMap;

use cedar_policy::Schema as CedarSchema;
use cedar_policy_core::ast::{self, Entity, EntityType, PartialValue, Value, ValueKind};
use serde_json::{Map, Value as Json};
use smol_str::SmolStr;

use crate::schema::{ActionSchema, EntityShape, FieldShape, RecordShape, Schema, Shape};

/// The attribute that has all that is sent of an entity. No attribute of a store is likely to be called so;
/// where one is, nothing is proved.
pub(super) const SENT: &str = "all that is sent";

/// A declaration in a schema in JSON.
type Declared = Map<String, Json>;

/// Returns the schema in which what is sent of an entity is optional.
pub(in crate::proofs) fn schema(schema: &Schema) -> Result<CedarSchema, String> {
    let mut namespaces: BTreeMap<String, [Declared; 2]> = BTreeMap::new();
    for shape in schema.entities() {
        let name = shape.entity_type.name();
        let [types, _] = namespaces.entry(name.as_ref().namespace()).or_default();
        types.insert(name.basename().to_string(), entity(schema, shape)?.into());
    }
    for declared in schema.actions() {
        let namespace = declared.uid.entity_type().name().as_ref().namespace();
        let [_, actions] = namespaces.entry(namespace).or_default();
        actions.insert(id_of(&declared.uid), action(schema, declared).into());
    }
    let namespaces = namespaces.into_iter().map(|(name, [types, actions])| {
        let parts = [("entityTypes", types.into()), ("actions", actions.into())];
        (name, Json::from(declared(parts)))
    });
    CedarSchema::from_json_value(namespaces.collect::<Declared>().into())
        .map_err(|error| format!("the schema cannot be told to the solver: {error}"))
}

fn action(schema: &Schema, action: &ActionSchema) -> Declared {
    let is_group = |group: &&ActionSchema| {
        group.uid != action.uid && schema.is_action_in(&action.uid, &group.uid)
    };
    let groups = schema.actions().filter(is_group).map(|group| {
        let ty = group.uid.entity_type().to_string();
        Json::from(declared([("id", id_of(&group.uid).into()), ("type", ty.into())]))
    });
    let mut parts = declared([("memberOf", groups.collect())]);
    if !action.principals.is_empty() && !action.resources.is_empty() {
        let asked = declared([
            ("principalTypes", names(action.principals.iter())),
            ("resourceTypes", names(action.resources.iter())),
            ("context", record(&action.context).into()),
        ]);
        parts.insert("appliesTo".to_owned(), asked.into());
    }
    parts
}

fn entity(schema: &Schema, shape: &EntityShape) -> Result<Declared, String> {
    if let Some(ids) = &shape.ids {
        return Ok(declared([("enum", ids.iter().map(SmolStr::as_str).collect())]));
    }
    if shape.attributes.fields.contains_key(SENT) {
        return Err(format!("an attribute of `{}` is called `{SENT}`", shape.entity_type));
    }
    let is_slot = |name: &SmolStr| shape.slots.contains_key(name.as_str());
    let fields = shape.attributes.fields.iter().map(of_field);
    let (mut attributes, sent): (Declared, Declared) =
        fields.partition(|(name, _)| is_slot(&name.into()));
    // Of a role nothing is sent, but a store may hold something of it.
    if !schema.is_role_type(&shape.entity_type) || !sent.is_empty() {
        attributes.insert(SENT.to_owned(), optional_or_not(of_fields(sent), false));
    }
    let mut parts = declared([
        ("memberOfTypes", names(shape.parents.iter())),
        ("shape", of_fields(attributes).into()),
    ]);
    if let Some(tags) = &shape.tags {
        parts.insert("tags".to_owned(), of_shape(tags).into());
    }
    Ok(parts)
}

fn record(record: &RecordShape) -> Declared {
    of_fields(record.fields.iter().map(of_field).collect())
}

fn of_fields(fields: Declared) -> Declared {
    declared([("type", "Record".into()), ("attributes", fields.into())])
}

fn of_field((name, field): (&SmolStr, &FieldShape)) -> (String, Json) {
    (name.to_string(), optional_or_not(of_shape(&field.shape), field.required))
}

fn optional_or_not(mut of_type: Declared, required: bool) -> Json {
    of_type.insert("required".to_owned(), required.into());
    of_type.into()
}

fn of_shape(shape: &Shape) -> Declared {
    let of = |ty: &str| ("type", Json::from(ty));
    match shape {
        Shape::Bool => declared([of("Boolean")]),
        Shape::Long => declared([of("Long")]),
        Shape::String => declared([of("String")]),
        Shape::Entity(ty) => declared([of("Entity"), ("name", ty.to_string().into())]),
        Shape::Set(element) => declared([of("Set"), ("element", of_shape(element).into())]),
        Shape::Record(fields) => record(fields),
        Shape::Extension(name) => declared([of("Extension"), ("name", name.as_str().into())]),
    }
}

fn declared<const PARTS: usize>(parts: [(&str, Json); PARTS]) -> Declared {
    parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect()
}

fn names<'t>(types: impl Iterator<Item = &'t EntityType>) -> Json {
    types.map(ToString::to_string).collect()
}

fn id_of(action: &ast::EntityUID) -> String {
    AsRef::<str>::as_ref(action.eid()).to_owned()
}

/// Returns an entity of a counterexample as a caller sends it; nothing where nothing of it is sent.
pub(in crate::proofs) fn sent(entity: &Entity) -> Option<Entity> {
    let Some(PartialValue::Value(Value { value: ValueKind::Record(fields), .. })) =
        entity.get(SENT)
    else {
        return None;
    };
    let tags = entity.tags().map(|(name, value)| (name.clone(), value.clone()));
    Some(Entity::new_with_attr_partial_value(
        entity.uid().clone(),
        fields.iter().map(|(name, value)| (name.clone(), value.clone().into())),
        entity.ancestors().cloned().collect(),
        Default::default(),
        tags,
    ))
}
