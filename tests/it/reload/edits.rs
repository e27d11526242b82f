//! Every way in which people and programs change files.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    process::Command,
    time::Duration,
};

use super::lab::{Lab, SCHEMA, forbid, permit, replace, write_store};

#[test]
fn a_save_by_rename() {
    let lab = Lab::watched();
    replace(&lab.root.join("main/policies.cedar"), &permit("second"));
    lab.until_decides("main", "second");
}

#[test]
fn a_write_in_place() {
    let lab = Lab::watched();
    for id in ["second", "third", "fourth"] {
        fs::write(lab.root.join("main/policies.cedar"), permit(id)).unwrap();
        lab.until_decides("main", id);
    }
}

#[test]
fn a_half_written_file_is_never_applied() {
    let lab = Lab::watched();
    let path = lab.root.join("main/policies.cedar");
    fs::write(&path, permit("first") + &forbid("guard")).unwrap();
    lab.until_decides("main", "guard");
    let reloads = lab.status().reloads;

    // The first half is valid by itself, and without the guard.
    let mut file = OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    let pause = Duration::from_millis(400);
    let is_guarded = |lab: &Lab| lab.deciding("main").unwrap() == ["guard"];
    lab.always(pause, "an emptied file is not applied", is_guarded);
    file.write_all(permit("first").as_bytes()).unwrap();
    lab.always(pause, "half a file is not applied", is_guarded);
    file.write_all(forbid("other-guard").as_bytes()).unwrap();
    drop(file);
    lab.until_decides("main", "other-guard");
    assert_eq!(lab.status().reloads, reloads + 1);
    assert_eq!(lab.status().failures, 0);
}

#[test]
fn a_file_that_is_written_line_by_line_is_applied_once() {
    let lab = Lab::watched();
    let reloads = lab.status().reloads;
    let mut file = fs::File::create(lab.root.join("main/policies.cedar")).unwrap();
    for line in 0..40 {
        file.write_all(permit(&format!("line-{line}")).as_bytes()).unwrap();
        // Longer in all than a reload waits while changes go on.
        lab.always(Duration::from_millis(15), "not applied", |lab| {
            lab.deciding("main").unwrap() == ["first"]
        });
    }
    drop(file);
    lab.until("it is applied", |lab| lab.status().reloads > reloads);
    assert_eq!(lab.deciding("main").unwrap().len(), 40);
    assert_eq!(lab.status().reloads, reloads + 1);
}

#[test]
fn a_writer_that_never_closes_is_reported() {
    let lab = Lab::watched();
    lab.add_store("other", "first");
    lab.until_decides("other", "first");
    let path = lab.root.join("main/policies.cedar");
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(b"// more is coming\n").unwrap();
    lab.until("it is reported", |lab| {
        lab.problems("main").iter().any(|problem| problem.contains("not closed"))
    });
    // It holds up nobody else.
    lab.write("other/policies.cedar", &permit("second"));
    lab.until_decides("other", "second");
    drop(file);
    lab.until("it is applied", |lab| lab.problems("main").is_empty());
}

#[test]
fn new_and_deleted_files() {
    let lab = Lab::watched();
    lab.write("main/guard.cedar", &forbid("guard"));
    lab.until_decides("main", "guard");
    fs::remove_file(lab.root.join("main/guard.cedar")).unwrap();
    lab.until_decides("main", "first");
}

#[test]
fn files_in_a_new_folder_of_a_store() {
    let lab = Lab::watched();
    fs::create_dir_all(lab.root.join("main/a/b")).unwrap();
    lab.until_read();
    lab.write("main/a/b/guard.cedar", &forbid("guard"));
    lab.until_decides("main", "guard");
    fs::remove_dir_all(lab.root.join("main/a")).unwrap();
    lab.until_decides("main", "first");
}

#[test]
fn new_and_deleted_stores() {
    let lab = Lab::watched();
    lab.add_store("other", "second");
    lab.until_decides("other", "second");
    assert_eq!(lab.deciding("main").unwrap(), ["first"]);
    fs::remove_dir_all(lab.root.join("other")).unwrap();
    lab.until("the store is gone", |lab| lab.store("other").is_none());
    assert!(lab.deciding("other").is_none());
    assert_eq!(lab.deciding("main").unwrap(), ["first"]);
    assert!(lab.status().is_clean());
}

#[test]
fn a_renamed_store() {
    let lab = Lab::watched();
    lab.add_store("other", "second");
    lab.until_decides("other", "second");
    fs::rename(lab.root.join("other"), lab.root.join("renamed")).unwrap();
    lab.until_decides("renamed", "second");
    lab.until("the old name is gone", |lab| lab.store("other").is_none());
    lab.write("renamed/policies.cedar", &permit("third"));
    lab.until_decides("renamed", "third");
}

#[test]
fn a_store_that_is_exchanged_for_another_folder() {
    let lab = Lab::watched();
    let next = lab.home.path().join("next");
    for id in ["second", "third"] {
        write_store(&next, id);
        fs::rename(lab.root.join("main"), lab.home.path().join(format!("before-{id}"))).unwrap();
        fs::rename(&next, lab.root.join("main")).unwrap();
        lab.until_decides("main", id);
    }
    lab.write("main/policies.cedar", &permit("fourth"));
    lab.until_decides("main", "fourth");
}

#[test]
fn a_git_checkout() {
    let mut lab = Lab::new();
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let run = Command::new("git")
            .current_dir(&lab.root)
            .args(identity)
            .args(arguments)
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    };
    git(&["init", "--quiet", "--initial-branch=one"]);
    for branch in ["one", "two"] {
        git(&["checkout", "--quiet", "-B", branch]);
        for store in 0..5 {
            let folder = lab.root.join(format!("store-{store}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("schema.cedarschema"), SCHEMA).unwrap();
            for file in 0..20 {
                let policy = permit(&format!("{branch}-{file:02}"));
                fs::write(folder.join(format!("{file}.cedar")), policy).unwrap();
            }
        }
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message", branch]);
    }
    lab.start(super::lab::options());
    let is_at = |lab: &Lab, branch: &str| {
        (0..5).all(|store| {
            let ids = lab.deciding(&format!("store-{store}")).unwrap();
            ids.len() == 20 && ids.iter().all(|id| id.starts_with(branch))
        })
    };
    assert!(is_at(&lab, "two"));
    for branch in ["one", "two", "one"] {
        let run = Command::new("git")
            .current_dir(&lab.root)
            .args(["checkout", "--quiet", branch])
            .status()
            .unwrap();
        assert!(run.success());
        lab.until(branch, |lab| is_at(lab, branch));
    }
    assert_eq!(lab.status().failures, 0);
}

#[test]
fn what_does_not_decide_changes_no_revision() {
    let lab = Lab::watched();
    let before = lab.status();
    let revision = lab.revision("main");

    let digest = |lab: &Lab| lab.live.stores().get("main").unwrap().digest().to_owned();
    let whole = digest(&lab);
    lab.write("main/README.md", "words");
    lab.until_read();
    assert_eq!(digest(&lab), whole);
    lab.write_dir("main/tests/some.toml", "# words");
    lab.until("the test file is known", |lab| digest(lab) != whole);
    lab.until_read();
    assert_eq!(lab.revision("main"), revision);
    let after = lab.status();
    assert_eq!(after.reloads, before.reloads);
    assert_eq!(after.last_change, before.last_change);
    assert_eq!(after.stores[0].loaded_at, before.stores[0].loaded_at);
}

#[test]
fn an_unchanged_store_is_not_parsed_again() {
    let lab = Lab::watched();
    lab.add_store("other", "first");
    lab.until_decides("other", "first");
    let main = || std::sync::Arc::clone(lab.live.stores().get("main").unwrap());
    let before = main();
    lab.write("other/policies.cedar", &permit("second"));
    lab.until_decides("other", "second");
    assert!(std::sync::Arc::ptr_eq(&before, &main()));
}
