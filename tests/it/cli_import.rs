//! `humbaba import`

use std::fs;

use tempfile::TempDir;

use crate::cli::{command, end};

const SHEET: &str = "\
Permission;Site Admin;Editor;Viewer
View reports;x;x;x
Edit goals;x;only their own;
Delete the site;yes;no;no
";

#[test]
fn a_spreadsheet_becomes_a_store_that_passes_its_tests() {
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("roles.csv"), SHEET).unwrap();
    let in_place = |args: &str| {
        let args: Vec<_> = args.split(' ').collect();
        end(command(&args).current_dir(place.path()))
    };
    let ended = in_place("import csv roles.csv store --scope Site");
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    let expected = "\
the column `Site Admin` is the role `Site_Admin`
`context.condition_1` stands for: only their own
3 roles, 3 actions, 1 condition
wrote 9 files to store

Next:
  humbaba validate store
  humbaba test store --mutants
  humbaba serve --policies store
";
    assert_eq!(ended.out, expected);
    for args in [
        "validate --deny-warnings store",
        "test store --mutants",
        "fmt --check store",
        "import csv store/matrix.csv again",
    ] {
        let ended = in_place(args);
        assert_eq!(ended.code, 0, "{args}: {ended:?}");
    }
    let edit = |more: &[&str]| {
        let mut check = command(&["check", "--policies", "store", "--principal", "User::alice"]);
        check.args(["--resource", "Site::1", "--action", "Edit goals", "--role", "Editor"]);
        end(check.args(more).current_dir(place.path())).code
    };
    assert_eq!(edit(&[]), 2);
    assert_eq!(edit(&["--context", "condition_1=true"]), 0);
}

#[test]
fn what_cannot_be_done_is_told_before_anything_is_written() {
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("roles.csv"), SHEET).unwrap();
    fs::write(place.path().join("bad.csv"), "action,owner\nview,x\nview,x\n").unwrap();
    let open = "action,owner\nview,x\n\"edit,x\nshare,x\ndelete,x\n";
    fs::write(place.path().join("open.csv"), open).unwrap();
    let late = open.replace("delete", "\"delete\"");
    fs::write(place.path().join("late.csv"), late).unwrap();
    fs::create_dir(place.path().join("full")).unwrap();
    fs::write(place.path().join("full/file"), "").unwrap();
    for (args, part) in [
        ("import csv bad.csv new", "bad.csv:3:1"),
        ("import csv open.csv new", "open.csv:3:1: a quote is not closed"),
        ("import csv late.csv new", "late.csv:3:1: a quote is not closed"),
        ("import csv nowhere.csv new", "cannot read `nowhere.csv`"),
        ("import csv roles.csv full", "it is not empty"),
        ("import csv roles.csv new --scope Role", "`Role` is the name of another type"),
        ("import csv roles.csv new --scope String", "`String` is the name of another type"),
        ("import csv roles.csv new --scope a::B", "`a::B` cannot name an entity type"),
        ("import csv roles.csv new --set bounds.file_bytes=10", "more than 10 bytes"),
        ("import csv roles.csv New", "`New` cannot name a policy store"),
        ("import", "Usage"),
    ] {
        let words: Vec<_> = args.split(' ').collect();
        let ended = end(command(&words).current_dir(place.path()));
        assert_eq!((ended.code, ended.out.as_str()), (64, ""), "{args}");
        assert!(ended.err.contains(part), "{args}: {}", ended.err);
        assert!(!place.path().join("new").exists(), "{args}");
    }
}
