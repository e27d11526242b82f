//! Decision records at a collector.

use std::{fs, time::Duration};

use humbaba::{
    audit::{DecisionLog, LogMode, LogOptions},
    telemetry::Variables,
};
use opentelemetry_proto::tonic::{common::v1::any_value::Value, logs::v1::LogRecord};
use tempfile::TempDir;
use tonic::Code;

use crate::{
    cli::{command, end, policies},
    cli_sidecar::{Sidecar, until},
    decision_log::{edit, records},
    support::{
        TestServer,
        collector::{Collector, attributes},
        stores,
    },
};

fn body(record: &LogRecord) -> &str {
    match record.body.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => text,
        other => panic!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stop(mut sidecar: Sidecar) -> String {
    sidecar.signal("TERM");
    assert_eq!(sidecar.code(), 0, "{}", sidecar.log());
    sidecar.log()
}

#[test]
fn each_decision_is_a_log_record_with_the_whole_record_in_it() {
    let (collector, folder, place) =
        (Collector::start(), policies(&["guard"]), TempDir::new().unwrap());
    let hide = ["--decision-log=otlp", "--set", "decision_log.mask=context.reason"];
    let sidecar = Sidecar::start_with(folder.path(), &hide, &[collector.endpoint()]);
    let reason = r#"reason="s3cr3t""#;
    let facts = ["--action", "edit", "--role", "editor", "--context", reason];
    let revision = |decision: i32, facts: &[&str]| {
        assert_eq!(sidecar.check(&sidecar.tcp(), facts).code, decision);
    };
    revision(0, &facts);
    revision(2, &["--action", "edit", "--role", "viewer"]);
    // Before the end as well.
    until("the records", || (collector.logs().len() == 2).then_some(()));
    stop(sidecar);

    let (logs, spans) = (collector.logs(), collector.spans());
    // The bodies are what a file would hold, and fit the same schema.
    let file = place.path().join("decisions.jsonl");
    let lines: String = logs.iter().map(|log| format!("{}\n", body(log))).collect();
    assert!(!lines.contains("s3cr3t"), "{lines}");
    fs::write(&file, lines).unwrap();
    for ((log, record), decision) in logs.iter().zip(records(&file)).zip(["allow", "deny"]) {
        assert_eq!(
            (log.event_name.as_str(), log.severity_text.as_str()),
            ("humbaba.decision", "INFO")
        );
        assert_eq!(log.severity_number, 9);
        assert!(log.time_unix_nano > 0 && log.observed_time_unix_nano == log.time_unix_nano);
        let told = attributes(&log.attributes);
        for (key, value) in [
            ("humbaba.decision", decision),
            ("humbaba.decision_id", record["decision_id"].as_str().unwrap()),
            ("humbaba.store", "guard"),
            ("humbaba.revision", record["revision"].as_str().unwrap()),
            ("rpc.method", "humbaba.v1.AuthorizationService/IsAuthorized"),
        ] {
            assert_eq!(told.get(key).map(String::as_str), Some(value), "{key} in {told:?}");
        }
        assert_eq!(told.len(), 5);
        assert_eq!(record["decision"], decision);
        // It belongs to the span of its call.
        assert_eq!((log.trace_id.len(), log.span_id.len()), (16, 8));
        assert!(
            spans
                .iter()
                .any(|span| (&span.trace_id, &span.span_id) == (&log.trace_id, &log.span_id))
        );
        assert_eq!(record["trace_id"], hex(&log.trace_id));
        assert_eq!(record["span_id"], hex(&log.span_id));
    }
    let (resources, _) = collector.senders();
    assert!(resources.iter().all(|resource| resource["service.name"] == "humbaba"));

    // A body can be asked again as a line of a file can.
    let id = attributes(&logs[1].attributes)["humbaba.decision_id"].clone();
    let (policies, file) = (folder.path().to_str().unwrap(), file.to_str().unwrap());
    let again = ["check", "--policies", policies, "--record", file, "--decision-id", &id];
    let ended = end(&mut command(&again));
    assert!(ended.code == 0 && ended.out.starts_with("DENY"), "{ended:?}");
}

/// A log that is sent to a collector, and a server that keeps it.
async fn sent(collector: &Collector, queue_bytes: usize) -> (DecisionLog, TestServer) {
    let (name, endpoint) = collector.endpoint();
    let options = LogOptions {
        mode: LogMode::Otlp,
        queue_bytes,
        otlp: Variables::new([(name.to_owned(), endpoint)]),
        ..LogOptions::default()
    };
    let log = DecisionLog::open(options).unwrap();
    (log.clone(), TestServer::recording([stores::acme()], log).await)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_collector_that_is_away_for_a_while_gets_what_fits_into_the_queue() {
    let collector = Collector::start();
    runtime().block_on(is_away_for_a_while(&collector));
}

async fn is_away_for_a_while(collector: &Collector) {
    collector.refuse_logs(Some(Code::Unavailable));
    // Room for a few.
    let (log, server) = sent(collector, 16 * 1024).await;
    for _ in 0..50 {
        // No decision waits or fails.
        server.ask(edit()).await.unwrap();
    }
    crate::support::wait::until("the collector is tried again", async || collector.refusals() >= 2)
        .await;
    let counts = log.counts().unwrap();
    assert!(counts.dropped > 30 && counts.written == 0, "{counts:?}");
    assert!(counts.queued_bytes > 0 && counts.queued_bytes <= 16 * 1024, "{counts:?}");
    let problem = counts.problem.unwrap();
    assert!(problem.contains("does not take them") && !problem.contains("s3cr3t"), "{problem}");

    collector.refuse_logs(None);
    assert!(log.close(PATIENCE).await);
    let counts = log.counts().unwrap();
    assert_eq!(counts.written + counts.dropped, 50, "{counts:?}");
    assert_eq!(counts.written, collector.logs().len() as u64, "each once: {counts:?}");
    assert_eq!((counts.failed, counts.problem, counts.queued_bytes), (0, None, 0));
    assert!(!counts.required && counts.destination.starts_with("http://127.0.0.1:"));
}

#[test]
fn what_the_collector_does_not_want_is_counted() {
    let collector = Collector::start();
    runtime().block_on(does_not_want_some(&collector));
}

async fn does_not_want_some(collector: &Collector) {
    // Nothing that trying again would change.
    collector.refuse_logs(Some(Code::PermissionDenied));
    let (log, server) = sent(collector, 1 << 20).await;
    server.ask(edit()).await.unwrap();
    crate::support::wait::until("it failed", async || log.counts().unwrap().failed == 1).await;
    assert_eq!(collector.refusals(), 1);
    assert!(log.counts().unwrap().problem.is_some());

    collector.refuse_logs(None);
    collector.throw_logs_away(1);
    server.ask(edit()).await.unwrap();
    assert!(log.close(PATIENCE).await);
    let counts = log.counts().unwrap();
    assert_eq!((counts.failed, counts.written, counts.dropped), (2, 0, 0), "{counts:?}");
}

#[test]
fn the_end_of_the_process_does_not_wait_for_a_collector_for_ever() {
    let folder = policies(&["guard"]);
    // It takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let variables = [("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", endpoint)];
    let sidecar = Sidecar::start_with(folder.path(), &["--decision-log=otlp"], &variables);
    assert_eq!(sidecar.check(&sidecar.tcp(), &["--action", "view"]).code, 2);
    let stopping = std::time::Instant::now();
    let log = stop(sidecar);
    assert!(stopping.elapsed() < Duration::from_secs(10), "{:?}", stopping.elapsed());
    assert!(log.contains("decision records cannot be written"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn what_does_not_go_with_a_collector_is_refused() {
    let folder = policies(&["guard"]);
    let otlp = "--decision-log=otlp";
    for (flags, variable, part) in [
        // A collector is no disk.
        (&["--decision-log=required"][..], ("OTEL_LOGS_EXPORTER", "otlp"), "a collector is none"),
        (
            &[otlp, "--decision-log-file", "decisions.jsonl"],
            ("X", ""),
            "to a collector or to a file",
        ),
        (&[otlp], ("OTEL_SDK_DISABLED", "true"), "`OTEL_SDK_DISABLED` or `OTEL_LOGS_EXPORTER`"),
        (&[otlp], ("OTEL_LOGS_EXPORTER", "none"), "`OTEL_SDK_DISABLED` or `OTEL_LOGS_EXPORTER`"),
        (&[otlp], ("OTEL_LOGS_EXPORTER", "console"), "`OTEL_LOGS_EXPORTER` is `console`"),
        (&[otlp], ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"), "write `grpc`"),
        (&[otlp], ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://"), "is not an endpoint"),
    ] {
        let mut serve = command(&["serve", "--policies", folder.path().to_str().unwrap()]);
        serve.args(["--listen", "127.0.0.1:0", "--http-listen", "off", "--web-listen", "off"]);
        let ended = end(serve.args(flags).env(variable.0, variable.1));
        assert_eq!(ended.code, 64, "{flags:?} {variable:?}: {ended:?}");
        assert!(ended.err.contains(part), "{flags:?} {variable:?}: {ended:?}");
    }
}
