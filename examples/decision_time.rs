//! How long a decision takes, from a request that fits the schema to the answer:
//! `cargo run --release --example decision_time`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::{fmt::Write, hint::black_box, sync::Arc, time::Instant};

use humbaba::{
    engine::{Decision, decide, decide_by_cedar, decide_compiled},
    model::{OnForbidError, Timestamp, Uid, Value},
    request::{EntityInput, Request, RequestInput, RequestLimits, RoleAssignmentInput},
    store::{Bounds, PolicyStore, StoreFiles, embedded_stores},
    testing,
};

fn main() {
    let files = embedded_stores().into_iter().find(|files| files.name().as_str() == "hitkeep");
    let files = files.unwrap();
    let with = |links: usize| load(files.clone().with_file("more.cedar", more(links).as_bytes()));
    println!("{:<44} {:>9} {:>9} {:>8}", "request", "decide", "Cedar's", "answer");
    let stores = [("hitkeep", load(files.clone())), ("with 10,000 policies", with(10_000))];
    for (name, store) in &stores {
        for (request, input) in requests() {
            let request_text = format!("{name}: {request}");
            let request = store.check(&input, NOW, &RequestLimits::default()).unwrap();
            show(&request_text, store, &request);
        }
    }
    for files in embedded_stores() {
        let store = load(files);
        let cases = testing::cases(&store).unwrap();
        let requests: Vec<_> = cases
            .iter()
            .filter_map(|case| store.check(&case.input, case.now, &RequestLimits::default()).ok())
            .collect();
        let compiled = requests.iter().filter(|request| decide_compiled(&store, request).is_some());
        let compiled = compiled.count();
        let each = |decide: &dyn Fn(&Request) -> Decision| {
            let start = Instant::now();
            for request in &requests {
                black_box(decide(black_box(request)));
            }
            start.elapsed().as_nanos() / requests.len() as u128
        };
        println!(
            "{:<44} {:>6} ns {:>6} ns  {compiled} of {} compact",
            format!("{}: every test case", store.name()),
            each(&|request| decide(&store, request, OnForbidError::Deny)),
            each(&|request| decide_by_cedar(&store, request, OnForbidError::Deny)),
            requests.len(),
        );
    }
}

const NOW: Timestamp = testing::DEFAULT_NOW;

fn load(files: StoreFiles) -> PolicyStore {
    let start = Instant::now();
    let store = PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap();
    let loaded = start.elapsed().as_millis();
    let start = Instant::now();
    store.validate(store.policies()).unwrap();
    let validation = start.elapsed().as_millis();
    println!("loaded `{}` in {loaded} ms, of which validation {validation} ms", store.name());
    store
}

/// Policies on other sites and other users.
fn more(count: usize) -> String {
    let mut text = String::new();
    for n in 0..count {
        let scope = if n % 2 == 0 {
            format!("principal == HitKeep::User::\"other-{n}\", action, resource is HitKeep::Site")
        } else {
            format!(
                "principal == HitKeep::User::\"other-{n}\",
                 action in HitKeep::Action::\"site.manage_goals\",
                 resource == HitKeep::Site::\"other-{n}\""
            )
        };
        writeln!(text, "@id(\"more-{n}\")\npermit ({scope});").unwrap();
    }
    text
}

fn show(name: &str, store: &PolicyStore, request: &Request) {
    let fast = time(|| decide(store, request, OnForbidError::Deny));
    let cedar = time(|| decide_by_cedar(store, request, OnForbidError::Deny));
    let answer = decide(store, request, OnForbidError::Deny).effect;
    let compact = decide_compiled(store, request).map_or("Cedar's", |_| "compact");
    println!("{name:<44} {fast:>6} ns {cedar:>6} ns {answer:?} ({compact})");
}

/// The median over batches of the time of one call.
fn time(call: impl Fn() -> Decision) -> u128 {
    const CALLS: u128 = 500;
    let mut batches: Vec<_> = (0..15)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..CALLS {
                black_box(call());
            }
            start.elapsed().as_nanos() / CALLS
        })
        .collect();
    batches.sort_unstable();
    batches[batches.len() / 2]
}

fn requests() -> Vec<(&'static str, RequestInput)> {
    let role = |role: &str| RoleAssignmentInput { role: role.to_owned(), ..Default::default() };
    let ask = |principal: Uid, roles: Vec<RoleAssignmentInput>, entities| RequestInput {
        principal: Some(principal),
        action: Some(Uid::action("site.goals.create")),
        resource: Some(Uid::new("Site", "42")),
        role_assignments: roles,
        entities,
        ..RequestInput::default()
    };
    let alice = || Uid::new("User", "alice");
    let client = EntityInput {
        uid: Some(Uid::new("ApiClient", "ci")),
        attributes: vec![
            ("status".into(), Value::Entity(Uid::new("ClientStatus", "active"))),
            ("team".into(), Value::Entity(Uid::new("Team", "7"))),
        ],
        ..EntityInput::default()
    };
    let site = EntityInput {
        uid: Some(Uid::new("Site", "42")),
        attributes: vec![("team".into(), Value::Entity(Uid::new("Team", "7")))],
        ..EntityInput::default()
    };
    let team = EntityInput {
        uid: Some(Uid::new("Team", "7")),
        attributes: vec![("archived".into(), Value::Bool(false))],
        ..EntityInput::default()
    };
    let entities = vec![client, site, team];
    let many = (0..100).map(|n| RoleAssignmentInput {
        scope: Some(Uid::new("Site", n.to_string())),
        ..role("editor")
    });
    vec![
        ("goals, editor", ask(alice(), vec![role("editor")], Vec::new())),
        ("goals, viewer", ask(alice(), vec![role("viewer")], Vec::new())),
        ("goals, API client", ask(Uid::new("ApiClient", "ci"), vec![role("editor")], entities)),
        ("goals, 100 assignments", ask(alice(), many.collect(), Vec::new())),
    ]
}
