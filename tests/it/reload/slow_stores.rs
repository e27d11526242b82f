//! A store that takes long to load, or that is too large to be read, beside others.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use humbaba::{
    model::Problem,
    reload::Options,
    store::{Bounds, PolicyStore},
};

use super::lab::{Lab, SCHEMA, forbid, options, permit};

/// True while loading the store `slow` does not end.
static ENDLESS: AtomicBool = AtomicBool::new(false);
static BEGUN: AtomicBool = AtomicBool::new(false);

fn endless(store: &PolicyStore) -> Vec<Problem> {
    let begun = Instant::now();
    while store.name().as_str() == "slow"
        && ENDLESS.load(Relaxed)
        && begun.elapsed() < Duration::from_secs(30)
    {
        BEGUN.store(true, Relaxed);
        std::thread::sleep(Duration::from_millis(2));
    }
    Vec::new()
}

#[test]
fn changes_of_other_stores_do_not_wait_for_a_store_that_takes_long() {
    let mut lab = Lab::new();
    lab.add_store("slow", "first");
    lab.add_store("other", "first");
    lab.start(Options { require_tests: true, run_tests: endless, ..options() });
    ENDLESS.store(true, Relaxed);
    lab.write("slow/policies.cedar", &permit("second"));
    lab.write("other/policies.cedar", &forbid("together"));
    lab.until_decides("other", "together");
    lab.until("loading has begun", |_| BEGUN.load(Relaxed));
    for id in ["later", "still later"] {
        lab.write("other/policies.cedar", &forbid(id));
        lab.until_decides("other", id);
    }
    assert_eq!(lab.deciding("slow").unwrap(), ["first"], "it is still being loaded");
    // A change that is taken back meanwhile never comes in force.
    lab.write("slow/policies.cedar", &permit("first"));
    lab.add_store("new", "new");
    lab.until_decides("new", "new");
    ENDLESS.store(false, Relaxed);
    lab.always(Duration::from_millis(500), "the edit was taken back", |lab| {
        lab.deciding("slow").unwrap() == ["first"]
    });
    lab.write("slow/policies.cedar", &permit("third"));
    lab.until_decides("slow", "third");
}

/// True while loading a state with the policy `stuck` does not end.
static STUCK: AtomicBool = AtomicBool::new(true);
static STUCK_BEGUN: AtomicBool = AtomicBool::new(false);

fn stuck(store: &PolicyStore) -> Vec<Problem> {
    let is_stuck = store.policies().policies().any(|policy| policy.id().to_string() == "stuck");
    let begun = Instant::now();
    while is_stuck && STUCK.load(Relaxed) && begun.elapsed() < Duration::from_secs(30) {
        STUCK_BEGUN.store(true, Relaxed);
        std::thread::sleep(Duration::from_millis(2));
    }
    Vec::new()
}

#[test]
fn a_newer_state_does_not_wait_for_an_older_one_that_takes_long() {
    let lab = Lab::watched_with(Options { require_tests: true, run_tests: stuck, ..options() });
    lab.write("main/policies.cedar", &permit("stuck"));
    lab.until("loading has begun", |_| STUCK_BEGUN.load(Relaxed));
    lab.write("main/policies.cedar", &forbid("revoked"));
    lab.until_decides("main", "revoked");
    STUCK.store(false, Relaxed);
    lab.always(Duration::from_millis(500), "the older state is overtaken", |lab| {
        lab.deciding("main").unwrap() == ["revoked"]
    });
}

#[test]
fn files_that_are_too_large_together_are_not_read() {
    let bounds = Bounds { store_bytes: 50_000, folder_bytes: 60_000, ..Bounds::default() };
    let lab = Lab::watched_with(Options { bounds, ..options() });
    let text = |bytes: usize| format!("// {}\n", "x".repeat(bytes));
    lab.add_store("large", "large");
    lab.write("large/a.cedar", &text(30_000));
    lab.until_decides("large", "large");
    lab.write_dir("large/tests/b.json", &text(30_000));
    lab.write("large/policies.cedar", &permit("without its tests"));
    lab.until_decides("large", "without its tests");
    let warnings = lab.store("large").unwrap().warnings;
    let is_told = warnings
        .iter()
        .any(|warning| warning.to_string().contains("large/tests/b.json: is not read"));
    assert!(is_told, "{warnings:?}");
    lab.write("large/b.cedar", &text(30_000));
    lab.hint();
    lab.until("it is refused", |lab| {
        lab.problems("large")
            .concat()
            .contains("more than the bound of 50000 (`bounds.store_bytes`)")
    });
    assert_eq!(lab.deciding("large").unwrap(), ["without its tests"]);
    lab.write("main/policies.cedar", &permit("second"));
    lab.until_decides("main", "second");
    lab.write("large/b.cedar", "");
    fs::remove_file(lab.root.join("large/tests/b.json")).unwrap();
    lab.hint();
    lab.until("it is in order", |lab| lab.problems("large").is_empty());
    // The largest gives way.
    fs::create_dir(lab.root.join("other")).unwrap();
    lab.write("other/s.cedarschema", SCHEMA);
    lab.write("other/p.cedar", &(permit("other") + &text(40_000)));
    lab.hint();
    lab.until("it is refused", |lab| {
        lab.problems("other").concat().contains("`bounds.folder_bytes`")
    });
    lab.write("large/policies.cedar", &permit("second"));
    lab.until_decides("large", "second");
}
