//! Properties are read by the types that the schema declares.

use serde_json::{Value as Json, json};

use super::web::{Web, ask, asking, with};
use crate::support::{stores, stores::store};

/// Sends a fact of the context; the resource has what its type requires.
async fn sends(web: &Web, name: &str, value: &Json) -> Json {
    let question = ask("User::alice", "form.send", "Form::1");
    let question = asking(question, "resource", with("Form::1", json!({"title": "x"})));
    web.evaluation(&asking(question, "context", json!({name: value}))).await
}

#[tokio::test]
async fn each_type_has_its_json() {
    let web = Web::start([stores::acme()]).await;
    for (name, value) in [
        ("bool", json!(true)),
        ("long", json!(-7)),
        ("string", json!("text")),
        ("site", json!("1")),
        ("site", json!({"type": "Site", "id": "1"})),
        ("site", json!({"type": "Acme::Site", "id": "1", "more": 1})),
        ("numbers", json!([2, 1, 1])),
        ("record", json!({"text": "text", "more": null, "other": {"deep": []}})),
        ("decimal", json!("12.50")),
        ("decimal", json!(12.5)),
        ("decimal", json!(13)),
        ("decimal", json!(12.4999)),
        ("ip", json!("10.1.2.3")),
        ("datetime", json!("2026-01-31T10:00:00.123+01:00")),
        ("duration", json!("-1s500ms")),
    ] {
        assert_eq!(sends(&web, name, &value).await, json!({"decision": true}), "{name} {value}");
    }
}

#[tokio::test]
async fn a_declared_value_that_does_not_fit_is_a_fault_and_never_dropped() {
    let web = Web::start([stores::acme()]).await;
    for (name, value, path) in [
        ("bool", json!("true"), "context.bool"),
        ("bool", json!(1), "context.bool"),
        ("long", json!(5.5), "context.long"),
        ("long", json!(5.0), "context.long"),
        ("long", json!("5"), "context.long"),
        ("long", json!(9_223_372_036_854_775_808_u64), "context.long"),
        ("string", json!(1), "context.string"),
        ("site", json!({"id": "1"}), "context.site"),
        ("site", json!({"type": "Team", "id": "1"}), "context.site"),
        ("site", json!({"__entity": {"type": "Site", "id": "1"}}), "context.site"),
        ("site", json!(""), "context.site.id"),
        ("numbers", json!(1), "context.numbers"),
        ("numbers", json!([1, "2"]), "context.numbers[1]"),
        ("numbers", json!([1, null]), "context.numbers[1]"),
        ("record", json!({}), "context.record.text"),
        ("record", json!({"text": 1}), "context.record.text"),
        ("record", json!([]), "context.record"),
        ("decimal", json!("1.23456"), "context.decimal"),
        ("decimal", json!(1.23456), "context.decimal"),
        ("decimal", json!(123_456_789_012.5), "context.decimal"),
        ("decimal", json!({"__extn": {"fn": "decimal", "arg": "1.0"}}), "context.decimal"),
        ("ip", json!("10.0.0"), "context.ip"),
        ("datetime", json!(1_769_850_000), "context.datetime"),
        ("datetime", json!("2026-01-31T10:00:00"), "context.datetime"),
        ("datetime", json!("soon"), "context.datetime"),
        ("duration", json!(5), "context.duration"),
    ] {
        let answer = sends(&web, name, &value).await;
        let message = answer["context"]["error"]["message"].as_str().unwrap_or_default();
        assert!(message.starts_with(&format!("{path}:")), "{name} {value}: {answer}");
        assert!(!message.contains("; "), "{name} {value}: {message}");
    }
}

#[tokio::test]
async fn moments_are_written_as_the_specification_writes_them() {
    let files = [
        (
            "schema.cedarschema",
            "entity U; action \"a\" appliesTo { principal: U, resource: U, context: { time: datetime } };",
        ),
        (
            "p.cedar",
            "permit (principal, action, resource) when { context.time == datetime(\"2025-06-28T01:03:00Z\") };",
        ),
    ];
    let web = Web::start([store("times", &files)]).await;
    for (time, is_it) in [
        ("2025-06-27T18:03-07:00", true),
        ("2025-06-27T18:03:00-07:00", true),
        ("2025-06-28T01:03:00.000Z", true),
        ("2025-06-28", false),
    ] {
        let question = asking(ask("U::a", "a", "U::b"), "context", json!({"time": time}));
        assert_eq!(web.evaluation(&question).await, json!({"decision": is_it}), "{time}");
    }
}

#[tokio::test]
async fn cedars_escapes_are_names_like_others() {
    let files = [
        (
            "schema.cedarschema",
            r#"entity U = { "data": { "__entity"?: { "type": String, "id": String }, "__extn"?: String } };
               action "a" appliesTo { principal: U, resource: U };"#,
        ),
        (
            "p.cedar",
            r#"permit (principal, action, resource)
               when { principal.data has "__entity" && principal.data["__entity"].id == "x"
                      && principal.data has "__extn" && principal.data["__extn"] == "y" };"#,
        ),
    ];
    let web = Web::start([store("names", &files)]).await;
    let data = json!({"data": {"__entity": {"type": "U", "id": "x"}, "__extn": "y"}});
    let question = asking(ask("U::a", "a", "U::b"), "subject", with("U::a", data));
    let question = asking(question, "resource", with("U::b", json!({"data": {}})));
    assert_eq!(web.evaluation(&question).await, json!({"decision": true}));
}
