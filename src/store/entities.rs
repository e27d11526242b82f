//! `*.cedarentities.json`: the entities that a store holds by itself.

use std::{collections::HashSet, sync::Arc};

use cedar_policy::Entities;
use cedar_policy_core::ast::{self, Entity, EntityType, EntityUID, PartialValue};
use serde_json::{Value, json};

use super::{Bounds, FileKind, StoreFiles, StoreSchema, schema::role_entity};
use crate::diagnostics::Problem;

/// The entities that a store holds by itself and the actions of its schema, with every role slot
/// filled and every ancestor known.
#[derive(Debug, Default)]
pub(crate) struct FixedEntities {
    entities: crate::hash::HashMap<EntityUID, Arc<Entity>>,
    /// The types of which there are any.
    types: Vec<EntityType>,
    /// Those with a role slot that the store fills with another Role than the slot's own.
    foreign_slots: HashSet<EntityUID>,
}

impl FixedEntities {
    /// The entity of that uid, if the store holds it.
    pub(crate) fn get(&self, uid: &EntityUID) -> Option<&Arc<Entity>> {
        if self.types.contains(uid.entity_type()) { self.entities.get(uid) } else { None }
    }

    /// The uids of all entities, in no order.
    pub(crate) fn uids(&self) -> impl Iterator<Item = &EntityUID> {
        self.entities.keys()
    }

    /// Whether every role slot of an entity that the store holds is filled with its own Role.
    pub(crate) fn has_own_slots(&self, uid: &EntityUID) -> bool {
        !self.foreign_slots.contains(uid)
    }

    fn new(entities: impl Iterator<Item = Entity>, schema: &StoreSchema) -> Self {
        let entities: crate::hash::HashMap<_, _> =
            entities.map(|entity| (entity.uid().clone(), Arc::new(entity))).collect();
        let types: HashSet<&EntityType> = entities.keys().map(EntityUID::entity_type).collect();
        let types = types.into_iter().cloned().collect();
        let foreign_slots = entities
            .values()
            .filter(|entity| has_foreign_slot(entity, schema))
            .map(|entity| entity.uid().clone());
        Self { types, foreign_slots: foreign_slots.collect(), entities }
    }

    /// Whether the store holds that entity.
    pub(crate) fn contains(&self, uid: &EntityUID) -> bool {
        self.get(uid).is_some()
    }
}

pub(super) fn read(
    files: &StoreFiles,
    schema: &StoreSchema,
    bounds: &Bounds,
    problems: &mut Vec<Problem>,
) -> FixedEntities {
    let mut all = Entities::empty();
    for (path, text) in files.texts(FileKind::Entities, problems) {
        let path = files.path(path);
        let mut json: Value = match serde_json::from_str(text) {
            Ok(json) => json,
            Err(error) => {
                problems.push(json_problem(&path, text, &error));
                continue;
            }
        };
        fill_slots(&mut json, schema);
        match all.clone().add_entities_from_json_value(json, Some(schema.cedar())) {
            Ok(more) => all = more,
            Err(error) => problems.extend(Problem::of_diagnostic(&path, text, &error)),
        }
    }
    // Without the action entities a policy on an action group would match nothing, and a `forbid`
    // on a group would be open.
    #[expect(clippy::result_large_err, reason = "the error is Cedar's own")]
    let with_actions = schema
        .cedar()
        .action_entities()
        .and_then(|actions| all.clone().add_entities(actions, Some(schema.cedar())));
    match with_actions {
        Ok(with_actions) => all = with_actions,
        Err(error) => problems.push(Problem::of_file(files.name().as_str(), error.to_string())),
    }
    if all.len() > bounds.entities {
        problems.push(Problem::of_file(
            files.name().as_str(),
            format!(
                "the store has {} entities, more than the bound of {}",
                all.len(),
                bounds.entities
            ),
        ));
    }
    FixedEntities::new(all.into_iter().map(|entity| entity.as_ref().clone()), schema)
}

fn has_foreign_slot(entity: &Entity, schema: &StoreSchema) -> bool {
    let shape = schema.entity(entity.uid().entity_type());
    shape.into_iter().flat_map(|shape| shape.slots.keys()).any(|slot| {
        let own =
            schema.role(entity.uid(), slot).map(|role| PartialValue::from(ast::Value::from(role)));
        entity.get(slot.as_str()) != own.as_ref()
    })
}

/// The problem that the JSON parser reports of a file.
pub(crate) fn json_problem(file: &str, text: &str, error: &serde_json::Error) -> Problem {
    let lines_before = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let start: usize = lines_before.map(str::len).sum();
    let at = (start + error.column().saturating_sub(1)).min(text.len());
    Problem::at(file, text, at, None, error.to_string())
}

/// Fills the slots that the file leaves out, before Cedar misses them.
fn fill_slots(json: &mut Value, schema: &StoreSchema) {
    for entity in json.as_array_mut().into_iter().flatten() {
        let Some((scope, shape)) = scope(entity, schema) else { continue };
        let Some(entity) = entity.as_object_mut() else { continue };
        let attributes = entity.entry("attrs").or_insert_with(|| json!({}));
        let Some(attributes) = attributes.as_object_mut() else { continue };
        for (slot, role_type) in &shape.slots {
            attributes.entry(slot.as_str()).or_insert_with(|| {
                let role = role_entity(&scope, slot, role_type);
                json!({ "type": role_type.to_string(), "id": AsRef::<str>::as_ref(role.eid()) })
            });
        }
    }
}

fn scope<'a>(
    entity: &Value,
    schema: &'a StoreSchema,
) -> Option<(EntityUID, &'a super::EntityShape)> {
    use cedar_policy_core::ast::Eid;

    let uid = entity.get("uid")?;
    let uid = uid.get("__entity").unwrap_or(uid);
    let shape = schema.entity(schema.entity_type(uid.get("type")?.as_str()?)?)?;
    let id = Eid::new(uid.get("id")?.as_str()?);
    Some((EntityUID::from_components(shape.entity_type.clone(), id, None), shape))
}
