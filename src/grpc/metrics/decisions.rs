//! What is counted for every decision.
//!
//! OpenTelemetry's own instruments look their labels up under a lock and keep a histogram behind
//! another, which all threads would meet on at every decision; those of the Prometheus library are
//! atomics on which threads meet as well. So these few are counted by each thread for itself, added
//! up when somebody asks, and join OpenTelemetry's in the registry.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use prometheus::{
    Registry,
    core::{Collector, Desc},
    proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use super::Rpc;
use crate::model::{Sharded, StoreName, hash::HashMap};

/// From 10 µs to 100 ms, which is where decisions are; in nanoseconds.
const LATENCY_BUCKETS: [u64; 13] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
];

const DECISIONS: (&str, &str) = ("humbaba_decisions_total", "Decisions by store, rpc and answer");
const ERRORS: (&str, &str) =
    ("humbaba_evaluation_errors_total", "Policies whose evaluation failed");
const VERIFICATIONS: (&str, &str) =
    ("humbaba_verifications_total", "Decisions that were held against Cedar's evaluator");
const VERIFICATION_FAILURES: (&str, &str) = (
    "humbaba_verification_failures_total",
    "Decisions that were not those of Cedar's evaluator, whose were given instead",
);
const DURATIONS: (&str, &str) =
    ("humbaba_request_duration_seconds", "Time from a request that was read to its answer");

/// Counts decisions. Clones count in the same place.
#[derive(Debug, Clone, Default)]
pub(super) struct DecisionMetrics {
    stores: Arc<ArcSwap<HashMap<StoreName, Arc<OfStore>>>>,
}

/// The counts of one store, by method.
type OfStore = [Sharded<Counts>; Rpc::ALL.len()];

/// What one thread counts of one method on one store.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts {
    allowed: AtomicU64,
    denied: AtomicU64,
    errors: AtomicU64,
    verified: AtomicU64,
    wrong: AtomicU64,
    /// By the bucket that is the first to hold them; the last holds what none does.
    durations: [AtomicU64; LATENCY_BUCKETS.len() + 1],
    nanos: AtomicU64,
}

impl DecisionMetrics {
    /// Counters that are read through the registry.
    ///
    /// # Errors
    /// The registry has metrics of these names already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self::default();
        let descriptions = [
            describe(DECISIONS, &["decision", "rpc", "store"])?,
            describe(ERRORS, &["store"])?,
            describe(VERIFICATIONS, &["store"])?,
            describe(VERIFICATION_FAILURES, &["store"])?,
            describe(DURATIONS, &["rpc", "store"])?,
        ];
        registry.register(Box::new(Collected { metrics: metrics.clone(), descriptions }))?;
        Ok(metrics)
    }

    /// Decisions were made.
    pub fn decided(&self, store: &StoreName, rpc: Rpc, allowed: u64, denied: u64, errors: u64) {
        self.count(store, rpc, |counts| {
            add(&counts.allowed, allowed);
            add(&counts.denied, denied);
            add(&counts.errors, errors);
        });
    }

    /// A decision was held against Cedar's evaluator.
    pub fn verified(&self, store: &StoreName, rpc: Rpc, is_wrong: bool) {
        self.count(store, rpc, |counts| {
            add(&counts.verified, 1);
            add(&counts.wrong, u64::from(is_wrong));
        });
    }

    /// A call was answered.
    pub fn took(&self, store: &StoreName, rpc: Rpc, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BUCKETS.partition_point(|bound| *bound < nanos);
        self.count(store, rpc, |counts| {
            if let Some(count) = counts.durations.get(bucket) {
                add(count, 1);
            }
            add(&counts.nanos, nanos);
        });
    }

    fn count(&self, store: &StoreName, rpc: Rpc, count: impl FnOnce(&Counts)) {
        let of_rpc = |of_store: &OfStore| {
            if let Some(counts) = of_store.get(rpc as usize) {
                count(counts.mine());
            }
        };
        match self.stores.load().get(store) {
            Some(of_store) => of_rpc(of_store),
            None => of_rpc(&self.add(store)),
        }
    }

    /// A store that is met for the first time. Two threads that meet it at once find the same
    /// counts.
    fn add(&self, store: &StoreName) -> Arc<OfStore> {
        let mut found = Arc::default();
        self.stores.rcu(|stores| {
            let mut stores = HashMap::clone(stores);
            found = Arc::clone(stores.entry(store.clone()).or_default());
            stores
        });
        found
    }
}

/// Adds, and leaves the counter alone where there is nothing to add.
fn add(counter: &AtomicU64, count: u64) {
    if count > 0 {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

/// The counters as the registry reads them.
struct Collected {
    metrics: DecisionMetrics,
    descriptions: [Desc; 5],
}

impl Collector for Collected {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (mut decisions, mut durations) = (Vec::new(), Vec::new());
        let (mut errors, mut verified, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        for (store, of_store) in self.metrics.stores.load().iter() {
            let store = label("store", store.as_str());
            for (rpc, counts) in Rpc::ALL.iter().zip(of_store.iter()) {
                let rpc = label("rpc", rpc.name());
                let sum = |of: fn(&Counts) -> &AtomicU64| total(counts, of);
                let answers = [
                    ("allow", sum(|counts| &counts.allowed)),
                    ("deny", sum(|counts| &counts.denied)),
                ];
                for (answer, count) in answers {
                    let labels = vec![label("decision", answer), rpc.clone(), store.clone()];
                    decisions.push(counter(labels, count));
                }
                durations.push(histogram(vec![rpc, store.clone()], counts));
            }
            let of_all = |of: fn(&Counts) -> &AtomicU64| {
                let count = of_store.iter().map(|counts| total(counts, of)).sum();
                counter(vec![store.clone()], count)
            };
            errors.push(of_all(|counts| &counts.errors));
            verified.push(of_all(|counts| &counts.verified));
            wrong.push(of_all(|counts| &counts.wrong));
        }
        // A family without a metric is an error.
        let families = [
            family(DECISIONS, MetricType::COUNTER, decisions),
            family(ERRORS, MetricType::COUNTER, errors),
            family(VERIFICATIONS, MetricType::COUNTER, verified),
            family(VERIFICATION_FAILURES, MetricType::COUNTER, wrong),
            family(DURATIONS, MetricType::HISTOGRAM, durations),
        ];
        families.into_iter().filter(|family| !family.get_metric().is_empty()).collect()
    }
}

fn total(counts: &Sharded<Counts>, of: impl Fn(&Counts) -> &AtomicU64) -> u64 {
    counts.all().map(|counts| of(counts).load(Ordering::Relaxed)).sum()
}

fn describe((name, help): (&str, &str), labels: &[&str]) -> prometheus::Result<Desc> {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    Desc::new(name.to_owned(), help.to_owned(), labels, std::collections::HashMap::new())
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floating point")]
fn counter(labels: Vec<LabelPair>, count: u64) -> Metric {
    let mut metric = Metric::from_label(labels);
    let mut counter = Counter::default();
    counter.set_value(count as f64);
    metric.set_counter(counter);
    metric
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floating point")]
fn histogram(labels: Vec<LabelPair>, counts: &Sharded<Counts>) -> Metric {
    const NANOS: f64 = 1e9;

    let mut sums = [0; LATENCY_BUCKETS.len() + 1];
    for counts in counts.all() {
        for (sum, count) in sums.iter_mut().zip(&counts.durations) {
            *sum += count.load(Ordering::Relaxed);
        }
    }
    let mut below = 0;
    let buckets = LATENCY_BUCKETS.iter().zip(sums).map(|(bound, count)| {
        below += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound as f64 / NANOS);
        bucket.set_cumulative_count(below);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(sums.iter().sum());
    histogram.set_sample_sum(total(counts, |counts| &counts.nanos) as f64 / NANOS);
    let mut metric = Metric::from_label(labels);
    metric.set_histogram(histogram);
    metric
}

fn family((name, help): (&str, &str), kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn what_threads_count_is_added_up() {
        let registry = Registry::new();
        let metrics = DecisionMetrics::new(&registry).unwrap();
        assert!(registry.gather().is_empty());
        let store: StoreName = "acme".parse().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    metrics.decided(&store, Rpc::IsAuthorized, 1, 2, 3);
                    metrics.verified(&store, Rpc::IsAuthorized, false);
                    metrics.verified(&store, Rpc::ListActions, true);
                    metrics.took(&store, Rpc::IsAuthorized, Duration::from_micros(10));
                    metrics.took(&store, Rpc::IsAuthorized, Duration::from_nanos(10_001));
                    metrics.took(&store, Rpc::IsAuthorized, Duration::from_secs(1));
                });
            }
        });
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            r#"humbaba_decisions_total{decision="allow",rpc="IsAuthorized",store="acme"} 10"#,
            r#"humbaba_decisions_total{decision="deny",rpc="IsAuthorized",store="acme"} 20"#,
            r#"humbaba_decisions_total{decision="deny",rpc="ListActions",store="acme"} 0"#,
            r#"humbaba_evaluation_errors_total{store="acme"} 30"#,
            r#"humbaba_verifications_total{store="acme"} 20"#,
            r#"humbaba_verification_failures_total{store="acme"} 10"#,
            r#"humbaba_request_duration_seconds_bucket{rpc="IsAuthorized",store="acme",le="0.00001"} 10"#,
            r#"humbaba_request_duration_seconds_bucket{rpc="IsAuthorized",store="acme",le="0.000025"} 20"#,
            r#"humbaba_request_duration_seconds_bucket{rpc="IsAuthorized",store="acme",le="0.1"} 20"#,
            r#"humbaba_request_duration_seconds_bucket{rpc="IsAuthorized",store="acme",le="+Inf"} 30"#,
            r#"humbaba_request_duration_seconds_sum{rpc="IsAuthorized",store="acme"} 10.00020001"#,
            r#"humbaba_request_duration_seconds_count{rpc="IsAuthorized",store="acme"} 30"#,
        ] {
            assert!(text.lines().any(|there| there == line), "{line}\n{text}");
        }
    }
}
