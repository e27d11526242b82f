//! Stopping as a load balancer sees it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use humbaba::proto::authorization_service_client::AuthorizationServiceClient;
use tonic::Request;

use crate::{
    cli::{policies, run},
    cli_sidecar::{Sidecar, until},
    cli_stop::insist,
    observe_http::http,
    support::{
        ask::{Asking as _, ask},
        collector::{Collector, attributes},
    },
};

/// Asks on a connection of its own until the sidecar is gone. Which calls were answered.
async fn ask_until_gone(address: String, client: u128, done: Arc<AtomicUsize>) -> BTreeSet<u128> {
    let mut answered = BTreeSet::new();
    let mut service = AuthorizationServiceClient::connect(address).await.unwrap();
    for call in 1.. {
        let trace = client << 64 | call;
        let mut request =
            Request::new(ask("User::alice", "view", "Site::42").role("viewer", "Site::42"));
        let parent = format!("00-{trace:032x}-00f067aa0ba902b7-01").parse().unwrap();
        request.metadata_mut().insert("traceparent", parent);
        match service.is_authorized(request).await {
            Ok(_) => {
                answered.insert(trace);
                done.fetch_add(1, Ordering::Relaxed);
            }
            Err(status) => {
                // There is nobody to connect to; or the client's library kept the call back, for the
                // connection was over before it was sent; or it crossed the server's word that it
                // takes no more, which is an error of no kind to HTTP/2 and an internal one to the
                // library.
                let said = format!("{status:?}");
                let kept_back = said.contains("hyper::Error(Canceled");
                let crossed = said.contains("GoAway(b\"\", NO_ERROR, Remote)");
                let is_gone = status.code() == tonic::Code::Unavailable;
                assert!(kept_back || crossed || is_gone, "{status:?}");
                break;
            }
        }
    }
    answered
}

#[test]
fn no_call_that_was_accepted_fails_when_it_is_stopped_under_load() {
    const CLIENTS: u128 = 16;

    let (collector, folder) = (Collector::start(), policies(&["guard"]));
    // A span for every call that was accepted, so that it shows which ones they were.
    let variables = [
        collector.endpoint(),
        ("OTEL_METRICS_EXPORTER", "none".to_owned()),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1000000".to_owned()),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10000".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
    ];
    let mut sidecar = Sidecar::start_with(folder.path(), &[], &variables);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (1..=CLIENTS)
        .map(|client| runtime.spawn(ask_until_gone(sidecar.tcp(), client, Arc::clone(&done))))
        .collect();
    until("load", || (done.load(Ordering::Relaxed) > 500).then_some(()));
    sidecar.signal("TERM");
    let mut answered = BTreeSet::new();
    for client in clients {
        answered.extend(runtime.block_on(client).unwrap());
    }
    assert_eq!(sidecar.code(), 0, "{}", sidecar.log());
    let mut accepted = BTreeSet::new();
    for span in collector.spans() {
        assert_eq!(attributes(&span.attributes)["rpc.response.status_code"], "OK");
        accepted.insert(u128::from_be_bytes(span.trace_id.try_into().unwrap()));
    }
    assert!(answered.len() > 500);
    assert_eq!(accepted.len(), answered.len());
    assert!(accepted == answered);
}

#[test]
fn calls_are_taken_for_a_while_after_it_says_that_it_stops() {
    let folder = policies(&["guard"]);
    let mut sidecar = Sidecar::start(folder.path(), &["--set", "shutdown.delay_s=3"]);
    assert_eq!(http(&sidecar, "GET", "/readyz", "", "").0, 200);
    let stopping = Instant::now();
    sidecar.signal("TERM");
    sidecar.event("stopping");
    until("NOT_SERVING", || {
        (run(&["healthcheck", "--address", &sidecar.tcp()]).code == 1).then_some(())
    });
    let (status, body) = http(&sidecar, "GET", "/readyz", "", "");
    assert_eq!((status, body.as_str()), (503, "the process is stopping\n"));
    assert_eq!(http(&sidecar, "GET", "/livez", "", "").0, 200);
    for address in [sidecar.tcp(), sidecar.unix()] {
        let ended = sidecar.check(&address, &["--action", "view"]);
        assert_eq!(ended.code, 2, "a new connection is taken: {ended:?}");
    }
    assert_eq!(sidecar.code(), 0, "{}", sidecar.log());
    assert!(stopping.elapsed() >= Duration::from_secs(3));
}

#[test]
fn a_later_signal_does_not_wait_for_the_delay() {
    let folder = policies(&["guard"]);
    let mut sidecar = Sidecar::start(folder.path(), &["--set", "shutdown.delay_s=600"]);
    sidecar.signal("TERM");
    sidecar.event("stopping");
    assert_eq!(insist(&mut sidecar, "TERM"), 1);
    assert!(!sidecar.socket().exists());
}
