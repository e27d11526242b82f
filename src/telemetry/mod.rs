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
mod variables;

pub use logs::{LogSender, Logs};
pub use metrics::{MetricsError, MetricsProvider};
pub use sampler::{Sampler, SamplerError};
pub use variables::{Signal, Variables};

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracer, SdkTracerProvider},
};

use self::{
    endpoint::Endpoint,
    resource::{resource, scope},
};

/// Limits how long the last spans and metrics are sent when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// The metrics of a process, and the spans that it sends.
#[derive(Debug)]
pub struct Telemetry {
    spans: Option<SdkTracerProvider>,
    metrics: MetricsProvider,
}

impl Telemetry {
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
                flush("spans", move || spans.shutdown_with_timeout(FLUSH_TIMEOUT)).await;
            }
        };
        let metrics = flush("metrics", move || self.metrics.shutdown());
        tokio::join!(spans, metrics);
    }
}

/// Runs the shutdown of a provider, which blocks.
async fn flush(signal: &str, shutdown: impl FnOnce() -> OTelSdkResult + Send + 'static) {
    let ended = tokio::task::spawn_blocking(shutdown);
    match tokio::time::timeout(FLUSH_TIMEOUT, ended).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!("the last {signal} were not sent: {error}"),
        Ok(Err(_)) | Err(_) => tracing::warn!("the last {signal} were not sent in time"),
    }
}

/// Builds the exporter of a signal, if it is asked for and can be sent.
fn exporter<E>(
    variables: &Variables,
    signal: Signal,
    build: impl FnOnce(&Endpoint) -> Result<E, ExporterBuildError>,
) -> Option<E> {
    let built = match variables.is_asked(signal) {
        Ok(false) => return None,
        Ok(true) => Endpoint::new(variables, signal).and_then(|endpoint| {
            let exporter = build(&endpoint).map_err(|error| error.to_string())?;
            tracing::info!(endpoint = endpoint.address(), "{signal} are sent over OTLP");
            Ok(exporter)
        }),
        Err(error) => Err(error),
    };
    built.inspect_err(|error| tracing::error!("no {signal} are sent: {error}")).ok()
}
