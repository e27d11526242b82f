//! The parts of a server that its calls share.

use std::sync::Arc;

use opentelemetry_sdk::trace::SdkTracer;

use super::{
    GrpcOptions, decider::Decider, directory::EmbeddedDirectories, health::HealthService,
    metrics::Metrics,
};
use crate::{audit::DecisionLog, net::ConcurrencyLimit, reload::Live, shadow::Shadow};

/// The parts of a server that its calls share.
#[derive(Debug)]
pub(super) struct ServerState {
    pub live: Arc<Live>,
    pub options: Arc<GrpcOptions>,
    pub tracer: Option<SdkTracer>,
    pub decision_log: DecisionLog,
    pub shadow: Shadow,
    pub health: HealthService,
    /// The limit on the calls of the authorization service.
    pub limit: Arc<ConcurrencyLimit>,
    /// The limit on those that wait for a version of a directory.
    pub waiting: Arc<ConcurrencyLimit>,
    pub metrics: Arc<Metrics>,
    pub embedded: EmbeddedDirectories,
}

impl ServerState {
    /// Returns a decider for the calls of this server.
    pub fn decider(&self) -> Decider {
        Decider {
            options: Arc::clone(&self.options),
            metrics: Arc::clone(&self.metrics),
            shadow: self.shadow.clone(),
        }
    }
}
