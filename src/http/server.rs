//! Serving the HTTP face.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service as _;

use super::{
    HttpOptions, LogControl,
    routes::routes,
    serving::HttpFace,
    state::{AdminState, IsLocal},
};
use crate::{
    grpc::GrpcServer,
    net::{self, Connection, ConnectionLimit, Face, Listener, Peer},
};

/// Bytes of a request's head.
pub(super) const HEAD_BYTES: usize = 32 * 1024;

/// The HTTP face of a gRPC server. Clones are the same server.
#[derive(Debug, Clone)]
pub struct HttpServer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: AdminState,
    options: HttpOptions,
    connections: Arc<ConnectionLimit>,
}

impl HttpServer {
    /// Makes the HTTP face of a server. `log` is what `/log-level` shows and changes; `settings` are
    /// those of the process, without secrets, for `/status`.
    #[must_use]
    pub fn new(
        grpc: &GrpcServer,
        options: HttpOptions,
        log: Option<Arc<dyn LogControl>>,
        settings: serde_json::Value,
    ) -> Self {
        let connections = ConnectionLimit::new(options.connections, options.patience);
        grpc.metrics().observe_connections(grpc.connections(), &connections);
        let state = AdminState::new(grpc.clone(), log, settings);
        Self { inner: Arc::new(Inner { state, options, connections }) }
    }

    /// Answers until `shutdown` completes, and then finishes the requests under way, for at most
    /// [`HttpOptions::drain_timeout`].
    pub async fn serve(&self, listener: impl Into<Listener>, shutdown: impl Future<Output = ()>) {
        let listener = listener.into();
        self.inner.state.grpc().note_tls(&listener);
        let (routes, head_timeout) =
            (routes(self.inner.state.clone()), self.inner.options.head_timeout);
        let face = HttpFace {
            face: Face::Http,
            connections: Arc::clone(&self.inner.connections),
            drain_timeout: self.inner.options.drain_timeout,
        };
        face.serve(listener, shutdown, move |io, peer, stopped| {
            serve_connection(io, peer, routes.clone(), head_timeout, stopped)
        })
        .await;
    }
}

/// Serves one connection until its peer closes it or, after `shutdown`, until its request is
/// answered.
async fn serve_connection(
    connection: Connection,
    peer: Peer,
    routes: Router,
    head_timeout: Duration,
    shutdown: CancellationToken,
) {
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(HEAD_BYTES);
    let is_local = IsLocal(peer.is_local);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(is_local);
        routes.clone().call(request)
    });
    let connection = protocol.serve_connection(TokioIo::new(connection), service);
    let served = net::serve_until_shutdown(connection, shutdown).await;
    // A client that goes away or sends nonsense is its own business.
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection broke off");
    }
}
