//! Files that nobody should have put there.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    process::Command,
};

use humbaba::{
    reload::{FolderError, Options, read_folder, read_folder_within},
    store::Bounds,
};

use super::lab::{Lab, forbid, options, permit};

fn pipe(path: &std::path::Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Does something odd to a store that is in force, and says what it is refused for.
fn refused_for(options: Options, odd: impl FnOnce(&Lab)) -> Vec<String> {
    let lab = Lab::watched_with(options);
    lab.add_store("other", "other");
    lab.until_decides("other", "other");
    odd(&lab);
    lab.until("it is refused", |lab| !lab.problems("main").is_empty());
    assert_eq!(lab.deciding("main").unwrap(), ["first"]);
    // The reload goes on.
    lab.write("other/policies.cedar", &permit("edited"));
    lab.until_decides("other", "edited");
    lab.problems("main")
}

#[test]
fn a_pipe() {
    let problems = refused_for(options(), |lab| pipe(&lab.root.join("main/pipe.cedar")));
    assert_eq!(problems, ["main/pipe.cedar: is not a regular file"]);
}

#[test]
fn a_pipe_that_is_no_part_of_a_store() {
    let lab = Lab::watched();
    pipe(&lab.root.join("main/pipe"));
    pipe(&lab.root.join("pipe"));
    lab.write("main/policies.cedar", &permit("second"));
    lab.until_decides("main", "second");
    assert!(lab.status().is_clean());
}

#[test]
fn a_device() {
    let problems = refused_for(options(), |lab| {
        symlink("/dev/zero", lab.root.join("main/zero.cedar")).unwrap();
    });
    assert_eq!(problems, ["main/zero.cedar: is not a regular file"]);
}

#[test]
fn a_link_to_nowhere_behind_which_a_guard_lay() {
    let guards = tempfile::tempdir().unwrap();
    fs::write(guards.path().join("guard.cedar"), forbid("guard")).unwrap();
    let lab = Lab::watched();
    let link = lab.root.join("main/guards.d");
    symlink(guards.path(), &link).unwrap();
    lab.until_decides("main", "guard");
    fs::remove_file(&link).unwrap();
    symlink("missing", &link).unwrap();
    lab.until("it is refused", |lab| !lab.problems("main").is_empty());
    assert_eq!(lab.deciding("main").unwrap(), ["guard"]);
    let problems = lab.problems("main");
    assert!(problems[0].starts_with("main/guards.d: cannot be read"), "{problems:?}");
}

#[test]
fn a_link_to_itself() {
    let problems = refused_for(options(), |lab| {
        symlink("loop.cedar", lab.root.join("main/loop.cedar")).unwrap();
    });
    assert_eq!(problems, ["main/loop.cedar: cannot be read: its symbolic links lead in a circle"]);
}

#[test]
fn a_link_to_nowhere() {
    // It might have been a forbid.
    let problems = refused_for(options(), |lab| {
        symlink("missing", lab.root.join("main/guards")).unwrap();
    });
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("main/guards: cannot be read: No such file"));
}

#[test]
fn folders_that_nest_too_deep() {
    let problems = refused_for(options(), |lab| {
        fs::create_dir_all(lab.root.join("main").join("d/".repeat(40))).unwrap();
    });
    assert_eq!(problems.len(), 1);
    assert!(problems[0].ends_with("the folders nest deeper than 16 levels"));
}

#[test]
fn a_file_that_is_too_large() {
    let bounds = Bounds { file_bytes: 1_000, ..Bounds::default() };
    let problems = refused_for(Options { bounds, ..options() }, |lab| {
        lab.write("main/large.cedar", &"/".repeat(1_001));
    });
    assert_eq!(
        problems,
        ["main/large.cedar: the file has 1001 bytes, more than the bound of 1000"]
    );
}

#[test]
fn a_file_larger_than_memory_is_not_read() {
    let problems = refused_for(options(), |lab| {
        let draft = lab.root.join("main/large.draft");
        fs::File::create(&draft).unwrap().set_len(1 << 42).unwrap();
        fs::rename(draft, lab.root.join("main/large.cedar")).unwrap();
    });
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("the file has 4398046511104 bytes, more than the bound of"));
}

#[test]
fn too_many_files() {
    let bounds = Bounds { files: 10, ..Bounds::default() };
    let problems = refused_for(Options { bounds, ..options() }, |lab| {
        for file in 0..10 {
            lab.write(&format!("main/{file}.cedar"), "");
        }
    });
    assert_eq!(problems, ["main: the store has more files than the bound of 10"]);
}

#[test]
fn a_name_that_is_not_text() {
    let problems = refused_for(options(), |lab| {
        let name = OsStr::from_bytes(b"\xff.cedar");
        fs::write(lab.root.join("main").join(name), forbid("guard")).unwrap();
    });
    assert_eq!(problems, ["main/\u{fffd}.cedar: the name is not UTF-8 text"]);
}

#[test]
fn a_file_that_is_not_text() {
    let problems = refused_for(options(), |lab| {
        let draft = lab.root.join("main/binary.draft");
        fs::write(&draft, b"\xfe\xfe").unwrap();
        fs::rename(draft, lab.root.join("main/binary.cedar")).unwrap();
    });
    assert_eq!(problems, ["main/binary.cedar: the file is not UTF-8 text: byte 0 is not valid"]);
}

#[test]
fn a_folder_in_the_place_of_a_file_that_counts() {
    for name in ["forbid.cedar", "store.toml"] {
        let problems = refused_for(options(), |lab| {
            fs::create_dir(lab.root.join("main").join(name)).unwrap();
        });
        assert_eq!(problems, [format!("main/{name}: is a folder and not a file")]);
    }
}

#[test]
fn a_folder_in_the_place_of_a_file_that_decides_nothing_is_warned_of() {
    let lab = Lab::watched();
    for name in ["matrix.csv", "approved-gains.toml", "tests/cases.toml"] {
        fs::create_dir_all(lab.root.join("main").join(name)).unwrap();
    }
    lab.write("main/policies.cedar", &permit("second"));
    lab.until_decides("main", "second");
    for name in ["matrix.csv", "approved-gains.toml", "tests/cases.toml"] {
        let said = format!("main/{name}: is a folder and not a file; nothing in it counts");
        lab.until(&said, |lab| {
            let stores = lab.live.stores();
            let mut warnings = stores.get("main").unwrap().warnings().iter();
            warnings.any(|warning| warning.to_string() == said)
        });
    }
}

#[test]
fn hidden_files_and_unknown_endings_are_left_out() {
    let lab = Lab::watched();
    let digest = |lab: &Lab| lab.live.stores().get("main").unwrap().digest().to_owned();
    let before = digest(&lab);
    lab.write("main/.hidden.cedar", "broken");
    lab.write_dir("main/.git/broken.cedar", "broken");
    lab.write_dir(".git/schema.cedarschema", "broken");
    lab.until_read();
    assert_eq!(digest(&lab), before);
    let revision = lab.revision("main");
    lab.write("main/policies.cedar~", "broken");
    lab.write("main/policies.cedar.swp", "broken");
    lab.until_read();
    assert!(lab.status().is_clean());
    assert_eq!(lab.status().stores.len(), 1);
    assert_eq!(lab.revision("main"), revision);
}

#[test]
fn reading_a_folder_once_tells_what_cannot_be_read() {
    let lab = Lab::new();
    lab.add_store("main", "first");
    lab.write("main/large.cedar", &"/".repeat(1_001));
    pipe(&lab.root.join("main/pipe.cedar"));
    let bounds = Bounds { file_bytes: 1_000, ..Bounds::default() };
    let error = read_folder_within(&lab.root, &bounds).unwrap_err();
    assert_eq!(
        error.to_string(),
        "main/large.cedar: the file has 1001 bytes, more than the bound of 1000\n\
         main/pipe.cedar: is not a regular file"
    );
    let missing = read_folder(&lab.root.join("missing")).unwrap_err();
    assert!(matches!(missing, FolderError::Io { .. }));
}

#[test]
fn stray_entries_do_not_refuse_a_store() {
    let lab = Lab::watched();
    symlink("missing", lab.root.join("main/README.md")).unwrap();
    fs::create_dir(lab.root.join("main/lost+found")).unwrap();
    fs::create_dir(lab.root.join("lost+found")).unwrap();
    // Only root could read what is in it.
    symlink("missing", lab.root.join("main/lost+found/unreadable.cedar")).unwrap();
    lab.write("main/guard.cedar", &forbid("revoked"));
    lab.until_decides("main", "revoked");
    assert!(lab.status().is_clean());
}

#[test]
fn entries_without_a_part_in_decisions_are_named_and_refuse_nothing() {
    let bounds = Bounds { file_bytes: 1_000, ..Bounds::default() };
    let lab = Lab::watched_with(Options { bounds, ..options() });
    symlink("missing", lab.root.join("main/mutants.toml")).unwrap();
    symlink(".", lab.root.join("main/loop")).unwrap();
    fs::create_dir(lab.root.join("main/tests")).unwrap();
    pipe(&lab.root.join("main/tests/one.toml"));
    lab.write("main/matrix.csv", &"x".repeat(1_001));
    lab.write("main/guard.cedar", &forbid("revoked"));
    lab.until_decides("main", "revoked");
    assert!(lab.status().is_clean());
    let store = lab.store("main").unwrap();
    let warnings: Vec<_> = store.warnings.iter().map(ToString::to_string).collect();
    let of = |entry: &str| warnings.iter().any(|warning| warning.starts_with(entry));
    for entry in
        ["mutants.toml: cannot be read", "loop: a symbolic link", "matrix.csv: the file has"]
    {
        assert!(of(&format!("main/{entry}")), "{entry}: {warnings:?}");
    }
    assert!(of("main/tests/one.toml: is not a regular file"), "{warnings:?}");
}

#[test]
fn a_folder_with_guards_that_cannot_be_read_any_more_keeps_them() {
    let lab = Lab::watched();
    lab.write_dir("main/guards/guard.cedar", &forbid("guard"));
    lab.until_decides("main", "guard");
    fs::rename(lab.root.join("main/guards"), lab.home.path().join("guards")).unwrap();
    symlink(".", lab.root.join("main/guards")).unwrap();
    lab.until("it is refused", |lab| !lab.problems("main").is_empty());
    let problem = lab.problems("main").concat();
    assert!(problem.starts_with("main/guards: a symbolic link leads back"), "{problem}");
    assert!(problem.contains("files of the state in force lie there"), "{problem}");
    assert_eq!(lab.deciding("main").unwrap(), ["guard"]);
}

#[test]
fn stores_stay_stores_when_their_schema_is_moved_above_them() {
    let lab = Lab::watched();
    lab.add_store("other", "other");
    lab.until_decides("other", "other");
    lab.write("shared.cedarschema", super::lab::SCHEMA);
    for store in ["main", "other"] {
        fs::remove_file(lab.root.join(store).join("schema.cedarschema")).unwrap();
    }
    lab.until("it is refused", |lab| lab.status().folder_problem.is_some());
    lab.until_read();
    assert_eq!(lab.deciding("main").unwrap(), ["first"]);
    assert_eq!(lab.deciding("other").unwrap(), ["other"]);
}

#[test]
fn a_schema_beside_store_folders_is_ambiguous_while_running_and_at_the_next_start() {
    let lab = Lab::watched();
    lab.add_store("other", "other");
    lab.until_decides("other", "other");
    lab.write("shared.cedarschema", super::lab::SCHEMA);
    lab.until("it is refused", |lab| lab.status().folder_problem.is_some());
    let running = lab.status().folder_problem.clone().unwrap();
    assert!(running.contains("`shared.cedarschema` makes it one store"), "{running}");
    assert_eq!(lab.deciding("main").unwrap(), ["first"]);
    assert_eq!(lab.deciding("other").unwrap(), ["other"]);
    let at_start = read_folder(&lab.root).unwrap_err();
    assert!(matches!(at_start, FolderError::Ambiguous { .. }), "{at_start}");
    assert_eq!(at_start.to_string(), running);
    fs::remove_file(lab.root.join("shared.cedarschema")).unwrap();
    lab.write("main/policies.cedar", &permit("second"));
    lab.until_decides("main", "second");
    assert!(lab.status().is_clean());
}

#[test]
fn a_refused_store_counts_where_a_request_names_none() {
    let mut lab = Lab::new();
    lab.add_store("main", "first");
    lab.add_store("other", "other");
    lab.write("other/policies.cedar", "broken");
    lab.start(options());
    let stores = lab.live.stores();
    let error = stores.get("").unwrap_err().to_string();
    assert!(error.contains("main, other"), "{error}");
    let error = stores.get("other").unwrap_err().to_string();
    assert!(error.contains("`other` was refused"), "{error}");
    drop(stores);
    fs::remove_dir_all(lab.root.join("other")).unwrap();
    lab.until("it is the only one", |lab| lab.live.stores().get("").is_ok());
}

#[test]
fn a_file_that_looks_like_policies_and_is_not_read_is_named() {
    let lab = Lab::watched();
    lab.write("main/guard.CEDAR", &forbid("never read"));
    lab.write("shared.cedar", &forbid("never read"));
    lab.until("it is named", |lab| !lab.store("main").unwrap().warnings.is_empty());
    let warning = lab.store("main").unwrap().warnings[0].to_string();
    assert_eq!(warning, "main/guard.CEDAR: the file is not read");
    lab.until("it is named too", |lab| lab.status().unread == ["shared.cedar"]);
    assert!(lab.status().is_clean(), "a warning refuses nothing");
    assert_eq!(lab.deciding("main").unwrap(), ["first"]);
}

#[test]
fn a_store_with_warnings_is_refused_where_the_options_say_so() {
    let lab = Lab::watched_with(Options { deny_warnings: true, ..options() });
    lab.write(
        "main/more.cedar",
        "@id(\"dead\") permit (principal, action, resource) when { false };",
    );
    lab.until("it is refused", |lab| !lab.problems("main").is_empty());
    assert!(lab.problems("main")[0].contains("more.cedar"), "{:?}", lab.problems("main"));
    lab.write("main/more.cedar", &forbid("guard"));
    lab.until_decides("main", "guard");
}
