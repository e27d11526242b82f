//! What the process tells a collector: spans and metrics over OTLP, as the `OTEL_…` environment
//! variables say. Without them nothing is sent and nothing is created for it. Decision records go the
//! same way where the decision log is told to send them.

mod endpoint;
mod logs;
mod otlp_metrics;
mod push;
mod variables;

pub use logs::{LogSender, Logs};
pub use variables::{Signal, Variables};

use std::time::Duration;

use opentelemetry::{InstrumentationScope, trace::TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};
use prometheus::Registry;

use self::{endpoint::Endpoint, push::MetricsPush};

/// How long the last spans and metrics may take to be sent when the process ends.
const FLUSH: Duration = Duration::from_secs(5);

/// What is sent to a collector.
#[derive(Debug)]
pub struct Telemetry {
    spans: Option<SdkTracerProvider>,
    metrics: Option<MetricsPush>,
}

impl Telemetry {
    /// Begins to send what the variables ask for: spans as they end, metrics from the registry at
    /// intervals. What cannot be sent is logged and left out, for deciding does not depend on it.
    ///
    /// Needs a runtime around it.
    #[must_use]
    pub fn start(variables: &Variables) -> Self {
        let spans = asked(variables, Signal::Traces).map(|endpoint| spans(variables, &endpoint));
        let metrics = asked(variables, Signal::Metrics)
            .map(|endpoint| MetricsPush::new(endpoint, resource(variables), variables.interval()));
        Self { spans: spans.flatten(), metrics }
    }

    /// What makes spans; none where nobody asked for them.
    #[must_use]
    pub fn tracer(&self) -> Option<SdkTracer> {
        let scope = InstrumentationScope::builder("humbaba");
        let scope = scope.with_version(env!("CARGO_PKG_VERSION")).build();
        self.spans.as_ref().map(|spans| spans.tracer_with_scope(scope))
    }

    /// Names what metrics are read from.
    pub fn read_metrics_from(&mut self, registry: Registry) {
        if let Some(metrics) = &mut self.metrics {
            metrics.start(registry);
        }
    }

    /// Sends what has not been sent, for at most some seconds, and ends.
    pub async fn finish(self) {
        let spans = async {
            let Some(spans) = self.spans else { return };
            let ended = tokio::task::spawn_blocking(move || spans.shutdown_with_timeout(FLUSH));
            match tokio::time::timeout(FLUSH, ended).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::warn!("the last spans were not sent: {error}"),
                Ok(Err(_)) | Err(_) => tracing::warn!("the last spans were not sent in time"),
            }
        };
        let metrics = async {
            let Some(metrics) = self.metrics else { return };
            if tokio::time::timeout(FLUSH, metrics.finish()).await.is_err() {
                tracing::warn!("the last metrics were not sent in time");
            }
        };
        tokio::join!(spans, metrics);
    }
}

/// Where a signal goes, if it is asked for and can be sent.
fn asked(variables: &Variables, signal: Signal) -> Option<Endpoint> {
    let endpoint = match variables.is_asked(signal) {
        Ok(false) => return None,
        Ok(true) => Endpoint::new(variables, signal),
        Err(error) => Err(error),
    };
    match endpoint {
        Ok(endpoint) => {
            tracing::info!(endpoint = endpoint.address(), "{signal} are sent over OTLP");
            Some(endpoint)
        }
        Err(error) => {
            tracing::error!("no {signal} are sent: {error}");
            None
        }
    }
}

fn spans(variables: &Variables, endpoint: &Endpoint) -> Option<SdkTracerProvider> {
    // Headers and timeout it reads from the environment by itself.
    let exporter = SpanExporter::builder().with_tonic().with_channel(endpoint.channel()).build();
    match exporter {
        Ok(exporter) => {
            let builder = SdkTracerProvider::builder().with_resource(resource(variables));
            Some(builder.with_batch_exporter(exporter).build())
        }
        Err(error) => {
            tracing::error!("no spans are sent: {error}");
            None
        }
    }
}

/// What sends: `service.name` is `humbaba` unless the environment names it.
fn resource(variables: &Variables) -> Resource {
    let mut resource = Resource::builder();
    if !variables.name_service() {
        resource = resource.with_service_name("humbaba");
    }
    resource
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}
