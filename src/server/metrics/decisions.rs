//! What is counted for every decision.
//!
//! OpenTelemetry's own instruments look their labels up under a lock and keep a histogram behind
//! another, which all threads would meet on at every decision. So these few are atomics of the
//! Prometheus library, found without a lock, and join OpenTelemetry's in the registry.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

use super::Rpc;
use crate::{hash::HashMap, name::StoreName};

/// From 10 µs to 100 ms, which is where decisions are; in seconds.
const LATENCY_BUCKETS: [f64; 13] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1,
];

/// Counts decisions.
#[derive(Debug)]
pub(super) struct DecisionMetrics {
    decisions: IntCounterVec,
    evaluation_errors: IntCounterVec,
    verifications: IntCounterVec,
    verification_failures: IntCounterVec,
    durations: HistogramVec,
    stores: ArcSwap<HashMap<StoreName, Arc<StoreMetrics>>>,
}

/// The counters of one store.
#[derive(Debug)]
struct StoreMetrics {
    evaluation_errors: IntCounter,
    verifications: IntCounter,
    verification_failures: IntCounter,
    is_authorized: RpcMetrics,
    batch_is_authorized: RpcMetrics,
    list_actions: RpcMetrics,
}

/// The counters of one method on one store.
#[derive(Debug)]
struct RpcMetrics {
    allowed: IntCounter,
    denied: IntCounter,
    durations: Histogram,
}

impl DecisionMetrics {
    /// Counters that are read through the registry.
    ///
    /// # Errors
    /// The registry has metrics of these names already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let decisions = IntCounterVec::new(
            Opts::new("humbaba_decisions_total", "Decisions by store, rpc and answer"),
            &["decision", "rpc", "store"],
        )?;
        let of_store = |name, about| IntCounterVec::new(Opts::new(name, about), &["store"]);
        let evaluation_errors =
            of_store("humbaba_evaluation_errors_total", "Policies whose evaluation failed")?;
        let verifications = of_store(
            "humbaba_verifications_total",
            "Decisions that were held against Cedar's evaluator",
        )?;
        let verification_failures = of_store(
            "humbaba_verification_failures_total",
            "Decisions that were not those of Cedar's evaluator, whose were given instead",
        )?;
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "humbaba_request_duration_seconds",
                "Time from a request that was read to its answer",
            )
            .buckets(LATENCY_BUCKETS.to_vec()),
            &["rpc", "store"],
        )?;
        registry.register(Box::new(decisions.clone()))?;
        for counters in [&evaluation_errors, &verifications, &verification_failures] {
            registry.register(Box::new(counters.clone()))?;
        }
        registry.register(Box::new(durations.clone()))?;
        Ok(Self {
            decisions,
            evaluation_errors,
            verifications,
            verification_failures,
            durations,
            stores: ArcSwap::default(),
        })
    }

    /// Decisions were made.
    pub fn decided(&self, store: &StoreName, rpc: Rpc, allowed: u64, denied: u64, errors: u64) {
        self.count(store, |counted| {
            add(&counted.of(rpc).allowed, allowed);
            add(&counted.of(rpc).denied, denied);
            add(&counted.evaluation_errors, errors);
        });
    }

    /// A decision was held against Cedar's evaluator.
    pub fn verified(&self, store: &StoreName, is_wrong: bool) {
        self.count(store, |counted| {
            counted.verifications.inc();
            add(&counted.verification_failures, u64::from(is_wrong));
        });
    }

    /// A call was answered.
    pub fn took(&self, store: &StoreName, rpc: Rpc, time: Duration) {
        self.count(store, |counted| counted.of(rpc).durations.observe(time.as_secs_f64()));
    }

    fn count(&self, store: &StoreName, count: impl FnOnce(&StoreMetrics)) {
        if let Some(counted) = self.stores.load().get(store) {
            count(counted);
        } else if let Ok(counted) = self.add(store) {
            count(&counted);
        }
    }

    /// A store that is met for the first time. Two threads that meet it at once find the same
    /// counters.
    fn add(&self, store: &StoreName) -> prometheus::Result<Arc<StoreMetrics>> {
        let of_rpc = |rpc: Rpc| -> prometheus::Result<RpcMetrics> {
            let (rpc, store) = (rpc.name(), store.as_str());
            let decisions =
                |answer| self.decisions.get_metric_with_label_values(&[answer, rpc, store]);
            Ok(RpcMetrics {
                allowed: decisions("allow")?,
                denied: decisions("deny")?,
                durations: self.durations.get_metric_with_label_values(&[rpc, store])?,
            })
        };
        let of_store =
            |counters: &IntCounterVec| counters.get_metric_with_label_values(&[store.as_str()]);
        let added = Arc::new(StoreMetrics {
            evaluation_errors: of_store(&self.evaluation_errors)?,
            verifications: of_store(&self.verifications)?,
            verification_failures: of_store(&self.verification_failures)?,
            is_authorized: of_rpc(Rpc::IsAuthorized)?,
            batch_is_authorized: of_rpc(Rpc::BatchIsAuthorized)?,
            list_actions: of_rpc(Rpc::ListActions)?,
        });
        self.stores.rcu(|stores| {
            let mut stores = HashMap::clone(stores);
            stores.insert(store.clone(), Arc::clone(&added));
            stores
        });
        Ok(added)
    }
}

impl StoreMetrics {
    fn of(&self, rpc: Rpc) -> &RpcMetrics {
        match rpc {
            Rpc::IsAuthorized => &self.is_authorized,
            Rpc::BatchIsAuthorized => &self.batch_is_authorized,
            Rpc::ListActions => &self.list_actions,
        }
    }
}

/// Adds, and leaves other threads alone where there is nothing to add.
fn add(counter: &IntCounter, count: u64) {
    if count > 0 {
        counter.inc_by(count);
    }
}
