//! Files that lie where they are read as something else, or not at all.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{
    cli::{command, end, policies, run},
    cli_sidecar::Sidecar,
};

const NOBODY_EDITS: &str = "@id(\"nobody-edits\") @never(\"somebody edits\")
permit (principal, action == Guard::Action::\"edit\", resource);
";

fn write(folder: &Path, file: &str, text: &str) {
    let file = folder.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

fn validated(folder: &TempDir) -> (i32, String) {
    let ended = run(&["validate", folder.path().to_str().unwrap()]);
    (ended.code, ended.out)
}

#[test]
fn an_invariant_never_decides_wherever_it_lies() {
    for place in ["invariant/i.cedar", "Invariants/i.cedar", "i.cedar", "more/invariants/i.cedar"] {
        for claim in ["@never", "@always"] {
            let folder = policies(&["guard"]);
            let store = folder.path().join("guard");
            write(&store, place, &NOBODY_EDITS.replace("@never", claim));
            let (code, out) = validated(&folder);
            assert_eq!(code, 3, "{place}: {out}");
            assert!(out.contains(&format!("guard/{place}:1:1")), "{place}: {out}");
            assert!(out.contains(claim) && out.contains("move it to `invariants/`"), "{out}");
            let question = ["--principal", "User::\"eve\"", "--resource", "Site::\"1\""];
            let asked = end(command(&["check", "--action", "edit"])
                .args(["--policies", folder.path().to_str().unwrap()])
                .args(question));
            assert_eq!(asked.code, 3, "{place}: {asked:?}");
        }
    }
    let folder = policies(&["guard"]);
    write(&folder.path().join("guard"), "invariants/i.cedar", NOBODY_EDITS);
    assert_eq!(validated(&folder).0, 0);
}

#[test]
fn an_invariant_in_a_template_or_in_json_never_decides() {
    let template =
        "\n@id(\"t\") @never(\"no\")\npermit (principal == ?principal, action, resource);";
    let json = r#"{"effect": "permit", "principal": {"op": "All"}, "action": {"op": "All"},
        "resource": {"op": "All"}, "conditions": [], "annotations": {"always": "yes"}}"#;
    for (file, text, place) in [
        ("t.cedar", template, "guard/t.cedar:2:1"),
        ("j.cedar.json", json, "guard/j.cedar.json:1:1"),
    ] {
        let folder = policies(&["guard"]);
        write(&folder.path().join("guard"), file, text);
        let (code, out) = validated(&folder);
        assert_eq!(code, 3, "{out}");
        assert!(out.contains(place) && out.contains("`invariants/`"), "{out}");
    }
}

#[test]
fn a_folder_that_is_one_level_too_high_is_refused_with_what_to_do() {
    for part in ["tests/a.toml", "invariants/i.cedar", "store.toml", "matrix.csv", "matrix.toml"] {
        let folder = policies(&[]);
        crate::cli::write_store(&folder.path().join("policies"), "guard", crate::cli::POLICIES);
        // Without an invariant it is the place alone that tells.
        write(&folder.path().join("policies/guard"), part, "");
        let (code, out) = validated(&folder);
        assert_eq!(code, 3, "{part}: {out}");
        assert!(out.contains("policies/guard") && out.contains(part), "{part}: {out}");
        assert!(out.contains("if `policies` is the folder of the stores, name it"), "{out}");
        let within = folder.path().join("policies");
        let ended = run(&["validate", within.to_str().unwrap()]);
        assert!(!ended.out.contains("a store of its own"), "{ended:?}");
    }
}

#[test]
fn the_shipped_stores_are_refused_by_a_server_that_is_given_the_folder_above() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("policies/hitkeep");
    let made = run(&["init", "hitkeep", store.to_str().unwrap()]);
    assert_eq!(made.code, 0, "{made:?}");
    let ended = end(command(&["serve", "--listen", "127.0.0.1:0", "--http-listen", "off"])
        .args(["--web-listen", "off", "--require", "tests"])
        .args(["--policies", folder.path().to_str().unwrap()]));
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("looks like a store of its own"), "{}", ended.err);
}

#[test]
fn a_schema_in_a_folder_by_itself_is_no_nested_store() {
    let folder = policies(&["guard"]);
    let store = folder.path().join("guard");
    fs::create_dir(store.join("schema")).unwrap();
    fs::rename(store.join("schema.cedarschema"), store.join("schema/main.cedarschema")).unwrap();
    write(&store, "tests/a.toml", "");
    assert_eq!(validated(&folder).0, 0);
}

#[test]
fn a_folder_with_nearly_the_name_of_one_that_is_read_is_warned_of() {
    for (file, text, told) in [
        ("test/a.toml", "", "the folder is not `tests/`: its files are not read"),
        ("Tests/a.toml", "", "the folder is not `tests/`: its files are not read"),
        (
            "test/a.links.json",
            "[]",
            "the folder is not `tests/`: policies, links and entities in it decide",
        ),
        (
            "invariant/a.cedar",
            "",
            "the folder is not `invariants/`: policies, links and entities in it decide",
        ),
    ] {
        let folder = policies(&["guard"]);
        write(&folder.path().join("guard"), file, text);
        let (code, out) = validated(&folder);
        assert_eq!(code, 0, "{file}: {out}");
        assert!(out.contains(told) && out.contains(", 1 warning,"), "{file}: {out}");
        let strict = ["validate", "--deny-warnings", folder.path().to_str().unwrap()];
        assert_eq!(run(&strict).code, 3, "{file}");
    }
    let folder = policies(&["guard"]);
    write(&folder.path().join("guard"), "test/a.toml", "");
    let sidecar = Sidecar::start(folder.path(), &[]);
    let log = sidecar.log();
    assert!(log.contains("the folder is not `tests/`"), "{log}");
}

#[test]
fn a_file_of_policies_that_is_not_read_is_warned_of() {
    let forbid = "@id(\"hold\") forbid\n  (principal, action, resource);\n";
    for (file, text, warned) in [
        ("hold.cedr", forbid, true),
        ("hold.txt", forbid, true),
        ("more/HOLD.TXT", forbid, true),
        ("notes.txt", "We permit nothing (yet), and the forbids are gone.", false),
        ("notes.md", forbid, false),
    ] {
        let folder = policies(&["guard"]);
        write(&folder.path().join("guard"), file, text);
        let (code, out) = validated(&folder);
        assert_eq!(code, 0, "{out}");
        let is_warned = out.contains(&format!("guard/{file}")) && out.contains("is not read");
        assert_eq!(is_warned, warned, "{file}: {out}");
    }
}
