//! Many questions in one request.

use humbaba::{grpc::GrpcOptions, http::WebOptions};
use serde_json::{Value as Json, json};

use super::web::{Web, ask, asking, entity, with};
use crate::support::stores;

/// A site that nobody has locked may be previewed by everybody.
fn preview(site: &str) -> Json {
    ask("User::alice", "site.preview", &format!("Site::{site}"))
}

fn count(amount: i64) -> Json {
    asking(ask("User::alice", "site.count", "Site::1"), "context", json!({"amount": amount}))
}

fn decisions(answer: &Json) -> Vec<bool> {
    let items = answer["evaluations"].as_array().unwrap();
    items.iter().map(|item| item["decision"].as_bool().unwrap()).collect()
}

#[tokio::test]
async fn items_are_answered_in_order_and_literally() {
    let web = Web::start([stores::acme()]).await;
    let items = json!([count(1), count(1_000), count(2)]);
    assert_eq!(
        web.evaluations(&json!({"evaluations": items})).await,
        json!({"evaluations": [{"decision": true}, {"decision": false}, {"decision": true}]})
    );
}

#[tokio::test]
async fn without_evaluations_it_is_one_question() {
    let web = Web::start([stores::acme()]).await;
    for evaluations in [json!(null), json!([])] {
        let question = asking(preview("1"), "evaluations", evaluations);
        assert_eq!(web.evaluations(&question).await, json!({"decision": true}));
    }
    let question = asking(preview("1"), "options", json!({"explain": true}));
    assert_eq!(web.evaluations(&question).await["context"]["policies"], json!(["preview"]));
    let none = json!({"subject": entity("User::a"), "evaluations": []});
    assert_eq!(web.post("/access/v1/evaluations", &none).await.status, 400);
}

#[tokio::test]
async fn an_item_replaces_each_default_as_a_whole() {
    let web = Web::start([stores::acme()]).await;
    let request = json!({
        "subject": entity("User::alice"),
        "action": {"name": "site.count", "properties": {"amount": 1}},
        "resource": with("Site::1", json!({"locked": true})),
        "context": {"amount": 1},
        "evaluations": [
            {},
            {"subject": null, "action": null},
            // The default's properties go with it.
            {"action": {"name": "site.count"}, "context": {}},
            {"action": {"name": "site.count"}, "context": {"amount": 200}},
            {"action": {"name": "site.count"}},
        ],
    });
    let answer = web.evaluations(&request).await;
    assert_eq!(decisions(&answer), [true, true, false, false, true]);
    let missing = answer["evaluations"][2]["context"]["error"]["message"].as_str().unwrap();
    assert!(missing.starts_with("context.amount: missing"), "{missing}");
    assert_eq!(answer["evaluations"][3], json!({"decision": false}));
}

#[tokio::test]
async fn a_fault_of_either_kind_is_that_items_alone() {
    let web = Web::start([stores::acme()]).await;
    let items = json!([preview("1"), {}, 7, {"subject": "x"}, ask("Nobody::a", "site.view", "Site::1"), preview("2")]);
    let answer = web.evaluations(&json!({"evaluations": items})).await;
    assert_eq!(decisions(&answer), [true, false, false, false, false, true]);
    let error = |index: usize| &answer["evaluations"][index]["context"]["error"];
    assert_eq!(*error(1), json!({"status": 400, "message": "`subject`: missing"}));
    assert_eq!(*error(2), json!({"status": 400, "message": "an object is expected, not a number"}));
    assert_eq!(error(3)["status"], json!(400));
    assert_eq!(error(4)["status"], json!(422));
}

#[tokio::test]
async fn each_semantic_stops_where_it_says() {
    let web = Web::start([stores::acme()]).await;
    let (yes, no) = (count(1), count(1_000));
    let broken = json!({});
    for (semantic, items, expected) in [
        ("execute_all", json!([no, yes, broken, yes]), &[false, true, false, true][..]),
        ("deny_on_first_deny", json!([yes, no, yes]), &[true, false]),
        ("deny_on_first_deny", json!([yes, broken, yes]), &[true, false]),
        ("deny_on_first_deny", json!([yes, yes]), &[true, true]),
        ("permit_on_first_permit", json!([no, broken, yes, no]), &[false, false, true]),
        ("permit_on_first_permit", json!([no, no]), &[false, false]),
    ] {
        let request = json!({"evaluations": items, "options": {"evaluations_semantic": semantic}});
        assert_eq!(decisions(&web.evaluations(&request).await), expected, "{semantic} {items}");
    }
}

#[tokio::test]
async fn a_fault_at_the_top_is_400_for_all() {
    let options = GrpcOptions { batch_items: 3, ..GrpcOptions::default() };
    let web = Web::with([stores::acme()], options, WebOptions::default()).await;
    let items = json!([preview("1")]);
    for (request, part) in [
        (json!({"evaluations": {}}), "`evaluations`: an array is expected"),
        (
            json!({"evaluations": items, "options": {"evaluations_semantic": "all"}}),
            "write `execute_all`",
        ),
        (
            json!({"evaluations": items, "options": {"evaluations_semantic": 1}}),
            "a string is expected",
        ),
        (json!({"evaluations": items, "resource": {}}), "`resource.type`: missing"),
        (json!({"evaluations": items, "subject": "alice"}), "`subject`: an object is expected"),
        (json!({"evaluations": [{}, {}, {}, {}]}), "4 elements, more than the limit of 3"),
    ] {
        let answer = web.post("/access/v1/evaluations", &request).await;
        assert_eq!(answer.status, 400, "{request}");
        assert!(answer.body.contains(part), "{request}: {}", answer.body);
    }
}

#[tokio::test]
async fn items_of_one_entity_with_other_properties_are_decided_each_by_its_own() {
    let web = Web::start([stores::acme()]).await;
    let form = |title: &str| json!({"resource": with("Form::1", json!({"title": title}))});
    let request = json!({
        "subject": entity("User::alice"), "action": {"name": "form.send"},
        "evaluations": [form("open"), form("closed"), form("open")],
    });
    assert_eq!(decisions(&web.evaluations(&request).await), [true, false, true]);
}
