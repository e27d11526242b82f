use serde_json::json;

use super::{
    super::{junit, mutants_as_text, report_as_json, run, run_mutants, tests_as_text},
    report, store,
};

const CASES: &str = r#"
[[case]]
name = "a viewer edits"
principal = 'User::"alice"'
resource = 'Site::"42"'
roles = [
  { role = "viewer", expires_at = "2027-01-01T00:00:00Z" },
  { principal = 'User::"bob"', role = "editor", scope = 'Site::"1"' },
]
groups = ['Group::"g"']
entities = [{ uid = 'Site::"42"', attributes = { frozen = false, team = 'Team::"t"' }, tags = { a = "b" } }]
context = { reason = "x < y", level = 3, labels = ["a"], place = { room = 1 }, wait = "1s", price = "1.5" }
action = "site.edit"
expect = "allow"
policies = ["site-edit"]

[[case]]
name = "frozen"
principal = 'User::"alice"'
resource = 'Site::"42"'
entities = [{ uid = 'Site::"42"', attributes = { frozen = true } }]
action = "site.edit"
expect = "allow"

[[case]]
name = "no site"
principal = 'User::"alice"'
resource = 'Team::"42"'
action = "site.edit"
expect = "deny"

[[case]]
name = "a stranger"
principal = 'User::"alice"'
resource = 'Site::"42"'
action = "site.view"
expect = "deny"
"#;

const FILES: [(&str, &str); 1] = [("tests/a.toml", CASES)];

#[test]
fn a_failure_says_what_was_asked_expected_and_answered() {
    let text = tests_as_text(&report(&FILES));
    assert_eq!(
        text,
        r#"garden: 4 cases, 3 failed
  ✗ tests/a.toml: 4 cases, 3 failed

    ✗ tests/a.toml:3 a viewer edits
      expected allow, got deny
        asked     User::"alice" → site.edit → Site::"42"
        role      viewer until 2027-01-01T00:00:00Z
        role      User::"bob" is editor on Site::"1"
        context   reason = "x < y", level = 3, labels = ["a"], place = { room = 1 }, wait = 1000ms, price = 1.5
        entity    Site::"42" { frozen = false, team = Team::"t" } tags { a = "b" }
        entity    User::"alice" in Group::"g"
        expected  allow by `site-edit`
        got       deny by no policy
        why       Denied. No policy allows this without the role `editor` on Garden::Site::"42".

    ✗ tests/a.toml:18 frozen
      expected allow, got deny
        asked     User::"alice" → site.edit → Site::"42"
        entity    Site::"42" { frozen = true }
        expected  allow
        got       deny by `site-frozen`
        why       Denied. No policy allows this without the role `editor` on Garden::Site::"42". `site-frozen` forbids it: Ask the owner of the team to thaw it.

    ✗ tests/a.toml:26 no site
      the request does not fit the schema
        asked     User::"alice" → site.edit → Team::"42"
        expected  deny
        got       invalid: resource.type: the action `site.edit` does not apply to a resource of type `Garden::Team`: it applies to `Garden::Site`

"#
    );
}

#[test]
fn junit_has_a_suite_for_each_file() {
    let store = store(&FILES);
    let (tests, mutants) = (run(&store).unwrap(), run_mutants(&store, &|_, _| {}).unwrap());
    let problem = crate::model::Problem::of_file("weeds/a.cedar", "no good");
    let weeds = "weeds".parse().unwrap();
    let xml = junit([(&tests, Some(&mutants))], [(&weeds, [problem].as_slice())]).unwrap();
    for part in [
        r#"<testsuite name="garden/tests/a.toml" tests="4" skipped="0" errors="0" failures="3">"#,
        r#"<testcase name="a stranger" classname="garden"/>"#,
        r#"<failure message="expected allow, got deny">tests/a.toml:3"#,
        "x &lt; y",
        r#"<testsuite name="garden/mutants" tests="23""#,
        r#"<failure message="no test notices the change">policies.cedar:"#,
        r#"<testsuite name="weeds" tests="1" skipped="0" errors="1" failures="0">"#,
        r#"<error message="weeds/a.cedar: no good"/>"#,
    ] {
        assert!(xml.contains(part), "{part}\n{xml}");
    }
}

#[test]
fn json_has_the_counts_and_the_failures() {
    let store = store(&FILES);
    let (tests, mutants) = (run(&store).unwrap(), run_mutants(&store, &|_, _| {}).unwrap());
    let json = report_as_json(&tests, Some(&mutants), None);
    assert_eq!(json["store"], json!("garden"));
    assert_eq!((&json["cases"], &json["failed"]), (&json!(4), &json!(3)));
    assert_eq!(json["files"], json!([{ "file": "tests/a.toml", "cases": 4, "failed": 3 }]));
    assert_eq!(
        json["failures"][1],
        json!({
            "file": "tests/a.toml",
            "line": 18,
            "name": "frozen",
            "reason": "expected allow, got deny",
            "expected": "allow",
            "got": "deny by `site-frozen`",
            "why": "Denied. No policy allows this without the role `editor` on Garden::Site::\"42\". `site-frozen` forbids it: Ask the owner of the team to thaw it.",
        })
    );
    assert_eq!(json["mutants"]["mutants"], json!(23));
    let survivors = json["mutants"]["survivors"].as_array().unwrap();
    assert!(survivors.iter().any(|mutant| mutant["mutant"] == "site-frozen/delete"));
    assert_eq!(report_as_json(&tests, None, None)["mutants"], json!(null));
}

#[test]
fn mutants_are_counted_and_survivors_listed() {
    let equivalent = "[[equivalent]]\nmutant = 'site-frozen/flip'\nreason = 'so it is'\n\
                      [[equivalent]]\nmutant = 'nothing'\nreason = 'x'\n";
    let report =
        run_mutants(&store(&[FILES[0], ("mutants.toml", equivalent)]), &|_, _| {}).unwrap();
    let text = mutants_as_text(&report, 99.0);
    let caught = report.count(|fate| matches!(fate, super::super::Fate::Caught { .. }));
    assert!(text.starts_with(&format!("  ✗ mutants: 23, {caught} caught, ")), "{text}");
    for part in [
        "    survived: site-frozen/delete\n      policies.cedar:14: deleted\n",
        "    equivalent: site-frozen/flip\n      policies.cedar:14: `permit` instead of `forbid`\n      so it is\n",
        "there is no mutant `nothing`",
        "garden/mutants.toml:5:10",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn exempt_cells_are_counted_by_reason() {
    let csv = "scope,action,label,owner,viewer,condition,source\nsite,site.view,View,deny,deny,,\n";
    let meaning =
        "[scopes.site]\n[columns.owner]\n[columns.viewer]\n[[exempt]]\nreason = 'it is winter'\n";
    let report = report(&[("matrix.csv", csv), ("matrix.toml", meaning)]);
    assert_eq!(
        tests_as_text(&report),
        "garden: 0 cases\n  - 2 cells are not asked: it is winter\n"
    );
}
