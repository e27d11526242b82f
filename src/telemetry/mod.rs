//! Metrics, and sending spans, metrics and decision records to a collector over OTLP as the `OTEL_…`
//! environment variables say. Without them nothing is sent, and no span is made.
//!
//! OpenTelemetry's SDK batches and sends spans and metrics. Decision records go through [`LogSender`],
//! which says why.

mod endpoint;
mod logs;
mod metrics;
mod process;
mod resource;
mod sampler;
mod sdk_events;
mod variables;

pub use logs::{LogSender, Logs};
pub use metrics::{MetricsError, MetricsProvider};
pub use sampler::{Sampler, SamplerError};
pub use sdk_events::SdkEvents;
pub use variables::{Signal, Variables};

use std::{fmt, time::Duration};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SdkTracer, SdkTracerProvider},
};

use self::{
    endpoint::CollectorEndpoint,
    resource::{resource, scope},
};

/// The metrics of a process, and the spans that it sends.
#[derive(Debug)]
pub struct Telemetry {
    spans: Option<SdkTracerProvider>,
    metrics: MetricsProvider,
}

impl Telemetry {
    /// Limits how long the last spans and metrics are sent when the process ends.
    pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

    /// Begins to send what the variables ask for. What cannot be sent is logged and left out, for
    /// decisions do not depend on it.
    ///
    /// Needs a tokio runtime around it.
    #[must_use]
    pub fn start(variables: &Variables) -> Self {
        let spans = exporter(variables, Signal::Traces, |endpoint| {
            // It adds headers from the environment by itself.
            let exporter = SpanExporter::builder().with_tonic().with_channel(endpoint.channel());
            exporter.with_timeout(endpoint.timeout()).build()
        });
        let metrics = exporter(variables, Signal::Metrics, |endpoint| {
            let exporter = MetricExporter::builder().with_tonic().with_channel(endpoint.channel());
            exporter.with_timeout(endpoint.timeout()).build()
        });
        let spans = spans.map(|exporter| {
            let provider = SdkTracerProvider::builder().with_resource(resource(variables));
            provider.with_batch_exporter(exporter).build()
        });
        Self { spans, metrics: MetricsProvider::new(variables, metrics) }
    }

    /// Returns what [`Self::start`] would log of spans and metrics that are asked for and cannot be sent.
    ///
    /// Needs a tokio runtime around it.
    #[must_use]
    pub fn problems(variables: &Variables) -> Vec<String> {
        let signals = [Signal::Traces, Signal::Metrics].into_iter();
        signals.filter_map(|signal| collector(variables, signal).err()).collect()
    }

    /// Makes spans; `None` where nobody asked for them.
    #[must_use]
    pub fn tracer(&self) -> Option<SdkTracer> {
        self.spans.as_ref().map(|spans| spans.tracer_with_scope(scope()))
    }

    /// Makes instruments that `/metrics` and the collector read.
    #[must_use]
    pub fn metrics(&self) -> &MetricsProvider {
        &self.metrics
    }

    /// Sends what has not been sent, for at most some seconds, and ends.
    pub async fn finish(self) {
        let spans = async {
            if let Some(spans) = self.spans {
                flush("spans", move || spans.shutdown_with_timeout(Self::FLUSH_TIMEOUT)).await;
            }
        };
        let metrics = flush("metrics", move || self.metrics.shutdown());
        tokio::join!(spans, metrics);
    }
}

/// Runs the shutdown of a provider, which blocks.
async fn flush(signal: &str, shutdown: impl FnOnce() -> OTelSdkResult + Send + 'static) {
    let ended = tokio::task::spawn_blocking(shutdown);
    match tokio::time::timeout(Telemetry::FLUSH_TIMEOUT, ended).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(OTelSdkError::Timeout(_)))) | Ok(Err(_)) | Err(_) => {
            tracing::warn!("the last {signal} were not sent in time");
        }
        // The sending that failed has logged why.
        Ok(Ok(Err(_))) => tracing::warn!("the last {signal} were not sent"),
    }
}

/// Builds the exporter of a signal, if it is asked for and can be sent.
fn exporter<E>(
    variables: &Variables,
    signal: Signal,
    build: impl FnOnce(&CollectorEndpoint) -> Result<E, ExporterBuildError>,
) -> Option<E> {
    let built = collector(variables, signal).and_then(|endpoint| {
        let Some(endpoint) = endpoint else { return Ok(None) };
        let exporter = build(&endpoint).map_err(|error| not_sent(signal, &error))?;
        tracing::info!(endpoint = endpoint.address(), "{signal} are sent over OTLP");
        Ok(Some(exporter))
    });
    built.unwrap_or_else(|problem| {
        tracing::error!("{problem}");
        None
    })
}

/// Returns the collector of a signal, if it is asked for.
///
/// # Errors
/// It is asked for, and the variables cannot be honoured.
fn collector(variables: &Variables, signal: Signal) -> Result<Option<CollectorEndpoint>, String> {
    let is_asked = variables.is_asked(signal);
    let collector = is_asked.and_then(|is_asked| {
        is_asked.then(|| CollectorEndpoint::new(variables, signal)).transpose()
    });
    collector.map_err(|error| not_sent(signal, &error))
}

fn not_sent(signal: Signal, error: &dyn fmt::Display) -> String {
    format!("no {signal} are sent: {error}")
}
