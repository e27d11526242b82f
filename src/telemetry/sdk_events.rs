//! The log events of OpenTelemetry's libraries, in words for whoever runs the process.
//!
//! The libraries log names of their own types and steps (`BatchSpanProcessor.ExportError`). What a user
//! can do something about is logged here in its place, with the setting or variable that it is about; the
//! rest of it is left out above the level `debug`.

use std::collections::BTreeMap;

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, filter::LevelFilter, layer::Context};

/// Logs the events of OpenTelemetry's libraries again, each in words of this program.
///
/// It logs while it handles an event, so it must be the last layer: layers behind it would take the state
/// of their filters from the event of its own.
#[derive(Debug)]
pub struct SdkEvents;

/// The fields of an event, as text.
#[derive(Debug, Default)]
struct EventFields(BTreeMap<&'static str, String>);

impl SdkEvents {
    /// Returns whether an event is told in other words, so that it is not to be logged as it is.
    #[must_use]
    pub fn replaces(metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("opentelemetry") && *metadata.level() <= Level::INFO
    }
}

impl<S: Subscriber> Layer<S> for SdkEvents {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if Self::replaces(event.metadata()) {
            let mut fields = EventFields::default();
            event.record(&mut fields);
            tell(event.metadata().name(), &fields);
        }
    }

    /// Without this the events of every library would be looked at, whatever their level.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }
}

/// Logs an event of that name in our words.
fn tell(name: &str, fields: &EventFields) {
    match name {
        "BatchSpanProcessor.ExportError" => {
            tracing::error!(
                "spans were not sent to the collector: {}",
                reason(fields.get("error"))
            );
        }
        "PeriodicReader.ExportError" => {
            tracing::error!(
                "metrics were not sent to the collector: {}",
                reason(fields.get("error"))
            );
        }
        "BatchSpanProcessor.SpanDroppingStarted" => tracing::warn!(
            "spans are dropped: more are made than the collector takes; raise \
             `OTEL_BSP_MAX_QUEUE_SIZE`, or sample them with `OTEL_TRACES_SAMPLER`"
        ),
        "BatchSpanProcessor.SpansDropped" => {
            tracing::warn!(spans = fields.get("dropped_span_count"), "spans were dropped");
        }
        "TonicTracesClient.PartialSuccess" => {
            tracing::warn!(spans = fields.get("rejected_spans"), "the collector rejected spans");
        }
        "TonicMetricsClient.PartialSuccess" => tracing::warn!(
            data_points = fields.get("rejected_data_points"),
            "the collector rejected metrics"
        ),
        "TracerProvider.Config.InvalidSamplerArgument" => {
            tracing::warn!(
                "`OTEL_TRACES_SAMPLER_ARG` is no number from 0 to 1: all spans are sampled"
            );
        }
        "TracerProvider.Config.InvalidSamplerType" | "TracerProvider.Config.UnsupportedSampler" => {
            tracing::warn!(
                "`OTEL_TRACES_SAMPLER` names no sampler that there is here: spans are sampled as \
                 their callers decided, and all of the others"
            );
        }
        "Exporter.Config.InvalidEnvironmentVariable" => tracing::warn!(
            variable = fields.get("environment_variable"),
            "a variable is ignored, for it cannot have that value"
        ),
        "PeriodReaderThreadStartError" | "PeriodicReader.WorkerThreadTerminated" => {
            tracing::error!(
                "no metrics are sent to the collector, for the thread that does has ended: start the \
             process again"
            )
        }
        "MetricScrapeFailed" => {
            tracing::error!("`/metrics` has no metrics: {}", fields.get("message"));
        }
        // Steps of the libraries, and what is logged by whoever called them.
        _ => {}
    }
}

/// Returns the reason of a failed sending without the names of the library's types. The message of the
/// collector is not in it, which could hold anything.
fn reason(error: &str) -> &str {
    error.split_once("gRPC code: ").map_or(error, |(_, reason)| reason)
}

impl EventFields {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl Visit for EventFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_the_code_and_no_type_of_a_library() {
        for (error, expected) in [
            (
                "Operation failed: TonicTracesClient export failed with gRPC code: Unavailable: tcp",
                "Unavailable: tcp",
            ),
            ("Operation timed out after 10s", "Operation timed out after 10s"),
        ] {
            assert_eq!(reason(error), expected);
        }
    }
}
