//! `tests/*.toml`: named cases.

use std::collections::HashMap;

use super::{
    case::{Case, DEFAULT_NOW, Expectation, ExpectedPolicies},
    facts::TestFacts,
    fixtures::{Fixtures, SHARED},
    node::{Node, TestFile, TestPlace, parse_toml},
    table::TestTable,
};
use crate::{
    model::{Effect, Uid},
    schema::Schema,
    store::{FileKind, Problems, StoreFiles},
};

/// The cases of all TOML files, in the order of the files.
pub(super) fn read(files: &StoreFiles, schema: &Schema, problems: &mut Problems) -> Vec<Case> {
    let mut shared = Fixtures::default();
    let mut tables = Vec::new();
    for (path, bytes) in
        files.iter().filter(|(path, _)| FileKind::of(path) == Some(FileKind::TestsToml))
    {
        let file = TestFile::new(files, path, bytes, problems);
        let node = file.and_then(|file| parse_toml(&file, problems));
        let Some(mut table) = node.and_then(|node| TestTable::new(node, problems)) else {
            continue;
        };
        if path == SHARED {
            shared.take(&mut table, problems);
        }
        tables.push((path, table));
    }
    let mut cases = Vec::new();
    for (path, mut table) in tables {
        let mut fixtures = shared.clone();
        if path != SHARED {
            fixtures.take(&mut table, problems);
        }
        let mut reader =
            CaseReader { fixtures, schema, problems, names: HashMap::new(), cases: Vec::new() };
        for node in table.array("case", reader.problems) {
            reader.case(node);
        }
        cases.append(&mut reader.cases);
        // `fixtures` was taken above, from the shared file too.
        table.finish(problems);
    }
    cases
}

struct CaseReader<'a> {
    fixtures: Fixtures,
    schema: &'a Schema,
    problems: &'a mut Problems,
    /// The line of each name.
    names: HashMap<String, usize>,
    cases: Vec<Case>,
}

impl CaseReader<'_> {
    fn case(&mut self, node: Node) {
        let Some(mut table) = TestTable::new(node, self.problems) else { return };
        let place = table.place().clone();
        let name = table.required_string("name", self.problems);
        let used = table.strings("use", self.problems);
        let mut facts = self.fixtures.lay(&used, self.schema, self.problems);
        let own = TestFacts::take(&mut table, self.problems);
        facts.add(&own, self.schema);
        let place = name.as_ref().map_or(place, |(_, place)| place.clone());
        let name = name.map(|(name, _)| name).unwrap_or_default();
        let asked = self.asked(&mut table, &place);
        table.finish(self.problems);
        for (action, expectation) in asked.each {
            let name = if asked.single { name.clone() } else { format!("{name} / {action}") };
            self.add(name, &place, &action, &facts, expectation);
        }
    }

    fn add(
        &mut self,
        name: String,
        place: &TestPlace,
        action: &str,
        facts: &TestFacts,
        expectation: Expectation,
    ) {
        let line = place.line();
        if let Some(first) = self.names.insert(name.clone(), line) {
            let message = format!("the name `{name}` was given in line {first} already");
            self.problems.push(place.problem(message).with_help("give this case another name"));
            return;
        }
        self.cases.push(Case {
            name,
            file: place.path().to_owned(),
            line,
            input: facts.request(&action_uid(action), self.schema),
            now: facts.now.unwrap_or(DEFAULT_NOW),
            expectation,
        });
    }

    /// The actions that a case asks for, each with what is expected.
    fn asked(&mut self, table: &mut TestTable, place: &TestPlace) -> ExpectedAnswers {
        let action = table.string("action", self.problems);
        let expect = table.string("expect", self.problems);
        let message = table.string("message", self.problems);
        let policies = self.policies(table);
        let (has_allow, has_deny) = (table.has("allow"), table.has("deny"));
        let allow = table.strings("allow", self.problems);
        let deny = table.strings("deny", self.problems);
        let mut asked = ExpectedAnswers { single: action.is_some(), each: Vec::new() };
        if action.is_none() && !has_allow && !has_deny {
            self.problems.push(
                place
                    .problem("the case asks for no action")
                    .with_help("give `action` and `expect`, or lists `allow` and `deny`"),
            );
        }
        if let Some((action, action_place)) = action {
            if has_allow || has_deny {
                self.problems.push(
                    action_place
                        .problem("`action` and the lists `allow` and `deny` exclude each other"),
                );
            }
            match expect {
                Some((expect, place)) => {
                    if let Some(expectation) = self.expectation(&expect, &place, message, policies)
                    {
                        asked.each.push((action, expectation));
                    }
                }
                None => self.problems.push(
                    action_place
                        .problem("the case does not say what it expects")
                        .with_help("add `expect = \"allow\"`, `\"deny\"` or `\"invalid\"`"),
                ),
            }
            return asked;
        }
        for (key, given) in [("expect", expect), ("message", message)] {
            if let Some((_, place)) = given {
                self.problems
                    .push(place.problem(format!("`{key}` is only for a case with `action`")));
            }
        }
        for (effect, actions) in [(Effect::Allow, allow), (Effect::Deny, deny)] {
            for (action, _) in actions {
                let policies = policies.clone();
                asked.each.push((action, Expectation::Decision { effect, policies, errors: None }));
            }
        }
        asked
    }

    fn policies(&mut self, table: &mut TestTable) -> ExpectedPolicies {
        let one = table.string("policy", self.problems);
        let has_several = table.has("policies");
        let several = table.strings("policies", self.problems);
        match one {
            Some((_, place)) if has_several => {
                self.problems.push(place.problem("`policy` and `policies` exclude each other"));
                ExpectedPolicies::Any
            }
            Some((policy, _)) => ExpectedPolicies::Among(vec![policy]),
            None if has_several => {
                ExpectedPolicies::Exactly(several.into_iter().map(|(policy, _)| policy).collect())
            }
            None => ExpectedPolicies::Any,
        }
    }

    fn expectation(
        &mut self,
        expect: &str,
        place: &TestPlace,
        message: Option<(String, TestPlace)>,
        policies: ExpectedPolicies,
    ) -> Option<Expectation> {
        let effect = match expect {
            "allow" => Effect::Allow,
            "deny" => Effect::Deny,
            "invalid" => {
                if policies != ExpectedPolicies::Any {
                    self.problems.push(place.problem("a request that is refused has no policies"));
                }
                return Some(Expectation::Invalid { message: message.map(|(message, _)| message) });
            }
            _ => {
                let problem = place.problem(format!("`{expect}` is not an answer"));
                self.problems.push(problem.with_help("write `allow`, `deny` or `invalid`"));
                return None;
            }
        };
        if let Some((_, place)) = message {
            self.problems.push(place.problem("`message` is only for `expect = \"invalid\"`"));
        }
        Some(Expectation::Decision { effect, policies, errors: None })
    }
}

struct ExpectedAnswers {
    /// True where the case is about one action and keeps its name.
    single: bool,
    each: Vec<(String, Expectation)>,
}

/// An action is written by its id alone, or in full.
fn action_uid(text: &str) -> Uid {
    match text.parse::<Uid>() {
        Ok(uid) if text.ends_with('"') => uid,
        _ => Uid::action(text),
    }
}
