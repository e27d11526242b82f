//! `*.cedarentities.json`: the entities that a store holds by itself.

use cedar_policy::Entities;
use cedar_policy_core::ast::{self, Entity, EntityUID};
use serde_json::{Value, json};

use super::{Bounds, FileKind, StoreFiles};
use crate::{
    model::{self, Problem},
    schema::{EntityShape, Schema, StoredEntities},
};

pub(super) fn read(
    files: &StoreFiles,
    schema: &Schema,
    bounds: &Bounds,
    problems: &mut Vec<Problem>,
) -> StoredEntities {
    let mut all = Entities::empty();
    for (path, text) in files.texts(FileKind::Entities, problems) {
        let path = files.path(path);
        let mut json: Value = match model::json::parse(text) {
            Ok(json) => json,
            Err(error) => {
                problems.push(json_problem(&path, text, &error));
                continue;
            }
        };
        fill_slots(&mut json, schema);
        match all.clone().add_entities_from_json_value(json, Some(schema.cedar())) {
            Ok(more) => {
                problems.extend(foreign_slots(&more, &all, schema).map(|slot| {
                    Problem::of_file(&path, slot)
                        .with_help("leave the attribute out: Humbaba fills it")
                }));
                all = more;
            }
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
    StoredEntities::new(all.into_iter().map(|entity| entity.as_ref().clone()))
}

/// Describes each role slot that a file fills with another Role than the slot's own. `before` are
/// the entities of other files.
fn foreign_slots<'a>(
    entities: &'a Entities,
    before: &'a Entities,
    schema: &'a Schema,
) -> impl Iterator<Item = String> {
    let new = entities.iter().filter(|entity| before.get(&entity.uid()).is_none());
    new.flat_map(move |entity| {
        let entity: &Entity = entity.as_ref();
        let shape = schema.entity(entity.uid().entity_type());
        let slots = shape.into_iter().flat_map(|shape| shape.slots.keys());
        slots.filter_map(move |slot| {
            let own = schema.role(entity.uid(), slot).map(|role| ast::Value::from(role).into());
            let is_own = entity.get(slot.as_str()) == own.as_ref();
            (!is_own).then(|| {
                format!(
                    "the role slot `{slot}` of `{}` holds another Role than its own",
                    entity.uid()
                )
            })
        })
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
fn fill_slots(json: &mut Value, schema: &Schema) {
    for entity in json.as_array_mut().into_iter().flatten() {
        let Some((scope, shape)) = scope(entity, schema) else { continue };
        let Some(entity) = entity.as_object_mut() else { continue };
        let attributes = entity.entry("attrs").or_insert_with(|| json!({}));
        let Some(attributes) = attributes.as_object_mut() else { continue };
        for slot in shape.slots.keys() {
            let Some(role) = schema.role(&scope, slot) else { continue };
            let id: &str = role.eid().as_ref();
            let role = json!({ "type": role.entity_type().to_string(), "id": id });
            attributes.entry(slot.as_str()).or_insert(role);
        }
    }
}

fn scope<'a>(entity: &Value, schema: &'a Schema) -> Option<(EntityUID, &'a EntityShape)> {
    use cedar_policy_core::ast::Eid;

    let uid = entity.get("uid")?;
    let uid = uid.get("__entity").unwrap_or(uid);
    let shape = schema.entity(schema.entity_type(uid.get("type")?.as_str()?)?)?;
    let id = Eid::new(uid.get("id")?.as_str()?);
    Some((EntityUID::from_components(shape.entity_type.clone(), id, None), shape))
}
