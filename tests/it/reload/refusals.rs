//! The last good state stays, store by store.

use std::{fs, sync::Arc};

use humbaba::{
    model::{Location, Problem},
    reload::Options,
    store::PolicyStore,
};

use super::lab::{Lab, forbid, options, permit};

#[test]
fn a_broken_store_keeps_its_last_good_state_while_others_load() {
    let lab = Lab::watched();
    let revision = lab.revision("main");
    lab.write("main/policies.cedar", "@id(\"x\")\npermit (principal, action,, resource);");
    lab.add_store("other", "second");
    lab.until_decides("other", "second");
    lab.until("main is refused", |lab| !lab.problems("main").is_empty());
    assert_eq!(lab.deciding("main").unwrap(), ["first"]);
    let main = lab.store("main").unwrap();
    assert_eq!(main.revision.map(|revision| revision.to_string()), revision);
    assert_eq!(main.problems[0].file(), "main/policies.cedar");
    assert_eq!(main.problems[0].location(), Some(Location { line: 2, column: 27 }));
    assert!(!lab.status().is_clean());

    lab.write("main/policies.cedar", &permit("mended"));
    lab.until_decides("main", "mended");
    lab.until("it is well again", |lab| lab.status().is_clean());
}

#[test]
fn a_bad_edit_that_is_taken_back_needs_no_parsing() {
    let lab = Lab::watched();
    let main = || Arc::clone(lab.live.stores().get("main").unwrap());
    let before = (main(), lab.status().reloads);
    lab.write("main/policies.cedar", "broken");
    lab.until("main is refused", |lab| !lab.problems("main").is_empty());
    lab.write("main/policies.cedar", &permit("first"));
    lab.until("it is well again", |lab| lab.status().is_clean());
    assert!(Arc::ptr_eq(&before.0, &main()));
    assert_eq!(lab.status().reloads, before.1);
}

#[test]
fn a_store_that_was_never_valid_is_listed() {
    let lab = Lab::watched();
    lab.write_dir("other/policies.cedar", &permit("second"));
    lab.until("it is listed", |lab| lab.store("other").is_some());
    let other = lab.store("other").unwrap();
    assert_eq!(other.revision, None);
    assert_eq!(other.loaded_at, None);
    assert_eq!(other.policies, 0);
    assert_eq!(lab.problems("other"), ["other: the store has no schema"]);
    assert!(lab.deciding("other").is_none());
    fs::remove_dir_all(lab.root.join("other")).unwrap();
    lab.until("it is gone", |lab| lab.store("other").is_none());
}

#[test]
fn a_folder_of_something_else_is_no_store() {
    let lab = Lab::watched();
    lab.write_dir("docs/README.md", "words");
    fs::create_dir(lab.root.join("empty")).unwrap();
    lab.until_read();
    assert_eq!(lab.status().stores.len(), 1);
    assert!(lab.status().is_clean());
}

#[test]
fn a_store_that_is_emptied_but_not_deleted_keeps_its_last_good_state() {
    let lab = Lab::watched();
    lab.add_store("other", "other");
    lab.until_decides("other", "other");
    for file in ["schema.cedarschema", "policies.cedar"] {
        fs::remove_file(lab.root.join("main").join(file)).unwrap();
    }
    lab.until("it is refused", |lab| lab.problems("main") == ["main: the store has no schema"]);
    assert_eq!(lab.deciding("main").unwrap(), ["first"]);
}

#[test]
fn a_folder_that_cannot_be_a_store_under_its_name_is_reported() {
    let lab = Lab::watched();
    lab.add_store("HitKeep", "second");
    lab.until("it is reported", |lab| {
        let problem = lab.status().folder_problem.clone();
        problem.is_some_and(|problem| problem.contains("HitKeep` cannot name a policy store"))
    });
    lab.write("main/policies.cedar", &permit("second"));
    lab.until_decides("main", "second");
}

#[test]
fn failures_count_each_bad_state_once() {
    let lab = Lab::watched();
    lab.write("main/policies.cedar", "broken");
    lab.until("it counts", |lab| lab.status().failures == 1);
    for _ in 0..3 {
        lab.until_read();
    }
    lab.write("main/README.md", "words");
    lab.until_read();
    assert_eq!(lab.status().failures, 1);
    lab.write("main/policies.cedar", "broken otherwise");
    lab.until("it counts", |lab| lab.status().failures == 2);
    assert_eq!(lab.status().reloads, 1);
}

fn no_guard_no_glory(store: &PolicyStore) -> Vec<Problem> {
    assert!(store.files().get("panic.cedar").is_none(), "a defect");
    let has_guard = store.policies().policies().any(|policy| policy.id().to_string() == "guard");
    if has_guard {
        Vec::new()
    } else {
        vec![Problem::of_file("main/tests/guard.toml", "the case `guarded` fails")]
    }
}

#[test]
fn a_store_with_a_failing_test_is_refused_where_tests_are_required() {
    let mut lab = Lab::new();
    lab.add_store("main", "first");
    lab.write("main/guard.cedar", &forbid("guard"));
    lab.start(Options { require_tests: true, run_tests: no_guard_no_glory, ..options() });
    lab.write("main/guard.cedar", &forbid("other"));
    lab.until("it is refused", |lab| {
        lab.problems("main") == ["main/tests/guard.toml: tests: the case `guarded` fails"]
    });
    assert_eq!(lab.deciding("main").unwrap(), ["guard"]);
}

#[test]
fn a_panic_while_loading_is_a_problem_of_that_store_and_the_reload_goes_on() {
    let mut lab = Lab::new();
    lab.add_store("main", "first");
    lab.write("main/guard.cedar", &forbid("guard"));
    lab.start(Options { require_tests: true, run_tests: no_guard_no_glory, ..options() });
    lab.write("main/panic.cedar", "");
    lab.until("it is refused", |lab| {
        lab.problems("main").iter().any(|problem| problem.contains("a defect"))
    });
    assert_eq!(lab.deciding("main").unwrap(), ["guard"]);
    fs::remove_file(lab.root.join("main/panic.cedar")).unwrap();
    lab.write("main/guard.cedar", &(forbid("guard") + &forbid("second-guard")));
    lab.until("it goes on", |lab| lab.deciding("main").unwrap().len() == 2);
}
