//! `humbaba init`

use std::{collections::BTreeMap, fs, path::Path};

use humbaba::store::embedded_stores;
use tempfile::TempDir;

use crate::{
    cli::{command, end, run},
    faults::under,
};

/// The files below a folder, by their path in it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}

#[test]
fn a_shipped_store_is_copied_with_all_its_files_and_passes_its_tests() {
    let place = TempDir::new().unwrap();
    for store in embedded_stores() {
        let name = store.name().as_str();
        let folder = place.path().join("stores").join(format!("my-{name}"));
        let ended = end(command(&["init", name]).arg(&folder));
        assert_eq!((ended.code, ended.err.as_str()), (0, ""));
        let copied = files(&folder);
        let shipped: BTreeMap<_, _> =
            store.iter().map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect();
        assert_eq!(copied, shipped, "{name}");
        assert!(copied.keys().any(|path| path.starts_with("examples/")), "{name}");
    }
    let stores = place.path().join("stores");
    assert_eq!(run(&["validate", "--deny-warnings", stores.to_str().unwrap()]).code, 0);
    let tested = run(&["test", stores.join("my-hitkeep-v1").to_str().unwrap()]);
    assert_eq!(tested.code, 0, "{tested:?}");
}

#[test]
fn a_blank_store_passes_its_own_checks() {
    let place = TempDir::new().unwrap();
    let ended = end(command(&["init", "--blank", "documents"]).current_dir(place.path()));
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let commands = ended.out.lines().filter_map(|line| line.strip_prefix("  humbaba "));
    let commands: Vec<_> = commands.collect();
    assert_eq!(
        commands,
        ["validate documents", "test documents --mutants", "serve --policies documents"]
    );
    for args in ["validate --deny-warnings documents", "fmt --check documents"]
        .into_iter()
        .chain(commands[..2].iter().copied())
    {
        let args: Vec<_> = args.split(' ').collect();
        let ended = end(command(&args).current_dir(place.path()));
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
    }
    let check = ["check", "--policies", "documents", "--principal", r#"User::"alice""#, "--role"];
    let request = ["--action", "document.edit", "--resource", r#"Document::"1""#];
    for (role, code) in [("editor", 0), ("viewer", 2)] {
        let args = [&check[..], &[role], &request].concat();
        assert_eq!(end(command(&args).current_dir(place.path())).code, code, "{role}");
    }
}

#[test]
fn a_folder_may_be_there_if_it_is_empty() {
    let place = TempDir::new().unwrap();
    let folder = place.path().join("here");
    fs::create_dir(&folder).unwrap();
    let blank = || end(command(&["init", "--blank", "."]).current_dir(&folder));
    assert_eq!(blank().code, 0);
    let before = files(&folder);
    let ended = blank();
    assert_eq!((ended.code, ended.out.as_str()), (64, ""));
    let message = "error: cannot make a policy store of `.`: it is not empty\n";
    assert_eq!(ended.err, message);
    assert_eq!(files(&folder), before);
}

#[test]
fn what_cannot_be_done_is_told_before_anything_is_written() {
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("file"), "").unwrap();
    for (args, code, part) in [
        (&["init", "nothing", "new"][..], 64, "there are clicky, hitkeep, hitkeep-v1, kissmetrics"),
        (&["init", "hitkeep", "No Store"], 64, "`No Store` cannot name a policy store"),
        (&["init", "--blank", "file"], 1, "cannot make a policy store of `file`: "),
        (&["init", "new"], 64, "<STORE>"),
        (&["init", "--blank"], 64, "<DIR>"),
        (&["init", "--blank", "hitkeep", "new"], 64, "cannot be used with"),
    ] {
        let ended = end(command(args).current_dir(place.path()));
        assert_eq!((ended.code, ended.out.as_str()), (code, ""), "{args:?}");
        assert!(ended.err.contains(part), "{args:?}: {}", ended.err);
    }
    assert_eq!(files(place.path()).keys().collect::<Vec<_>>(), ["file"]);
}

#[test]
fn a_store_that_cannot_be_written_as_a_whole_leaves_nothing_behind() {
    let place = TempDir::new().unwrap();
    let was_there = place.path().join("was-there");
    fs::create_dir(&was_there).unwrap();
    for folder in [&was_there, &place.path().join("new")] {
        // No file may be longer, which is an error like that of a full disk.
        let mut init = under("trap '' XFSZ; ulimit -f 40");
        let ended = end(init.args(["init", "hitkeep"]).arg(folder));
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.err.contains("cannot write `"), "{ended:?}");
        assert!(!folder.exists() || fs::read_dir(folder).unwrap().next().is_none(), "{ended:?}");
    }
    assert!(was_there.is_dir(), "the folder is not the command's");
    let ended = end(command(&["init", "hitkeep"]).arg(&was_there));
    assert_eq!(ended.code, 0, "it can be tried again: {ended:?}");
}
