//! Which limits were hit, under one name. What a limit refuses is counted where it is refused, and
//! much of that before there is a request: here all of it comes together when metrics are read.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use prometheus::{
    IntCounterVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::net::{ConcurrencyLimit, ConnectionLimit, Face, Tls};

/// Counts how often each limit was hit, by the name of its setting under `limits`.
#[derive(Debug, Clone)]
pub(super) struct LimitsHit {
    by_requests: IntCounterVec,
    sources: Arc<Sources>,
}

/// Who else counts.
#[derive(Debug)]
struct Sources {
    gate: Arc<ConcurrencyLimit>,
    connections: OnceLock<[Arc<ConnectionLimit>; 2]>,
    tls: OnceLock<Tls>,
}

impl LimitsHit {
    /// # Errors
    /// The name is not one of a metric, which no run would survive.
    pub fn new(gate: &Arc<ConcurrencyLimit>) -> prometheus::Result<Self> {
        let by_requests = counters()?;
        let gate = Arc::clone(gate);
        let sources = Sources { gate, connections: OnceLock::new(), tls: OnceLock::new() };
        Ok(Self { by_requests, sources: Arc::new(sources) })
    }

    /// A request was refused or broken off.
    pub fn hit(&self, limit: &str) {
        self.by_requests.with_label_values(&[limit]).inc();
    }

    /// Counts these connections too.
    pub fn observe_connections(&self, grpc: &Arc<ConnectionLimit>, http: &Arc<ConnectionLimit>) {
        let _ = self.sources.connections.set([Arc::clone(grpc), Arc::clone(http)]);
    }

    /// Counts these handshakes too.
    pub fn observe_tls(&self, tls: &Tls) {
        let _ = self.sources.tls.set(tls.clone());
    }
}

fn counters() -> prometheus::Result<IntCounterVec> {
    let about = "Requests, calls and connections refused or broken off by a limit, by its setting's name under limits";
    IntCounterVec::new(Opts::new("humbaba_limits_hit_total", about), &["limit"])
}

impl Sources {
    /// What they have counted so far.
    fn counts(&self) -> HashMap<&'static str, u64> {
        let mut counts = HashMap::from([
            ("concurrent_requests", self.gate.calls_shed()),
            ("held_bytes", self.gate.bytes_shed()),
        ]);
        if let Some([grpc, http]) = self.connections.get() {
            counts.insert("connections", grpc.refused());
            counts.insert("http_connections", http.refused());
            counts.insert("patience_ms", grpc.timed_out() + http.timed_out());
        }
        let refused = self.tls.get().into_iter();
        let refused = refused.flat_map(|tls| Face::ALL.map(|face| tls.handshakes(face).refused()));
        for (refusal, count) in refused.flatten() {
            if let Some(limit) = refusal.limit() {
                *counts.entry(limit).or_default() += count;
            }
        }
        counts
    }
}

impl Collector for LimitsHit {
    fn desc(&self) -> Vec<&Desc> {
        self.by_requests.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.by_requests.collect();
        let Ok(others) = counters() else { return families };
        // What has never been hit is not there, as with the limits on requests.
        for (limit, count) in self.sources.counts().into_iter().filter(|(_, count)| *count > 0) {
            others.with_label_values(&[limit]).inc_by(count);
        }
        if let [family] = families.as_mut_slice() {
            for mut other in others.collect() {
                family.mut_metric().extend(other.take_metric());
            }
        }
        families
    }
}
