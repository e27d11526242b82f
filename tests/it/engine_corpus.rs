//! The engine against Cedar's official corpus, where it is at hand.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io::Read,
    str::FromStr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use cedar_policy::{Context, Entities, EntityUid, PolicySet, Request, Schema};
use flate2::read::GzDecoder;
use humbaba::{engine::evaluate, model::OnForbidError};
use serde::Deserialize;

use crate::{
    engine_oracle::{Answer, slices},
    support::skip::skip,
};

#[derive(Deserialize)]
pub struct Test {
    pub policies: String,
    pub entities: String,
    pub schema: String,
    pub requests: Vec<TestRequest>,
}

#[derive(Deserialize)]
pub struct TestRequest {
    pub description: String,
    pub principal: serde_json::Value,
    pub action: serde_json::Value,
    pub resource: serde_json::Value,
    pub context: serde_json::Value,
    decision: String,
    reason: BTreeSet<String>,
    errors: BTreeSet<String>,
}

#[test]
fn the_engine_answers_like_the_corpus_of_cedar() {
    let Some(files) = files() else { return };
    let decided = AtomicUsize::new(0);
    each(&files, |name| {
        decided.fetch_add(check(name, &files), Ordering::Relaxed);
    });
    println!("{} requests", decided.into_inner());
}

/// The files of the corpus, where it is at hand.
pub fn files() -> Option<HashMap<String, String>> {
    let Some(path) = std::env::var_os("CEDAR_CORPUS") else {
        skip("CEDAR_CORPUS does not name Cedar's corpus (see CONTRIBUTING.md)");
        return None;
    };
    let archive = File::open(&path);
    Some(unpack(archive.unwrap_or_else(|error| panic!("CEDAR_CORPUS={path:?}: {error}"))))
}

/// Does something with the name of each test, on all cores.
pub fn each(files: &HashMap<String, String>, check: impl Fn(&str) + Sync) {
    let tests: Vec<_> = files
        .keys()
        .filter(|name| name.ends_with(".json") && !name.ends_with(".entities.json"))
        .collect();
    assert!(!tests.is_empty());
    println!("{} tests", tests.len());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(name) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(name);
                }
            });
        }
    });
}

fn unpack(archive: impl Read) -> HashMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(archive));
    let entries = archive.entries().unwrap().filter_map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().trim_start_matches("./").to_owned();
        let mut text = String::new();
        entry.header().entry_type().is_file().then(|| entry.read_to_string(&mut text).unwrap())?;
        Some((name, text))
    });
    entries.collect()
}

fn check(name: &str, files: &HashMap<String, String>) -> usize {
    let test: Test = serde_json::from_str(&files[name]).unwrap();
    let schema = Schema::from_str(&files[&test.schema]).unwrap();
    let policies = PolicySet::from_str(&files[&test.policies]).unwrap();
    let entities = Entities::from_json_str(&files[&test.entities], Some(&schema)).unwrap();
    let slices = slices(&policies, &schema);
    for expected in &test.requests {
        let place = format!("{name}, {}", expected.description);
        let uid = |json: &serde_json::Value| EntityUid::from_json(json.clone()).unwrap();
        let action = uid(&expected.action);
        let context = Context::from_json_value(expected.context.clone(), Some((&schema, &action)));
        let context = context
            .unwrap_or_else(|_| Context::from_json_value(expected.context.clone(), None).unwrap());
        let request =
            Request::new(uid(&expected.principal), action, uid(&expected.resource), context, None)
                .unwrap();

        let outcome = evaluate(&slices, request.as_ref(), entities.as_ref(), OnForbidError::Skip);
        let ours = Answer::of_outcome(&outcome);
        assert_eq!(ours, Answer::of_cedar(&request, &policies, &entities), "{place}");
        assert_eq!(ours.allow, expected.decision == "allow", "{place}");
        assert_eq!(ours.reasons, expected.reason, "{place}");
        let failed: BTreeSet<_> = ours.errors.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(failed, expected.errors, "{place}");
    }
    test.requests.len()
}
