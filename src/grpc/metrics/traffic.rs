//! The counts of the metrics so far, in numbers, for those who draw them.

use prometheus::proto::{Metric, MetricFamily};

/// Limits whose hits mean that a call was shed because of load, and not because of what it asked.
const SHED: &[&str] = &[
    "concurrent_requests",
    "held_bytes",
    "waiting",
    "watches",
    "directory_watches",
    "connections",
    "http_connections",
    "web_connections",
];

/// Totals since the process began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// Decisions that allow.
    pub allowed: f64,
    /// Decisions that deny.
    pub denied: f64,
    /// Calls and connections that were refused because of load.
    pub shed: f64,
    /// Calls that were answered, by the upper bound of their time in seconds, the longest last: each
    /// counts those of the ones before it too.
    pub durations: Vec<(f64, u64)>,
}

impl Traffic {
    /// Reads the totals from what a registry has gathered.
    pub(super) fn of(families: &[MetricFamily]) -> Self {
        let mut traffic = Self::default();
        for family in families {
            match family.name() {
                "humbaba_decisions_total" => {
                    for metric in family.get_metric() {
                        let value = metric.get_counter().get_value();
                        match label(metric, "decision") {
                            "allow" => traffic.allowed += value,
                            _ => traffic.denied += value,
                        }
                    }
                }
                "humbaba_limits_hit_total" => {
                    let shed = family.get_metric().iter();
                    let shed = shed.filter(|metric| SHED.contains(&label(metric, "limit")));
                    traffic.shed +=
                        shed.map(|metric| metric.get_counter().get_value()).sum::<f64>();
                }
                "humbaba_request_duration_seconds" => {
                    let buckets = family.get_metric().iter();
                    let buckets = buckets.flat_map(|metric| metric.get_histogram().get_bucket());
                    for bucket in buckets {
                        traffic.took(bucket.upper_bound(), bucket.cumulative_count());
                    }
                }
                _ => {}
            }
        }
        traffic.durations.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        traffic
    }

    fn took(&mut self, bound: f64, count: u64) {
        let same = |(known, _): &&mut (f64, u64)| known.total_cmp(&bound).is_eq();
        match self.durations.iter_mut().find(same) {
            Some((_, sum)) => *sum += count,
            None => self.durations.push((bound, count)),
        }
    }
}

fn label<'a>(metric: &'a Metric, name: &str) -> &'a str {
    let labels = metric.get_label().iter();
    labels
        .filter(|label| label.name() == name)
        .map(|label| label.value())
        .next()
        .unwrap_or_default()
}
