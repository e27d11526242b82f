//! What has become of decision records.

use opentelemetry::{KeyValue, metrics::Meter};

use crate::audit::DecisionLog;

pub(super) fn records(meter: &Meter, log: &DecisionLog) {
    if !log.is_on() {
        return;
    }
    let counted = log.clone();
    meter
        .u64_observable_counter("decision_log_records")
        .with_description("Decision records by what became of them")
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
        .u64_observable_gauge("decision_log_queue")
        .with_description("Decision records that wait to be written, in memory")
        .with_unit("By")
        .with_callback(move |observer| {
            if let Some(counts) = counted.counts() {
                observer.observe(counts.queued_bytes as u64, &[]);
            }
        })
        .build();
}
