//! Sending records to a collector. Each is a log record whose body is the line that a file would get.

use std::{sync::Arc, time::Duration};

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    logs::v1::{LogRecord, SeverityNumber},
};
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{Record, RecordedOutcome, counts::RecordCounts};
use crate::{
    model::Effect,
    telemetry::{LogSender, Variables},
};

/// The event name of every record.
const EVENT: &str = "humbaba.decision";
/// The service in `rpc.method`, as in spans.
const SERVICE: &str = "humbaba.v1.AuthorizationService";
/// The first and the longest pause before records are sent again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Limits how long the same records are tried. Meanwhile the queue fills, and further records are dropped.
const RETRY_TIMEOUT: Duration = Duration::from_secs(300);

/// The moment until which records may be tried, once the log is closed.
pub(super) type Deadline = watch::Receiver<Option<Instant>>;

/// Sends records from a thread outside the runtime.
#[derive(Debug)]
pub(super) struct Exporter {
    sender: LogSender,
    runtime: Handle,
    counts: Arc<RecordCounts>,
    deadline: Deadline,
}

impl Exporter {
    /// Creates an exporter to the collector that the variables name. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// The variables are wrong.
    pub fn new(
        variables: &Variables,
        counts: Arc<RecordCounts>,
        deadline: Deadline,
    ) -> Result<Self, String> {
        let runtime = Handle::try_current().map_err(|error| error.to_string())?;
        Ok(Self { sender: LogSender::new(variables)?, runtime, counts, deadline })
    }

    /// The address of the collector.
    pub fn address(&self) -> &str {
        self.sender.address()
    }

    /// Sends records until they arrive. Returns how many of them the collector rejected.
    ///
    /// # Errors
    /// The collector refuses them for good, or did not take them in time.
    pub fn send(&self, records: Vec<LogRecord>) -> Result<usize, String> {
        self.runtime.block_on(async {
            tokio::select! {
                sent = self.deliver(records) => sent,
                () = self.closed() => Err("the process has ended before they arrived".to_owned()),
            }
        })
    }

    async fn deliver(&self, records: Vec<LogRecord>) -> Result<usize, String> {
        let logs = self.sender.pack(records);
        let (started, mut pause) = (Instant::now(), BACKOFF.0);
        loop {
            // Without the collector's own text, which could hold anything.
            let status = match self.sender.send(&logs).await {
                Ok(rejected) => return Ok(rejected),
                Err(status) => status,
            };
            let problem = format!("the collector does not take them: {}", status.code());
            let Some(asked) = retry_delay(&status).filter(|_| started.elapsed() < RETRY_TIMEOUT)
            else {
                return Err(problem);
            };
            self.counts.report_problem(self.address(), &problem);
            sleep(pause.max(asked)).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// Waits until the log is closed and its deadline has passed.
    async fn closed(&self) {
        let mut deadline = self.deadline.clone();
        let at = deadline.wait_for(Option::is_some).await.ok().and_then(|at| *at);
        match at {
            Some(at) => sleep_until(at).await,
            // The log was dropped without being closed.
            None => sleep(BACKOFF.1).await,
        }
    }
}

/// Returns the shortest pause before records are sent again; `None` where the collector refuses them for
/// good (the retryable codes of the OTLP specification).
fn retry_delay(status: &Status) -> Option<Duration> {
    match status.code() {
        Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => {
            let said = status.get_details_retry_info().and_then(|info| info.retry_delay);
            Some(said.unwrap_or_default().min(RETRY_TIMEOUT))
        }
        Code::ResourceExhausted => {
            Some(status.get_details_retry_info()?.retry_delay?.min(RETRY_TIMEOUT))
        }
        _ => None,
    }
}

/// Makes the log record of a record; its body is the line that a file would get.
pub(super) fn log_record(record: &Record, line: String) -> LogRecord {
    let since = record.time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    let trace = record.call.trace.as_ref();
    let mut attributes = vec![
        attribute("humbaba.decision_id", &record.decision_id),
        attribute("humbaba.store", record.store.as_str()),
        attribute("humbaba.revision", record.revision.as_str()),
        attribute("rpc.method", &format!("{SERVICE}/{}", record.call.rpc)),
    ];
    if let RecordedOutcome::Decision { effect, .. } = &record.outcome {
        let decision = if *effect == Effect::Allow { "allow" } else { "deny" };
        attributes.push(attribute("humbaba.decision", decision));
    }
    LogRecord {
        time_unix_nano: nanos,
        observed_time_unix_nano: nanos,
        severity_number: SeverityNumber::Info.into(),
        severity_text: "INFO".to_owned(),
        event_name: EVENT.to_owned(),
        body: Some(text(line)),
        attributes,
        trace_id: trace.map(|span| span.trace_id().to_bytes().to_vec()).unwrap_or_default(),
        span_id: trace.map(|span| span.span_id().to_bytes().to_vec()).unwrap_or_default(),
        ..LogRecord::default()
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(text(value.to_owned()));
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn text(text: String) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(text)) }
}
