use super::{super::cases as cases_of, failures, passing, problems, report, store};

const ENTITIES: &str = r#"[
    { "uid": { "type": "Garden::User", "id": "alice" }, "attrs": {},
      "parents": [{ "__entity": { "type": "Garden::Role", "id": "Site::42#viewer" } }] },
    { "uid": { "__entity": { "type": "Garden::Site", "id": "42" } },
      "attrs": {
        "viewer": { "__entity": { "type": "Garden::Role", "id": "Site::42#viewer" } },
        "team": { "type": "Garden::Team", "id": "acme" }
      },
      "parents": [], "tags": { "colour": "green" } },
    { "uid": { "type": "Garden::Action", "id": "site.view" }, "attrs": {}, "parents": [] }
]"#;

fn case(entities: &str, more: &str, reason: &str, errors: &str) -> String {
    format!(
        r#"{{ {more}
          "request": {{
            "principal": "Garden::User::\"alice\"",
            "action": "Garden::Action::\"site.view\"",
            "resource": "Garden::Site::\"42\"",
            "context": {{
              "now": {{ "__extn": {{ "fn": "datetime", "arg": "2026-01-01" }} }},
              "price": {{ "fn": "decimal", "arg": "1.5" }},
              "place": {{ "room": 1 }}
            }}
          }},
          "entities": {entities},
          "decision": "allow",
          "reason": [{reason}],
          "num_errors": {errors} }}"#
    )
}

#[test]
fn a_file_of_cedar_is_taken_unchanged() {
    let case = case(ENTITIES, "\"name\": \"alice views\", \"note\": 1,", "\"site-view\"", "0");
    assert_eq!(passing(&[("tests/cedar.json", &format!("[{case}]"))]), 1);
}

#[test]
fn cases_without_a_name_get_one_and_equal_names_a_number() {
    let (unnamed, named) =
        (case(ENTITIES, "", "", "0"), case(ENTITIES, "\"name\": \"x\",", "", "0"));
    let text = format!("[{unnamed},\n{named},\n{named}]");
    let cases = cases_of(&store(&[("tests/cedar.json", &text)])).unwrap();
    let names: Vec<_> = cases.iter().map(|case| (case.name.as_str(), case.line)).collect();
    let lines = unnamed.lines().count();
    let named_lines = named.lines().count();
    assert_eq!(names, [("unnamed case 1", 1), ("x", 1 + lines), ("x #2", 1 + lines + named_lines)]);
}

#[test]
fn reasons_and_errors_count() {
    let case = |reason, errors| format!("[{}]", case(ENTITIES, "", reason, errors));
    let found = |text: &str| failures(&report(&[("tests/cedar.json", text)]));
    assert_eq!(found(&case("\"site-edit\"", "0")), ["unnamed case 1: not decided by `site-edit`"]);
    assert_eq!(found(&case("", "1")), ["unnamed case 1: 0 policies failed, expected 1"]);
}

#[test]
fn entities_may_be_in_a_file_beside() {
    let case = case("\"facts/entities.json\"", "", "\"site-view\"", "0");
    let text = format!("[{case}]");
    assert_eq!(passing(&[("tests/cedar.json", &text), ("tests/facts/entities.json", ENTITIES)]), 1);
    assert_eq!(
        problems(&[("tests/cedar.json", &text)]),
        [
            "garden/tests/cedar.json:1:2: there is no file `facts/entities.json` beside the file of this case"
        ]
    );
    let text = text.replace("facts/entities.json", "../schema.cedarschema");
    assert_eq!(problems(&[("tests/cedar.json", &text)]).len(), 1);
}

#[test]
fn every_mistake_is_told_with_its_case() {
    let bad = r#"{ "request": { "principal": "x", "resource": "Site::\"1\"" },
        "entities": [{ "uid": "x" }, {}], "decision": "maybe", "reason": [1] }"#;
    let text = format!("[\n{},\n  {bad}\n]", case(ENTITIES, "", "", "-1"));
    let place = format!("garden/tests/cedar.json:{}:3", text.lines().count() - 2);
    assert_eq!(
        problems(&[("tests/cedar.json", &text), ("tests/other.json", "[\n  {,}\n]")]),
        [
            "garden/tests/cedar.json:2:1: `num_errors` is a number from 0".to_owned(),
            format!("{place}: a string is expected here, not an integer"),
            format!("{place}: the key `num_errors` is missing here"),
            format!("{place}: `maybe` is not a decision"),
            format!("{place}: the request has no `action`"),
            format!("{place}: `x` names no entity: write the type and the id, e.g. `Site::\"42\"`"),
            format!("{place}: an entity is named by `{{\"type\": …, \"id\": …}}`"),
            format!("{place}: an entity has no `uid`"),
            "garden/tests/other.json:2:4: key must be a string".to_owned(),
        ]
    );
}

#[test]
fn a_policy_without_an_id_is_called_as_cedar_calls_it() {
    let case = case(ENTITIES, "", "\"policy4\", \"site-view\"", "0");
    let more = "\npermit (principal, action, resource is Garden::Site);\n";
    let policies = format!("{}{more}", super::POLICIES);
    let files = [("tests/cedar.json", format!("[{case}]")), ("policies.cedar", policies)];
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    assert_eq!(passing(&files), 1);
}
