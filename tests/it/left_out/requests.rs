//! Random requests, put together of what the cases of a store and its schema speak of.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Debug,
};

use humbaba::{
    model::{Uid, Value},
    request::{EntityInput, RequestInput, RoleAssignmentInput},
    store::PolicyStore,
    testing::{self, DEFAULT_NOW},
};

use super::{Fact, short_type};
use crate::support::random::Random;

/// The parts of a store's cases, to be put together anew.
pub struct Facts {
    inputs: Vec<RequestInput>,
    /// Those of the cases that are written down, not computed from the matrix.
    pub written: Vec<RequestInput>,
    context: Vec<(String, Value)>,
    /// Attributes by the type of the entity.
    pub attributes: HashMap<String, Vec<(String, Value)>>,
    roles: Vec<RoleAssignmentInput>,
}

impl Facts {
    pub fn of(store: &PolicyStore) -> Self {
        let mut facts = Self {
            inputs: Vec::new(),
            written: Vec::new(),
            context: Vec::new(),
            attributes: HashMap::new(),
            roles: Vec::new(),
        };
        for case in testing::cases(store).unwrap() {
            let mut input = case.input_at(DEFAULT_NOW, store.schema());
            for role in &mut input.role_assignments {
                role.principal = role.principal.take().or_else(|| input.principal.clone());
                role.scope = role.scope.take().or_else(|| input.resource.clone());
            }
            facts.context.extend(input.context.iter().filter(|(name, _)| name != "now").cloned());
            facts.roles.extend(input.role_assignments.iter().cloned());
            for entity in &input.entities {
                let of_type = entity.uid.as_ref().map(short_type).unwrap_or_default();
                facts.attributes.entry(of_type).or_default().extend(entity.attributes.clone());
            }
            if case.file != "matrix.csv" {
                facts.written.push(input.clone());
            }
            facts.inputs.push(input);
        }
        for facts in facts.attributes.values_mut() {
            distinct(facts);
        }
        distinct(&mut facts.context);
        distinct(&mut facts.roles);
        facts
    }

    /// A case with some of its facts changed and some of others added.
    pub fn request(&self, store: &PolicyStore, random: &mut Random) -> RequestInput {
        let mut input = random.pick(&self.inputs).clone();
        for _ in 0..random.below(6) {
            match random.below(6) {
                0 => input.action.clone_from(&random.pick(&self.inputs).action),
                1 => {
                    let (name, value) = random.pick(&self.context).clone();
                    input.context.retain(|(other, _)| *other != name);
                    input.context.push((name, value));
                }
                2 => {
                    let role = random.pick(&self.roles).clone();
                    if !input.role_assignments.contains(&role) {
                        input.role_assignments.push(role);
                    }
                }
                3 => self.set_attribute(&mut input, random),
                4 => Self::alter(store, &mut input, random),
                _ => {
                    let facts = Fact::all(&input);
                    if !facts.is_empty() {
                        input = random.pick(&facts).drop_from(&input);
                    }
                }
            }
        }
        input
    }

    /// Says something of an entity that the request names.
    fn set_attribute(&self, input: &mut RequestInput, random: &mut Random) {
        let mut named: Vec<Uid> = input.principal.iter().chain(&input.resource).cloned().collect();
        named.extend(input.entities.iter().filter_map(|entity| entity.uid.clone()));
        let inside = |(_, value): &(String, Value)| match value {
            Value::Entity(uid) => Some(uid.clone()),
            _ => None,
        };
        named.extend(input.context.iter().filter_map(inside));
        let attributes = input.entities.iter().flat_map(|entity| &entity.attributes);
        named.extend(attributes.filter_map(inside).collect::<Vec<_>>());
        if named.is_empty() {
            return;
        }
        let uid = random.pick(&named).clone();
        let Some(known) = self.attributes.get(&short_type(&uid)) else { return };
        if known.is_empty() {
            return;
        }
        let (name, value) = random.pick(known).clone();
        let same = |entity: &&mut EntityInput| {
            entity
                .uid
                .as_ref()
                .is_some_and(|other| short_type(other) == short_type(&uid) && other.id == uid.id)
        };
        match input.entities.iter_mut().find(same) {
            Some(entity) => {
                entity.attributes.retain(|(other, _)| *other != name);
                entity.attributes.push((name, value));
            }
            None => input.entities.push(EntityInput {
                uid: Some(uid.clone()),
                attributes: vec![(name, value)],
                ..EntityInput::default()
            }),
        }
    }

    /// Gives a fact another value of its type, as the schema says.
    fn alter(store: &PolicyStore, input: &mut RequestInput, random: &mut Random) {
        let values = input.context.iter_mut().map(|(_, value)| value);
        let attributes = input.entities.iter_mut().flat_map(|entity| &mut entity.attributes);
        let mut values: Vec<_> = values.chain(attributes.map(|(_, value)| value)).collect();
        if values.is_empty() {
            return;
        }
        let at = random.below(values.len());
        match &mut *values[at] {
            Value::Bool(value) => *value = !*value,
            Value::Entity(uid) => {
                if let Some(ids) = store.schema().enumerated(&uid.type_name) {
                    let ids: BTreeSet<_> = ids.iter().map(ToString::to_string).collect();
                    let ids: Vec<_> = ids.into_iter().collect();
                    uid.id.clone_from(random.pick(&ids));
                }
            }
            _ => {}
        }
    }
}

fn distinct<T: Debug>(all: &mut Vec<T>) {
    let mut seen = BTreeSet::new();
    all.retain(|one| seen.insert(format!("{one:?}")));
}
