//! `humbaba test`, run as a user runs it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use assert_cmd::cargo::CommandCargoExt as _;
use serde_json::json;
use tempfile::TempDir;

const SCHEMA: &str = r#"
namespace Garden {
    @role entity Role;
    entity User in [Role];
    entity Site { viewer: Role, editor: Role };
    action "site.view", "site.edit" appliesTo { principal: [User], resource: [Site] };
}
"#;

const POLICIES: &str = r#"
@id("site-view")
permit (principal, action == Garden::Action::"site.view", resource)
when { principal in [resource.viewer, resource.editor] };
"#;

const CASES: &str = r#"
[fixtures.site]
principal = 'User::"alice"'
resource = 'Site::"42"'
[[case]]
name = "a viewer views"
use = ["site"]
roles = [{ role = "viewer" }]
allow = ["site.view"]
deny = ["site.edit"]
[[case]]
name = "an editor views"
use = ["site"]
roles = [{ role = "editor" }]
allow = ["site.view"]
[[case]]
name = "a stranger"
use = ["site"]
deny = ["site.view", "site.edit"]
"#;

/// A folder with the store `garden`.
fn policies(cases: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let garden = folder.path().join("policies/garden");
    write(&garden, "schema.cedarschema", SCHEMA);
    write(&garden, "site.cedar", POLICIES);
    write(&garden, "tests/site.toml", cases);
    folder
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn command(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("humbaba").unwrap();
    command.current_dir(folder.path()).arg("test").args(args);
    command
}

/// The exit code, standard output and standard error.
fn run(folder: &TempDir, args: &[&str]) -> (i32, String, String) {
    let output = command(folder, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn passing_tests_are_only_counted() {
    let folder = policies(CASES);
    let expected = "garden: 5 cases\n  ✓ tests/site.toml: 5 cases\n".to_owned();
    assert_eq!(run(&folder, &[]), (0, expected.clone(), String::new()));
    assert_eq!(run(&folder, &["policies"]), (0, expected.clone(), String::new()));
    assert_eq!(run(&folder, &["policies/garden"]), (0, expected.clone(), String::new()));
    assert_eq!(run(&folder, &["--store", "garden"]), (0, expected, String::new()));
}

#[test]
fn a_failing_case_is_told_in_full() {
    let folder =
        policies(&CASES.replace("deny = [\"site.view\", ", "allow = [\"site.view\"]\ndeny = ["));
    let (code, out, err) = run(&folder, &[]);
    assert_eq!((code, err.as_str()), (2, ""));
    assert!(out.starts_with("garden: 5 cases, 1 failed\n  ✗ tests/site.toml: 5 cases, 1 failed\n"));
    for part in [
        "✗ tests/site.toml:17 a stranger / site.view",
        "expected allow, got deny",
        "asked     User::\"alice\" → site.view → Site::\"42\"",
        "why       Denied. No policy allows this",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
}

#[test]
fn a_filter_picks_cases() {
    let folder = policies(CASES);
    let (code, out, _) = run(&folder, &["--filter", "viewer"]);
    assert_eq!((code, out.as_str()), (0, "garden: 2 cases\n  ✓ tests/site.toml: 2 cases\n"));
}

#[test]
fn a_filter_that_picks_no_case_of_any_store_fails() {
    let folder = policies(CASES);
    let (code, _, err) = run(&folder, &["--filter", "vewer"]);
    assert_eq!((code, err.as_str()), (2, "no case has `vewer` in its file or its name\n"));
    // Another store may have cases.
    write(folder.path(), "policies/weeds/schema.cedarschema", SCHEMA);
    write(folder.path(), "policies/weeds/site.cedar", POLICIES);
    assert_eq!(run(&folder, &["--filter", "viewer"]).0, 0);
}

#[test]
fn an_invalid_store_or_test_file_is_shown_with_its_place() {
    let folder = policies(&CASES.replace("use = ", "uses = "));
    let garden = folder.path().join("policies/garden");
    let (code, out, err) = run(&folder, &[]);
    assert_eq!((code, err.as_str()), (3, ""));
    assert_eq!(out.matches("the key `uses` is unknown here").count(), 3);
    assert!(out.contains("garden/tests/site.toml:7:1"), "{out}");

    write(&garden, "site.cedar", &POLICIES.replace("viewer", "boss"));
    write(&garden, "tests/site.toml", CASES);
    let (code, out, err) = run(&folder, &[]);
    assert_eq!((code, err.as_str()), (3, ""));
    assert!(out.contains("garden/site.cedar:4:"), "{out}");
}

#[test]
fn one_bad_store_does_not_hide_the_others() {
    let folder = policies(CASES);
    write(folder.path(), "policies/weeds/schema.cedarschema", "entity");
    let (code, out, _) = run(&folder, &[]);
    assert_eq!((code, out.starts_with("garden: 5 cases\n")), (3, true));
    assert!(out.contains("weeds/schema.cedarschema"), "{out}");
    let (code, _, err) = run(&folder, &["--store", "garden"]);
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn mistakes_in_usage_are_64() {
    let folder = policies(CASES);
    for args in [
        ["--store", "weeds"].as_slice(),
        &["--store", "No Name"],
        &["--format", "xml"],
        &["--mutants-threshold", "50"],
        &["--mutants", "--filter", "x"],
    ] {
        let (code, out, err) = run(&folder, args);
        assert_eq!((code, out.as_str()), (64, ""), "{args:?}");
        assert!(!err.is_empty(), "{args:?}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_3_as_for_the_server() {
    let (code, out, err) = run(&policies(CASES), &["nowhere", "policies"]);
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("nowhere"), "{err}");
}

#[test]
fn a_surviving_mutant_fails_the_run() {
    let folder = policies(CASES);
    let (code, out, _) = run(&folder, &["--mutants"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("✓ mutants: 6, 6 caught, 0 survived"), "{out}");

    let without = CASES.replace("roles = [{ role = \"editor\" }]\nallow", "deny = []\nallow");
    let without = without.replace("deny = []\nallow = [\"site.view\"]", "deny = [\"site.view\"]");
    write(&folder.path().join("policies/garden"), "tests/site.toml", &without);
    let (code, out, _) = run(&folder, &["--mutants"]);
    assert_eq!(code, 2, "{out}");
    assert!(
        out.contains("survived: site-view/drop-slot:resource.editor\n      site.cedar:2: without"),
        "{out}"
    );
    let (code, out, _) = run(&folder, &["--mutants", "--mutants-threshold", "80"]);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn results_are_written_as_junit() {
    let folder = policies(CASES);
    write(folder.path(), "policies/weeds/schema.cedarschema", "entity");
    let (code, _, _) = run(&folder, &["--junit", "results.xml", "--mutants"]);
    assert_eq!(code, 3);
    let xml = fs::read_to_string(folder.path().join("results.xml")).unwrap();
    for part in [
        "<testsuite name=\"garden/tests/site.toml\" tests=\"5\"",
        "<testcase name=\"a viewer views / site.view\" classname=\"garden\"/>",
        "<testsuite name=\"garden/mutants\" tests=\"6\"",
        "<testsuite name=\"weeds\" tests=\"1\"",
    ] {
        assert!(xml.contains(part), "{part}\n{xml}");
    }
    let (code, _, err) = run(&folder, &["--store", "garden", "--junit", "no/such/results.xml"]);
    assert_eq!(code, 1);
    assert!(err.contains("cannot write `no/such/results.xml`"), "{err}");
}

#[test]
fn results_are_printed_as_json() {
    let folder = policies(CASES);
    write(folder.path(), "policies/weeds/schema.cedarschema", "entity");
    let (code, out, err) = run(&folder, &["--format", "json", "--mutants"]);
    assert_eq!((code, err.as_str()), (3, ""));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let (garden, weeds) = (&json["stores"][0], &json["stores"][1]);
    assert_eq!(garden["store"], "garden");
    assert_eq!(garden["cases"], 5);
    assert_eq!(garden["failed"], 0);
    assert_eq!(garden["mutants"]["caught"], 6);
    assert_eq!(weeds["store"], "weeds");
    assert_eq!(weeds["problems"][0]["line"], 1);
}

#[test]
fn a_store_without_tests_passes() {
    let folder = policies(CASES);
    fs::remove_dir_all(folder.path().join("policies/garden/tests")).unwrap();
    assert_eq!(run(&folder, &[]), (0, "garden: 0 cases\n".to_owned(), String::new()));
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let folder = policies(CASES);
    let mut command = command(&folder, &[]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn coverage_tells_what_no_case_makes_true_or_false() {
    let folder = policies(CASES);
    let garden = folder.path().join("policies/garden");
    let more = r#"
@id("site-edit")
permit (principal, action == Garden::Action::"site.edit", resource)
when { principal in resource.editor && principal != principal }
unless { resource == Garden::Site::"7" };

@id("nobody")
permit (principal == Garden::User::"nobody", action, resource);
"#;
    write(&garden, "more.cedar", more);
    let expected = "\
garden: 5 cases
  ✓ tests/site.toml: 5 cases
  - coverage: 1 of 3 policies apply; of 4 conditions 1 are true and 2 false in a case
    nobody (more.cedar)
      no case asks for it
    site-edit (more.cedar)
      never applies
      never true: line 4: principal in resource.editor
      never reached: line 4: principal != principal
      never reached: line 5: resource == Garden::Site::\"7\"
";
    assert_eq!(run(&folder, &["--coverage"]), (0, expected.to_owned(), String::new()));

    let (code, out, _) = run(&folder, &["--coverage", "--format", "json"]);
    assert_eq!(code, 0);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let policies = &report["stores"][0]["coverage"]["policies"];
    assert_eq!(policies[1]["policy"], "site-edit");
    assert_eq!((&policies[1]["asked"], &policies[1]["applied"]), (&json!(2), &json!(0)));
    let expected = json!({
        "text": "principal in resource.editor", "line": 4, "column": 8, "true": 0, "false": 2,
    });
    assert_eq!(policies[1]["conditions"][0], expected);
    assert_eq!(policies[2]["applied"], 2, "for the viewer and the editor");
}
