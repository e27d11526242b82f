//! `tests/*.json`: cases in the format of Cedar's own command line, `cedar run-tests`.
//!
//! The files are taken unchanged. What Cedar's command line does not know stays out of them: role
//! assignments (there the Role entities are parents of the principal) and the time of the decision.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cedar_policy_core::ast::{Eid, EntityUID};
use serde_json::value::RawValue;

use super::{
    case::{Case, DEFAULT_NOW, Expectation, ExpectedPolicies},
    facts::{EntityFact, TestFacts},
    node::{Node, Plain, TestField, TestFile, TestPlace, of_json},
    table::{self, TestTable},
    value::{pair, value},
};
use crate::{
    model::{self, Effect, Uid, Value},
    schema::{Schema, Shape},
    store::{FileKind, PolicyStore, Problems, StoreFiles, json_problem},
};

/// The cases of all JSON files, in the order of the files.
pub(super) fn read(store: &PolicyStore, problems: &mut Problems) -> Vec<Case> {
    let files = store.files();
    let mut reader = CedarTestReader { store, policies: policy_names(store), problems };
    let mut tests = Vec::new();
    let mut entity_files = HashSet::new();
    for (path, bytes) in
        files.iter().filter(|(path, _)| FileKind::of(path) == Some(FileKind::TestsJson))
    {
        let Some(file) = TestFile::new(files, path, bytes, reader.problems) else { continue };
        let Some(elements) = elements(&file, reader.problems) else { continue };
        entity_files.extend(elements.iter().filter_map(|(_, test)| {
            resolve(path, test.get("entities").and_then(serde_json::Value::as_str)?)
        }));
        tests.push((path, elements));
    }
    let mut cases = Vec::new();
    // A file of entities that a case names is not a file of cases.
    for (_, elements) in tests.into_iter().filter(|(path, _)| !entity_files.contains(*path)) {
        let mut names: HashMap<String, usize> = HashMap::new();
        for (index, (place, test)) in elements.into_iter().enumerate() {
            let Some(mut case) = reader.case(&place, &test, index) else { continue };
            let count = names.entry(case.name.clone()).or_default();
            *count += 1;
            if *count > 1 {
                case.name = format!("{} #{count}", case.name);
            }
            cases.push(case);
        }
    }
    cases
}

/// The elements of the array that a file is, each with its place.
fn elements(
    file: &Arc<TestFile>,
    problems: &mut Problems,
) -> Option<Vec<(TestPlace, serde_json::Value)>> {
    // The whole text is parsed first, so that an error has its place in the file.
    let parsed = model::json::parse(file.text.text());
    let parsed = parsed.and_then(|_| serde_json::from_str::<Vec<&RawValue>>(file.text.text()));
    let parsed = parsed.and_then(|elements| {
        let element = |raw: &RawValue| {
            // Raw values are borrowed from the text, so their addresses are places in it.
            let start = raw.get().as_ptr().addr().saturating_sub(file.text.text().as_ptr().addr());
            let place = file.place(start..start + first_line(raw.get()));
            model::json::parse(raw.get()).map(|value| (place, value))
        };
        elements.into_iter().map(element).collect()
    });
    parsed.map_err(|error| problems.push(json_problem(&file.text, &error))).ok()
}

fn first_line(text: &str) -> usize {
    text.lines().next().map_or(0, str::len)
}

struct CedarTestReader<'a> {
    store: &'a PolicyStore,
    /// The ids of policies by the names that Cedar's command line gives them.
    policies: HashMap<String, String>,
    problems: &'a mut Problems,
}

impl CedarTestReader<'_> {
    fn case(&mut self, place: &TestPlace, test: &serde_json::Value, index: usize) -> Option<Case> {
        let found = self.problems.len();
        let mut table = TestTable::new(of_json(place, test), self.problems)?;
        let name = table.string("name", self.problems).map(|(name, _)| name);
        let request = self.required(&mut table, "request");
        let request = request.and_then(|node| TestTable::new(node, self.problems));
        let entities = self.required(&mut table, "entities");
        let decision = table.required_string("decision", self.problems);
        let reason = self.required(&mut table, "reason");
        let reason = reason.map(|node| table::array(node, self.problems)).unwrap_or_default();
        let reason: Vec<_> =
            reason.into_iter().filter_map(|node| table::string(node, self.problems)).collect();
        let errors = self.required(&mut table, "num_errors");
        let errors = errors.and_then(|node| self.count(node));
        let effect = decision.and_then(|(decision, place)| self.effect(&decision, &place));
        let request = request.and_then(|table| self.request(table));
        let entities = entities.and_then(|node| self.entities(place, node));
        let (action, mut facts) = request?;
        facts.entities = entities?;
        if self.problems.len() > found {
            return None;
        }
        let reason = reason.into_iter().map(|(policy, _)| self.policy(policy)).collect();
        Some(Case {
            name: name.unwrap_or_else(|| format!("unnamed case {}", index + 1)),
            file: place.path().to_owned(),
            line: place.line(),
            input: facts.request(&action, self.store.schema()),
            now: DEFAULT_NOW,
            expectation: Expectation::Decision {
                effect: effect?,
                policies: ExpectedPolicies::Among(reason),
                errors: Some(errors?),
            },
        })
    }

    fn required(&mut self, table: &mut TestTable, key: &'static str) -> Option<Node> {
        let node = table.take(key);
        if node.is_none() {
            self.problems.push(table.place().problem(format!("the key `{key}` is missing here")));
        }
        node
    }

    fn count(&mut self, node: Node) -> Option<usize> {
        let count = match node.plain {
            Plain::Integer(count) => usize::try_from(count).ok(),
            _ => None,
        };
        if count.is_none() {
            self.problems.push(node.place.problem("`num_errors` is a number from 0"));
        }
        count
    }

    fn effect(&mut self, decision: &str, place: &TestPlace) -> Option<Effect> {
        match decision {
            "allow" => Some(Effect::Allow),
            "deny" => Some(Effect::Deny),
            _ => {
                let problem = place.problem(format!("`{decision}` is not a decision"));
                self.problems.push(problem.with_help("write `allow` or `deny`"));
                None
            }
        }
    }

    fn request(&mut self, mut table: TestTable) -> Option<(Uid, TestFacts)> {
        for key in ["principal", "action", "resource"] {
            if !table.has(key) {
                self.problems.push(table.place().problem(format!("the request has no `{key}`")));
            }
        }
        let action = table.uid("action", self.problems);
        let facts = TestFacts {
            principal: table.uid("principal", self.problems),
            resource: table.uid("resource", self.problems),
            context: table.fields("context", self.problems),
            ..TestFacts::default()
        };
        Some((action?, facts))
    }

    /// The entities of a case, which may be in a file of their own.
    fn entities(&mut self, place: &TestPlace, node: Node) -> Option<Vec<EntityFact>> {
        let node = match &node.plain {
            Plain::String(named) => self.entities_of_file(place, named)?,
            _ => node,
        };
        let nodes = table::array(node, self.problems);
        let entities = nodes.into_iter().filter_map(|node| self.entity(node)).collect();
        Some(entities)
    }

    fn entities_of_file(&mut self, place: &TestPlace, named: &str) -> Option<Node> {
        let files: &StoreFiles = self.store.files();
        let path = resolve(place.path(), named);
        let found = path.and_then(|path| files.get(&path).map(|bytes| (path, bytes)));
        let Some((path, bytes)) = found else {
            let message = format!("there is no file `{named}` beside the file of this case");
            self.problems.push(place.problem(message));
            return None;
        };
        let file = TestFile::new(files, &path, bytes, self.problems)?;
        match model::json::parse(file.text.text()) {
            Ok(json) => Some(of_json(&file.place(0..first_line(file.text.text())), &json)),
            Err(error) => {
                self.problems.push(json_problem(&file.text, &error));
                None
            }
        }
    }

    /// One entity; none for an action, which the schema knows.
    fn entity(&mut self, node: Node) -> Option<EntityFact> {
        let mut table = TestTable::new(node, self.problems)?;
        let Some(uid) = table.take("uid") else {
            self.problems.push(table.place().problem("an entity has no `uid`"));
            return None;
        };
        let uid = self.uid(&uid)?;
        let mut attributes = table.fields("attrs", self.problems);
        // Cedar wants every slot in the file; a request leaves them out.
        attributes.retain(|field| !self.is_own_slot(&uid, field));
        let parents = table.array("parents", self.problems);
        let parents = parents.iter().filter_map(|parent| self.uid(parent)).collect();
        let tags = table.fields("tags", self.problems);
        let schema = self.store.schema();
        let is_action = is_action(&uid, schema);
        (!is_action).then_some(EntityFact { uid, attributes, parents, tags })
    }

    /// Returns whether a field is a role slot that holds its own Role.
    fn is_own_slot(&self, uid: &Uid, field: &TestField) -> bool {
        let schema = self.store.schema();
        let own = || {
            let scope_type = schema.entity_type(&uid.type_name)?;
            let (slot, _) = schema.entity(scope_type)?.slots.get_key_value(field.name.as_str())?;
            let scope =
                EntityUID::from_components(scope_type.clone(), Eid::new(uid.id.as_str()), None);
            schema.role(&scope, slot)
        };
        let Some(own) = own() else { return false };
        let shape = Shape::Entity(Box::new(own.entity_type().clone()));
        matches!(
            value(&field.value, Some(&shape), schema),
            Value::Entity(held) if schema.entity_type(&held.type_name) == Some(own.entity_type())
                && held.id == AsRef::<str>::as_ref(own.eid())
        )
    }

    /// An entity's name in Cedar's JSON: `{"type": …, "id": …}`, maybe below `__entity`.
    fn uid(&mut self, node: &Node) -> Option<Uid> {
        let fields = match &node.plain {
            Plain::Table(fields) => match fields.as_slice() {
                [field] if field.name == "__entity" => match &field.value.plain {
                    Plain::Table(fields) => Some(fields),
                    _ => None,
                },
                _ => Some(fields),
            },
            _ => None,
        };
        let uid = fields.and_then(|fields| pair(fields, "type", "id"));
        if uid.is_none() {
            let message = "an entity is named by `{\"type\": …, \"id\": …}`";
            self.problems.push(node.place.problem(message));
        }
        uid.map(|(type_name, id)| Uid::new(type_name, id))
    }

    fn policy(&self, name: String) -> String {
        self.policies.get(&name).cloned().unwrap_or(name)
    }
}

fn is_action(uid: &Uid, schema: &Schema) -> bool {
    schema.entity_type(&uid.type_name).is_none() && schema.action(&uid.type_name, &uid.id).is_some()
}

/// A path that is written relative to the folder of a file, without a way out of it.
fn resolve(file: &str, written: &str) -> Option<String> {
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let written = written.strip_prefix("./").unwrap_or(written);
    let outside = written.starts_with('/') || written.split('/').any(|part| part == "..");
    (!outside).then(|| format!("{folder}/{written}"))
}

/// Cedar's command line calls a policy without `@id` by its place in the only file, from `policy0`.
fn policy_names(store: &PolicyStore) -> HashMap<String, String> {
    let of_policies = |(path, _): &(&str, &[u8])| FileKind::of(path) == Some(FileKind::Policies);
    let mut files = store.files().iter().filter(of_policies).map(|(path, _)| path);
    let (Some(file), None) = (files.next(), files.next()) else { return HashMap::new() };
    let set = store.policies();
    let ids = set.policies().map(|policy| policy.id()).chain(set.templates().map(|t| t.id()));
    let ids: HashSet<String> = ids.map(ToString::to_string).collect();
    ids.iter()
        .filter_map(|id| {
            let place: usize = id.strip_prefix(file)?.strip_prefix(':')?.parse().ok()?;
            let name = format!("policy{}", place.checked_sub(1)?);
            (!ids.contains(&name)).then(|| (name, id.clone()))
        })
        .collect()
}
