//! Spans and metrics at a collector.

use std::time::{Duration, Instant};

use humbaba::proto::{
    BatchIsAuthorizedItem, BatchIsAuthorizedRequest, IsAuthorizedRequest, ListActionsRequest,
    authorization_service_client::AuthorizationServiceClient,
};
use opentelemetry_proto::tonic::{metrics::v1::metric::Data, trace::v1::Span};
use tonic::{Request, transport::Channel};

use crate::{
    cli::policies,
    cli_sidecar::Sidecar,
    support::{
        ask::{Asking as _, ask},
        collector::{Attributes, Collector, attributes, series},
        pki::Authority,
    },
};

/// Words of OpenTelemetry's libraries. What they log is told in ours.
const THEIRS: [&str; 5] =
    ["opentelemetry", "Tonic", "Processor", "MeterProvider", "Operation failed"];

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn view() -> IsAuthorizedRequest {
    ask("User::alice", "view", "Site::42")
}

fn traced<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let parent = format!("00-{TRACE}-{CALLER}-01").parse().unwrap();
    request.metadata_mut().insert("traceparent", parent);
    request
}

/// Asks a sidecar in a runtime of its own.
pub fn asking<T>(sidecar: &Sidecar, ask: impl AsyncFnOnce(Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = sidecar.tcp();
    runtime.block_on(async { ask(Client::connect(address).await.unwrap()).await })
}

pub type Client = AuthorizationServiceClient<Channel>;

fn stop(mut sidecar: Sidecar) -> String {
    sidecar.signal("TERM");
    assert_eq!(sidecar.code(), 0, "{}", sidecar.log());
    let log = sidecar.log();
    for word in THEIRS {
        assert!(!log.contains(word), "{log}");
    }
    log
}

fn of<'a>(spans: &'a [Span], method: &str) -> Vec<(&'a Span, Attributes)> {
    let name = format!("humbaba.v1.AuthorizationService/{method}");
    let spans = spans.iter().filter(|span| span.name == name);
    spans.map(|span| (span, attributes(&span.attributes))).collect()
}

#[test]
fn a_call_is_a_span_in_the_trace_of_its_caller() {
    let (collector, folder) = (Collector::start(), policies(&["guard"]));
    let variables = [
        collector.endpoint(),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cr3t".to_owned()),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test".to_owned()),
    ];
    let sidecar = Sidecar::start_with(folder.path(), &[], &variables);
    let revision = asking(&sidecar, async |mut client| {
        let request = traced(view().role("viewer", "Site::42"));
        let answer = client.is_authorized(request).await.unwrap().into_inner();
        client.is_authorized(view()).await.unwrap();
        client.is_authorized(view().role("king", "Site::42")).await.unwrap_err();
        let batch = BatchIsAuthorizedRequest {
            principal: view().principal,
            action: view().action,
            resource: view().resource,
            items: vec![BatchIsAuthorizedItem::default(); 3],
            ..BatchIsAuthorizedRequest::default()
        };
        client.batch_is_authorized(batch).await.unwrap();
        let list = ListActionsRequest {
            principal: view().principal,
            resource: view().resource,
            role_assignments: view().role("editor", "Site::42").role_assignments,
            ..ListActionsRequest::default()
        };
        client.list_actions(list).await.unwrap();
        answer.revision
    });
    let port = sidecar.tcp().rsplit(':').next().unwrap().to_owned();
    let log = stop(sidecar);
    assert!(!log.contains("s3cr3t"), "{log}");

    // The end of the process is not the end of what it had to tell.
    let spans = collector.spans();
    let [(allowed, told), (denied, of_denied), (refused, of_refused)] = of(&spans, "IsAuthorized")
        [..]
        .iter()
        .map(|(span, told)| (*span, told.clone()))
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    assert_eq!(hex(&allowed.trace_id), TRACE);
    assert_eq!(hex(&allowed.parent_span_id), CALLER);
    assert_eq!(allowed.kind(), opentelemetry_proto::tonic::trace::v1::span::SpanKind::Server);
    assert!(allowed.end_time_unix_nano > allowed.start_time_unix_nano);
    for (key, value) in [
        ("rpc.system.name", "grpc"),
        ("rpc.method", "humbaba.v1.AuthorizationService/IsAuthorized"),
        ("rpc.response.status_code", "OK"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
        ("network.peer.address", "127.0.0.1"),
        ("humbaba.store", "guard"),
        ("humbaba.decision", "allow"),
        ("humbaba.revision", &revision),
    ] {
        assert_eq!(told.get(key).map(String::as_str), Some(value), "{key} in {told:?}");
    }
    // Without a caller's trace, one of its own.
    assert!(denied.parent_span_id.is_empty() && hex(&denied.trace_id) != TRACE);
    assert_eq!(of_denied["humbaba.decision"], "deny");
    // A caller's mistake is no error of the server.
    assert_eq!(of_refused["rpc.response.status_code"], "INVALID_ARGUMENT");
    assert!(!of_refused.contains_key("error.type") && !of_refused.contains_key("humbaba.decision"));
    assert_eq!(refused.status.clone().unwrap_or_default().code, 0);
    let batch = &of(&spans, "BatchIsAuthorized")[0].1;
    assert_eq!((&*batch["humbaba.decisions.denied"], &*batch["humbaba.store"]), ("3", "guard"));
    let list = &of(&spans, "ListActions")[0].1;
    assert_eq!(list["humbaba.decisions.allowed"], "2");
    // Probes are not worth a span.
    assert_eq!(spans.len(), 5, "{spans:#?}");

    let (resources, metadata) = collector.senders();
    assert!(resources.len() >= 2, "spans and metrics");
    for resource in resources {
        assert_eq!(resource["service.name"], "humbaba");
        assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(resource["deployment.environment.name"], "test");
    }
    assert!(metadata.iter().all(|sent| sent.get("api-key").unwrap() == "s3cr3t"), "{metadata:?}");
}

#[test]
fn metrics_are_pushed_as_prometheus_reads_them() {
    let (collector, folder) = (Collector::start(), policies(&["guard"]));
    let variables = [
        collector.endpoint(),
        ("OTEL_TRACES_EXPORTER", "none".to_owned()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "50".to_owned()),
        ("OTEL_SERVICE_NAME", "guardian".to_owned()),
    ];
    let sidecar = Sidecar::start_with(folder.path(), &[], &variables);
    asking(&sidecar, async |mut client| {
        for _ in 0..3 {
            client.is_authorized(view().role("viewer", "Site::42")).await.unwrap();
        }
    });
    let counted = crate::cli_sidecar::until("the decisions", || {
        let metric = collector.metric("humbaba_decisions_total")?;
        let Some(Data::Sum(sum)) = metric.data else { panic!("{metric:?}") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
        let allowed = sum.data_points.into_iter().find(|point| {
            let told = attributes(&point.attributes);
            (&*told["decision"], &*told["rpc"], &*told["store"])
                == ("allow", "IsAuthorized", "guard")
        })?;
        let three = opentelemetry_proto::tonic::metrics::v1::number_data_point::Value::AsInt(3);
        (allowed.value == Some(three)).then_some(allowed)
    });
    assert!(
        counted.start_time_unix_nano > 0 && counted.time_unix_nano > counted.start_time_unix_nano
    );
    let durations = collector.metric("humbaba_request_duration_seconds").unwrap();
    assert_eq!(durations.unit, "s");
    let Some(Data::Histogram(histogram)) = durations.data else { panic!("{durations:?}") };
    let point = histogram
        .data_points
        .iter()
        .find(|point| attributes(&point.attributes)["rpc"] == "IsAuthorized")
        .unwrap();
    assert_eq!(point.explicit_bounds.first(), Some(&0.000_01));
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    assert_eq!((point.count, point.bucket_counts.iter().sum::<u64>()), (3, 3));
    assert!(point.sum.unwrap() > 0.0);
    for name in [
        "humbaba_reloads_total",
        "humbaba_store_info",
        "humbaba_requests_in_flight",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    ] {
        assert!(!series(&collector.metric(name).expect(name)).is_empty(), "{name}");
    }
    let (resources, _) = collector.senders();
    assert!(resources.iter().all(|resource| resource["service.name"] == "guardian"));
    stop(sidecar);
    assert!(collector.spans().is_empty());
}

#[test]
fn nothing_is_sent_unless_it_is_asked_for() {
    let (collector, folder) = (Collector::start(), policies(&["guard"]));
    let off = ("OTEL_SDK_DISABLED", "true".to_owned());
    let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned());
    for (variables, said) in [
        (vec![], None),
        (vec![collector.endpoint(), off], None),
        // Whoever sets variables for a whole cluster must not keep it from deciding.
        (vec![collector.endpoint(), http], Some("`grpc`")),
    ] {
        let sidecar = Sidecar::start_with(folder.path(), &[], &variables);
        asking(&sidecar, async |mut client| client.is_authorized(view()).await.unwrap());
        let log = stop(sidecar);
        assert_eq!(log.contains("OTLP"), said.is_some(), "{log}");
        assert!(log.contains(said.unwrap_or_default()), "{log}");
    }
    assert!(collector.spans().is_empty() && collector.senders().0.is_empty());
}

#[test]
fn a_collector_may_speak_tls_with_an_authority_of_its_own() {
    let (folder, place) = (policies(&["guard"]), tempfile::TempDir::new().unwrap());
    let (ours, strangers) = (Authority::new("collectors"), Authority::new("strangers"));
    let collector = Collector::start_tls(&ours.server(2088));
    let authority = |name: &str, authority: &Authority| {
        let path = place.path().join(name);
        std::fs::write(&path, &authority.pem).unwrap();
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", path.to_str().unwrap().to_owned())
    };
    // A stand-in for the collector is told nothing.
    let variables = [collector.endpoint(), authority("strangers.crt", &strangers)];
    let sidecar = Sidecar::start_with(folder.path(), &["--decision-log=otlp"], &variables);
    asking(&sidecar, async |mut client| client.is_authorized(view()).await.unwrap());
    let log = stop(sidecar);
    assert!(
        log.contains("not sent") && log.contains("decision records cannot be written"),
        "{log}"
    );
    assert!(collector.spans().is_empty() && collector.senders().0.is_empty());

    let variables = [collector.endpoint(), authority("collectors.crt", &ours)];
    let sidecar = Sidecar::start_with(folder.path(), &["--decision-log=otlp"], &variables);
    asking(&sidecar, async |mut client| client.is_authorized(view()).await.unwrap());
    stop(sidecar);
    assert_eq!((collector.spans().len(), collector.logs().len()), (1, 1));
    assert!(collector.metric("humbaba_decisions_total").is_some());
}

#[test]
fn a_span_knows_where_a_call_over_tls_came_from() {
    let (collector, folder, place) =
        (Collector::start(), policies(&["guard"]), tempfile::TempDir::new().unwrap());
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let authority = Authority::new("servers");
    authority.server(2088).write(place.path());
    std::fs::write(path("ca.crt"), &authority.pem).unwrap();
    let (cert, key) = (path("tls.crt"), path("tls.key"));
    let tls = ["--listen", "tls:127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
    let sidecar = Sidecar::start_with(folder.path(), &tls, &[collector.endpoint()]);
    let address = sidecar.addresses["grpc"][2].as_str().unwrap().replace("tls:", "https://");
    assert_eq!(sidecar.check(&address, &["--action", "view", "--ca", &path("ca.crt")]).code, 2);
    stop(sidecar);
    let spans = collector.spans();
    let [(_, told)] = of(&spans, "IsAuthorized").try_into().unwrap();
    assert_eq!(told["network.peer.address"], "127.0.0.1");
    assert!(told["network.peer.port"].parse::<u16>().unwrap() > 0);
}

#[test]
fn a_span_over_a_unix_socket_shows_no_authority() {
    let (collector, folder) = (Collector::start(), policies(&["guard"]));
    let sidecar = Sidecar::start_with(folder.path(), &[], &[collector.endpoint()]);
    assert_eq!(sidecar.check(&sidecar.unix(), &["--action", "view"]).code, 2);
    stop(sidecar);
    let spans = collector.spans();
    let [(_, told)] = of(&spans, "IsAuthorized").try_into().unwrap();
    assert_eq!(told["network.transport"], "unix");
    let shown = |key: &str| told.contains_key(key);
    assert!(!shown("server.address") && !shown("network.peer.address"), "{told:?}");
}

#[test]
fn a_collector_that_is_not_there_holds_nothing_up() {
    let folder = policies(&["guard"]);
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // It takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [unused, silent.local_addr().unwrap()] {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"));
        let sidecar = Sidecar::start_with(folder.path(), &[], &[endpoint]);
        asking(&sidecar, async |mut client| {
            let started = Instant::now();
            for _ in 0..20 {
                client.is_authorized(view()).await.unwrap();
            }
            assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        });
        let stopping = Instant::now();
        let log = stop(sidecar);
        assert!(stopping.elapsed() < Duration::from_secs(12), "{:?}", stopping.elapsed());
        assert!(log.contains("spans were not sent"), "{log}");
    }
}

#[test]
fn the_log_tells_what_helps_against_lost_spans_and_a_wrong_sampler() {
    let folder = policies(&["guard"]);
    // It takes connections and never answers, so that nothing leaves the queue.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")),
        ("OTEL_METRICS_EXPORTER", "none".to_owned()),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1".to_owned()),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1".to_owned()),
        ("OTEL_TRACES_SAMPLER", "some_day".to_owned()),
    ];
    let sidecar = Sidecar::start_with(folder.path(), &[], &variables);
    asking(&sidecar, async |mut client| {
        crate::support::wait::until("spans are dropped", async || {
            client.is_authorized(view()).await.unwrap();
            sidecar.log().contains("raise `OTEL_BSP_MAX_QUEUE_SIZE`")
        })
        .await;
    });
    let log = sidecar.log();
    assert!(log.contains("`OTEL_TRACES_SAMPLER` names no sampler"), "{log}");
    for word in THEIRS {
        assert!(!log.contains(word), "{log}");
    }
}
