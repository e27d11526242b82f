//! ConfigMaps as the kubelet mounts them: hidden folders, and a link that is swapped.

use std::fs;

use super::lab::{Lab, SCHEMA, forbid, options, permit};
use crate::support::kubelet::Mount;

fn one_store(policy: &str) -> Vec<(&'static str, String)> {
    vec![("schema.cedarschema", SCHEMA.to_owned()), ("policies.cedar", permit(policy))]
}

#[test]
fn a_mount_at_a_store_many_swaps_in_a_row() {
    let mut lab = Lab::new();
    let mut mount = Mount::new(&lab.root.join("main"));
    mount.put(&one_store("swap-0"));
    lab.start(options());
    for swap in 1..30 {
        let id = format!("swap-{swap}");
        mount.put(&one_store(&id));
        lab.until_decides("main", &id);
    }
    assert_eq!(lab.status().reloads, 30);
    assert_eq!(lab.status().failures, 0);
}

#[test]
fn a_mount_at_the_policies_folder_many_swaps_in_a_row() {
    let mut lab = Lab::new();
    let mut mount = Mount::new(&lab.root);
    let files = |id: &str| {
        vec![
            ("main/schema.cedarschema", SCHEMA.to_owned()),
            ("main/policies.cedar", permit(id)),
            ("other/schema.cedarschema", SCHEMA.to_owned()),
            ("other/policies.cedar", permit(id)),
        ]
    };
    mount.put(&files("swap-0"));
    lab.start(options());
    assert_eq!(lab.status().stores.len(), 2, "no hidden folder is a store");
    for swap in 1..30 {
        let id = format!("swap-{swap}");
        mount.put(&files(&id));
        lab.until_decides("main", &id);
        assert_eq!(lab.deciding("other").unwrap(), [id], "both change in one step");
    }
    mount.put(&files("last")[..2]);
    lab.until("a store is gone", |lab| lab.store("other").is_none());
    lab.until_decides("main", "last");
    assert_eq!(lab.status().failures, 0);
}

#[test]
fn a_mount_that_is_a_single_store() {
    let mut lab = Lab::new();
    let mut mount = Mount::new(&lab.root);
    mount.put(&one_store("first"));
    lab.start(options());
    // The store is named for the folder.
    assert_eq!(lab.deciding("policies").unwrap(), ["first"]);
    mount.put(&one_store("second"));
    lab.until_decides("policies", "second");
    assert_eq!(lab.status().stores.len(), 1);
}

#[test]
fn a_new_name_counts_from_the_swap_on_and_not_from_its_link_on() {
    let mut lab = Lab::new();
    let mut mount = Mount::new(&lab.root.join("main"));
    mount.put(&one_store("first"));
    lab.start(options());
    let with_guard = [one_store("second"), vec![("guard.cedar", forbid("guard"))]].concat();
    mount.put(&with_guard);
    // As if the kubelet had not come to make the link yet.
    fs::remove_file(lab.root.join("main/guard.cedar")).unwrap();
    lab.until_decides("main", "guard");
    assert_eq!(lab.status().reloads, 2);
}

#[test]
fn a_mount_that_becomes_empty_keeps_the_last_good_state() {
    let mut lab = Lab::new();
    let mut mount = Mount::new(&lab.root.join("main"));
    lab.add_store("other", "other");
    mount.put(&one_store("first"));
    lab.start(options());
    fs::create_dir(lab.root.join("main/..empty")).unwrap();
    mount.put(&[]);
    fs::create_dir_all(lab.root.join("main/..2026_01_01_00_00_00.2")).unwrap();
    lab.until("it is refused", |lab| !lab.problems("main").is_empty());
    assert_eq!(lab.deciding("main").unwrap(), ["first"]);
    mount.put(&one_store("second"));
    lab.until_decides("main", "second");
    lab.until("it is well again", |lab| lab.status().is_clean());
}
