use std::sync::Arc;

use opentelemetry_sdk::trace::SdkTracer;

use crate::{decision_log::DecisionLog, telemetry::MetricsProvider};

/// The means to observe a server from outside.
#[derive(Debug, Clone, Default)]
pub struct Observability {
    /// Makes a span of each call. Without it no call has one.
    pub tracer: Option<SdkTracer>,
    /// Makes the instruments of the server, and writes them at `/metrics`.
    pub metrics: MetricsProvider,
    /// Records decisions. Whoever opened it closes it once the server has ended.
    pub decision_log: DecisionLog,
    /// What is logged, to be looked at and changed over HTTP.
    pub log: Option<Arc<dyn LogControl>>,
    /// The settings of the process, without secrets, for the status.
    pub settings: serde_json::Value,
}

/// Says and changes which events are logged.
pub trait LogControl: std::fmt::Debug + Send + Sync {
    /// Which events are logged now, e.g. `info` or `humbaba=debug,warn`.
    fn filter(&self) -> String;

    /// Changes it; an empty text goes back to what the settings say.
    ///
    /// # Errors
    /// What is wrong with the filter, in words for the user.
    fn set_filter(&self, filter: &str) -> Result<(), String>;
}
