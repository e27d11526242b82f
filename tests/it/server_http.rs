//! The HTTP face.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, mpsc},
};

use humbaba::{
    audit::DecisionLog,
    grpc::GrpcOptions,
    http::HttpOptions,
    proto::{BatchIsAuthorizedItem, BatchIsAuthorizedRequest, ListActionsRequest, RoleAssignments},
    reload::{LoadStatus, StoreStatus},
    store::{Bounds, PolicyStore, StoreFiles},
    telemetry::MetricsProvider,
};
use serde_json::{Value, json};

use crate::support::{
    TestServer,
    ask::{Asking as _, ask, long},
    http::get,
    stores,
    wait::DEADLINE,
};

#[tokio::test]
async fn the_process_is_alive_before_it_is_ready() {
    let server = TestServer::empty(GrpcOptions::default()).await;
    assert_eq!(get(server.http, "/livez").await.status, 200);
    let not_ready = get(server.http, "/readyz").await;
    assert_eq!((not_ready.status, not_ready.body.as_str()), (503, "no policy store is loaded\n"));
    server.publish([stores::acme()], None);
    let not_ready = get(server.http, "/readyz").await;
    assert_eq!((not_ready.status, not_ready.body.starts_with("a directory is not")), (503, true));
    server.server.set_serving(true);
    assert_eq!(get(server.http, "/readyz").await.status, 200);
    assert_eq!(get(server.http, "/nothing").await.status, 404);
}

/// A store's problems as loading finds them.
fn broken() -> StoreStatus {
    let text = "permit (principal, action, resource)\nwhen { principal.nme == \"x\" };";
    let files = StoreFiles::new("broken".parse().unwrap(), []);
    let files = files
        .with_file(
            "schema.cedarschema",
            "entity U; action \"a\" appliesTo { principal: U, resource: U };".as_bytes(),
        )
        .with_file("p.cedar", text.as_bytes());
    let problems = PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap_err();
    StoreStatus {
        name: "broken".parse().unwrap(),
        revision: None,
        loaded_at: None,
        policies: 0,
        warnings: Vec::new(),
        proving_since: None,
        refused: None,
        problems,
    }
}

#[tokio::test]
async fn a_bad_reload_shows_in_the_status_and_leaves_readiness_alone() {
    let server = TestServer::start([stores::acme()]).await;
    let good = server.live.status();
    let status = LoadStatus {
        failures: 2,
        folder_problem: Some("it is gone".to_owned()),
        stores: good.stores.iter().cloned().chain([broken()]).collect(),
        ..(*good).clone()
    };
    server.live.publish_status(status);
    assert_eq!(get(server.http, "/readyz").await.status, 200);
    let answer = get(server.http, "/status").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    let page: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(page["version"], env!("CARGO_PKG_VERSION"));
    assert!(page["uptime_seconds"].is_u64());
    assert_eq!(page["serving"], json!(true));
    assert_eq!(page["clean"], json!(false));
    assert_eq!(page["source"], "memory");
    assert_eq!((&page["reloads"], &page["failures"]), (&json!(1), &json!(2)));
    assert_eq!(page["folder_problem"], "it is gone");
    assert_eq!(page["watch_problem"], Value::Null);
    let last_attempt = page["last_attempt"].as_str().unwrap();
    assert!(last_attempt.parse::<humbaba::model::Timestamp>().is_ok(), "{last_attempt}");
    assert_eq!(page["stores"][0]["name"], "acme");
    assert_eq!(page["stores"][0]["revision"], stores::acme().revision().as_str());
    assert!(page["stores"][0]["policies"].as_u64().unwrap() > 10);
    assert_eq!(page["stores"][0]["problems"], json!([]));
    let broken = &page["stores"][1];
    assert_eq!((&broken["name"], &broken["revision"]), (&json!("broken"), &Value::Null));
    let problem = &broken["problems"][0];
    assert_eq!(problem["file"], "broken/p.cedar");
    assert_eq!(problem["line"], 2);
    assert!(problem["column"].as_u64().unwrap() > 1);
    assert!(problem["message"].as_str().unwrap().contains("nme"), "{problem}");
    assert!(problem["rendered"].as_str().unwrap().contains("broken/p.cedar"), "{problem}");
}

/// The value of each series.
async fn metrics(server: &TestServer) -> BTreeMap<String, f64> {
    let answer = get(server.http, "/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn decisions_are_counted_by_store_rpc_and_answer() {
    let server = TestServer::start([stores::acme()]).await;
    let view = || ask("User::alice", "site.view", "Site::1");
    for _ in 0..3 {
        server.ask(view()).await.unwrap();
    }
    server.ask(view().role("viewer", "Site::1")).await.unwrap();
    server.refuses(view().role("king", "Site::1")).await;
    server
        .ask(ask("User::alice", "site.count", "Site::1").fact("amount", long(i64::MAX)))
        .await
        .unwrap();
    let batch = BatchIsAuthorizedRequest {
        principal: view().principal,
        action: view().action,
        resource: view().resource,
        items: vec![BatchIsAuthorizedItem::default(); 5],
        ..BatchIsAuthorizedRequest::default()
    };
    server.client().batch_is_authorized(batch).await.unwrap();
    let list = ListActionsRequest {
        principal: view().principal,
        resource: view().resource,
        role_assignments: view().role("viewer", "Site::1").role_assignments,
        ..ListActionsRequest::default()
    };
    server.client().list_actions(list).await.unwrap();

    let metrics = metrics(&server).await;
    for (series, value) in [
        (r#"humbaba_decisions_total{decision="deny",rpc="IsAuthorized",store="acme"}"#, 4.0),
        (r#"humbaba_decisions_total{decision="allow",rpc="IsAuthorized",store="acme"}"#, 1.0),
        (r#"humbaba_decisions_total{decision="deny",rpc="BatchIsAuthorized",store="acme"}"#, 5.0),
        (r#"humbaba_decisions_total{decision="allow",rpc="ListActions",store="acme"}"#, 2.0),
        (r#"humbaba_decisions_total{decision="deny",rpc="ListActions",store="acme"}"#, 2.0),
        (r#"humbaba_evaluation_errors_total{store="acme"}"#, 1.0),
        (r#"humbaba_request_failures_total{code="InvalidArgument",rpc="IsAuthorized"}"#, 1.0),
        (r#"humbaba_request_duration_seconds_count{rpc="IsAuthorized",store="acme"}"#, 6.0),
        (r#"humbaba_request_duration_seconds_count{rpc="BatchIsAuthorized",store="acme"}"#, 1.0),
        (
            r#"humbaba_request_duration_seconds_bucket{rpc="IsAuthorized",store="acme",le="+Inf"}"#,
            6.0,
        ),
        ("humbaba_requests_in_flight", 0.0),
        ("humbaba_requests_shed_total", 0.0),
    ] {
        assert_eq!(metrics.get(series), Some(&value), "{series} in {metrics:#?}");
    }
    let bounds = metrics.keys().filter_map(|series| {
        let (_, bound) =
            series.split_once(r#"duration_seconds_bucket{rpc="IsAuthorized",store="acme",le=""#)?;
        bound.strip_suffix("\"}")
    });
    let mut bounds: Vec<f64> = bounds.filter_map(|bound| bound.parse().ok()).collect();
    bounds.sort_by(f64::total_cmp);
    assert_eq!((bounds.first(), bounds.get(12)), (Some(&0.000_01), Some(&0.1)));
}

#[tokio::test]
async fn loading_is_told_by_store() {
    let server = TestServer::start([stores::acme()]).await;
    let revision = |store: &PolicyStore| {
        format!(r#"humbaba_store_info{{revision="{}",store="acme"}}"#, store.revision())
    };
    let before = metrics(&server).await;
    assert_eq!(before.get(&revision(&stores::acme())), Some(&1.0), "{before:#?}");
    assert_eq!(before[r#"humbaba_reloads_total{result="applied"}"#], 1.0);
    assert_eq!(before[r#"humbaba_reloads_total{result="refused"}"#], 0.0);
    assert_eq!(before[r#"humbaba_store_refused{store="acme"}"#], 0.0);
    assert!(before[r#"humbaba_last_good_age_seconds{store="acme"}"#] < 60.0);
    assert!(before["humbaba_last_attempt_age_seconds"] < 60.0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(before[&format!(r#"humbaba_build_info{{version="{version}"}}"#)], 1.0);

    // A revision that no longer decides is no longer told.
    let next = stores::acme_as("acme", "permit (principal, action, resource);");
    server.publish([Arc::clone(&next)], None);
    let after = metrics(&server).await;
    assert_eq!(after.get(&revision(&next)), Some(&1.0));
    assert_eq!(after.get(&revision(&stores::acme())), None);
}

#[tokio::test]
async fn limits_that_are_hit_are_counted_by_their_setting() {
    let mut options =
        GrpcOptions { batch_items: 2, message_bytes: 4_096, ..GrpcOptions::default() };
    options.limits.entities = 1;
    options.limits.role_assignments = 1;
    options.limits.text_bytes = 100;
    options.limits.context_values = 1;
    let server = TestServer::with([stores::acme()], options).await;
    let view = || ask("User::alice", "site.view", "Site::1");
    let long_id = format!("User::{}", "x".repeat(101));
    server.refuses(ask(&long_id, "site.view", &long_id.replace("User", "Site"))).await;
    server.refuses(view().role("viewer", "Site::1").role("admin", "Site::1")).await;
    server.refuses(ask(&format!("User::{}", "x".repeat(5_000)), "site.view", "Site::1")).await;
    let batch = BatchIsAuthorizedRequest {
        principal: view().principal,
        action: view().action,
        resource: view().resource,
        items: vec![BatchIsAuthorizedItem::default(); 3],
        ..BatchIsAuthorizedRequest::default()
    };
    server.client().batch_is_authorized(batch.clone()).await.unwrap_err();
    let bad_item = BatchIsAuthorizedItem {
        role_assignments: Some(RoleAssignments {
            items: view().role("viewer", "Site::1").role("admin", "Site::1").role_assignments,
        }),
        ..BatchIsAuthorizedItem::default()
    };
    let batch = BatchIsAuthorizedRequest { items: vec![bad_item], ..batch };
    server.client().batch_is_authorized(batch).await.unwrap();
    server.refuses(view().role("king", "Site::1")).await;
    let metrics = metrics(&server).await;
    let hit = |limit: &str| metrics.get(&format!(r#"humbaba_limits_hit_total{{limit="{limit}"}}"#));
    for (limit, count) in [
        ("text_bytes", 1.0),
        ("role_assignments", 2.0),
        ("message_bytes", 1.0),
        ("batch_items", 1.0),
    ] {
        assert_eq!(hit(limit), Some(&count), "{limit} in {metrics:#?}");
    }
    assert_eq!(metrics.keys().filter(|series| series.contains("limits_hit")).count(), 4);
}

#[tokio::test]
async fn nothing_that_a_caller_sends_is_a_label() {
    let server = TestServer::start([stores::acme()]).await;
    let secret = "s3cr3t";
    let view = || ask(&format!("User::{secret}"), "site.view", &format!("Site::{secret}"));
    server.ask(view()).await.unwrap();
    server.refuses(view().of_store(secret)).await;
    server.refuses(view().fact(secret, long(1))).await;
    server.refuses(ask("User::alice", secret, "Site::1")).await;
    let body = get(server.http, "/metrics").await.body;
    assert!(body.contains("humbaba_request_failures_total"), "{body}");
    assert!(!body.contains(secret), "{body}");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_request_is_sent_away() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let options = HttpOptions {
        head_timeout: std::time::Duration::from_millis(200),
        ..HttpOptions::default()
    };
    let server = TestServer::with_http(GrpcOptions::default(), options, DecisionLog::off()).await;
    server.publish([stores::acme()], None);
    for head in ["", "GET /livez HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nHost: x\r\nX: "] {
        let mut connection = tokio::net::TcpStream::connect(server.http).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let closed = connection.read_to_string(&mut answer);
        let closed = tokio::time::timeout(crate::support::wait::DEADLINE, closed).await;
        assert!(closed.is_ok() && !answer.contains("200"), "{head:?}: {answer}");
    }
    assert_eq!(get(server.http, "/livez").await.status, 200);
}

/// A server whose page of metrics has a gauge that is read like that.
async fn reading_a_gauge(read: impl Fn() -> u64 + Send + Sync + 'static) -> TestServer {
    let metrics = MetricsProvider::default();
    let meter = metrics.meter();
    let gauge = meter.u64_observable_gauge("gauge");
    gauge.with_callback(move |observer| observer.observe(read(), &[])).build();
    TestServer::with_metrics(&metrics).await
}

// The runtime of the test has one thread, which a page that is read on it would hold.
#[tokio::test]
async fn metrics_that_take_long_to_read_hold_up_no_other_request() {
    let (reading, mut is_reading) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let server = reading_a_gauge(move || {
        reading.send(()).unwrap();
        released.lock().unwrap().recv_timeout(DEADLINE).map_or(0, |()| 1)
    })
    .await;
    let page = tokio::spawn(get(server.http, "/metrics"));
    is_reading.recv().await.unwrap();
    assert_eq!(get(server.http, "/livez").await.status, 200);
    release.send(()).unwrap();
    let page = page.await.unwrap();
    assert!(page.body.contains("\ngauge 1\n"), "{page:?}");
}

#[tokio::test]
async fn metrics_that_cannot_be_read_fail_their_own_request_alone() {
    let server = reading_a_gauge(|| panic!("this gauge panics")).await;
    assert_eq!(get(server.http, "/metrics").await.status, 500);
    assert_eq!(get(server.http, "/livez").await.status, 200);
    // Without the metrics that cannot be read, but again and again.
    assert_eq!(get(server.http, "/metrics").await.status, 200);
}
