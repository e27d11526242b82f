//! A file that is gone may be on its way back: a guard that an editor deletes and writes again must
//! not let an allow through in between.

use std::{
    fs,
    os::unix::fs::symlink,
    thread,
    time::{Duration, Instant},
};

use humbaba::reload::Options;

use super::lab::{Lab, forbid, options, permit, write_store};

/// A store with a guard, of which removals settle for that long.
fn guarded(settle_removals: Duration) -> Lab {
    let mut lab = Lab::new();
    lab.add_store("main", "first");
    lab.write("main/guard.cedar", &forbid("guard"));
    lab.start(Options { settle_removals, ..options() });
    lab
}

/// The ids of the policies in force.
fn policies(lab: &Lab) -> Vec<String> {
    let stores = lab.live.stores();
    let Ok(store) = stores.get("main") else { return Vec::new() };
    let mut ids: Vec<_> =
        store.policies().policies().map(|policy| policy.id().to_string()).collect();
    ids.sort();
    ids
}

/// Lets the file system's clock go on: files are whole if they are older than the swap.
fn pause() {
    thread::sleep(Duration::from_millis(30));
}

const NEVER: Duration = Duration::from_secs(3_600);

#[test]
fn a_guard_that_is_deleted_and_written_again_lets_nothing_through() {
    let lab = guarded(Duration::from_secs(2));
    let guard = lab.root.join("main/guard.cedar");
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        fs::remove_file(&guard).unwrap();
        thread::sleep(Duration::from_millis(150));
        assert_eq!(policies(&lab), ["first", "guard"]);
        fs::write(&guard, forbid("guard")).unwrap();
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(policies(&lab), ["first", "guard"]);
}

#[test]
fn a_guard_that_stays_away_is_gone_after_a_while() {
    let settle = Duration::from_millis(300);
    let lab = guarded(settle);
    let removed = Instant::now();
    fs::remove_file(lab.root.join("main/guard.cedar")).unwrap();
    lab.until("the guard is gone", |lab| policies(lab) == ["first"]);
    assert!(removed.elapsed() >= settle);
}

#[test]
fn an_edit_a_rename_and_a_new_file_do_not_wait() {
    let lab = guarded(NEVER);
    lab.write("main/policies.cedar", &permit("second"));
    lab.until("the edit is in force", |lab| policies(lab) == ["guard", "second"]);
    fs::rename(lab.root.join("main/guard.cedar"), lab.root.join("main/moved.cedar")).unwrap();
    lab.write("main/more.cedar", &forbid("more"));
    lab.until("the new guard is there", |lab| policies(lab) == ["guard", "more", "second"]);
}

#[test]
fn a_swap_of_the_folder_or_of_a_link_to_it_does_not_wait() {
    let lab = guarded(NEVER);
    let (main, old) = (lab.root.join("main"), lab.home.path().join("old"));
    let next = lab.home.path().join("next");
    write_store(&next, "second");
    pause();
    fs::rename(&main, &old).unwrap();
    fs::rename(&next, &main).unwrap();
    lab.until("the folder is another one", |lab| policies(lab) == ["second"]);

    let linked = lab.home.path().join("linked");
    write_store(&linked, "third");
    fs::write(linked.join("guard.cedar"), forbid("guard")).unwrap();
    fs::rename(&main, lab.home.path().join("older")).unwrap();
    symlink(&linked, &main).unwrap();
    lab.until("the link is followed", |lab| policies(lab) == ["guard", "third"]);
    let other = lab.home.path().join("other");
    write_store(&other, "fourth");
    pause();
    symlink(&other, lab.home.path().join("draft")).unwrap();
    fs::rename(lab.home.path().join("draft"), &main).unwrap();
    lab.until("the link leads elsewhere", |lab| policies(lab) == ["fourth"]);
}

#[test]
fn a_folder_that_is_filled_where_it_lies_is_no_swap() {
    let lab = guarded(NEVER);
    fs::rename(lab.root.join("main"), lab.root.join(".old")).unwrap();
    write_store(&lab.root.join("main"), "first");
    lab.until_read();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(policies(&lab), ["first", "guard"]);
    lab.write("main/guard.cedar", &forbid("guard"));
    lab.write("main/more.cedar", &forbid("more"));
    lab.until("it is whole", |lab| policies(lab) == ["first", "guard", "more"]);
}

#[test]
fn a_folder_that_is_filled_where_it_lies_is_no_swap_whatever_else_comes_to_it() {
    for other in ["README.md", "guards"] {
        let lab = guarded(NEVER);
        fs::rename(lab.root.join("main"), lab.root.join(".old")).unwrap();
        write_store(&lab.root.join("main"), "first");
        // Past a tick of the file system's clock, and within the time that one call may take.
        thread::sleep(Duration::from_millis(6));
        fs::create_dir(lab.root.join("main").join(other)).unwrap();
        lab.until_read();
        thread::sleep(Duration::from_millis(300));
        assert_eq!(policies(&lab), ["first", "guard"], "{other}");
    }
}

#[test]
fn a_deletion_and_an_edit_that_belong_together_are_never_in_force_by_halves() {
    let lab = guarded(Duration::from_millis(500));
    // The permit goes, and with it the guard that kept it in check.
    fs::remove_file(lab.root.join("main/policies.cedar")).unwrap();
    let nobody = "@id(\"nobody\") permit (principal == User::\"nobody\", action, resource);";
    lab.write("main/guard.cedar", nobody);
    lab.until("both are in force", |lab| {
        let ids = policies(lab);
        assert!(ids == ["first", "guard"] || ids == ["nobody"], "{ids:?}");
        ids == ["nobody"]
    });
}

#[test]
fn a_deleted_file_is_not_renamed_where_one_without_a_part_in_decisions_has_its_content() {
    let mut lab = Lab::new();
    lab.add_store("main", "first");
    let facts = "main/facts.cedarentities.json";
    let alice = r#"[{"uid": {"type": "User", "id": "alice"}, "attrs": {}, "parents": []}]"#;
    lab.write(facts, alice);
    lab.write_dir("main/tests/entities.json", alice);
    lab.start(Options { settle_removals: NEVER, ..options() });
    fs::remove_file(lab.root.join(facts)).unwrap();
    lab.write("main/more.cedar", &forbid("more"));
    lab.until("the new guard is there", |lab| policies(lab) == ["first", "more"]);
    let stores = lab.live.stores();
    assert!(stores.get("main").unwrap().files().get("facts.cedarentities.json").is_some());
}

#[test]
fn a_store_that_is_changed_all_the_time_comes_in_force_some_time() {
    let settle = Duration::from_millis(300);
    let lab = guarded(settle);
    let removed = Instant::now();
    fs::remove_file(lab.root.join("main/guard.cedar")).unwrap();
    let mut edits = 0;
    while policies(&lab).iter().any(|id| id == "guard") {
        assert!(removed.elapsed() < Duration::from_secs(20), "{:?}", policies(&lab));
        lab.write("main/policies.cedar", &permit(&format!("edit{edits}")));
        edits += 1;
        thread::sleep(Duration::from_millis(150));
    }
    assert!(removed.elapsed() >= settle);
}

#[test]
fn a_guard_that_is_emptied_is_one_that_is_deleted() {
    let lab = guarded(NEVER);
    fs::write(lab.root.join("main/guard.cedar"), "\n").unwrap();
    lab.write("main/more.cedar", &forbid("more"));
    lab.until("the new guard is there", |lab| policies(lab) == ["first", "guard", "more"]);
}

#[test]
fn a_new_guard_does_not_wait_for_a_deletion_beside_it() {
    let lab = guarded(NEVER);
    fs::remove_file(lab.root.join("main/guard.cedar")).unwrap();
    lab.write("main/more.cedar", &forbid("more"));
    lab.until("the new guard is there", |lab| policies(lab) == ["first", "guard", "more"]);
    // Two of one id are no store, and what is in force stays.
    lab.write("main/again.cedar", &forbid("guard"));
    lab.until_read();
    assert_eq!(policies(&lab), ["first", "guard", "more"]);
    assert!(lab.status().is_clean());
}

#[test]
fn a_store_that_is_gone_for_a_moment_still_counts() {
    let mut lab = Lab::new();
    lab.add_store("main", "first");
    lab.add_store("other", "other");
    lab.start(Options { settle_removals: NEVER, ..options() });
    fs::rename(lab.root.join("other"), lab.root.join(".other")).unwrap();
    lab.until_read();
    thread::sleep(Duration::from_millis(300));
    assert!(lab.live.stores().get("").is_err(), "a request that names no store is still bad input");
    assert_eq!(lab.deciding("other").unwrap(), ["other"]);
    fs::rename(lab.root.join(".other"), lab.root.join("other")).unwrap();
    lab.write("other/policies.cedar", &permit("second"));
    lab.until_decides("other", "second");
}
