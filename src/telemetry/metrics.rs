//! The one place where metrics are counted. Prometheus reads it at `/metrics`, a collector gets it over
//! OTLP.

use std::fmt;

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{PeriodicReader, SdkMeterProvider},
};
use prometheus::{Registry, TextEncoder};

use super::{
    Variables, process,
    resource::{resource, scope},
};

/// Makes instruments, and writes what they have counted. Clones share their instruments.
///
/// An instrument has the full name that Prometheus and the collector see: neither adds a prefix or a
/// unit to it.
#[derive(Clone)]
pub struct MetricsProvider {
    provider: SdkMeterProvider,
    registry: Registry,
}

/// Metrics that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the metrics: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

impl MetricsProvider {
    /// The content type of [`MetricsProvider::prometheus_text`].
    pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

    /// Creates a provider with the metrics of the process. The exporter, if there is one, gets
    /// everything at intervals.
    pub(super) fn new(variables: &Variables, exporter: Option<MetricExporter>) -> Self {
        let registry = Registry::new();
        let prometheus = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_units()
            .without_counter_suffixes()
            .without_target_info()
            .scope_info_enabled(false)
            .build();
        let mut provider = SdkMeterProvider::builder().with_resource(resource(variables));
        match prometheus {
            Ok(prometheus) => provider = provider.with_reader(prometheus),
            Err(error) => tracing::error!(%error, "`/metrics` has no metrics"),
        }
        if let Some(exporter) = exporter {
            let reader = PeriodicReader::builder(exporter).with_interval(variables.interval());
            provider = provider.with_reader(reader.build());
        }
        let provider = Self { provider: provider.build(), registry };
        process::observe(&provider.meter());
        provider
    }

    /// Creates instruments.
    #[must_use]
    pub fn meter(&self) -> Meter {
        self.provider.meter_with_scope(scope())
    }

    /// Writes every metric in Prometheus' text format. It reads files of the system and waits for
    /// locks, so it does not belong on a thread that answers calls.
    ///
    /// # Errors
    /// A metric cannot be written as text.
    pub fn prometheus_text(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }

    /// Reads every metric. It costs what [`Self::prometheus_text`] does.
    pub(crate) fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.registry.gather()
    }

    /// Sends what the collector does not have yet, and ends. Blocks.
    pub(super) fn shutdown(&self) -> OTelSdkResult {
        self.provider.shutdown()
    }
}

impl Default for MetricsProvider {
    /// Creates a provider that sends nothing.
    fn default() -> Self {
        Self::new(&Variables::default(), None)
    }
}

impl fmt::Debug for MetricsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsProvider").finish_non_exhaustive()
    }
}
