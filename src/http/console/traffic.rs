//! The metrics of the last minutes, read at intervals.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};

use crate::grpc::{GrpcServer, metrics::Traffic};

/// Interval of the samples.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);
/// Time that the history covers.
pub(super) const SPAN: Duration = Duration::from_secs(15 * 60);

/// The samples of the last 15 minutes.
#[derive(Debug, Default)]
pub(super) struct TrafficHistory(Mutex<VecDeque<(Instant, Traffic)>>);

/// The traffic between two samples.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    /// Seconds before now at which it ended.
    pub ended: f64,
    pub seconds: f64,
    pub allowed: f64,
    pub denied: f64,
    pub shed: f64,
    /// Calls by the upper bound of their time in seconds, each bucket by itself.
    durations: Vec<(f64, u64)>,
}

/// Reads the metrics until it is dropped.
pub(super) async fn sample(grpc: &GrpcServer, history: &TrafficHistory) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let grpc = grpc.clone();
        // It reads files of the system.
        if let Ok(traffic) = tokio::task::spawn_blocking(move || grpc.metrics().traffic()).await {
            history.add(Instant::now(), traffic);
        }
    }
}

impl TrafficHistory {
    fn add(&self, at: Instant, traffic: Traffic) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back((at, traffic));
        while samples.front().is_some_and(|(first, _)| at.duration_since(*first) > SPAN + INTERVAL)
        {
            samples.pop_front();
        }
    }

    /// Returns what happened between each sample and the next, the oldest first.
    pub fn spans(&self) -> Vec<Span> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = samples.iter().zip(samples.iter().skip(1));
        pairs.map(|(old, new)| Span::between(old, new)).collect()
    }
}

impl Span {
    fn between(old: &(Instant, Traffic), new: &(Instant, Traffic)) -> Self {
        let ((began, old), (ended, new)) = (old, new);
        let before = |bound: f64| {
            let mut known = old.durations.iter();
            known.find(|(of, _)| of.total_cmp(&bound).is_eq()).map_or(0, |(_, count)| *count)
        };
        let mut below = 0;
        let durations = new.durations.iter().map(|(bound, count)| {
            let up_to = count.saturating_sub(before(*bound));
            let own = up_to.saturating_sub(below);
            below = up_to;
            (*bound, own)
        });
        Self {
            ended: ended.elapsed().as_secs_f64(),
            seconds: ended.duration_since(*began).as_secs_f64().max(0.001),
            allowed: (new.allowed - old.allowed).max(0.0),
            denied: (new.denied - old.denied).max(0.0),
            shed: (new.shed - old.shed).max(0.0),
            durations: durations.collect(),
        }
    }
}

/// Returns the time in seconds below which that share of the calls of some spans was answered, as
/// far as the buckets of the metric tell; nothing where there were no calls.
pub(super) fn percentile<'a>(spans: impl IntoIterator<Item = &'a Span>, share: f64) -> Option<f64> {
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    for (bound, count) in spans.into_iter().flat_map(|span| span.durations.iter().copied()) {
        match buckets.iter_mut().find(|(known, _)| known.total_cmp(&bound).is_eq()) {
            Some((_, sum)) => *sum += count,
            None => buckets.push((bound, count)),
        }
    }
    buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let all: u64 = buckets.iter().map(|(_, count)| count).sum();
    let wanted = all as f64 * share;
    let (mut below, mut lower) = (0.0, 0.0);
    for (bound, count) in buckets.iter().filter(|_| all > 0) {
        let count = *count as f64;
        if below + count >= wanted && count > 0.0 {
            // Beyond the last bound nothing more is known.
            let upper = if bound.is_finite() { *bound } else { lower };
            return Some(lower + (upper - lower) * (wanted - below) / count);
        }
        below += count;
        lower = if bound.is_finite() { *bound } else { lower };
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn traffic(durations: &[(f64, u64)]) -> Traffic {
        Traffic { durations: durations.to_vec(), ..Traffic::default() }
    }

    #[test]
    fn percentiles_are_those_of_the_time_between_two_samples() {
        let history = TrafficHistory::default();
        let now = Instant::now();
        history.add(now, traffic(&[(0.1, 1_000), (0.2, 1_000), (f64::INFINITY, 1_000)]));
        let later = now + INTERVAL;
        history.add(later, traffic(&[(0.1, 1_050), (0.2, 1_100), (f64::INFINITY, 1_100)]));
        let spans = history.spans();
        let of = |share| percentile(&spans, share).unwrap();
        assert!((of(0.25) - 0.05).abs() < 1e-9 && (of(0.99) - 0.198).abs() < 1e-9);
        history
            .add(later + INTERVAL, traffic(&[(0.1, 1_050), (0.2, 1_100), (f64::INFINITY, 1_100)]));
        assert_eq!(percentile(history.spans().last(), 0.5), None, "nobody called");
        history.add(now + 3 * SPAN, Traffic::default());
        assert_eq!(history.spans(), []);
    }
}
