//! The metrics of the server. Nothing that a caller sends becomes a label: stores are the loaded ones,
//! and every other label has few values.

mod certificate;
mod decision_log;
mod decisions;
mod limits;
mod observed;
mod rpc;
mod tokens;
mod traffic;

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Meter},
};
use tokio::runtime::Handle;
use tonic::Code;

pub(crate) use self::{rpc::Rpc, traffic::Traffic};

use self::{decisions::DecisionMetrics, limits::LimitsHit};
use crate::{
    audit::DecisionLog,
    engine::Decision,
    model::StoreName,
    net::{BearerTokens, ConcurrencyLimit, ConnectionLimit, ServerTls},
    reload::Live,
    request::Violation,
    telemetry::{MetricsError, MetricsProvider},
};

/// Counts what the server does.
#[derive(Debug)]
pub(crate) struct Metrics {
    provider: MetricsProvider,
    meter: Meter,
    decisions: DecisionMetrics,
    failures: Counter<u64>,
    limits_hit: Arc<LimitsHit>,
}

impl Metrics {
    /// Creates the instruments of a server, which count from zero on. The limits are those on calls
    /// under way and on calls that wait for a version of a directory.
    pub fn new(
        provider: &MetricsProvider,
        live: &Arc<Live>,
        [limit, waiting]: [&Arc<ConcurrencyLimit>; 2],
        log: &DecisionLog,
    ) -> Self {
        let meter = provider.meter();
        observed::calls(&meter, limit, waiting);
        observed::stores(&meter, live);
        observed::directories(&meter, live);
        decision_log::records(&meter, log);
        Self {
            provider: provider.clone(),
            decisions: DecisionMetrics::new(&meter),
            failures: meter
                .u64_counter("humbaba_request_failures_total")
                .with_description("Calls that were answered with an error, by rpc and gRPC code")
                .build(),
            limits_hit: LimitsHit::new(&meter, limit, waiting),
            meter,
        }
    }

    /// Adds metrics of the certificates and of the handshakes with them.
    pub fn observe_tls(&self, tls: &ServerTls) {
        certificate::observe(&self.meter, tls);
        limits::observe_tls(&self.meter, tls);
    }

    /// Adds the metric of the tokens whose file a setting names.
    pub fn observe_tokens(&self, setting: &'static str, tokens: &BearerTokens) {
        tokens::observe(&self.meter, setting, tokens);
    }

    /// Adds metrics of the connections of gRPC and of `http_listen`.
    pub fn observe_connections(&self, grpc: &Arc<ConnectionLimit>, http: &Arc<ConnectionLimit>) {
        observed::connections(&self.meter, vec![("grpc", grpc), ("http", http)]);
        limits::observe_connections(
            &self.meter,
            vec![("connections", grpc), ("http_connections", http)],
        );
    }

    /// Adds metrics of the connections of `web_listen`.
    pub fn observe_web_connections(&self, web: &Arc<ConnectionLimit>) {
        observed::connections(&self.meter, vec![("web", web)]);
        limits::observe_connections(&self.meter, vec![("web_connections", web)]);
    }

    /// Adds the number of tasks of these runtimes.
    pub fn observe_tasks(&self, runtimes: Vec<Handle>) {
        observed::tasks(&self.meter, runtimes);
    }

    /// Counts a decision.
    pub fn decided(&self, store: &StoreName, rpc: Rpc, decision: &Decision) {
        let allowed = u64::from(decision.is_allow());
        self.decisions.decided(store, rpc, allowed, 1 - allowed, decision.errors.len() as u64);
    }

    /// Counts the decisions of a list.
    pub fn listed(&self, store: &StoreName, rpc: Rpc, allowed: usize, denied: usize) {
        self.decisions.decided(store, rpc, allowed as u64, denied as u64, 0);
    }

    /// Counts a decision that was verified with Cedar's evaluator.
    pub fn verified(&self, store: &StoreName, rpc: Rpc, is_wrong: bool) {
        self.decisions.verified(store, rpc, is_wrong);
    }

    /// Counts a call that was answered, and the time that it took.
    pub fn took(&self, store: &StoreName, rpc: Rpc, time: Duration) {
        self.decisions.took(store, rpc, time);
    }

    /// Counts bad input that was refused, once for each limit that it exceeds.
    pub fn refused(&self, violations: &[Violation]) {
        let mut limits: Vec<_> = violations.iter().filter_map(|one| one.limit).collect();
        limits.sort_unstable();
        limits.dedup();
        limits.into_iter().for_each(|limit| self.limit_hit(limit));
    }

    /// Counts something that was refused or broken off because of the setting `limits.…`.
    pub fn limit_hit(&self, limit: &'static str) {
        self.limits_hit.hit(limit);
    }

    /// Counts a call of a method that was answered with an error.
    pub fn failed(&self, method: &'static str, code: Code) {
        // The answer to a message that is too long.
        if code == Code::OutOfRange {
            self.limit_hit("message_bytes");
        }
        let code = KeyValue::new("code", format!("{code:?}"));
        self.failures.add(1, &[code, KeyValue::new("rpc", method)]);
    }

    /// Reads the totals of decisions, times and shed calls. It costs what [`Self::text`] does.
    pub fn traffic(&self) -> Traffic {
        Traffic::of(&self.provider.gather())
    }

    /// Writes everything in Prometheus' text format.
    ///
    /// # Errors
    /// A metric cannot be written as text.
    pub fn text(&self) -> Result<String, MetricsError> {
        self.provider.prometheus_text()
    }
}
