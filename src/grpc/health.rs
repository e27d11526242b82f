//! The standard gRPC health service.
//!
//! Not the one of tonic-health: that reports SERVING until told otherwise, and its watches never
//! end, which would keep a stopping server waiting for them.

use std::pin::Pin;

use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt as _, wrappers::WatchStream};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_server::Health,
};

use crate::proto::authorization_service_server::SERVICE_NAME;

/// Whether the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    NotServing,
    Serving,
    /// It will never serve again.
    Stopped,
}

/// Tells whether the server answers, for the server as a whole and for its one service.
#[derive(Debug, Clone)]
pub(super) struct HealthService {
    phase: watch::Sender<Phase>,
}

impl HealthService {
    /// Not serving.
    pub fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::NotServing) }
    }

    pub fn set_serving(&self, serving: bool) {
        self.set(if serving { Phase::Serving } else { Phase::NotServing });
    }

    /// Not serving any more; watches end.
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

    pub fn is_serving(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }
}

fn is_known(service: &str) -> bool {
    service.is_empty() || service == SERVICE_NAME
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
        if !is_known(&request.get_ref().service) {
            return Err(Status::not_found("there is no such service"));
        }
        let status =
            if self.is_serving() { ServingStatus::Serving } else { ServingStatus::NotServing };
        Ok(Response::new(response(status)))
    }

    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = is_known(&request.get_ref().service);
        let statuses = WatchStream::new(self.phase.subscribe()).map_while(move |phase| {
            let status = match phase {
                Phase::Stopped => return None,
                // The specification wants it said and the watch kept open.
                _ if !is_known => ServingStatus::ServiceUnknown,
                Phase::NotServing => ServingStatus::NotServing,
                Phase::Serving => ServingStatus::Serving,
            };
            Some(Ok(response(status)))
        });
        Ok(Response::new(Box::pin(statuses)))
    }
}
