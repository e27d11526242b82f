//! The gRPC and HTTP faces.
//!
//! One call goes listener → `transport` → `calls` → conversion (`convert`) → check and decision in
//! the core → conversion → answer. The handlers in `authorization` show the way; the stores are looked
//! up once a call, and nothing waits between that and a decision.

mod admission;
mod authorization;
mod batch;
mod calls;
mod connections;
mod convert;
mod deadline;
mod decision_id;
mod errors;
mod grpc;
mod health;
mod http;
mod http2;
mod listen;
mod log_level;
mod message;
mod metrics;
mod observability;
mod options;
mod own;
mod peers;
mod recording;
#[doc(hidden)]
pub mod replay;
mod status;
pub mod tls;
mod traced;
pub mod transport;
mod verification;
mod wire;
mod work;

pub use listen::Listener;
pub use observability::{LogControl, Observability};
pub use options::{ConnectionLimits, ServerOptions};
pub use peers::Connections;
pub use tls::Tls;

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use self::{
    admission::Gate,
    connections::HttpTimes,
    health::HealthService,
    listen::Incoming,
    metrics::Metrics,
    peers::{Limited, Owed},
    tls::{Face, Handshakes},
};
use crate::{decision_log::DecisionLog, live::Live};

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
    connections: Arc<Connections>,
    http_connections: Arc<Connections>,
    metrics: Arc<Metrics>,
    tls: OnceLock<Tls>,
    observability: Observability,
    stopping: AtomicBool,
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
        Self::observed(live, options, Observability::default())
    }

    /// The same, looked at from outside.
    #[must_use]
    pub fn observed(live: Arc<Live>, options: ServerOptions, observability: Observability) -> Self {
        let gate = Arc::new(Gate::new(&options));
        let limits = &options.connections;
        let connections = Connections::new(limits.grpc, limits.patience);
        let http_connections = Connections::new(limits.http, limits.patience);
        let metrics =
            Metrics::new(&observability.metrics, &live, &gate, &observability.decision_log);
        let metrics = Arc::new(metrics);
        metrics.observe_connections(&connections, &http_connections);
        Self {
            inner: Arc::new(Inner {
                live,
                options: Arc::new(options),
                health: HealthService::new(),
                gate,
                connections,
                http_connections,
                metrics,
                tls: OnceLock::new(),
                observability,
                stopping: AtomicBool::new(false),
                started: Instant::now(),
            }),
        }
    }

    /// Says in the gRPC health service whether the server answers: for the server as a whole and
    /// for `humbaba.v1.AuthorizationService`. A server that was told to stop stays NOT_SERVING.
    pub fn set_serving(&self, serving: bool) {
        self.inner.health.set_serving(serving);
    }

    /// Says that the end is near: neither the health service nor `/readyz` send anybody here any
    /// more. Calls are answered as before.
    pub fn announce_stop(&self) {
        self.inner.stopping.store(true, Ordering::Relaxed);
        self.set_serving(false);
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
        listeners.iter().for_each(|listener| self.note(listener));
        grpc::serve(self, listeners, shutdown).await
    }

    /// Answers HTTP until `shutdown` completes, and then finishes the requests under way, for at
    /// most [`ServerOptions::drain_timeout`].
    ///
    /// # Errors
    /// Why it could not begin or go on.
    pub async fn serve_http(
        &self,
        listener: impl Into<Listener>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let listener = listener.into();
        self.note(&listener);
        let routes = http::routes(self.clone());
        let options = self.options();
        let times = HttpTimes { head: options.http_head_timeout, drain: options.drain_timeout };
        let open = &self.inner.http_connections;
        match listener {
            Listener::Tcp(listener) => {
                let limited = Limited::new(Incoming::new(listener), open, Owed::REQUEST);
                connections::serve(limited, routes, times, shutdown).await;
            }
            Listener::Unix(listener) => {
                let limited = Limited::new(Incoming::new(listener), open, Owed::REQUEST);
                connections::serve(limited, routes, times, shutdown).await;
            }
            Listener::Tls(listener, tls) => {
                let encrypted = Handshakes::new(listener, tls, Face::Http);
                let limited = Limited::new(encrypted, open, Owed::REQUEST);
                connections::serve(limited, routes, times, shutdown).await;
            }
        }
        Ok(())
    }

    /// Tells of the TLS of a listener in status and metrics.
    fn note(&self, listener: &Listener) {
        if let Listener::Tls(_, tls) = listener {
            self.inner.tls.get_or_init(|| {
                self.metrics().observe_tls(tls);
                tls.clone()
            });
        }
    }

    fn tls(&self) -> Option<&Tls> {
        self.inner.tls.get()
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

    fn is_stopping(&self) -> bool {
        self.inner.stopping.load(Ordering::Relaxed)
    }

    fn observability(&self) -> &Observability {
        &self.inner.observability
    }

    fn gate(&self) -> &Arc<Gate> {
        &self.inner.gate
    }

    fn connections(&self) -> &Arc<Connections> {
        &self.inner.connections
    }

    fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.metrics
    }

    fn decision_log(&self) -> &DecisionLog {
        &self.inner.observability.decision_log
    }

    fn uptime(&self) -> Duration {
        self.inner.started.elapsed()
    }
}
