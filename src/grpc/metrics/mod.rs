//! What is counted, and how Prometheus gets it. Nothing that a caller sends becomes a label: stores
//! are the loaded ones, and everything else has few values.

mod certificate;
mod decision_log;
mod decisions;
mod limits;
mod observed;

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Meter, MeterProvider as _},
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder, process_collector::ProcessCollector};
use tokio::runtime::Handle;
use tonic::Code;

use self::{decisions::DecisionMetrics, limits::LimitsHit};
use crate::{
    audit::DecisionLog,
    engine::{Decision, ListedActions},
    model::StoreName,
    net::{ConcurrencyLimit, ConnectionLimit, Tls},
    proto::authorization_service_server::SERVICE_NAME,
    reload::Live,
    request::Violation,
};

/// A method of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rpc {
    IsAuthorized,
    BatchIsAuthorized,
    ListActions,
}

impl Rpc {
    const ALL: [Self; 3] = [Self::IsAuthorized, Self::BatchIsAuthorized, Self::ListActions];

    /// The method that is called under that path.
    pub fn of_path(path: &str) -> Option<Self> {
        let method = path.strip_prefix('/')?.strip_prefix(SERVICE_NAME)?;
        let name = method.strip_prefix('/')?;
        Self::ALL.into_iter().find(|rpc| rpc.name() == name)
    }

    /// The method's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::IsAuthorized => "IsAuthorized",
            Self::BatchIsAuthorized => "BatchIsAuthorized",
            Self::ListActions => "ListActions",
        }
    }
}

/// Counts what the server does.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    decisions: Option<DecisionMetrics>,
    failures: Counter<u64>,
    limits_hit: Option<LimitsHit>,
    meter: Meter,
    /// Keeps the instruments alive.
    _provider: SdkMeterProvider,
}

impl Metrics {
    /// Counts from zero on. Deciding does not depend on being counted: what cannot be counted is
    /// logged once and left out.
    pub fn new(live: &Arc<Live>, gate: &Arc<ConcurrencyLimit>, log: &DecisionLog) -> Self {
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
            Err(error) => tracing::error!(%error, "most metrics are not available"),
        }
        let provider = provider.build();
        let meter = provider.meter("humbaba");
        observed::calls(&meter, gate);
        observed::stores(&meter, live);
        decision_log::records(&meter, log);
        // CPU, memory, open files, threads, start.
        if let Err(error) = registry.register(Box::new(ProcessCollector::for_self())) {
            tracing::error!(%error, "metrics of the process are not available");
        }
        let decisions = DecisionMetrics::new(&registry);
        let decisions = decisions
            .inspect_err(|error| tracing::error!(%error, "metrics of decisions are not available"));
        let limits_hit = LimitsHit::new(gate).and_then(|limits| {
            registry.register(Box::new(limits.clone()))?;
            Ok(limits)
        });
        let limits_hit = limits_hit
            .inspect_err(|error| tracing::error!(%error, "metrics of limits are not available"))
            .ok();
        Self {
            registry,
            decisions: decisions.ok(),
            failures: meter
                .u64_counter("request_failures")
                .with_description("Calls that were answered with an error, by rpc and gRPC code")
                .build(),
            limits_hit,
            meter,
            _provider: provider,
        }
    }

    /// Tells of a certificate and of the handshakes with it from now on.
    pub fn observe_tls(&self, tls: &Tls) {
        certificate::observe(&self.meter, tls);
        self.limits_hit.iter().for_each(|limits| limits.observe_tls(tls));
    }

    /// Tells of the connections of both faces from now on.
    pub fn observe_connections(&self, grpc: &Arc<ConnectionLimit>, http: &Arc<ConnectionLimit>) {
        observed::connections(&self.meter, [("grpc", grpc), ("http", http)]);
        self.limits_hit.iter().for_each(|limits| limits.observe_connections(grpc, http));
    }

    /// Tells of the tasks of these runtimes from now on.
    pub fn observe_tasks(&self, runtimes: Vec<Handle>) {
        observed::tasks(&self.meter, runtimes);
    }

    /// A decision was made.
    pub fn decided(&self, store: &StoreName, rpc: Rpc, decision: &Decision) {
        let allowed = u64::from(decision.is_allow());
        if let Some(decisions) = &self.decisions {
            decisions.decided(store, rpc, allowed, 1 - allowed, decision.errors.len() as u64);
        }
    }

    /// The actions of a list were decided.
    pub fn listed(&self, store: &StoreName, listed: &ListedActions) {
        let (allowed, denied) = (listed.allowed.len() as u64, listed.denied as u64);
        if let Some(decisions) = &self.decisions {
            decisions.decided(store, Rpc::ListActions, allowed, denied, 0);
        }
    }

    /// A decision was held against Cedar's evaluator.
    pub fn verified(&self, store: &StoreName, rpc: Rpc, is_wrong: bool) {
        if let Some(decisions) = &self.decisions {
            decisions.verified(store, rpc, is_wrong);
        }
    }

    /// A call was answered.
    pub fn took(&self, store: &StoreName, rpc: Rpc, time: Duration) {
        if let Some(decisions) = &self.decisions {
            decisions.took(store, rpc, time);
        }
    }

    /// Bad input was refused. Each limit that it exceeds counts once.
    pub fn refused(&self, violations: &[Violation]) {
        let mut limits: Vec<_> = violations.iter().filter_map(|one| one.limit).collect();
        limits.sort_unstable();
        limits.dedup();
        limits.into_iter().for_each(|limit| self.limit_hit(limit));
    }

    /// Something was refused or broken off because of the setting `limits.…`.
    pub fn limit_hit(&self, limit: &'static str) {
        self.limits_hit.iter().for_each(|limits| limits.hit(limit));
    }

    /// A call was answered with an error.
    pub fn failed(&self, rpc: Rpc, code: Code) {
        // The answer to a message that is too long.
        if code == Code::OutOfRange {
            self.limit_hit("message_bytes");
        }
        let code = KeyValue::new("code", format!("{code:?}"));
        self.failures.add(1, &[code, KeyValue::new("rpc", rpc.name())]);
    }

    /// Where all of it is.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// What the encoder says.
    pub fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
