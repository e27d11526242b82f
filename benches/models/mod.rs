//! Three models in the manner of the suite with which Cedar was evaluated (OOPSLA 2024): shared
//! documents, repositories with teams, to-do lists. Each makes random worlds and asks about them.

mod gdrive;
mod github;
mod tinytodo;

use fastrand::Rng;
use humbaba::{
    model::{StoreName, Uid, Value},
    request::{EntityInput, RequestInput},
    store::{PolicyStore, StoreFiles},
};

use crate::support;

/// Questions about each world.
const QUESTIONS: usize = 50;
/// Worlds of each size.
const WORLDS: usize = 10;

pub struct Model {
    pub name: &'static str,
    schema: &'static str,
    policies: &'static str,
    /// Makes the entities of a world with `size` of each kind.
    world: fn(&mut Rng, usize) -> Vec<EntityInput>,
    /// Asks about a world of that size.
    ask: fn(&mut Rng, usize) -> RequestInput,
}

pub const MODELS: [Model; 3] = [gdrive::MODEL, github::MODEL, tinytodo::MODEL];

impl Model {
    pub fn store(&self) -> PolicyStore {
        let name: StoreName = self.name.parse().expect("a name of a store");
        let files = StoreFiles::new(name, [])
            .with_file("schema.cedarschema", self.schema.as_bytes())
            .with_file("policies.cedar", self.policies.as_bytes());
        support::load(files)
    }

    /// Returns questions about random worlds with `size` entities of each kind, which are all sent.
    /// They are the same in every run.
    pub fn questions(&self, size: usize) -> Vec<RequestInput> {
        let mut rng = Rng::with_seed(size as u64);
        let mut questions = Vec::new();
        for _ in 0..WORLDS {
            let entities = (self.world)(&mut rng, size);
            for _ in 0..QUESTIONS {
                let entities = entities.clone();
                questions.push(RequestInput { entities, ..(self.ask)(&mut rng, size) });
            }
        }
        questions
    }
}

/// The entity of that type and number.
fn uid(type_name: &str, number: usize) -> Uid {
    Uid::new(type_name, number.to_string())
}

/// Returns one of `size` entities of that type.
fn any(rng: &mut Rng, type_name: &str, size: usize) -> Uid {
    uid(type_name, rng.usize(..size))
}

/// Returns at most `most` of the `size` entities of that type.
fn some(rng: &mut Rng, type_name: &str, size: usize, most: usize) -> Vec<Uid> {
    let mut numbers: Vec<_> = (0..rng.usize(..=most)).map(|_| rng.usize(..size)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter().map(|number| uid(type_name, number)).collect()
}

fn set(uids: Vec<Uid>) -> Value {
    Value::Set(uids.into_iter().map(Value::Entity).collect())
}

/// Returns true once in `times` times.
fn seldom(rng: &mut Rng, times: usize) -> Value {
    Value::Bool(rng.usize(..times) == 0)
}

fn entity<const N: usize>(
    uid: Uid,
    parents: Vec<Uid>,
    attributes: [(&str, Value); N],
) -> EntityInput {
    EntityInput { uid: Some(uid), parents, attributes: named(attributes), ..EntityInput::default() }
}

fn named<const N: usize>(values: [(&str, Value); N]) -> Vec<(String, Value)> {
    values.map(|(name, value)| (name.to_owned(), value)).into()
}

fn ask<const N: usize>(
    principal: Uid,
    action: &str,
    resource: Uid,
    context: [(&str, Value); N],
) -> RequestInput {
    RequestInput {
        principal: Some(principal),
        action: Some(Uid::action(action)),
        resource: Some(resource),
        context: named(context),
        ..RequestInput::default()
    }
}
