//! The first load, and reading a folder once.

use std::{fs, path::Path};

use humbaba::reload::{FirstLoadError, FolderError, Live, Source, load, read_folder};

use super::lab::{Lab, decision, ids, options, permit};

fn names(path: &Path) -> Vec<String> {
    read_folder(path).unwrap().iter().map(|store| store.name().to_string()).collect()
}

#[test]
fn a_folder_of_stores_and_the_folder_of_one() {
    let lab = Lab::new();
    lab.add_store("main", "first");
    lab.add_store("other", "second");
    lab.write_dir("main/tests/case.toml", "");
    lab.write_dir("docs/README.md", "words");
    assert_eq!(names(&lab.root), ["main", "other"]);
    assert_eq!(names(&lab.root.join("main")), ["main"]);
    assert_eq!(names(&lab.root.join("main/../other")), ["other"]);
    let files = read_folder(&lab.root.join("main")).unwrap().remove(0);
    let paths: Vec<_> = files.iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["policies.cedar", "schema.cedarschema", "tests/case.toml"]);
}

#[test]
fn a_folder_without_a_store() {
    let lab = Lab::new();
    assert!(matches!(read_folder(&lab.root), Err(FolderError::Empty(_))));
    let source = Source::Folder(lab.root.clone());
    let error = load(&source, &options(), &lab.live).unwrap_err();
    assert!(matches!(error, FirstLoadError::Folder(FolderError::Empty(_))));
    let status = lab.status();
    assert_eq!(status.failures, 1);
    assert!(status.folder_problem.as_ref().unwrap().contains("holds no policy store"));
    assert!(status.last_attempt.is_some());
    assert!(status.last_change.is_none());
}

#[test]
fn a_folder_whose_name_no_store_can_have() {
    let lab = Lab::new();
    lab.add_store("HitKeep", "first");
    assert!(matches!(read_folder(&lab.root), Err(FolderError::Misnamed { .. })));
    let one_store = read_folder(&lab.root.join("HitKeep"));
    assert!(matches!(one_store, Err(FolderError::Misnamed { .. })));
}

#[test]
fn no_store_is_valid() {
    let lab = Lab::new();
    lab.write_dir("main/schema.cedarschema", "broken");
    let source = Source::Folder(lab.root.clone());
    let error = load(&source, &options(), &lab.live).unwrap_err();
    assert!(matches!(error, FirstLoadError::NoValidStore));
    assert_eq!(lab.store("main").unwrap().problems[0].file(), "main/schema.cedarschema");
    assert_eq!(lab.status().failures, 1);
}

#[test]
fn one_valid_store_is_enough() {
    let lab = Lab::new();
    lab.add_store("main", "first");
    lab.write_dir("broken/schema.cedarschema", "broken");
    load(&Source::Folder(lab.root.clone()), &options(), &lab.live).unwrap();
    assert_eq!(lab.deciding("main").unwrap(), ["first"]);
    let status = lab.status();
    assert_eq!((status.reloads, status.failures), (1, 1));
    assert_eq!(status.source, lab.root.display().to_string());
    let names: Vec<_> = status.stores.iter().map(|store| store.name.as_str()).collect();
    assert_eq!(names, ["broken", "main"]);
    let main = lab.store("main").unwrap();
    assert_eq!(main.policies, 1);
    assert_eq!(main.loaded_at.is_some(), status.last_change.is_some());
}

#[test]
fn the_default_store_decides_what_names_none() {
    let lab = Lab::new();
    lab.add_store("main", "first");
    lab.add_store("other", "second");
    let default_store = Some("other".parse().unwrap());
    let options = humbaba::reload::Options { default_store, ..options() };
    load(&Source::Folder(lab.root.clone()), &options, &lab.live).unwrap();
    assert_eq!(ids(&decision(&lab.live.stores(), "").unwrap()), ["second"]);
}

#[test]
fn a_folder_that_was_written_a_moment_ago() {
    let lab = Lab::new();
    for attempt in 0..20 {
        let _ = fs::remove_dir_all(lab.root.join("main"));
        lab.add_store("main", &format!("attempt-{attempt}"));
        let live = Live::default();
        load(&Source::Folder(lab.root.clone()), &options(), &live).unwrap();
        assert_eq!(ids(&decision(&live.stores(), "main").unwrap()), [format!("attempt-{attempt}")]);
    }
}

#[test]
fn a_relative_path_through_links() {
    let lab = Lab::new();
    lab.add_store("main", "first");
    std::os::unix::fs::symlink(lab.root.join("main"), lab.home.path().join("alias")).unwrap();
    // A store is named as it is asked for, not for where a link leads.
    assert_eq!(names(&lab.home.path().join("alias")), ["alias"]);
    fs::write(lab.root.join("main/policies.cedar"), permit("second")).unwrap();
    assert_eq!(names(&lab.home.path().join("alias/.")), ["alias"]);
}
