//! The metrics of shadow decisions. Actions are those of the schema that decided the answer, so no
//! label comes from a request.

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Meter},
};

use super::answer::ShadowDirection;
use crate::model::StoreName;

/// Counts shadow decisions.
#[derive(Debug)]
pub(super) struct ShadowMetrics {
    decisions: Counter<u64>,
    differences: Counter<u64>,
}

impl ShadowMetrics {
    /// Creates the instruments.
    pub(super) fn new(meter: &Meter) -> Self {
        let counter =
            |name, description| meter.u64_counter(name).with_description(description).build();
        Self {
            decisions: counter(
                "humbaba_shadow_decisions_total",
                "Answers that were compared with those of the candidate policies",
            ),
            differences: counter(
                "humbaba_shadow_differences_total",
                "Answers that the candidate policies would change, by action and direction",
            ),
        }
    }

    /// Counts a decision, and how the candidate's differs.
    pub(super) fn compared(
        &self,
        store: &StoreName,
        action: &str,
        differs: Option<ShadowDirection>,
    ) {
        let store = KeyValue::new("store", store.as_str().to_owned());
        if let Some(direction) = differs {
            let action = KeyValue::new("action", action.to_owned());
            let direction = KeyValue::new("direction", direction.name());
            self.differences.add(1, &[action, direction, store.clone()]);
        }
        self.decisions.add(1, &[store]);
    }
}
