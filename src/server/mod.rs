//! The gRPC and HTTP faces.
//!
//! One call goes listener → [`admission`] → conversion ([`convert`]) → check and decision in the
//! core → conversion → answer. The handlers in [`authorization`] show the way; the stores are looked
//! up once a call, and nothing waits between that and a decision.

mod admission;
mod authorization;
mod batch;
pub mod codec;
mod convert;
mod decision_id;
mod errors;
mod grpc;
mod health;
mod http;
mod listen;
mod metrics;
mod options;
mod status;
pub mod transport;
mod work;

pub use listen::Listener;
pub use options::ServerOptions;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::serve::ListenerExt as _;
use tokio::{net::TcpListener, sync::oneshot};

use self::{admission::Gate, health::HealthService, metrics::Metrics};
use crate::live::Live;

/// The faces of one process. Clones are the same server.
#[derive(Debug, Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    live: Arc<Live>,
    options: Arc<ServerOptions>,
    health: HealthService,
    gate: Arc<Gate>,
    metrics: Arc<Metrics>,
    started: Instant,
}

/// Why the server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The gRPC transport says no.
    #[error("cannot serve gRPC: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The contract cannot be described.
    #[error("cannot describe the gRPC services: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The network says no.
    #[error("cannot serve HTTP: {0}")]
    Io(#[from] io::Error),
    /// A part of the server ended early.
    #[error("a part of the server ended: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Server {
    /// A server that decides with what is live. It reports NOT_SERVING until told otherwise.
    #[must_use]
    pub fn new(live: Arc<Live>, options: ServerOptions) -> Self {
        let gate = Arc::new(Gate::new(options.concurrent_requests));
        let metrics = Arc::new(Metrics::new(&live, &gate));
        Self {
            inner: Arc::new(Inner {
                live,
                options: Arc::new(options),
                health: HealthService::new(),
                gate,
                metrics,
                started: Instant::now(),
            }),
        }
    }

    /// Says in the gRPC health service whether the server answers: for the server as a whole and
    /// for `humbaba.v1.AuthorizationService`. A server that was told to stop stays NOT_SERVING.
    pub fn set_serving(&self, serving: bool) {
        self.inner.health.set_serving(serving);
    }

    /// Answers gRPC on all listeners until `shutdown` completes, and then finishes the calls under
    /// way, for at most [`ServerOptions::drain_timeout`].
    ///
    /// # Errors
    /// Why it could not begin or go on.
    pub async fn serve_grpc(
        &self,
        listeners: Vec<Listener>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        grpc::serve(self, listeners, shutdown).await
    }

    /// Answers HTTP until `shutdown` completes, and then finishes the requests under way, for at
    /// most [`ServerOptions::drain_timeout`].
    ///
    /// # Errors
    /// Why it could not begin or go on.
    pub async fn serve_http(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
        let (stopping, stopped) = oneshot::channel();
        let shutdown = async move {
            shutdown.await;
            let _ = stopping.send(());
        };
        let serving = axum::serve(listener, http::routes(self.clone()));
        let serving = serving.with_graceful_shutdown(shutdown).into_future();
        let too_long = async {
            // Never, if the shutdown was dropped instead of completed.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(self.inner.options.drain_timeout).await;
        };
        tokio::select! {
            served = serving => Ok(served?),
            () = too_long => {
                tracing::warn!("stopped before every HTTP request was answered");
                Ok(())
            }
        }
    }

    fn live(&self) -> &Arc<Live> {
        &self.inner.live
    }

    fn options(&self) -> &Arc<ServerOptions> {
        &self.inner.options
    }

    fn health(&self) -> &HealthService {
        &self.inner.health
    }

    fn is_serving(&self) -> bool {
        self.inner.health.is_serving()
    }

    fn gate(&self) -> &Arc<Gate> {
        &self.inner.gate
    }

    fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.metrics
    }

    fn uptime(&self) -> Duration {
        self.inner.started.elapsed()
    }
}
