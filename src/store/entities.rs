//! `*.cedarentities.json`: the entities that a store holds by itself.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

use cedar_policy_core::{
    ast::{Eid, Entity, EntityType, EntityUID, Value as CedarValue},
    entities::{Entities, EntityJsonParser, NoEntitiesSchema, TCComputation, err::EntitiesError},
    extensions::Extensions,
    validator::CoreSchema,
};
use miette::Diagnostic;
use serde_json::{Value, json};

use super::{
    Bounds, FileKind, StoreFiles,
    bounds::{ANCESTORS_OF_ONE, more_than},
    entity_faults::{Fault, Message, empty_ids, faults, named_place},
    hierarchy::{self, TooLarge},
    problems::Problems,
};
use crate::{
    model::{
        self, Problem, Text,
        json::{Step, children},
    },
    schema::{EntityShape, Schema, StoredEntities},
};

pub(super) fn read(
    files: &StoreFiles,
    schema: &Schema,
    bounds: &Bounds,
    problems: &mut Problems,
) -> StoredEntities {
    let found = problems.len();
    let mut written = Vec::new();
    let mut values = bounds.entity_values;
    for (path, text) in files.texts(FileKind::Entities, problems) {
        match elements(files, path, text, &mut values) {
            Ok(elements) => written.extend(elements),
            Err(problem) => problems.push(problem),
        }
    }
    let of_store = |message| Problem::of_file(files.name().as_str(), message);
    if written.len() > bounds.entities {
        let what = format!("the store has {} entities", written.len());
        problems.push(of_store(more_than(&what, bounds.entities, "entities")));
        return StoredEntities::default();
    }
    if let Some(problem) = too_many_ancestors(&written, bounds) {
        problems.push(problem);
        return StoredEntities::default();
    }
    let core_schema = CoreSchema::new(schema.cedar().as_ref());
    let parser = EntityJsonParser::new(
        Some(&core_schema),
        Extensions::all_available(),
        TCComputation::AssumeAlreadyComputed,
    );
    let mut reader = Reader { schema, parser, entities: HashMap::new(), problems };
    reader.elements(written);
    let entities = reader.entities;
    if problems.len() > found {
        return StoredEntities::default();
    }
    let all = entities.into_values().map(|(entity, _)| entity);
    let all = Entities::from_entities(
        all,
        None::<&NoEntitiesSchema>,
        TCComputation::ComputeNow,
        Extensions::all_available(),
    );
    // Without the action entities a policy on an action group would match nothing, and a `forbid`
    // on a group would be open.
    let actions = schema.cedar().action_entities();
    match (all, actions) {
        (Ok(all), Ok(actions)) => {
            let actions = actions.into_iter().map(|action| action.as_ref().clone());
            StoredEntities::new(all.into_iter().chain(actions))
        }
        (all, actions) => {
            let errors = [
                all.err().map(|error| error_text(&error)),
                actions.err().map(|error| error_text(&error)),
            ];
            problems.extend(errors.into_iter().flatten().map(of_store));
            StoredEntities::default()
        }
    }
}

fn error_text(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// An entity as it is written, and where.
struct Element {
    json: Value,
    text: Text,
    place: Range<usize>,
}

impl Element {
    fn problem(&self, message: String) -> Problem {
        Problem::at(&self.text, self.place.clone(), message)
    }
}

fn elements(
    files: &StoreFiles,
    path: &str,
    text: &str,
    values: &mut usize,
) -> Result<impl Iterator<Item = Element> + use<>, Problem> {
    let shared = || files.shared_text(path);
    let json = model::json::parse_from(text, values).map_err(|error| {
        let problem = json_problem(&shared(), &error);
        if *values == 0 {
            problem.with_help("raise the bound `bounds.entity_values`")
        } else {
            problem
        }
    })?;
    let Value::Array(elements) = json else {
        return Err(Problem::of_file(files.path(path), "expected a list of entities"));
    };
    let places: Vec<_> =
        children(text, 0..text.len()).into_iter().map(|(_, place)| place).collect();
    let text = shared();
    let with_places = elements.into_iter().zip(places);
    Ok(with_places.map(move |(json, place)| Element { json, text: text.clone(), place }))
}

/// Holds the hierarchy to its bounds, before Cedar reads the entities.
fn too_many_ancestors(elements: &[Element], bounds: &Bounds) -> Option<Problem> {
    type Uid<'a> = (&'a str, &'a str);
    fn uid(value: &Value) -> Option<Uid<'_>> {
        let uid = value.get("__entity").unwrap_or(value);
        Some((uid.get("type")?.as_str()?, uid.get("id")?.as_str()?))
    }
    let mut parents: BTreeMap<Uid<'_>, (HashSet<Uid<'_>>, &Element)> = BTreeMap::new();
    for element in elements {
        let Some(child) = element.json.get("uid").and_then(uid) else { continue };
        let listed = element.json.get("parents").and_then(Value::as_array).into_iter().flatten();
        parents
            .entry(child)
            .or_insert_with(|| (HashSet::new(), element))
            .0
            .extend(listed.filter_map(uid));
    }
    let edges = parents.iter().map(|(uid, (parents, _))| (uid, parents.iter().collect()));
    let (uid, message) = match hierarchy::check(edges, bounds.entity_ancestors) {
        Ok(()) => return None,
        Err(TooLarge::One(uid)) => {
            (uid, format!("the entity has more than {ANCESTORS_OF_ONE} ancestors"))
        }
        Err(TooLarge::All(uid)) => {
            let what = "all entities together have, with this one, too many ancestors";
            (uid, more_than(what, bounds.entity_ancestors, "entity_ancestors"))
        }
    };
    parents.get(uid).map(|(_, element)| element.problem(message))
}

struct Reader<'a, 's> {
    schema: &'a Schema,
    parser: EntityJsonParser<'a, 's, CoreSchema<'s>>,
    entities: HashMap<EntityUID, (Entity, Element)>,
    problems: &'a mut Problems,
}

impl Reader<'_, '_> {
    /// Reads entities, and of each file no more once nobody would see what is wrong with them.
    fn elements(&mut self, elements: Vec<Element>) {
        for element in elements {
            if !self.problems.leaves_rest(element.text.name()) {
                self.element(element);
            }
        }
    }

    fn element(&mut self, element: Element) {
        let mut filled = element.json.clone();
        fill_slots(&mut filled, self.schema);
        match self.parser.single_from_json_value(filled) {
            Ok(entity) => self.entity(entity, element),
            Err(error) => {
                let faults = faults(&element.json, self.schema);
                if faults.is_empty() {
                    let text = &element.text;
                    let error: &dyn Diagnostic = match &error {
                        EntitiesError::Deserialization(error) => error,
                        EntitiesError::InvalidEntity(error) => error,
                        error => error,
                    };
                    for problem in Problem::of_diagnostic(text, error) {
                        let at = named_place(text, element.place.clone(), problem.message());
                        self.problems.push(problem.or_at(text, at));
                    }
                }
                self.report(faults, &element);
            }
        }
    }

    fn entity(&mut self, entity: Entity, element: Element) {
        self.report(empty_ids(&entity, &element.json), &element);
        self.report(self.foreign_slots(&entity), &element);
        match self.entities.get(entity.uid()) {
            // An entity that is written twice alike says nothing new.
            Some((other, _)) if other.deep_eq(&entity) => {}
            Some((_, other)) => {
                self.problems.add(element.text.name(), || {
                    let place = other.problem(String::new()).location();
                    let message = format!(
                        "the entity `{}` is there twice: the other is in {}, line {}",
                        entity.uid(),
                        other.text.name(),
                        place.map_or(0, |place| place.line)
                    );
                    element.problem(message).with_help("keep one of the two")
                });
            }
            None => drop(self.entities.insert(entity.uid().clone(), (entity, element))),
        }
    }

    fn report(&mut self, faults: Vec<Fault>, element: &Element) {
        let Element { text, place, .. } = element;
        for Fault { path, message, help } in faults {
            self.problems.add(text.name(), || {
                let element = text.text().get(place.clone()).unwrap_or_default();
                let found = model::json::place(element, &path);
                let message = match message {
                    Message::Text(message) => message,
                    Message::NoLong => {
                        let number = element.get(found.clone()).unwrap_or_default();
                        let number: String = number.chars().take(80).collect();
                        format!("the number {number} is no Long")
                    }
                };
                let span = place.start + found.start..place.start + found.end;
                let problem = Problem::at(text, span, message);
                match help {
                    Some(help) => problem.with_help(help),
                    None => problem,
                }
            });
        }
    }

    /// Describes each role slot that the file fills with another Role than the slot's own.
    fn foreign_slots(&self, entity: &Entity) -> Vec<Fault> {
        let shape = self.schema.entity(entity.uid().entity_type());
        let slots = shape.into_iter().flat_map(|shape| shape.slots.keys());
        let foreign = slots.filter(|slot| {
            let own = self.schema.role(entity.uid(), slot);
            entity.get(slot.as_str()) != own.map(|role| CedarValue::from(role).into()).as_ref()
        });
        let fault = foreign.map(|slot| Fault {
            path: vec![Step::Name("attrs".to_owned()), Step::Name(slot.as_str().to_owned())],
            message: Message::Text(format!(
                "the role slot `{slot}` of `{}` holds another Role than its own",
                entity.uid()
            )),
            help: Some("leave the attribute out: Humbaba fills it".to_owned()),
        });
        fault.collect()
    }
}

/// The problem that the JSON parser reports of a file.
pub(crate) fn json_problem(text: &Text, error: &serde_json::Error) -> Problem {
    let lines_before = text.text().split_inclusive('\n').take(error.line().saturating_sub(1));
    let start: usize = lines_before.map(str::len).sum();
    let at = (start + error.column().saturating_sub(1)).min(text.text().len());
    let message = error.to_string();
    // The place is told by itself.
    let place = format!(" at line {} column {}", error.line(), error.column());
    Problem::at(text, at, message.strip_suffix(&place).unwrap_or(&message))
}

/// Fills the slots that the file leaves out, before Cedar misses them.
fn fill_slots(entity: &mut Value, schema: &Schema) {
    let Some((scope, shape)) = scope(entity, schema) else { return };
    let Some(entity) = entity.as_object_mut() else { return };
    let attributes = entity.entry("attrs").or_insert_with(|| json!({}));
    let Some(attributes) = attributes.as_object_mut() else { return };
    for slot in shape.slots.keys() {
        let Some(role) = schema.role(&scope, slot) else { continue };
        let id: &str = role.eid().as_ref();
        let role = json!({ "type": role.entity_type().to_string(), "id": id });
        attributes.entry(slot.as_str()).or_insert(role);
    }
}

fn scope<'a>(entity: &Value, schema: &'a Schema) -> Option<(EntityUID, &'a EntityShape)> {
    let uid = entity.get("uid")?;
    let uid = uid.get("__entity").unwrap_or(uid);
    let shape = schema.entity(schema.entity_type(uid.get("type")?.as_str()?)?)?;
    let id = Eid::new(uid.get("id")?.as_str()?);
    let entity_type: EntityType = shape.entity_type.clone();
    Some((EntityUID::from_components(entity_type, id, None), shape))
}
