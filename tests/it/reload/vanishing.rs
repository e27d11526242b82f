//! Folders that vanish, come back and move.

use std::{fs, os::unix::fs::symlink, path::Path};

use humbaba::reload::Options;

use super::lab::{Lab, options, permit, point, write_store};

#[test]
fn the_folder_vanishes_and_comes_back() {
    let lab = Lab::watched();
    for id in ["second", "third", "fourth"] {
        fs::remove_dir_all(&lab.root).unwrap();
        lab.until("it is reported", |lab| lab.status().folder_problem.is_some());
        assert!(lab.deciding("main").is_some(), "the last good state stays");
        assert!(!lab.status().is_clean());
        lab.add_store("main", id);
        lab.until_decides("main", id);
        lab.until("it is well again", |lab| lab.status().is_clean());
        // The watch lives on in the new folder.
        let edited = format!("{id}-edited");
        lab.write("main/policies.cedar", &permit(&edited));
        lab.until_decides("main", &edited);
    }
    assert_eq!(lab.status().failures, 3);
}

#[test]
fn the_folder_above_vanishes_and_comes_back() {
    let mut lab = Lab::new();
    lab.root = lab.home.path().join("a/b/policies");
    lab.add_store("main", "first");
    lab.start(options());
    fs::remove_dir_all(lab.home.path().join("a")).unwrap();
    lab.until("it is reported", |lab| lab.status().folder_problem.is_some());
    lab.add_store("main", "second");
    lab.until_decides("main", "second");
    lab.write("main/policies.cedar", &permit("third"));
    lab.until_decides("main", "third");
}

#[test]
fn the_folder_is_exchanged_for_another() {
    let lab = Lab::watched();
    for id in ["second", "third"] {
        let next = lab.home.path().join("next");
        write_store(&next.join("main"), id);
        fs::rename(&lab.root, lab.home.path().join(format!("before-{id}"))).unwrap();
        fs::rename(&next, &lab.root).unwrap();
        lab.until_decides("main", id);
    }
    lab.write("main/policies.cedar", &permit("fourth"));
    lab.until_decides("main", "fourth");
}

#[test]
fn an_empty_folder_keeps_the_last_good_state() {
    let lab = Lab::watched();
    lab.add_store("other", "other");
    lab.until_decides("other", "other");
    fs::rename(lab.root.join("main"), lab.home.path().join("main")).unwrap();
    lab.until("one is deleted", |lab| lab.store("main").is_none());
    fs::rename(lab.root.join("other"), lab.home.path().join("other")).unwrap();
    lab.until("no store is left", |lab| {
        let problem = lab.status().folder_problem.clone();
        problem.is_some_and(|problem| problem.contains("holds no policy store"))
    });
    assert_eq!(lab.deciding("other").unwrap(), ["other"]);
    fs::rename(lab.home.path().join("main"), lab.root.join("main")).unwrap();
    lab.until_decides("main", "first");
    lab.until("the other is really deleted", |lab| lab.store("other").is_none());
    assert!(lab.status().is_clean());
}

#[test]
fn a_file_in_place_of_the_folder_keeps_the_last_good_state() {
    let lab = Lab::watched();
    fs::remove_dir_all(&lab.root).unwrap();
    fs::write(&lab.root, "no folder").unwrap();
    lab.until("it is reported", |lab| {
        let problem = lab.status().folder_problem.clone();
        problem.is_some_and(|problem| problem.contains("Not a directory"))
    });
    assert_eq!(lab.deciding("main").unwrap(), ["first"]);
    fs::remove_file(&lab.root).unwrap();
    lab.add_store("main", "second");
    lab.until_decides("main", "second");
}

fn releases(options: Options) -> (Lab, impl Fn(&Lab, &str)) {
    let mut lab = Lab::new();
    fs::remove_dir(&lab.root).unwrap();
    let release = |lab: &Lab, id: &str| {
        write_store(&lab.home.path().join("releases").join(id).join("main"), id);
        point(&lab.root, &Path::new("releases").join(id));
    };
    release(&lab, "r0");
    lab.start(options);
    (lab, release)
}

#[test]
fn a_policies_folder_that_is_a_link_which_is_repointed() {
    let (lab, release) = releases(options());
    for id in ["r1", "r2", "r3"] {
        release(&lab, id);
        lab.until_decides("main", id);
        let edited = format!("{id}-edited");
        lab.write("main/policies.cedar", &permit(&edited));
        lab.until_decides("main", &edited);
    }
    // The folder that the link led to before has no say any more.
    let reloads = lab.status().reloads;
    write_store(&lab.home.path().join("releases/r1/main"), "stale");
    lab.until_read();
    assert_eq!(lab.status().reloads, reloads);
}

#[test]
fn a_link_far_above_the_policies_folder_is_repointed() {
    let mut lab = Lab::new();
    for id in ["r1", "r2"] {
        write_store(&lab.home.path().join(id).join("etc/policies/main"), id);
    }
    let current = lab.home.path().join("current");
    symlink("r1", &current).unwrap();
    lab.root = current.join("etc/policies");
    lab.start(options());
    assert_eq!(lab.deciding("main").unwrap(), ["r1"]);
    point(&current, Path::new("r2"));
    lab.until_decides("main", "r2");
}

#[test]
fn a_link_to_nowhere_keeps_the_last_good_state() {
    let (lab, release) = releases(options());
    point(&lab.root, Path::new("releases/none"));
    lab.until("it is reported", |lab| lab.status().folder_problem.is_some());
    assert_eq!(lab.deciding("main").unwrap(), ["r0"]);
    release(&lab, "r1");
    lab.until_decides("main", "r1");
}

#[test]
fn a_store_that_is_a_link() {
    let mut lab = Lab::new();
    for id in ["one", "two"] {
        write_store(&lab.home.path().join(id), id);
    }
    lab.add_store("other", "other");
    let link = lab.root.join("main");
    symlink("../one", &link).unwrap();
    lab.start(options());
    assert_eq!(lab.deciding("main").unwrap(), ["one"]);
    point(&link, Path::new("../two"));
    lab.until_decides("main", "two");
    // An edit where it really is.
    fs::write(lab.home.path().join("two/policies.cedar"), permit("edited")).unwrap();
    lab.until_decides("main", "edited");
    // A link to nowhere is no deleted store.
    point(&link, Path::new("../three"));
    lab.until("it is refused", |lab| !lab.problems("main").is_empty());
    assert_eq!(lab.deciding("main").unwrap(), ["edited"]);
}

#[test]
fn a_policy_file_that_is_a_link() {
    let mut lab = Lab::new();
    lab.add_store("main", "first");
    let shared = lab.home.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("policies.cedar"), permit("shared")).unwrap();
    point(&lab.root.join("main/policies.cedar"), &shared.join("policies.cedar"));
    lab.start(options());
    fs::write(shared.join("policies.cedar"), permit("edited")).unwrap();
    lab.until_decides("main", "edited");
    fs::remove_file(shared.join("policies.cedar")).unwrap();
    lab.until("it is refused", |lab| !lab.problems("main").is_empty());
    assert_eq!(lab.deciding("main").unwrap(), ["edited"]);
}
