//! Shared by the tests of the shipped policies that replay changes on a model of a product.
//!
//! A model keeps two books. One holds what is in force: every change that the policies allow is
//! entered there. The other holds what was given: a change is entered there only if whoever makes it
//! was given the right to, by the vendor's table and nothing else. In the end whatever the policies
//! allow by the first book must be a cell of the table by the second.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::Arc,
};

use humbaba::{
    engine,
    model::{OnForbidError, Timestamp, Uid, Value},
    request::{EntityInput, RequestInput, RequestLimits, RoleAssignmentInput},
    store::{Bounds, PolicyStore, embedded_stores},
};
use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};

/// A shipped store, with some of its files written by the test: a planted policy, or a guard taken
/// away.
pub fn shipped(name: &str, written: &[(&str, &str)]) -> PolicyStore {
    let mut stores = embedded_stores().into_iter();
    let files = stores.find(|files| files.name().as_str() == name).unwrap();
    let files =
        written.iter().fold(files, |files, (path, text)| files.with_file(*path, text.as_bytes()));
    PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(|problem| problem.render()).collect::<String>())
    })
}

/// The vendor's table.
pub struct Table {
    /// The rows by scope and action: the cells by column.
    rows: BTreeMap<(String, String), BTreeMap<String, String>>,
}

impl Table {
    /// The table that a store ships.
    pub fn of(store: &PolicyStore) -> Self {
        let mut reader = csv::Reader::from_reader(store.files().get("matrix.csv").unwrap());
        let names: Vec<_> = reader.headers().unwrap().iter().map(ToOwned::to_owned).collect();
        let row = |row: csv::StringRecord| {
            let cells = names.iter().cloned().zip(row.iter().map(ToOwned::to_owned));
            ((row[0].to_owned(), row[1].to_owned()), cells.collect())
        };
        Self { rows: reader.records().map(|record| row(record.unwrap())).collect() }
    }

    /// The actions of the rows of some scopes.
    pub fn actions<'a>(&'a self, scopes: &'a [&str]) -> impl Iterator<Item = &'a str> {
        let of_scope = |(scope, _): &&(String, String)| scopes.contains(&scope.as_str());
        self.rows.keys().filter(of_scope).map(|(_, action)| action.as_str())
    }

    /// Returns whether a column may have an action at all: the cell is not `deny`.
    pub fn may(&self, column: &str, action: &str) -> bool {
        let row = self.rows.iter().find(|((_, of_row), _)| of_row == action);
        row.is_some_and(|(_, cells)| cells[column] != "deny")
    }
}

/// A question in the making.
#[derive(Debug, Clone, Default)]
pub struct Question {
    input: RequestInput,
    attributes: BTreeMap<Uid, BTreeMap<String, Value>>,
    parents: BTreeMap<Uid, BTreeSet<Uid>>,
}

impl Question {
    /// May that principal do that action on that resource?
    pub fn new(principal: &Uid, action: &str, resource: &Uid) -> Self {
        let (principal, resource) = (Some(principal.clone()), Some(resource.clone()));
        let action = Some(Uid::action(action));
        let input = RequestInput { principal, action, resource, ..RequestInput::default() };
        Self { input, ..Self::default() }
    }

    /// Adds a fact of the request.
    pub fn fact(mut self, name: &str, value: Value) -> Self {
        self.input.context.push((name.to_owned(), value));
        self
    }

    /// Adds an attribute of an entity.
    pub fn attribute(mut self, entity: &Uid, name: &str, value: Value) -> Self {
        self.attributes.entry(entity.clone()).or_default().insert(name.to_owned(), value);
        self
    }

    /// Puts an entity into a group.
    pub fn parent(mut self, entity: &Uid, parent: &Uid) -> Self {
        self.parents.entry(entity.clone()).or_default().insert(parent.clone());
        self
    }

    /// Adds a role assignment.
    pub fn role(
        mut self,
        principal: &Uid,
        role: &str,
        scope: &Uid,
        expires_at: Option<Timestamp>,
    ) -> Self {
        let (principal, scope) = (Some(principal.clone()), Some(scope.clone()));
        let role = role.to_owned();
        self.input.role_assignments.push(RoleAssignmentInput {
            principal,
            role,
            scope,
            expires_at,
        });
        self
    }

    /// Decides the question at that time.
    pub fn is_allowed(&self, store: &PolicyStore, now: Timestamp) -> bool {
        let uids: BTreeSet<_> = self.attributes.keys().chain(self.parents.keys()).collect();
        let entities = uids.into_iter().map(|uid| EntityInput {
            uid: Some(uid.clone()),
            attributes: self.attributes.get(uid).cloned().unwrap_or_default().into_iter().collect(),
            parents: self.parents.get(uid).cloned().unwrap_or_default().into_iter().collect(),
            ..EntityInput::default()
        });
        let input = RequestInput { entities: entities.collect(), ..self.input.clone() };
        let request = store
            .check(&input, now, &RequestLimits::default())
            .unwrap_or_else(|violations| panic!("{violations:?}: {input:?}"));
        engine::decide(store.engine(), &request, OnForbidError::Deny).is_allow()
    }
}

/// A reference to an entity.
pub fn entity(uid: &Uid) -> Value {
    Value::Entity(uid.clone())
}

/// References to entities.
pub fn entities<'a>(uids: impl IntoIterator<Item = &'a Uid>) -> Value {
    Value::Set(uids.into_iter().map(entity).collect())
}

/// Random numbers that are the same in each run, so that a search finds what it found before.
pub fn random() -> TestRng {
    TestRng::deterministic_rng(RngAlgorithm::ChaCha)
}

/// Looks among `cases` random `changes` for some after which somebody has a permission that was never
/// given. `gain` describes it.
///
/// # Errors
/// There are such changes.
pub fn search<T: Debug>(
    cases: u32,
    changes: &impl Strategy<Value = T>,
    gain: impl Fn(T) -> Option<String>,
) -> Result<(), String> {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let judge = |changes| match gain(changes) {
        None => Ok(()),
        Some(gain) => Err(TestCaseError::fail(gain)),
    };
    TestRunner::new_with_rng(config, random())
        .run(changes, judge)
        .map_err(|error| error.to_string())
}
