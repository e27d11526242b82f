//! Values of every kind arrive as they were sent.

use humbaba::proto::{Value, value::Kind};

use crate::support::{
    TestServer,
    ask::{
        Asking as _, Knowing as _, ask, datetime, entity, fields, long, nothing, policies, record,
        reference, set, text, value, violations,
    },
    stores,
};

fn send() -> humbaba::proto::IsAuthorizedRequest {
    ask("User::alice", "form.send", "Form::f")
        .entity(entity("Form::f").attribute("title", text("")))
}

fn span(seconds: i64, nanos: i32) -> Value {
    value(Kind::Duration(prost_types::Duration { seconds, nanos }))
}

fn timestamp(seconds: i64, nanos: i32) -> Value {
    value(Kind::Datetime(prost_types::Timestamp { seconds, nanos }))
}

#[tokio::test]
async fn every_kind_of_context_value_is_read() {
    let server = TestServer::start([stores::acme()]).await;
    for (name, value) in [
        ("bool", value(Kind::Boolean(true))),
        ("long", long(-7)),
        ("string", text("text")),
        ("site", reference("Site::1")),
        ("site", reference("Acme::Site::1")),
        ("numbers", set([long(2), long(1), long(2), long(3)])),
        ("record", record([("text", text("text"))])),
        ("record", record([("text", text("text")), ("more", long(1))])),
        ("decimal", value(Kind::Decimal("12.5".into()))),
        ("ip", value(Kind::Ip("10.1.2.3".into()))),
        ("ip", value(Kind::Ip("10.1.0.0/16".into()))),
        ("datetime", datetime(1_769_850_000_123)),
        ("duration", span(-1, -500_000_000)),
        // Cedar's short forms, which the schema tells from records.
        ("site", record([("type", text("Site")), ("id", text("1"))])),
        ("decimal", record([("fn", text("decimal")), ("arg", text("12.5"))])),
        ("ip", record([("fn", text("ip")), ("arg", text("10.1.2.3"))])),
        ("duration", record([("arg", text("-1500ms")), ("fn", text("duration"))])),
    ] {
        let answer = server.ask(send().fact(name, value.clone())).await.unwrap();
        assert_eq!(policies(&answer), [format!("form-{name}")], "{value:?}");
    }
}

#[tokio::test]
async fn attributes_and_tags_are_read() {
    let server = TestServer::start([stores::acme()]).await;
    let form = |title| entity("Form::f").attribute("title", text(title));
    let send = || ask("User::alice", "form.send", "Form::f");
    for (name, question) in [
        ("title", send().entity(form("open"))),
        ("plan", send().entity(form("").attribute("plan", reference("Plan::paid")))),
        ("tag", send().entity(form("")).entity(entity("User::alice").tag("level", text("high")))),
    ] {
        let answer = server.ask(question).await.unwrap();
        assert_eq!(policies(&answer), [format!("form-{name}")]);
    }
}

#[tokio::test]
async fn a_value_of_the_wrong_kind_is_named_with_its_path() {
    let server = TestServer::start([stores::acme()]).await;
    for (name, sent, field, message) in [
        ("bool", text("true"), "context.bool", "a boolean is expected here, not a string"),
        ("long", value(Kind::Boolean(true)), "context.long", "a long is expected"),
        ("string", long(1), "context.string", "a string is expected"),
        ("site", text("1"), "context.site", "a reference to a `Acme::Site`"),
        ("site", reference("Team::1"), "context.site", "not a `Acme::Team`"),
        ("site", reference("Sight::1"), "context.site.type", "no entity type `Sight`"),
        ("numbers", long(1), "context.numbers", "a set of which each is a long"),
        ("numbers", set([long(1), text("2")]), "context.numbers[1]", "a long is expected"),
        ("numbers", set([nothing()]), "context.numbers[0]", "no value is set"),
        ("record", text("text"), "context.record", "a record is expected"),
        ("record", record([]), "context.record.text", "missing"),
        (
            "record",
            record([("text", text("")), ("more", text(""))]),
            "context.record.more",
            "a long is expected",
        ),
        (
            "record",
            record([("text", text("")), ("other", text(""))]),
            "context.record.other",
            "declared are `more`, `text`",
        ),
        ("decimal", text("1.0"), "context.decimal", "a decimal is expected"),
        ("decimal", value(Kind::Decimal("1".into())), "context.decimal", "not a decimal"),
        ("decimal", value(Kind::Decimal("1.00000".into())), "context.decimal", "not a decimal"),
        ("ip", value(Kind::Ip("10.0.0.256".into())), "context.ip", "not an IP address"),
        ("ip", value(Kind::Ip(String::new())), "context.ip", "not an IP address"),
        ("datetime", text("2026-01-01"), "context.datetime", "a datetime is expected"),
        ("datetime", timestamp(253_402_300_800, 0), "context.datetime", "out of range"),
        ("datetime", timestamp(i64::MIN, 0), "context.datetime", "out of range"),
        ("datetime", timestamp(0, -1), "context.datetime", "`nanos` is out of range"),
        ("duration", long(1), "context.duration", "a duration is expected"),
        ("duration", span(i64::MAX, 0), "context.duration", "out of range"),
        ("duration", span(1, -1), "context.duration", "different signs"),
        ("bool", nothing(), "context.bool", "no value is set: a boolean is expected here"),
        ("fact", text(""), "context.fact", "the schema does not declare it here"),
        ("a fact", text(""), "context[\"a fact\"]", "the schema does not declare it here"),
    ] {
        let found = violations(&server.refuses(send().fact(name, sent.clone())).await);
        let [(found_field, description)] = &found[..] else { panic!("{sent:?}: {found:?}") };
        assert_eq!(found_field, field, "{sent:?}");
        assert!(description.contains(message), "{sent:?}: {description}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_and_what_does_not_fit_are_told_together() {
    let server = TestServer::start([stores::acme()]).await;
    let question = send()
        .fact("datetime", timestamp(0, i32::MAX))
        .fact("long", text("many"))
        .fact("other", timestamp(i64::MAX, 0));
    let mut found = fields(&server.refuses(question).await);
    found.sort();
    // The one that is not declared either is wrong twice.
    assert_eq!(found, ["context.datetime", "context.long", "context.other", "context.other"]);
}
