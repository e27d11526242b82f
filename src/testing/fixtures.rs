//! Named facts that cases use.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::{facts::TestFacts, node::TestPlace, table::TestTable};
use crate::{schema::Schema, store::Problems};

/// The file of fixtures for all files.
pub(super) const SHARED: &str = "tests/fixtures.toml";

/// Named facts.
#[derive(Debug, Clone, Default)]
pub(super) struct Fixtures {
    by_name: HashMap<String, Arc<TestFacts>>,
}

impl Fixtures {
    /// Takes the fixtures out of a file.
    pub(super) fn take(&mut self, file: &mut TestTable, problems: &mut Problems) {
        for field in file.fields("fixtures", problems) {
            match self.by_name.entry(field.name) {
                Entry::Occupied(known) => {
                    let message = format!("`{SHARED}` has a fixture `{}` already", known.key());
                    let problem = field.place.problem(message);
                    problems.push(problem.with_help("give this one another name"));
                }
                Entry::Vacant(free) => {
                    if let Some(facts) = TestFacts::read(field.value, problems) {
                        free.insert(Arc::new(facts));
                    }
                }
            }
        }
    }

    /// The facts of those fixtures, from the first to the last.
    pub(super) fn lay(
        &self,
        names: &[(String, TestPlace)],
        schema: &Schema,
        problems: &mut Problems,
    ) -> TestFacts {
        let mut facts = TestFacts::default();
        for (name, place) in names {
            match self.by_name.get(name) {
                Some(fixture) => facts.add(fixture, schema),
                None => {
                    let mut known: Vec<_> = self.by_name.keys().map(String::as_str).collect();
                    known.sort_unstable();
                    let problem = place.problem(format!("there is no fixture `{name}`"));
                    problems.push(problem.with_help(format!("there are {}", known.join(", "))));
                }
            }
        }
        facts
    }
}
