//! Input that is meant to break something. It gets an answer, and never one of the 500s.

use axum::body::{Body as AnyBody, Bytes};
use http_body_util::BodyExt as _;
use humbaba::{grpc::GrpcOptions, http::WebOptions, request::RequestLimits};
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value as Json, json};
use tokio::{net::TcpStream, sync::mpsc::Sender, task::JoinHandle};

use super::web::{Web, entity, with};
use crate::support::{http::get, random::Random, raw::slow_body, stores};

const PATHS: [&str; 5] = [
    "/access/v1/evaluation",
    "/access/v1/evaluations",
    "/access/v1/search/subject",
    "/access/v1/search/resource",
    "/access/v1/search/action",
];

/// A request that every path takes, with something of everything.
fn whole() -> Json {
    let roles = json!([{"role": "editor", "scope": entity("Site::1"), "expires_at": "2999-01-01"}, "viewer"]);
    json!({
        "subject": with("User::alice", json!({"name": "A", "roles": roles})),
        "action": {"name": "form.send", "properties": {"long": 1}},
        "resource": with("Form::1", json!({"title": "open", "plan": "free"})),
        "context": {"numbers": [1, 2], "record": {"text": "x"}, "decimal": 1.5, "site": entity("Site::1")},
        "evaluations": [{}, {"resource": entity("Form::2")}],
        "options": {"evaluations_semantic": "execute_all", "explain": true},
        "page": {"limit": 2},
    })
}

/// Begins a question. Returns where the pieces of its body go, and its answer.
async fn begin(web: &Web) -> (Sender<Vec<u8>>, JoinHandle<hyper::Result<Response<Incoming>>>) {
    let stream = TokioIo::new(TcpStream::connect(web.address).await.unwrap());
    let (mut sender, connection) = http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let (pieces, body) = slow_body();
    let request = Request::post(PATHS[0]).header("host", "localhost");
    let request =
        request.header("content-type", "application/json").body(AnyBody::new(body)).unwrap();
    (pieces, tokio::spawn(async move { sender.send_request(request).await }))
}

fn odd(random: &mut Random) -> Json {
    let deep =
        (0..60).fold(
            json!(1),
            |value, level| if level % 2 == 0 { json!([value]) } else { json!({"a": value}) },
        );
    let odds = [
        json!(null),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1e308),
        json!(""),
        json!([]),
        json!({}),
        json!("\u{0}\u{202e}\u{feff}é"),
        json!("x".repeat(70_000)),
        json!([[[]]]),
        deep,
        json!({"__entity": {"type": "Site", "id": "1"}}),
        json!({"__extn": {"fn": "ip", "arg": "::"}}),
        json!({"__expr": "principal"}),
        json!("Acme::Role::\"Instance::main#admin\""),
        json!({"type": "Acme::Action", "id": "site.view"}),
        json!({"type": "Role", "id": "Site::1#owner"}),
        json!((0..1_200).collect::<Vec<_>>()),
        json!("2026-13-45T99:99"),
        json!("::"),
        json!({"": {"": null}}),
    ];
    odds[random.below(odds.len())].clone()
}

/// Puts something odd in a random place.
fn break_something(json: &mut Json, random: &mut Random) {
    let stop = random.below(4) == 0;
    match json {
        Json::Object(fields) if !stop && !fields.is_empty() => {
            let index = random.below(fields.len());
            let (_, value) = fields.iter_mut().nth(index).unwrap();
            break_something(value, random);
        }
        Json::Array(values) if !stop && !values.is_empty() => {
            let index = random.below(values.len());
            break_something(&mut values[index], random);
        }
        other => *other = odd(random),
    }
}

#[tokio::test]
async fn whatever_is_sent_gets_an_answer() {
    let store = stores::acme_with(&[(
        "store.toml",
        "[authzen]\nroles = \"assignments-and-bare\"\noverridable = [\"Team.name\"]\n",
    )]);
    let web = Web::start([store]).await;
    let mut random = Random::new(TestRng::from_seed(RngAlgorithm::ChaCha, &[16; 32]));
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..1_500 {
        let mut request = whole();
        for _ in 0..=random.below(3) {
            break_something(&mut request, &mut random);
        }
        let answer = web.post(PATHS[random.below(PATHS.len())], &request).await;
        assert!([200, 400].contains(&answer.status), "{request}: {answer:?}");
        *seen.entry(answer.status).or_insert(0) += 1;
    }
    assert!(seen[&200] > 100 && seen[&400] > 100, "{seen:?}");
    for path in PATHS {
        assert_eq!(web.post(path, &whole()).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn bodies_are_bounded_by_bytes_and_by_values() {
    let options = GrpcOptions {
        message_bytes: 10_000,
        message_parts: 100,
        limits: RequestLimits { context_values: 3, ..RequestLimits::default() },
        ..GrpcOptions::default()
    };
    let web = Web::with([stores::acme()], options, WebOptions::default()).await;
    let huge = format!("{{\"x\": \"{}\"}}", "x".repeat(10_000));
    assert_eq!(web.post_bytes(PATHS[0], huge).await.status, 413);
    let many = json!({"x": vec![0; 200]});
    let answer = web.post(PATHS[0], &many).await;
    assert_eq!((answer.status, answer.body.contains("too many values")), (400, true));
    let numbers = json!({"numbers": [1, 2, 3, 4]});
    let question = json!({
        "subject": entity("User::a"), "action": {"name": "form.send"}, "context": numbers,
        "resource": with("Form::1", json!({"title": "x"})),
    });
    let (_, message) = web.fault(&question).await;
    assert!(message.contains("the limit on the number of values"), "{message}");

    // A body of unknown length is cut off where it has become too long.
    let (pieces, answer) = begin(&web).await;
    while pieces.send(vec![b' '; 4_000]).await.is_ok() && !answer.is_finished() {}
    let answer = answer.await.unwrap().unwrap();
    assert_eq!(answer.status(), 413);
    drop(answer.into_body().collect().await);
    let metrics = get(web.server.http, "/metrics").await.body;
    for limit in ["message_bytes", "message_parts", "context_values"] {
        let hit = format!("humbaba_limits_hit_total{{limit=\"{limit}\"}}");
        assert!(metrics.contains(&hit), "{limit}");
    }
}

#[tokio::test]
async fn calls_beyond_the_limit_are_shed_and_slow_ones_end() {
    let options = GrpcOptions {
        concurrent_requests: 1,
        request_timeout: std::time::Duration::from_millis(300),
        ..GrpcOptions::default()
    };
    let web = Web::with([stores::acme()], options, WebOptions::default()).await;
    let (pieces, slow) = begin(&web).await;
    pieces.send(b"{".to_vec()).await.unwrap();
    crate::support::wait::until("a call is shed", async || {
        let answer = web.post_bytes(PATHS[0], Bytes::from_static(b"{}")).await;
        assert!([400, 503].contains(&answer.status), "{answer:?}");
        answer.status == 503 && answer.headers["retry-after"] == "1"
    })
    .await;
    assert_eq!(slow.await.unwrap().unwrap().status(), 504);
    assert_eq!(web.post_bytes(PATHS[0], Bytes::from_static(b"{}")).await.status, 400);
}

/// A search with properties asks each candidate, for as long as a request may take.
#[tokio::test]
async fn a_search_that_takes_too_long_ends_and_says_so() {
    let sites: Vec<_> = (0..3_000)
        .map(|number| {
            let uid = json!({"type": "Acme::Site", "id": format!("s{number:05}")});
            json!({"uid": uid, "attrs": {}, "parents": []})
        })
        .collect();
    let store = stores::acme_with(&[("sites.cedarentities.json", &json!(sites).to_string())]);
    let request_timeout = std::time::Duration::from_millis(40);
    let options = GrpcOptions { request_timeout, ..GrpcOptions::default() };
    let web = Web::with([store], options, WebOptions::default()).await;
    let mut search = json!({
        "subject": entity("User::nobody"),
        "action": {"name": "site.view"},
        "resource": {"type": "Site", "properties": {"locked": true}},
    });
    let answer = web.post(PATHS[3], &search).await;
    assert_eq!(answer.status, 504, "{answer:?}");
    assert_eq!(
        answer.body,
        "the request took longer than 40ms: ask for less at once, or raise \
         `limits.request_timeout_ms`\n"
    );
    let metrics = get(web.server.http, "/metrics").await.body;
    assert!(
        metrics.contains("humbaba_limits_hit_total{limit=\"request_timeout_ms\"} 1"),
        "{metrics}"
    );
    // Nothing of it goes on, and a search that asks the engine's list is answered.
    crate::support::wait::until("nothing is under way", async || {
        get(web.server.http, "/metrics").await.body.contains("humbaba_requests_in_flight 0\n")
    })
    .await;
    search["resource"] = json!({"type": "Site"});
    crate::support::wait::until("a search that asks the engine's list is answered", async || {
        let answer = web.post(PATHS[3], &search).await;
        answer.status == 200 && answer.json()["results"] == json!([])
    })
    .await;
}
