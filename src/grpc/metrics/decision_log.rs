//! Metrics of the decision log.

use opentelemetry::{KeyValue, metrics::Meter};

use crate::audit::DecisionLog;

/// Adds the metrics of the decision log, if it is on.
pub(super) fn records(meter: &Meter, log: &DecisionLog) {
    if !log.is_on() {
        return;
    }
    let counted = log.clone();
    meter
        .u64_observable_counter("humbaba_decision_log_records_total")
        .with_description("Decision records by outcome")
        .with_callback(move |observer| {
            let Some(counts) = counted.counts() else { return };
            for (result, count) in [
                ("written", counts.written),
                ("dropped", counts.dropped),
                ("failed", counts.failed),
                ("sampled_out", counts.sampled_out),
            ] {
                observer.observe(count, &[KeyValue::new("result", result)]);
            }
        })
        .build();
    let counted = log.clone();
    meter
        .u64_observable_gauge("humbaba_decision_log_queue_bytes")
        .with_description("Decision records that wait to be written, in memory")
        .with_unit("By")
        .with_callback(move |observer| {
            if let Some(counts) = counted.counts() {
                observer.observe(counts.queued_bytes as u64, &[]);
            }
        })
        .build();
}
