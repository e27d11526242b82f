//! The inputs that fuzzing begins with and those that it found, replayed, and each with bytes changed at
//! random. `HUMBABA_TEST_MUTATIONS` says how often.

use std::{fs, path::PathBuf, sync::Arc, time::Instant};

use humbaba::{
    grpc::replay::{Replay, ReplayOutcome},
    model::Timestamp,
    proto::{
        BatchIsAuthorizedItem, BatchIsAuthorizedRequest, ListActionsRequest, ListPrincipalsRequest,
        ListResourcesRequest, value::Kind,
    },
    store::{Bounds, PolicyStore, StoreFiles},
    testing,
};
use prost::Message as _;

use crate::support::{
    ask::{self, Asking as _, Knowing as _, entity, long, reference, set, text, value},
    hostile::Random,
};

#[path = "../../fuzz/authority.rs"]
mod authority;
#[path = "../../fuzz/garden.rs"]
mod garden;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Runs on every seed, and on every seed with some bytes changed, put in or left out.
fn mutated(name: &str, seeds: &[Vec<u8>], mut run: impl FnMut(&[u8])) {
    let times = std::env::var("HUMBABA_TEST_MUTATIONS").ok().and_then(|times| times.parse().ok());
    let times: usize = times.unwrap_or(300);
    let started = Instant::now();
    seeds.iter().for_each(|seed| run(seed));
    let mut random = Random(7);
    for round in 0..times {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random.below(6) {
            let place = random.below(bytes.len());
            let byte = random.below(256) as u8;
            match random.below(5) {
                0 => bytes[place] = byte,
                1 => bytes[place] ^= 1 << random.below(8),
                2 => bytes.insert(place, byte),
                3 => drop(bytes.drain(place..(place + random.below(8)).min(bytes.len()))),
                _ => {
                    let end = (place + random.below(64)).min(bytes.len());
                    let again = bytes[place..end].to_vec();
                    let at = random.below(bytes.len());
                    bytes.splice(at..at, again);
                }
            }
            if bytes.is_empty() {
                bytes.push(byte);
            }
        }
        run(&bytes);
    }
    println!("{name}: {times} in {:.1?}", started.elapsed());
}

#[test]
fn requests() {
    let question = ask::ask("User::alice", "site.view", "Site::42")
        .role("viewer", "Site::42")
        .fact("level", long(7))
        .fact("price", value(Kind::Decimal("12.75".to_owned())))
        .fact("labels", set([text("a")]))
        .fact("deep", set([set([set([long(1)])])]))
        .fact("target", reference("User::bob"))
        .entity(entity("User::alice").within("Group::g").tag("level", text("high")))
        .entity(entity("Group::g").within("Group::h"))
        .explained();
    let batch = BatchIsAuthorizedRequest {
        principal: question.principal.clone(),
        resource: question.resource.clone(),
        role_assignments: question.role_assignments.clone(),
        items: ["site.view", "site.edit"]
            .map(|id| BatchIsAuthorizedItem { action: Some(ask::action(id)), ..Default::default() })
            .into(),
        ..Default::default()
    };
    let list = ListActionsRequest {
        principal: question.principal.clone(),
        resource: question.resource.clone(),
        entities: question.entities.clone(),
        role_assignments: question.role_assignments.clone(),
        ..Default::default()
    };
    let resources = ListResourcesRequest {
        principal: question.principal.clone(),
        action: question.action.clone(),
        resource_type: "Site".to_owned(),
        context: question.context.clone(),
        entities: question.entities.clone(),
        role_assignments: question.role_assignments.clone(),
        page_size: 1,
        ..Default::default()
    };
    let principals = ListPrincipalsRequest {
        principal_type: "User".to_owned(),
        action: question.action.clone(),
        resource: question.resource.clone(),
        context: question.context.clone(),
        entities: question.entities.clone(),
        ..Default::default()
    };
    let as_call = |kind: u8, message: Vec<u8>| [vec![kind], message].concat();
    let mut seeds = vec![
        as_call(0, question.encode_to_vec()),
        as_call(1, batch.encode_to_vec()),
        as_call(2, list.encode_to_vec()),
        as_call(3, resources.encode_to_vec()),
        as_call(4, principals.encode_to_vec()),
    ];
    let replay = Replay::new(garden::store(&[]).unwrap());
    let now = Timestamp::from_millis(1_767_225_600_000);
    for seed in &seeds {
        assert_eq!(replay.answer(seed, now), ReplayOutcome::Decided);
    }
    let kept = corpus("request");
    assert!(kept.iter().any(|seed| replay.answer(seed, now) == ReplayOutcome::Decided));
    seeds.extend(kept);
    mutated("requests", &seeds, |bytes| {
        let _ = replay.answer(bytes, now);
    });
}

#[test]
fn stores() {
    let small = String::from_utf8(corpus("store").pop().unwrap()).unwrap();
    let small = StoreFiles::new("fuzz".parse().unwrap(), garden::files(&small));
    let loaded = PolicyStore::load(Arc::new(small), &Bounds::default());
    assert!(
        loaded.is_ok(),
        "{:?}",
        loaded.map_err(|problems| problems.iter().map(|p| p.render()).collect::<String>()).err()
    );
    mutated("stores", &corpus("store"), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let files = StoreFiles::new("fuzz".parse().unwrap(), garden::files(text));
        if let Err(problems) = PolicyStore::load(Arc::new(files), &Bounds::default()) {
            assert!(!problems.is_empty());
            problems.iter().for_each(|problem| drop(problem.render()));
        }
    });
}

#[test]
fn test_files() {
    mutated("test files", &corpus("tests"), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let tests: Vec<_> =
            garden::files(text).filter(|(path, _)| !garden::is_of_the_store(path)).collect();
        let Some(store) = garden::store(&tests) else { return };
        if let Err(problems) = testing::run(&store) {
            problems.iter().for_each(|problem| drop(problem.render()));
        }
    });
}

#[test]
fn authorities() {
    mutated("authorities", &corpus("authority"), authority::check);
}
