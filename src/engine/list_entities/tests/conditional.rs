//! Conditional entities, against every value that the missing facts may have.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use cedar_policy::PolicySet;
use proptest::{prelude::*, sample::select, test_runner::TestRunner};

use super::Asked;
use crate::{
    engine::{Engine, compiled::tests::held::directory},
    model::{Uid, Value},
    request::{
        EntityInput, Held, ListInput, RequestFacts, RequestInput, RoleAssignmentInput, Side,
    },
    store::{Bounds, PolicyStore, StoreFiles},
    testing::DEFAULT_NOW,
};

const SCHEMA: &str = r#"
    @role entity Role;
    entity User in [Role] = { name: String };
    entity Kind enum ["a", "b"];
    entity Doc = { owner: Role, editor: Role, open?: Bool, level: Long };
    action view appliesTo {
        principal: User, resource: Doc,
        context: { mfa: Bool, n: Long, word: String, kind: Kind },
    };
"#;

static STORE: LazyLock<PolicyStore> = LazyLock::new(|| {
    let files = [("schema.cedarschema", SCHEMA), ("policies.cedar", "")];
    let files = files.map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
    let files = StoreFiles::new("docs".parse().unwrap(), files);
    PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap()
});

/// Conditions of which a few values of each fact stand for all.
const EXACT: [&str; 16] = [
    "context.mfa",
    "context.n < 2",
    "context.n >= 3",
    "context.n != 1",
    "3 > context.n",
    "context.word == \"x\"",
    "[\"x\", \"y\"].contains(context.word)",
    "context.kind == Kind::\"a\"",
    "context has mfa",
    "context has nothing",
    "principal in resource.owner",
    "principal in resource.editor",
    "principal == User::\"alice\"",
    "resource has open && resource.open",
    "resource.open",
    "resource.level > 1",
];
/// Others.
const WIDE: [&str; 6] = [
    "context.n < resource.level",
    "context.n + 1 == 3",
    "context.word like \"x*\"",
    "context.word == principal.name",
    "context == context",
    "{n: context.n} == {n: 2}",
];

fn condition(of: Vec<&'static str>) -> impl Strategy<Value = String> {
    let part = select(of).prop_map(|part| format!("({part})"));
    part.prop_recursive(3, 8, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            3 => two.clone().prop_map(|(a, b)| format!("({a} && {b})")),
            2 => two.prop_map(|(a, b)| format!("({a} || {b})")),
            1 => inner.clone().prop_map(|a| format!("!{a}")),
            1 => (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("(if {a} then {b} else {c})")),
        ]
    })
}

fn policies(of: Vec<&'static str>) -> impl Strategy<Value = String> {
    let policy =
        (select(vec!["permit", "permit", "forbid"]), condition(of)).prop_map(|(effect, when)| {
            format!("{effect} (principal, action, resource) when {{ {when} }};\n")
        });
    prop::collection::vec(policy, 1..5).prop_map(|policies| policies.concat())
}

fn values(name: &str) -> Vec<Value> {
    let text = |text: &str| Value::String(text.to_owned());
    match name {
        "mfa" => vec![Value::Bool(true), Value::Bool(false)],
        "n" => (-1..5).map(Value::Long).collect(),
        "word" => ["x", "y", "xyz", "alice"].map(text).to_vec(),
        _ => ["a", "b"].map(|id| Value::Entity(Uid::new("Kind", id))).to_vec(),
    }
}

const FACTS: [&str; 4] = ["mfa", "n", "word", "kind"];

/// Every context that has what is missing.
fn completed(sent: &[(String, Value)]) -> Vec<Vec<(String, Value)>> {
    let mut all = vec![sent.to_vec()];
    for name in FACTS.iter().filter(|name| sent.iter().all(|(sent, _)| sent != *name)) {
        let with = |context: &Vec<(String, Value)>| {
            let values = values(name).into_iter();
            let with = values.map(|value| [&context[..], &[((*name).to_owned(), value)]].concat());
            with.collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}

/// Documents of which the directory holds all; Alice owns some and edits others.
fn held() -> Held {
    let role = |role: &str, doc: &str| RoleAssignmentInput {
        principal: Some(Uid::new("User", "alice")),
        role: role.to_owned(),
        scope: Some(Uid::new("Doc", doc)),
        expires_at: None,
    };
    let doc = |id: &str, open: Option<bool>, level: i64| {
        let open = open.map(|open| ("open".to_owned(), Value::Bool(open)));
        EntityInput {
            uid: Some(Uid::new("Doc", id)),
            attributes: open
                .into_iter()
                .chain([("level".to_owned(), Value::Long(level))])
                .collect(),
            ..EntityInput::default()
        }
    };
    let alice = EntityInput {
        uid: Some(Uid::new("User", "alice")),
        attributes: vec![("name".to_owned(), Value::String("alice".to_owned()))],
        ..EntityInput::default()
    };
    let entities = [doc("1", Some(true), 1), doc("2", Some(false), 2), doc("3", None, 3), alice];
    let roles = [role("owner", "1"), role("editor", "1"), role("editor", "2"), role("owner", "3")];
    let (directory, faults) = directory(&STORE, &entities, &roles);
    assert_eq!(faults, []);
    Held { facts: Arc::new(directory), request_facts: RequestFacts::Refuse }
}

/// Returns what is listed as conditional, and what some values of the missing facts allow.
fn listed(
    engine: &Engine,
    held: &Held,
    context: Vec<(String, Value)>,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let list = |context| {
        let question = RequestInput {
            principal: Some(Uid::new("User", "alice")),
            action: Some(Uid::action("view")),
            context,
            ..RequestInput::default()
        };
        let (open, entity_type) = (Side::Resource, "Doc".to_owned());
        let input = ListInput { question, open, entity_type };
        let asked = Asked { engine, held, now: DEFAULT_NOW, input: &input };
        let (allowed, conditional) = asked.pages(1_000);
        [allowed, conditional].map(|list| list.iter().map(ToString::to_string).collect())
    };
    let all: Vec<_> = completed(&context).into_iter().map(list).collect();
    let possible =
        all.into_iter().flat_map(|[allowed, _]: [BTreeSet<String>; 2]| allowed).collect();
    let [_, conditional] = list(context);
    (conditional, possible)
}

/// Runs random policies, of which the context lacks some facts.
fn run(
    conditions: Vec<&'static str>,
    holds: impl Fn(&BTreeSet<String>, &BTreeSet<String>) -> bool,
) {
    let cases = ProptestConfig::default().cases.max(256);
    let mut runner = TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let sent = FACTS.map(|name| prop::option::of(select(values(name))));
    let (held, tally) = (held(), RefCell::new((0, 0)));
    runner
        .run(&(policies(conditions), sent), |(policies, sent)| {
            let context: Vec<_> = FACTS
                .iter()
                .zip(sent)
                .filter_map(|(name, value)| Some(((*name).to_owned(), value?)))
                .collect();
            prop_assume!(context.len() < FACTS.len());
            let set: PolicySet = policies.parse().unwrap();
            let engine = STORE.engine_of(&set);
            let (conditional, possible) = listed(&engine, &held, context.clone());
            prop_assert!(
                holds(&conditional, &possible),
                "{conditional:?} and not {possible:?}: {context:?}\n{policies}"
            );
            let (listed, not_listed) = &mut *tally.borrow_mut();
            *listed += conditional.len();
            *not_listed += 3 - conditional.len();
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let (listed, not_listed) = tally.into_inner();
    println!("{listed} conditional, {not_listed} not");
    assert!(listed * 5 > not_listed && not_listed * 5 > listed);
}

#[test]
fn what_some_value_of_each_missing_fact_allows_is_conditional_and_nothing_else() {
    run(EXACT.to_vec(), |conditional, possible| conditional == possible);
}

#[test]
fn what_a_value_allows_is_conditional_whatever_is_done_with_it() {
    run([&EXACT[..], &WIDE].concat(), |conditional, possible| conditional.is_superset(possible));
}

#[test]
fn what_the_rest_of_a_condition_denies_is_not_conditional() {
    let held = held();
    for (policies, expected) in [
        // The first part reads a fact that may be anything.
        (
            "permit (principal, action, resource)
             when { context.n < resource.level && principal in resource.owner };",
            ["1", "3"].to_vec(),
        ),
        (
            "permit (principal, action, resource) when { context.n > 5 };
             forbid (principal, action, resource) when { context.n > 3 && resource.level > 1 };",
            vec!["1"],
        ),
        (
            "permit (principal, action, resource) when { context.word == \"x\" };
             forbid (principal, action, resource) when { [\"x\", \"y\"].contains(context.word) };",
            vec![],
        ),
    ] {
        let engine = STORE.engine_of(&policies.parse().unwrap());
        let (conditional, _) = listed(&engine, &held, Vec::new());
        let expected = expected.iter().map(|id| format!("Doc::\"{id}\"")).collect();
        assert_eq!(conditional, expected, "{policies}");
    }
}
