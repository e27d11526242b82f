//! The standard gRPC health service.
//!
//! Not the one of tonic-health: that reports SERVING until told otherwise, and its watches never
//! end, which would keep a stopping server waiting for them.

use std::{pin::Pin, sync::Arc};

use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt as _, wrappers::WatchStream};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_server::Health,
};

use crate::{proto::authorization_service_server::SERVICE_NAME, reload::Live};

/// The state of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    NotServing,
    Serving,
    /// It will never serve again.
    Stopped,
}

/// Reports whether the server answers, for the server as a whole and for the one service of a listener.
/// A server that can decide nothing, since the directory of every store was refused, does not.
#[derive(Debug, Clone)]
pub(super) struct HealthService {
    phase: watch::Sender<Phase>,
    live: Arc<Live>,
    service: &'static str,
}

/// The service name under which the process is SERVING only while everything that was found in the
/// policies folder is in force and every directory decides. It cannot be watched.
pub(crate) const STRICT: &str = "strict";

impl HealthService {
    /// Makes a service that reports NOT_SERVING until told otherwise.
    pub fn new(live: Arc<Live>) -> Self {
        Self { phase: watch::Sender::new(Phase::NotServing), live, service: SERVICE_NAME }
    }

    pub fn set_serving(&self, serving: bool) {
        self.set(if serving { Phase::Serving } else { Phase::NotServing });
    }

    /// Returns the same for listeners that have another service.
    pub fn of_service(&self, service: &'static str) -> Self {
        Self { service, ..self.clone() }
    }

    /// Reports NOT_SERVING from now on, and ends all watches.
    pub fn stop(&self) {
        self.set(Phase::Stopped);
    }

    fn set(&self, new: Phase) {
        self.phase.send_if_modified(|phase| {
            let changes = *phase != new && *phase != Phase::Stopped;
            if changes {
                *phase = new;
            }
            changes
        });
    }

    /// Waits until the server stops.
    pub async fn stopped(&self) {
        let mut phase = self.phase.subscribe();
        // Fails once the sender is dropped, and the server with it.
        let _ = phase.wait_for(|phase| *phase == Phase::Stopped).await;
    }

    fn is_known(&self, service: &str) -> bool {
        service.is_empty() || service == self.service
    }

    /// Returns whether the server answers calls, and has something to answer them with.
    pub fn is_serving(&self) -> bool {
        self.status_in(*self.phase.borrow()) == ServingStatus::Serving
    }

    /// Returns whether the first load of stores and directories has ended.
    pub fn is_loaded(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }

    fn status_in(&self, phase: Phase) -> ServingStatus {
        match phase {
            Phase::Serving if self.live.state().has_good_state() => ServingStatus::Serving,
            Phase::Serving | Phase::NotServing | Phase::Stopped => ServingStatus::NotServing,
        }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let is_in_force = match request.get_ref().service.as_str() {
            STRICT => self.live.is_clean(),
            service if self.is_known(service) => true,
            _ => return Err(Status::not_found("there is no such service")),
        };
        let is_serving = is_in_force && self.is_serving();
        let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        Ok(Response::new(response(status)))
    }

    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = self.is_known(&request.get_ref().service);
        let (health, mut told) = (self.clone(), None);
        let changes = WatchStream::new(self.phase.subscribe()).map(|_| ());
        let changes = changes.merge(WatchStream::from_changes(self.live.changes()));
        let statuses = changes.map_while(move |()| {
            let phase = *health.phase.borrow();
            match phase {
                Phase::Stopped => None,
                // The specification wants SERVICE_UNKNOWN sent and the watch kept open.
                _ if !is_known => Some(ServingStatus::ServiceUnknown),
                phase => Some(health.status_in(phase)),
            }
        });
        let news = statuses.filter(move |status| told.replace(*status) != Some(*status));
        Ok(Response::new(Box::pin(news.map(|status| Ok(response(status))))))
    }
}
