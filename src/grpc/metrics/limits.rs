//! The metric of limits that were hit. Limits on requests count here; limits on calls, connections and
//! handshakes count for themselves and are read when metrics are. A limit that was never hit is absent.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter},
};

use crate::net::{ConcurrencyLimit, ConnectionLimit, Face, ServerTls};

/// Counts how often requests hit each limit, by the name of its setting under `limits`.
#[derive(Debug, Default)]
pub(super) struct LimitsHit(Mutex<BTreeMap<&'static str, u64>>);

impl LimitsHit {
    /// Creates the metric, with the limits on requests and on calls.
    pub fn new(
        meter: &Meter,
        calls: &Arc<ConcurrencyLimit>,
        waiting: &Arc<ConcurrencyLimit>,
    ) -> Arc<Self> {
        let requests = Arc::new(Self::default());
        let counted = Arc::clone(&requests);
        let (calls, waiting) = (Arc::clone(calls), Arc::clone(waiting));
        observe(meter, move |hit| {
            let requests = counted.0.lock().unwrap_or_else(PoisonError::into_inner);
            requests.iter().for_each(|(limit, count)| hit(limit, *count));
            hit("concurrent_requests", calls.calls_shed());
            hit("waiting", waiting.calls_shed());
            hit("held_bytes", calls.bytes_shed());
        });
        requests
    }

    /// Counts a request that was refused or broken off.
    pub fn hit(&self, limit: &'static str) {
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry(limit).or_default() += 1;
    }
}

/// Adds the limits on connections.
pub(super) fn observe_connections(
    meter: &Meter,
    faces: Vec<(&'static str, &Arc<ConnectionLimit>)>,
) {
    let faces = faces.into_iter().map(|(limit, of)| (limit, Arc::clone(of)));
    let faces: Vec<_> = faces.collect();
    observe(meter, move |hit| {
        for (limit, connections) in &faces {
            hit(limit, connections.refused());
        }
        hit("patience_ms", faces.iter().map(|(_, of)| of.timed_out()).sum());
    });
}

/// Adds the limits on TLS handshakes.
pub(super) fn observe_tls(meter: &Meter, tls: &ServerTls) {
    let tls = tls.clone();
    observe(meter, move |hit| {
        let refused = Face::ALL.into_iter().flat_map(|face| tls.handshakes(face).refused());
        let mut counts = BTreeMap::<_, u64>::new();
        for (refusal, count) in refused {
            if let Some(limit) = refusal.limit() {
                *counts.entry(limit).or_default() += count;
            }
        }
        counts.into_iter().for_each(|(limit, count)| hit(limit, count));
    });
}

/// Adds counts to the metric. Several calls make one metric, as they name one instrument.
fn observe(meter: &Meter, counts: impl Fn(&dyn Fn(&'static str, u64)) + Send + Sync + 'static) {
    meter
        .u64_observable_counter("humbaba_limits_hit_total")
        .with_description("Requests, calls and connections refused or broken off by a limit, by its setting's name under limits")
        .with_callback(move |observer: &dyn AsyncInstrument<u64>| {
            counts(&|limit, count| {
                if count > 0 {
                    observer.observe(count, &[KeyValue::new("limit", limit)]);
                }
            });
        })
        .build();
}
