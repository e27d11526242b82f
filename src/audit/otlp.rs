//! Records at a collector: each is a log record of which the body is the line that a file would get.

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

use super::{Outcome, Record, TraceContext, counts::Counts};
use crate::{
    model::Effect,
    telemetry::{LogSender, Variables},
};

/// Says what a log record is.
const EVENT: &str = "humbaba.decision";
/// What was called, as spans name it too.
const SERVICE: &str = "humbaba.v1.AuthorizationService";
/// How long it is waited before records are sent again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long the same records are tried. Meanwhile the queue fills, and what comes later is dropped.
const PATIENCE: Duration = Duration::from_secs(300);

/// When to give up, once the log is closed.
pub(super) type GiveUp = watch::Receiver<Option<Instant>>;

/// Sends records, from a thread outside the runtime.
#[derive(Debug)]
pub(super) struct Exporter {
    sender: LogSender,
    runtime: Handle,
    counts: Arc<Counts>,
    give_up: GiveUp,
}

impl Exporter {
    /// Needs a runtime around it.
    pub fn new(
        variables: &Variables,
        counts: Arc<Counts>,
        give_up: GiveUp,
    ) -> Result<Self, String> {
        let runtime = Handle::try_current().map_err(|error| error.to_string())?;
        Ok(Self { sender: LogSender::new(variables)?, runtime, counts, give_up })
    }

    /// Where records go.
    pub fn address(&self) -> &str {
        self.sender.address()
    }

    /// Sends records, again and again until they arrive. How many of them were not wanted.
    pub fn send(&self, records: Vec<LogRecord>) -> Result<usize, String> {
        self.runtime.block_on(async {
            tokio::select! {
                sent = self.deliver(records) => sent,
                () = self.end() => Err("the process has ended before they arrived".to_owned()),
            }
        })
    }

    async fn deliver(&self, records: Vec<LogRecord>) -> Result<usize, String> {
        let logs = self.sender.pack(records);
        let (started, mut pause) = (Instant::now(), PAUSES.0);
        loop {
            // The collector's own words are left out: they could be anything.
            let status = match self.sender.send(&logs).await {
                Ok(refused) => return Ok(refused),
                Err(status) => status,
            };
            let trouble = format!("the collector does not take them: {}", status.code());
            let Some(wanted) = wait(&status).filter(|_| started.elapsed() < PATIENCE) else {
                return Err(trouble);
            };
            self.counts.tell_trouble(self.address(), &trouble);
            sleep(pause.max(wanted)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// The moment to give up.
    async fn end(&self) {
        let mut give_up = self.give_up.clone();
        let at = give_up.wait_for(Option::is_some).await.ok().and_then(|at| *at);
        match at {
            Some(at) => sleep_until(at).await,
            // Nobody has closed the log, and nobody can any more.
            None => sleep(PAUSES.1).await,
        }
    }
}

/// How long to wait at least before it is tried again; none where that is of no use.
fn wait(status: &Status) -> Option<Duration> {
    match status.code() {
        Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => {
            let said = status.get_details_retry_info().and_then(|info| info.retry_delay);
            Some(said.unwrap_or_default().min(PATIENCE))
        }
        Code::ResourceExhausted => {
            Some(status.get_details_retry_info()?.retry_delay?.min(PATIENCE))
        }
        _ => None,
    }
}

/// A record as a collector gets it; its body is that line.
pub(super) fn log_record(record: &Record, line: String) -> LogRecord {
    let since = record.time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    let trace = record.call.trace.as_ref();
    let id = |of: fn(&TraceContext) -> &str| trace.and_then(|trace| hex(of(trace)));
    let mut attributes = vec![
        attribute("humbaba.decision_id", &record.decision_id),
        attribute("humbaba.store", record.store.as_str()),
        attribute("humbaba.revision", record.revision.as_str()),
        attribute("rpc.method", &format!("{SERVICE}/{}", record.call.rpc)),
    ];
    if let Outcome::Decision { effect, .. } = &record.outcome {
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
        trace_id: id(|trace| &trace.trace_id).unwrap_or_default(),
        span_id: id(|trace| &trace.span_id).unwrap_or_default(),
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

fn hex(digits: &str) -> Option<Vec<u8>> {
    let bytes = (0..digits.len()).step_by(2);
    bytes.map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}
