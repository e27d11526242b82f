//! Cedar's JSON forms.

use super::*;

const JSON_POLICIES: &str = r#"{
  "staticPolicies": {
    "static": {
      "effect": "forbid",
      "principal": {"op": "All"}, "action": {"op": "All"}, "resource": {"op": "All"},
      "conditions": [{"kind": "when", "body": {"Value": false}}]
    }
  },
  "templates": {
    "template": {
      "effect": "permit",
      "annotations": {"id": "named"},
      "principal": {"op": "==", "slot": "?principal"},
      "action": {"op": "All"},
      "resource": {"op": "All"},
      "conditions": []
    }
  },
  "templateLinks": [
    {"templateId": "template", "newId": "link", "values": {
      "?principal": {"__entity": {"type": "User", "id": "alice"}}
    }}
  ]
}"#;

#[test]
fn cedars_json_forms_are_read_like_the_texts() {
    let text = loaded(&[("s.cedarschema", SCHEMA), ("p.cedar", PERMIT)]);
    let fragment = cedar_policy::SchemaFragment::from_cedarschema_str(SCHEMA).unwrap().0;
    let schema = fragment.to_json_string().unwrap();
    let links =
        r#"[{"template_id": "named", "link_id": "bobs", "args": {"?principal": "User::\"bob\""}}]"#;
    let store = loaded(&[
        ("s.cedarschema.json", &schema),
        ("p.cedar.json", JSON_POLICIES),
        ("a.links.json", links),
    ]);
    let mut ids: Vec<_> =
        store.policies().policies().map(|policy| policy.id().to_string()).collect();
    ids.sort();
    assert_eq!(ids, ["bobs", "link", "static"]);
    assert_eq!(store.schema().actions().count(), text.schema().actions().count());
    check(store.warnings(), "p.cedar.json", 3, "static");

    let single = r#"{"effect": "permit", "principal": {"op": "All"}, "action": {"op": "All"},
        "resource": {"op": "All"}, "conditions": []}"#;
    let single = loaded(&[("s.cedarschema", SCHEMA), ("deny.cedar.json", single)]);
    assert_eq!(single.policies().num_of_policies(), 1);
}

#[test]
fn faults_in_json_policies_have_their_places() {
    let check_json = |text: &str, line: usize, words: &str| {
        let problems = refused(&[("s.cedarschema", SCHEMA), ("p.cedar.json", text)]);
        check(&problems, "p.cedar.json", line, words);
    };
    check_json(&JSON_POLICIES.replace("forbid", "forbids"), 3, "forbids");
    check_json(&JSON_POLICIES.replace("templateLinks", "template_links"), 19, "template_links");
    check_json(
        &JSON_POLICIES.replace("\"templateId\": \"template\"", "\"templateId\": \"other\""),
        20,
        "named",
    );
    check_json(&JSON_POLICIES.replace("\"templates\"", "\"staticPolicies\""), 9, "twice");
    check_json("[]", 1, "policy set");
}
