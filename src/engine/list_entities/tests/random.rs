//! Random policies, directories and questions.

use std::cell::RefCell;

use proptest::{prelude::*, sample::select, test_runner::TestRunner};

use super::{Asked, Tally};
use crate::{
    engine::{
        Engine,
        compiled::tests::{
            generated::{self, STORE},
            held::Divided,
            sample,
        },
    },
    model::Value,
    request::{ListInput, RequestInput, RequestLimits, Side, check},
    testing::DEFAULT_NOW,
};

impl Divided {
    fn asked<'a>(&'a self, engine: &'a Engine, input: &'a ListInput) -> Asked<'a> {
        Asked { engine, held: &self.held, now: DEFAULT_NOW, input }
    }
}

/// Conditions that tie the resource to the principal, or either to what a policy names.
const TIES: [&str; 18] = [
    "principal in resource.viewer",
    "principal in resource.owner",
    "principal in [resource.owner, resource.editor, resource.viewer]",
    "resource has folder && principal in resource.folder.owner",
    "resource has folder && principal in [resource.viewer, resource.folder.editor]",
    "resource has folder.space && principal in resource.folder.space.admin",
    "resource has author && resource.author == principal",
    "resource has readers && resource.readers.contains(principal)",
    "resource has readers && principal in resource.readers",
    "resource in App::Folder::\"1\"",
    "resource in [App::Folder::\"2\", App::Folder::\"f\"]",
    "resource == App::Doc::\"f\"",
    "principal in App::Group::\"1\"",
    "principal in [App::Group::\"2\", App::Group::\"f\"]",
    "principal in App::Role::\"Folder::0#owner\"",
    "principal in App::Space::\"main\".admin",
    "context has who && context.who in resource.viewer",
    "context.n < 3",
];

/// Few policies, so that many lists are narrowed.
fn few_policies() -> impl Strategy<Value = String> {
    let tie = || select(TIES.to_vec());
    let scope = select(vec![
        "principal, action, resource",
        "principal, action, resource",
        "principal, action, resource is App::Doc",
        "principal is App::User, action, resource",
        "principal in App::Group::\"1\", action, resource",
        "principal, action, resource in App::Folder::\"1\"",
    ]);
    let condition = prop_oneof![
        3 => tie().prop_map(str::to_owned),
        1 => (tie(), tie()).prop_map(|(one, other)| format!("({one}) && ({other})")),
        1 => (tie(), tie()).prop_map(|(one, other)| format!("({one}) || ({other})")),
        1 => (tie(), tie(), tie())
            .prop_map(|(a, b, c)| format!("if ({a}) then ({b}) else ({c})")),
        1 => (tie(), tie()).prop_map(|(one, other)| format!("({one}) && !({other})")),
    ];
    let policy = (select(vec!["permit", "permit", "permit", "forbid"]), scope, condition)
        .prop_map(|(effect, scope, when)| format!("{effect} ({scope}) when {{ {when} }};\n"));
    prop::collection::vec(policy, 1..4).prop_map(|policies| policies.concat())
}

#[test]
fn lists_have_exactly_what_is_allowed() {
    let cases = ProptestConfig::default().cases.max(256);
    let mut runner = TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let tally = RefCell::new(Tally::default());
    let list = prop_oneof![
        select(vec!["Doc", "Folder", "Space"]).prop_map(|ty| (Side::Resource, ty)),
        select(vec!["User", "Group", "Client"]).prop_map(|ty| (Side::Principal, ty)),
    ];
    let question = (generated::request(), prop::collection::vec(any::<bool>(), 1..40), list);
    let policies = prop_oneof![
        1 => (sample::policies(), sample::templates()),
        3 => few_policies().prop_map(|policies| (policies, Vec::new())),
    ];
    let strategy = (policies, prop::collection::vec(question, 4));
    runner
        .run(&strategy, |((policies, templates), questions)| {
            let engine = STORE.engine_of(&sample::policy_set(&policies, &templates));
            for (question, is_held, (open, entity_type)) in questions {
                let divided = Divided::new(question, &is_held);
                let limits = RequestLimits::default();
                let known = engine.known(Some(&divided.held));
                let tally = &mut *tally.borrow_mut();
                if check(known, &divided.sent, DEFAULT_NOW, &limits).is_err() {
                    tally.refused += 1;
                    continue;
                }
                let question = divided.sent.clone();
                let input = ListInput { question, open, entity_type: entity_type.to_owned() };
                let asked = divided.asked(&engine, &input);
                asked.compare(tally).map_err(|e| {
                    TestCaseError::fail(format!("{e}\n{policies}\n{input:#?}\n{divided:#?}"))
                })?;
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let tally = tally.into_inner();
    println!("{tally:?}");
    assert!(tally.refused * 10 < tally.lists, "{tally:?}");
    assert!(tally.allowed * 20 > tally.all && tally.allowed < tally.decided, "{tally:?}");
    assert!(tally.decided * 10 < tally.all * 9, "many lists are narrowed: {tally:?}");
}

/// Returns the questions with each value that the missing fact may have.
fn completed(divided: &Divided) -> impl Iterator<Item = RequestInput> + use<'_> {
    (0..6).map(|n| {
        let mut question = divided.sent.clone();
        question.context.push(("n".to_owned(), Value::Long(n)));
        question
    })
}

#[test]
fn what_a_missing_fact_could_allow_is_conditional() {
    let cases = ProptestConfig::default().cases.max(256);
    let mut runner = TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let tally = RefCell::new((0, 0, 0));
    let question = (generated::request(), prop::collection::vec(any::<bool>(), 1..40));
    let strategy = (sample::policies(), prop::collection::vec(question, 3));
    runner
        .run(&strategy, |(policies, questions)| {
            let engine = STORE.engine_of(&sample::policy_set(&policies, &[]));
            for (question, is_held) in questions {
                let mut divided = Divided::new(question, &is_held);
                divided.sent.context.retain(|(name, _)| name != "n");
                let (open, entity_type) = (Side::Resource, "Doc".to_owned());
                let without = ListInput { question: divided.sent.clone(), open, entity_type };
                let (allowed, conditional) = divided.asked(&engine, &without).pages(1_000);
                prop_assert_eq!(&allowed, &[], "a question that lacks a fact is no allow");
                let (conditionals, possible, of) = &mut *tally.borrow_mut();
                *conditionals += conditional.len();
                *of += divided.asked(&engine, &without).candidates().len();
                for question in completed(&divided) {
                    let complete = ListInput { question, ..without.clone() };
                    let (allowed, _) = divided.asked(&engine, &complete).pages(1_000);
                    *possible += allowed.len();
                    for uid in allowed {
                        prop_assert!(conditional.contains(&uid), "{uid} of {complete:#?}");
                    }
                }
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let (conditional, possible, of) = tally.into_inner();
    println!("{conditional} conditional of {of}, {possible} possible");
    assert!(possible > conditional && conditional < of && conditional > 0);
}
