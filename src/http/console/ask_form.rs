//! The form of the view Try: its fields, made of the schema, and the question that it asks.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::Query;
use crate::{
    model::{Uid, Value, json},
    request::{
        EntityInput, FieldPath, RequestInput, RoleAssignmentInput, RoleTextError, Violation,
        json::FactReader,
    },
    schema::{ActionSchema, EntityShape, RecordShape, Schema, Shape},
};

/// Actions that are offered; of more only the text field helps.
const ACTIONS: usize = 2_000;
/// Fields of one record that are offered.
const FIELDS: usize = 100;

/// The form.
#[derive(Debug)]
pub(super) struct AskForm {
    pub actions: Vec<FormChoice>,
    pub principal_types: Vec<FormChoice>,
    pub principal_id: String,
    pub resource_types: Vec<FormChoice>,
    pub resource_id: String,
    /// The role slots of the resource's type.
    pub roles: Vec<FormChoice>,
    /// Further roles, one a line.
    pub more_roles: String,
    pub context: Vec<FormField>,
    pub principal: Vec<FormField>,
    pub resource: Vec<FormField>,
    /// Entities in Cedar's JSON.
    pub entities: String,
}

/// Something that may be chosen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FormChoice {
    pub value: String,
    pub is_chosen: bool,
}

/// A field of the context, or an attribute.
#[derive(Debug)]
pub(super) struct FormField {
    /// The name in the query.
    pub key: String,
    pub name: String,
    pub required: bool,
    pub value: String,
    /// The values that there are; empty where any may be written.
    pub choices: Vec<FormChoice>,
    /// The type, for the reader.
    pub hint: String,
}

impl AskForm {
    /// Makes the form, with what the query says in it.
    pub fn new(schema: &Schema, query: &Query) -> Self {
        let mut actions: Vec<_> = schema
            .actions()
            .filter(|action| !action.principals.is_empty() && !action.resources.is_empty())
            .collect();
        actions.sort_by_cached_key(|action| action_text(schema, &action.uid));
        let chosen = chosen_action(schema, query).or(actions.first().copied());
        let types = |types: fn(&ActionSchema) -> &[EntityType], chosen_type: &str| {
            let mut types: Vec<_> = chosen.into_iter().flat_map(types).collect();
            // People come first: they are asked for most.
            types.sort_by_cached_key(|ty| (type_text(schema, ty) != "User", type_text(schema, ty)));
            let types: Vec<_> = types.into_iter().map(|ty| type_text(schema, ty)).collect();
            let is_there = types.iter().any(|ty| ty == chosen_type);
            let choice = |(at, value): (usize, String)| FormChoice {
                is_chosen: if is_there { value == chosen_type } else { at == 0 },
                value,
            };
            types.into_iter().enumerate().map(choice).collect::<Vec<_>>()
        };
        let principal_types = types(|action| &action.principals, query.get("principal_type"));
        let resource_types = types(|action| &action.resources, query.get("resource_type"));
        let shape = |types: &[FormChoice]| {
            let chosen = types.iter().find(|choice| choice.is_chosen)?;
            schema.entity(schema.entity_type(&chosen.value)?)
        };
        let (principal, resource) = (shape(&principal_types), shape(&resource_types));
        let roles: BTreeSet<_> = query.all("role").collect();
        let slots = resource.into_iter().flat_map(|shape| shape.slots.keys());
        let slots = slots.map(|slot| FormChoice {
            value: slot.to_string(),
            is_chosen: roles.contains(slot.as_str()),
        });
        let attributes = |prefix, shape: Option<&EntityShape>| {
            let mut fields = fields(schema, query, prefix, shape.map(|shape| &shape.attributes));
            // Slots are filled by roles alone.
            fields.retain(|field| {
                let mut slots = shape.into_iter().flat_map(|shape| shape.slots.keys());
                !slots.any(|slot| slot.as_str() == field.name)
            });
            fields
        };
        Self {
            context: fields(schema, query, "c.", chosen.map(|action| &*action.context)),
            principal: attributes("p.", principal),
            resource: attributes("r.", resource),
            roles: slots.collect(),
            actions: actions
                .into_iter()
                .take(ACTIONS)
                .map(|action| FormChoice {
                    is_chosen: chosen.is_some_and(|chosen| chosen.uid == action.uid),
                    value: action_text(schema, &action.uid),
                })
                .collect(),
            principal_types,
            principal_id: query.get("principal_id").to_owned(),
            resource_types,
            resource_id: query.get("resource_id").to_owned(),
            more_roles: query.get("roles").to_owned(),
            entities: query.get("entities").to_owned(),
        }
    }

    /// Returns the question that the form asks.
    ///
    /// # Errors
    /// The fields that cannot be read.
    pub fn question(&self, schema: &Schema) -> Result<RequestInput, Vec<Violation>> {
        let mut reader = FactReader::default();
        let chosen = |choices: &[FormChoice]| {
            let chosen = choices.iter().find(|choice| choice.is_chosen);
            chosen.map(|choice| choice.value.clone()).unwrap_or_default()
        };
        let action = Uid::read_action(&chosen(&self.actions));
        let principal = Uid::new(chosen(&self.principal_types), &self.principal_id);
        let resource = Uid::new(chosen(&self.resource_types), &self.resource_id);
        let context = schema.action(&action.type_name, &action.id).map(|action| &*action.context);
        let context = values(&mut reader, &FieldPath::Field("context"), &self.context, context);
        let mut entities = self.entities(&mut reader, schema);
        for (uid, fields, path) in
            [(&principal, &self.principal, "principal"), (&resource, &self.resource, "resource")]
        {
            let shape = schema.entity_type(&uid.type_name).and_then(|ty| schema.entity(ty));
            let shape = shape.map(|shape| &shape.attributes);
            let attributes = values(&mut reader, &FieldPath::Field(path), fields, shape);
            add_attributes(&mut entities, uid, attributes);
        }
        let role_assignments = self.role_assignments(&mut reader);
        if !reader.violations.is_empty() {
            return Err(reader.violations);
        }
        Ok(RequestInput {
            principal: Some(principal),
            action: Some(action),
            resource: Some(resource),
            context,
            entities,
            role_assignments,
        })
    }

    fn entities(&self, reader: &mut FactReader, schema: &Schema) -> Vec<EntityInput> {
        if self.entities.is_empty() {
            return Vec::new();
        }
        match json::parse(&self.entities) {
            Ok(json) => reader.entities(&json, Some(schema)),
            Err(error) => {
                reader.violation(&FieldPath::Field("entities"), error.to_string());
                Vec::new()
            }
        }
    }

    fn role_assignments(&self, reader: &mut FactReader) -> Vec<RoleAssignmentInput> {
        let list = FieldPath::Field("role_assignments");
        let slots = self.roles.iter().filter(|role| role.is_chosen).map(|role| role.value.as_str());
        let lines = self.more_roles.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut roles = Vec::new();
        for (index, written) in slots.chain(lines).enumerate() {
            match written.parse() {
                Ok(role) => roles.push(role),
                Err(RoleTextError(error)) => {
                    reader.violation(&FieldPath::Index(&list, index), error);
                }
            }
        }
        roles
    }
}

/// Lays attributes over an entity that may be described already.
fn add_attributes(entities: &mut Vec<EntityInput>, uid: &Uid, attributes: Vec<(String, Value)>) {
    if attributes.is_empty() {
        return;
    }
    match entities.iter_mut().find(|entity| entity.uid.as_ref() == Some(uid)) {
        Some(entity) => {
            entity.attributes.retain(|(name, _)| attributes.iter().all(|(new, _)| new != name));
            entity.attributes.extend(attributes);
        }
        None => entities.push(EntityInput {
            uid: Some(uid.clone()),
            attributes,
            ..EntityInput::default()
        }),
    }
}

fn values(
    reader: &mut FactReader,
    path: &FieldPath<'_>,
    fields: &[FormField],
    shape: Option<&RecordShape>,
) -> Vec<(String, Value)> {
    let filled = fields.iter().filter(|field| !field.value.is_empty());
    let values = filled.filter_map(|field| {
        let shape = shape.and_then(|shape| shape.fields.get(field.name.as_str()));
        let shape = shape.map(|field| &field.shape);
        let value = reader.text(&FieldPath::Of(path, &field.name), &field.value, shape)?;
        Some((field.name.clone(), value))
    });
    values.collect()
}

fn fields(
    schema: &Schema,
    query: &Query,
    prefix: &str,
    shape: Option<&RecordShape>,
) -> Vec<FormField> {
    let declared = shape.into_iter().flat_map(|shape| &shape.fields);
    let mut fields: Vec<_> = declared
        .map(|(name, field)| {
            let key = format!("{prefix}{name}");
            let value = query.get(&key).to_owned();
            let choices = choices(schema, &field.shape, &value);
            let hint = match &field.shape {
                Shape::Entity(ty) => format!("{}::\"…\"", type_text(schema, ty)),
                Shape::Set(_) => format!("{}, as JSON", field.shape),
                Shape::Record(_) => "record, as JSON".to_owned(),
                other => other.to_string(),
            };
            FormField {
                key,
                name: name.to_string(),
                required: field.required,
                value,
                choices,
                hint,
            }
        })
        .collect();
    fields.sort_by_key(|field| !field.required);
    fields.truncate(FIELDS);
    fields
}

/// Returns the values that there are of a type, if they are few.
fn choices(schema: &Schema, shape: &Shape, chosen: &str) -> Vec<FormChoice> {
    let choice = |value: String| FormChoice { is_chosen: value == chosen, value };
    match shape {
        Shape::Bool => ["true", "false"].map(|value| choice(value.to_owned())).into(),
        Shape::Entity(ty) => {
            let ids = schema.entity(ty).and_then(|shape| shape.ids.as_ref());
            let ids: BTreeSet<_> = ids.into_iter().flatten().collect();
            let uid = |id: &smol_str::SmolStr| Uid::new(type_text(schema, ty), id.as_str());
            ids.into_iter().map(|id| choice(uid(id).to_string())).collect()
        }
        _ => Vec::new(),
    }
}

fn chosen_action<'a>(schema: &'a Schema, query: &Query) -> Option<&'a ActionSchema> {
    let action = Uid::read_action(query.get("action"));
    schema.action(&action.type_name, &action.id)
}

/// Writes an action as short as it may be written.
fn action_text(schema: &Schema, uid: &EntityUID) -> String {
    let id: &str = uid.eid().as_ref();
    let is_own = schema.action("", id).is_some_and(|action| &action.uid == uid);
    if is_own { id.to_owned() } else { Uid::from(uid).to_string() }
}

/// Writes a type as short as it may be written.
fn type_text(schema: &Schema, ty: &EntityType) -> String {
    let short = ty.name().basename().to_string();
    if schema.entity_type(&short) == Some(ty) { short } else { ty.to_string() }
}
