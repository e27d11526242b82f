//! The scenario by which implementations of AuthZEN 1.0 are certified, as a small store: two users of
//! whom bob is an admin, two records of which one is archived.

use std::sync::Arc;

use humbaba::{http::WebOptions, store::PolicyStore};
use serde_json::{Value as Json, json};

use super::web::{Web, ask, asking, entity, with};
use crate::support::{TestServer, stores::store};

/// Strangers get nothing, so policies ask for membership; what is archived is written by admins alone,
/// and they write nothing else.
fn fixture() -> Arc<PolicyStore> {
    store(
        "fixture",
        &[
            (
                "schema.cedarschema",
                r#"
                entity group;
                entity user in [group] = { role?: String };
                entity record = { status?: String };
                action "read", "write" appliesTo { principal: user, resource: record };
                action "delete" appliesTo {
                    principal: user, resource: record, context: { soft: Bool },
                };
                "#,
            ),
            (
                "policies.cedar",
                r#"
                permit (principal in group::"staff", action == Action::"read", resource);
                permit (principal in group::"staff", action == Action::"write", resource)
                when {
                    (principal has role && principal.role == "admin")
                    == (resource has status && resource.status == "archived")
                };
                permit (principal in group::"staff", action == Action::"delete", resource)
                when { context.soft };
                "#,
            ),
            (
                "facts.cedarentities.json",
                r#"[
                    {"uid": {"type": "user", "id": "alice"}, "attrs": {}, "parents": [{"type": "group", "id": "staff"}]},
                    {"uid": {"type": "user", "id": "bob"}, "attrs": {"role": "admin"}, "parents": [{"type": "group", "id": "staff"}]},
                    {"uid": {"type": "group", "id": "staff"}, "attrs": {}, "parents": []},
                    {"uid": {"type": "record", "id": "record-1"}, "attrs": {"status": "active"}, "parents": []},
                    {"uid": {"type": "record", "id": "record-2"}, "attrs": {"status": "archived"}, "parents": []}
                ]"#,
            ),
            ("store.toml", "[authzen]\noverridable = [\"user.role\", \"record.status\"]\n"),
        ],
    )
}

async fn web() -> Web {
    Web::start([fixture()]).await
}

async fn search(web: &Web, side: &str, request: &Json) -> Json {
    web.post(&format!("/access/v1/search/{side}"), request).await.json()
}

fn users(ids: &[&str]) -> Json {
    ids.iter().map(|id| json!({"type": "user", "id": id})).collect()
}

fn records(ids: &[&str]) -> Json {
    ids.iter().map(|id| json!({"type": "record", "id": id})).collect()
}

fn names(names: &[&str]) -> Json {
    names.iter().map(|name| json!({"name": name})).collect()
}

#[tokio::test]
async fn the_eight_decisions_of_the_fixture() {
    let web = web().await;
    let (alice, bob) = ("user::alice", "user::bob");
    let archived = with("record::record-2", json!({"status": "archived"}));
    let delete = |soft| json!({"name": "delete", "properties": {"soft": soft}});
    let question = |subject, action| ask(subject, action, "record::record-1");
    for (question, expected) in [
        (question(alice, "read"), true),
        (question(alice, "write"), true),
        (question(bob, "read"), true),
        (question(bob, "write"), false),
        (asking(question(alice, "write"), "resource", archived.clone()), false),
        (
            asking(
                asking(question(bob, "write"), "resource", archived.clone()),
                "subject",
                with(bob, json!({"role": "admin"})),
            ),
            true,
        ),
        (asking(question(alice, "read"), "action", delete(true)), true),
        (asking(question(alice, "read"), "action", delete(false)), false),
        // It is the property that decides and not the id.
        (
            asking(
                question(alice, "write"),
                "resource",
                with("record::record-1", json!({"status": "archived"})),
            ),
            false,
        ),
    ] {
        for context in [json!(null), json!({"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"})]
        {
            let question = asking(question.clone(), "context", context);
            assert_eq!(
                web.evaluation(&question).await,
                json!({"decision": expected}),
                "{question}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_known_is_ignored() {
    let web = web().await;
    let question = json!({
        "subject": with("user::alice", json!({"department": "Sales", "role": "manager"})),
        "action": {"name": "read", "properties": {"method": "GET"}},
        "resource": with("record::record-1", json!({"status": "active", "owner": "bob"})),
        "foo": "bar",
        "futureField": {"nested": true},
    });
    for _ in 0..3 {
        assert_eq!(web.evaluation(&question).await, json!({"decision": true}));
    }
}

#[tokio::test]
async fn batches_take_defaults_whole_and_properties_item_by_item() {
    let web = web().await;
    let (alice, bob) = (entity("user::alice"), entity("user::bob"));
    let (one, two) = (entity("record::record-1"), entity("record::record-2"));
    let active = with("record::record-1", json!({"status": "active"}));
    let archived = with("record::record-2", json!({"status": "archived"}));
    let action = |name: &str| json!({"name": name});
    let times = |time: &str| json!({"time": time, "source": "batch"});
    for (request, expected) in [
        (
            json!({"subject": alice, "action": action("read"),
                   "evaluations": [{"resource": one}, {"resource": two}]}),
            [true, true],
        ),
        (
            json!({"subject": bob, "resource": one,
                   "evaluations": [{"action": action("read")}, {"action": action("write")}]}),
            [true, false],
        ),
        (
            json!({"subject": alice, "action": action("write"),
                   "evaluations": [{"resource": active}, {"resource": archived}]}),
            [true, false],
        ),
        (
            json!({"action": action("write"), "resource": archived,
                   "evaluations": [{"subject": alice}, {"subject": with("user::bob", json!({"role": "admin"}))}]}),
            [false, true],
        ),
        (
            json!({"evaluations": [ask("user::alice", "read", "record::record-1"),
                                   ask("user::bob", "write", "record::record-1")]}),
            [true, false],
        ),
        (
            json!({"subject": alice, "action": action("read"), "context": times("2025-06-27T18:03-07:00"),
                   "evaluations": [{"resource": one},
                                   {"resource": two, "context": times("2025-06-27T19:00-07:00")}]}),
            [true, true],
        ),
        (
            json!({"subject": alice, "action": action("write"), "resource": active,
                   "evaluations": [{}, {"resource": archived}]}),
            [true, false],
        ),
    ] {
        let items: Json = expected.iter().map(|decision| json!({"decision": decision})).collect();
        assert_eq!(web.evaluations(&request).await, json!({"evaluations": items}), "{request}");
    }
    let request = json!({
        "subject": alice, "action": action("read"), "options": {"evaluations_semantic": "execute_all"},
        "evaluations": [{"resource": one}, {}],
    });
    let answer = web.evaluations(&request).await;
    assert_eq!(answer["evaluations"][0], json!({"decision": true}));
    assert_eq!(answer["evaluations"][1]["decision"], json!(false));
}

#[tokio::test]
async fn searches_find_whom_and_what_the_decisions_allow() {
    let web = web().await;
    let archived = with("record::record-2", json!({"status": "archived"}));
    let admin = with("user::bob", json!({"role": "admin"}));
    let user = json!({"type": "user"});
    let record = json!({"type": "record"});
    let action = |name: &str| json!({"name": name});
    let context = json!({"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"});
    let one = entity("record::record-1");
    for (side, request, results) in [
        (
            "subject",
            json!({"subject": user, "action": action("read"), "resource": one}),
            users(&["alice", "bob"]),
        ),
        (
            "subject",
            json!({"subject": user, "action": action("read"), "resource": one, "context": context}),
            users(&["alice", "bob"]),
        ),
        (
            "subject",
            json!({"subject": entity("user::alice"), "action": action("read"), "resource": one}),
            users(&["alice", "bob"]),
        ),
        (
            "subject",
            json!({"subject": user, "action": action("write"), "resource": archived}),
            users(&["bob"]),
        ),
        (
            "resource",
            json!({"subject": entity("user::alice"), "action": action("read"), "resource": record}),
            records(&["record-1", "record-2"]),
        ),
        (
            "resource",
            json!({"subject": entity("user::alice"), "action": action("write"), "resource": record, "context": context}),
            records(&["record-1"]),
        ),
        (
            "resource",
            json!({"subject": entity("user::alice"), "action": action("write"), "resource": one}),
            records(&["record-1"]),
        ),
        (
            "resource",
            json!({"subject": admin, "action": action("write"), "resource": record}),
            records(&["record-2"]),
        ),
        (
            "action",
            json!({"subject": entity("user::alice"), "resource": one}),
            names(&["read", "write"]),
        ),
        (
            "action",
            json!({"subject": entity("user::alice"), "resource": one, "context": context}),
            names(&["read", "write"]),
        ),
        ("action", json!({"subject": admin, "resource": archived}), names(&["read", "write"])),
        // A key `action` has no meaning there.
        (
            "action",
            json!({"subject": admin, "resource": archived, "action": 7}),
            names(&["read", "write"]),
        ),
        // Nobody and nothing that is known.
        (
            "action",
            json!({"subject": entity("user::nonexistent-user"), "resource": one}),
            json!([]),
        ),
        (
            "subject",
            json!({"subject": {"type": "spaceship"}, "action": action("read"), "resource": one}),
            json!([]),
        ),
        (
            "resource",
            json!({"subject": entity("spaceship::1"), "action": action("read"), "resource": record}),
            json!([]),
        ),
        (
            "resource",
            json!({"subject": entity("user::alice"), "action": action("fly"), "resource": record}),
            json!([]),
        ),
        (
            "action",
            json!({"subject": entity("user::alice"), "resource": entity("spaceship::1")}),
            json!([]),
        ),
    ] {
        let answer = search(&web, side, &request).await;
        assert_eq!(answer, json!({"results": results}), "{side} {request}");
    }
}

#[tokio::test]
async fn inputs_of_a_search_are_complete() {
    let web = web().await;
    let (user, one) = (json!({"type": "user"}), entity("record::record-1"));
    let read = json!({"name": "read"});
    for (side, request) in [
        ("subject", json!({"subject": user, "resource": one})),
        ("subject", json!({"subject": user, "action": read, "resource": {"type": "record"}})),
        ("subject", json!({"subject": {}, "action": read, "resource": one})),
        ("resource", json!({"action": read, "resource": {"type": "record"}})),
        ("resource", json!({"subject": user, "action": read, "resource": {"type": "record"}})),
        ("action", json!({"subject": entity("user::alice")})),
        ("action", json!({"subject": user, "resource": one})),
    ] {
        let answer = web.post(&format!("/access/v1/search/{side}"), &request).await;
        assert_eq!(answer.status, 400, "{side} {request}");
    }
}

#[tokio::test]
async fn pages_follow_each_other_by_their_tokens() {
    let web = web().await;
    let request = json!({
        "subject": {"type": "user"}, "action": {"name": "read"}, "resource": entity("record::record-1"),
    });
    let first =
        search(&web, "subject", &asking(request.clone(), "page", json!({"limit": 1}))).await;
    assert_eq!(first["results"], users(&["alice"]));
    assert_eq!(first["page"]["count"], json!(1));
    let token = first["page"]["next_token"].as_str().unwrap();
    assert!(!token.is_empty());
    // The last page is exactly full.
    let end = json!({"page": {"next_token": "", "count": 1}, "results": users(&["bob"])});
    for page in [json!({"token": token}), json!({"token": token, "limit": 1})] {
        assert_eq!(search(&web, "subject", &asking(request.clone(), "page", page)).await, end);
    }
    let whole =
        json!({"page": {"next_token": "", "count": 2}, "results": users(&["alice", "bob"])});
    for page in [
        json!({}),
        json!({"limit": 2}),
        json!({"limit": 3, "token": ""}),
        json!({"limit": u64::MAX}),
    ] {
        assert_eq!(search(&web, "subject", &asking(request.clone(), "page", page)).await, whole);
    }
    let none = search(&web, "subject", &asking(request.clone(), "page", json!({"limit": 0}))).await;
    assert_eq!((&none["results"], &none["page"]["count"]), (&json!([]), &json!(0)));
    assert_ne!(none["page"]["next_token"], json!(""));

    // A token is bound to its question.
    let page = json!({"token": token});
    let paged = |request: &Json| asking(request.clone(), "page", page.clone());
    for (path, request) in [
        ("subject", asking(request.clone(), "page", json!({"token": token, "limit": 2}))),
        ("subject", asking(request.clone(), "page", json!({"token": "garbage"}))),
        ("subject", asking(request.clone(), "page", json!({"token": format!("{token}0")}))),
        ("subject", asking(request.clone(), "page", json!({"token": 1}))),
        ("subject", asking(request.clone(), "page", json!({"limit": -1}))),
        ("subject", asking(request.clone(), "page", json!({"limit": "1"}))),
        ("subject", asking(request.clone(), "page", json!([]))),
        ("subject", asking(paged(&request), "action", json!({"name": "write"}))),
        ("subject", asking(paged(&request), "resource", entity("record::record-2"))),
        ("subject", asking(paged(&request), "context", json!({"a": 1}))),
        (
            "subject",
            asking(paged(&request), "subject", json!({"type": "user", "properties": {"a": 1}})),
        ),
        ("resource", paged(&asking(request.clone(), "subject", entity("user::alice")))),
    ] {
        let answer = web.post(&format!("/access/v1/search/{path}"), &request).await;
        assert_eq!(answer.status, 400, "{path} {request}");
    }
}

#[tokio::test]
async fn a_page_goes_on_after_the_last_id_whatever_was_reloaded_between() {
    let web = web().await;
    let request = json!({"subject": entity("user::alice"), "resource": entity("record::record-1")});
    let page = json!({"limit": 1});
    let first = search(&web, "action", &asking(request.clone(), "page", page)).await;
    assert_eq!(first["results"], names(&["read"]));
    web.server.publish([fixture()], None);
    let page = json!({"token": first["page"]["next_token"]});
    let second = search(&web, "action", &asking(request, "page", page)).await;
    assert_eq!(
        second,
        json!({"page": {"next_token": "", "count": 1}, "results": names(&["write"])})
    );
}

#[tokio::test]
async fn a_rest_beyond_the_servers_own_page_is_told_unasked() {
    let options = humbaba::grpc::GrpcOptions { page_items: 1, ..Default::default() };
    let log = humbaba::audit::DecisionLog::off();
    let server = TestServer::with_http(options, Default::default(), log).await;
    let web = Web::beside(server, [fixture()], WebOptions::default()).await;
    let request = json!({
        "subject": {"type": "user"}, "action": {"name": "read"}, "resource": entity("record::record-1"),
    });
    let first = search(&web, "subject", &request).await;
    assert_eq!(first["results"], users(&["alice"]));
    let page = json!({"token": first["page"]["next_token"]});
    let second = search(&web, "subject", &asking(request, "page", page)).await;
    assert_eq!(second, json!({"page": {"next_token": "", "count": 1}, "results": users(&["bob"])}));
}

#[tokio::test]
async fn discovery_names_every_endpoint_below_the_public_url() {
    let options = || WebOptions {
        public_url: Some("https://pdp.example.com/tenant".parse().unwrap()),
        ..WebOptions::default()
    };
    let server = TestServer::empty(humbaba::grpc::GrpcOptions::default()).await;
    let web = Web::beside(server, [fixture()], options()).await;
    let base = "https://pdp.example.com/tenant";
    for (path, base) in [
        ("/.well-known/authzen-configuration", base.to_owned()),
        ("/.well-known/authzen-configuration/stores/fixture", format!("{base}/stores/fixture")),
    ] {
        let expected = json!({
            "policy_decision_point": base,
            "access_evaluation_endpoint": format!("{base}/access/v1/evaluation"),
            "access_evaluations_endpoint": format!("{base}/access/v1/evaluations"),
            "search_subject_endpoint": format!("{base}/access/v1/search/subject"),
            "search_resource_endpoint": format!("{base}/access/v1/search/resource"),
            "search_action_endpoint": format!("{base}/access/v1/search/action"),
        });
        assert_eq!(web.get(path).await.json(), expected);
    }
    let none = web.get("/.well-known/authzen-configuration/stores/none").await;
    assert_eq!(none.status, 404);
}
