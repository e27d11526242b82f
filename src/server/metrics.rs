//! What is counted, and how Prometheus gets it. Nothing that a caller sends becomes a label: stores
//! are the loaded ones, and everything else has few values.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter, MeterProvider as _},
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};
use tonic::Code;

use super::admission::Gate;
use crate::{
    engine::{Decision, Effect},
    live::Live,
    name::StoreName,
};

/// From 10 µs to 100 ms, which is where decisions are; in seconds.
const LATENCY_BUCKETS: [f64; 13] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1,
];

/// A method of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rpc {
    IsAuthorized,
    BatchIsAuthorized,
    ListActions,
}

impl Rpc {
    const ALL: [Self; 3] = [Self::IsAuthorized, Self::BatchIsAuthorized, Self::ListActions];

    /// The method that is called under that path.
    pub fn of_path(path: &str) -> Option<Self> {
        let (_, name) = path.rsplit_once('/')?;
        Self::ALL.into_iter().find(|rpc| rpc.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::IsAuthorized => "IsAuthorized",
            Self::BatchIsAuthorized => "BatchIsAuthorized",
            Self::ListActions => "ListActions",
        }
    }
}

/// Counts what the server does.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    /// Keeps the instruments alive.
    _provider: SdkMeterProvider,
    decisions: Counter<u64>,
    durations: Histogram<f64>,
    evaluation_errors: Counter<u64>,
    failures: Counter<u64>,
}

impl Metrics {
    /// Counts from zero on. What the process holds is looked at whenever metrics are read.
    pub fn new(live: &Arc<Live>, gate: &Arc<Gate>) -> Self {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .with_namespace("humbaba")
            .without_target_info()
            .scope_info_enabled(false)
            .build();
        let mut provider = SdkMeterProvider::builder();
        match exporter {
            Ok(exporter) => provider = provider.with_reader(exporter),
            // Deciding does not depend on being counted.
            Err(error) => tracing::error!(%error, "metrics are not available"),
        }
        let provider = provider.build();
        let meter = provider.meter("humbaba");
        observe_calls(&meter, gate);
        observe_stores(&meter, live);
        Self {
            registry,
            decisions: meter
                .u64_counter("decisions")
                .with_description("Decisions by store, rpc and answer")
                .build(),
            durations: meter
                .f64_histogram("request_duration")
                .with_description("Time from a read request to its answer")
                .with_unit("s")
                .with_boundaries(LATENCY_BUCKETS.to_vec())
                .build(),
            evaluation_errors: meter
                .u64_counter("evaluation_errors")
                .with_description("Policies whose evaluation failed")
                .build(),
            failures: meter
                .u64_counter("request_failures")
                .with_description("Calls that were answered with an error, by rpc and gRPC code")
                .build(),
            _provider: provider,
        }
    }

    /// A decision was made.
    pub fn decided(&self, store: &StoreName, rpc: Rpc, decision: &Decision) {
        let answer = match decision.effect {
            Effect::Allow => "allow",
            Effect::Deny => "deny",
        };
        self.decisions.add(
            1,
            &[KeyValue::new("decision", answer), KeyValue::new("rpc", rpc.name()), label(store)],
        );
        if !decision.errors.is_empty() {
            self.evaluation_errors.add(decision.errors.len() as u64, &[label(store)]);
        }
    }

    /// A call was answered.
    pub fn took(&self, store: &StoreName, rpc: Rpc, time: Duration) {
        self.durations
            .record(time.as_secs_f64(), &[KeyValue::new("rpc", rpc.name()), label(store)]);
    }

    /// A call was answered with an error.
    pub fn failed(&self, rpc: Rpc, code: Code) {
        let code = KeyValue::new("code", format!("{code:?}"));
        self.failures.add(1, &[code, KeyValue::new("rpc", rpc.name())]);
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// What the encoder says.
    pub fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn label(store: &StoreName) -> KeyValue {
    KeyValue::new("store", store.as_str().to_owned())
}

fn observe_calls(meter: &Meter, gate: &Arc<Gate>) {
    let counted = Arc::clone(gate);
    meter
        .u64_observable_gauge("requests_in_flight")
        .with_description("Calls that are under way")
        .with_callback(move |observer| observer.observe(counted.in_flight() as u64, &[]))
        .build();
    let counted = Arc::clone(gate);
    meter
        .u64_observable_counter("requests_shed")
        .with_description("Calls that were turned away because too many were under way")
        .with_callback(move |observer| observer.observe(counted.shed(), &[]))
        .build();
    let version = KeyValue::new("version", env!("CARGO_PKG_VERSION"));
    meter
        .u64_observable_gauge("build_info")
        .with_description("Which Humbaba this is; always 1")
        .with_callback(move |observer| observer.observe(1, std::slice::from_ref(&version)))
        .build();
}

fn observe_stores(meter: &Meter, live: &Arc<Live>) {
    let observed = Arc::clone(live);
    meter
        .u64_observable_counter("reloads")
        .with_description("Attempts to load that put something new in force or were refused")
        .with_callback(move |observer| {
            let status = observed.status();
            observer.observe(status.reloads, &[KeyValue::new("result", "applied")]);
            observer.observe(status.failures, &[KeyValue::new("result", "refused")]);
        })
        .build();
    let observed = Arc::clone(live);
    meter
        .f64_observable_gauge("last_attempt_age")
        .with_description("Time since loading was last tried")
        .with_unit("s")
        .with_callback(move |observer| {
            if let Some(age) = observed.status().last_attempt.and_then(age) {
                observer.observe(age, &[]);
            }
        })
        .build();
    let observed = Arc::clone(live);
    meter
        .f64_observable_gauge("last_good_age")
        .with_description("Time since the revision that decides came into force, by store")
        .with_unit("s")
        .with_callback(move |observer| {
            for store in &observed.status().stores {
                if let Some(age) = store.loaded_at.and_then(age) {
                    observer.observe(age, &[label(&store.name)]);
                }
            }
        })
        .build();
    let observed = Arc::clone(live);
    meter
        .u64_observable_gauge("store_refused")
        .with_description("1 where the files of a store as they are now were refused, else 0")
        .with_callback(move |observer| {
            for store in &observed.status().stores {
                let refused = u64::from(!store.problems.is_empty());
                observer.observe(refused, &[label(&store.name)]);
            }
        })
        .build();
    let observed = Arc::clone(live);
    meter
        .u64_observable_gauge("store_info")
        .with_description("The revision of each store that decides; always 1")
        .with_callback(move |observer| {
            for store in observed.stores().iter() {
                let revision = KeyValue::new("revision", store.revision().to_string());
                observer.observe(1, &[revision, label(store.name())]);
            }
        })
        .build();
}

fn age(since: SystemTime) -> Option<f64> {
    Some(SystemTime::now().duration_since(since).ok()?.as_secs_f64())
}
