//! The form of requests, and everything that HTTP adds to it.

use axum::body::Bytes;
use http_body_util::Full;
use humbaba::{grpc::GrpcOptions, http::WebOptions};
use hyper::Request;
use serde_json::{Value as Json, json};

use super::web::{Web, ask, asking};
use crate::support::{TestServer, stores};

const EVALUATION: &str = "/access/v1/evaluation";

fn question() -> Json {
    ask("User::alice", "site.view", "Site::1")
}

async fn acme() -> Web {
    Web::start([stores::acme()]).await
}

#[tokio::test]
async fn a_required_part_that_is_missing_or_of_another_type_is_400_with_its_path() {
    let web = acme().await;
    let entity = json!({"type": "User", "id": "alice"});
    for (part, value, path) in [
        ("subject", json!(null), "`subject`: missing"),
        ("action", json!(null), "`action`: missing"),
        ("resource", json!(null), "`resource`: missing"),
        ("subject", json!({"id": "alice"}), "`subject.type`: missing"),
        ("subject", json!({"type": "User"}), "`subject.id`: missing"),
        ("action", json!({}), "`action.name`: missing"),
        ("resource", json!({"id": "1"}), "`resource.type`: missing"),
        ("resource", json!({"type": "Site"}), "`resource.id`: missing"),
        ("subject", json!("alice"), "`subject`: an object is expected, not a string"),
        ("action", json!({"name": 123}), "`action.name`: a string is expected, not a number"),
        ("subject", json!({"type": 1, "id": "a"}), "`subject.type`: a string is expected"),
        ("subject", json!({"type": "User", "id": 1}), "`subject.id`: a string is expected"),
        ("context", json!([]), "`context`: an object is expected, not an array"),
        ("options", json!(1), "`options`: an object is expected"),
        ("options", json!({"explain": "yes"}), "`options.explain`: a boolean is expected"),
        (
            "resource",
            json!({"type": "Site", "id": "1", "properties": 1}),
            "`resource.properties`: an object is expected",
        ),
        (
            "action",
            json!({"name": "site.view", "properties": true}),
            "`action.properties`: an object is expected, not a boolean",
        ),
    ] {
        let answer = web.post(EVALUATION, &asking(question(), part, value.clone())).await;
        assert_eq!(answer.status, 400, "{value}");
        assert!(answer.body.starts_with(path), "{value}: {}", answer.body);
    }
    // Null counts as absent, and what AuthZEN does not name is ignored.
    let more = json!({
        "subject": {"type": "User", "id": "alice", "properties": null, "x": 1},
        "context": null, "options": null, "foo": "bar", "futureField": {"nested": true},
        "action": {"name": "site.view"}, "resource": {"type": "Site", "id": "1"},
    });
    assert!(!web.decision(&more).await);
    assert!(!web.decision(&asking(question(), "subject", entity)).await);
}

#[tokio::test]
async fn a_body_that_is_not_json_or_says_something_twice_is_400() {
    let web = acme().await;
    for (body, part) in [
        ("", "the body is empty"),
        ("{", "not JSON"),
        ("[]", "a JSON object is expected, not an array"),
        ("null", "a JSON object is expected, not null"),
        (r#"{"subject": 1} {}"#, "not JSON"),
        (r#"{"a": 1, "a": 1}"#, "the name `a` is there twice"),
        (r#"{"x": {"a": 1, "\u0061": 2}}"#, "the name `a` is there twice"),
        (r#"{"x": "\ud800"}"#, "not JSON"),
        (r#"{"x": "\udc00\ud800"}"#, "not JSON"),
        (r#"{"x": 1e999}"#, "not JSON"),
    ] {
        let answer = web.post_bytes(EVALUATION, body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.body.contains(part), "{body}: {}", answer.body);
    }
    let answer = web.post_bytes(EVALUATION, Bytes::from_static(b"{\"a\": \"\xff\"}")).await;
    assert_eq!((answer.status, answer.body.contains("not UTF-8")), (400, true));
    let deep = format!("{{\"x\": {}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(web.post_bytes(EVALUATION, deep).await.status, 400);
}

#[tokio::test]
async fn only_json_that_is_not_compressed_is_taken() {
    let web = acme().await;
    for (kind, status) in [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("application/json ;x=y", 200),
        ("text/plain", 400),
        ("application/json-patch+json", 400),
        ("application/x-www-form-urlencoded", 400),
        ("", 400),
    ] {
        let request = Request::post(EVALUATION).header("host", web.address.to_string());
        let request = request.header("content-type", kind);
        let body = Full::new(question().to_string().into());
        assert_eq!(web.send(request.body(body).unwrap()).await.status, status, "{kind:?}");
    }
    let request = Request::post(EVALUATION).header("host", web.address.to_string());
    let body = Full::new(question().to_string().into());
    assert_eq!(web.send(request.body(body).unwrap()).await.status, 400);
    let request = web.request(EVALUATION).header("content-encoding", "gzip");
    let body = Full::new(question().to_string().into());
    assert_eq!(web.send(request.body(body).unwrap()).await.status, 400);
}

#[tokio::test]
async fn the_request_id_comes_back_on_every_answer() {
    let web = acme().await;
    let id = "any text / that: a header; can hold \"é\"";
    let answer = |path: &'static str, method: &'static str, body: String| {
        let request = web.request(path).method(method).header("x-request-id", id);
        web.send(request.body(Full::new(body.into())).unwrap())
    };
    for (path, method, body, status) in [
        (EVALUATION, "POST", question().to_string(), 200),
        (EVALUATION, "POST", "{".to_owned(), 400),
        (EVALUATION, "GET", String::new(), 405),
        ("/nothing", "POST", String::new(), 404),
        ("/stores/none/access/v1/evaluation", "POST", question().to_string(), 404),
        ("/.well-known/authzen-configuration", "GET", String::new(), 200),
    ] {
        let answer = answer(path, method, body).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert_eq!(answer.headers["x-request-id"].as_bytes(), id.as_bytes(), "{path}");
    }
    let answer = web.post(EVALUATION, &question()).await;
    assert!(!answer.headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn another_method_is_405_and_says_which_is_right() {
    let web = acme().await;
    for (path, allowed) in [
        (EVALUATION, "POST"),
        ("/access/v1/evaluations", "POST"),
        ("/access/v1/search/subject", "POST"),
        ("/stores/acme/access/v1/search/action", "POST"),
    ] {
        for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
            let request = web.request(path).method(method);
            let answer = web.send(request.body(Full::default()).unwrap()).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.headers["allow"], allowed);
            assert!(!answer.headers.contains_key("access-control-allow-origin"));
        }
    }
    let answer = web.post("/.well-known/authzen-configuration", &json!({})).await;
    assert_eq!((answer.status, &answer.headers["allow"]), (405, &"GET,HEAD".parse().unwrap()));
}

#[tokio::test]
async fn a_store_is_asked_by_its_name_and_the_default_one_without() {
    let (acme, other) =
        (stores::acme(), stores::acme_as("other", "permit (principal, action, resource);"));
    let web = Web::start([acme.clone(), other.clone()]).await;
    let path = "/stores/other/access/v1/evaluation";
    assert_eq!(web.evaluation(&question()).await, json!({"decision": false}));
    assert_eq!(web.post(path, &question()).await.json(), json!({"decision": true}));
    let answer = web.post("/stores/none/access/v1/evaluation", &question()).await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("no policy store `none` is loaded"), "{}", answer.body);
    let answer = web.post("/stores/No%20Store/access/v1/evaluation", &question()).await;
    assert_eq!(answer.status, 404);

    web.server.publish([acme, other], None);
    let answer = web.post(EVALUATION, &question()).await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("/stores/<name>"), "{}", answer.body);
}

#[tokio::test]
async fn without_any_store_it_is_503() {
    let server = TestServer::empty(GrpcOptions::default()).await;
    let web = Web::beside(server, [], WebOptions::default()).await;
    for path in [EVALUATION, "/stores/acme/access/v1/evaluation"] {
        let answer = web.post(path, &question()).await;
        assert_eq!((answer.status, answer.body.as_str()), (503, "no policy store is loaded\n"));
    }
    assert_eq!(web.get("/.well-known/authzen-configuration").await.status, 503);
}
