//! Serving `web_listen`.

use std::{io, sync::Arc};

use axum::middleware;

use super::{
    WebOptions,
    admission::{Admission, admit},
    connection::{self, ConnectionLimits},
    hosts::AllowedHosts,
};
use crate::{
    grpc::GrpcServer,
    http::{
        authzen::{self, Authzen},
        console::Console,
        serving::HttpFace,
    },
    net::{ConnectionLimit, Face, Listener, LongCallPool},
};

/// The server of `web_listen`, which decides as the gRPC server does. Clones are the same server.
#[derive(Debug, Clone)]
pub struct WebServer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    grpc: GrpcServer,
    options: WebOptions,
    connections: Arc<ConnectionLimit>,
}

impl WebServer {
    /// Makes a server that decides with what is live in a gRPC server, within the same limits.
    #[must_use]
    pub fn new(grpc: &GrpcServer, options: WebOptions) -> Self {
        let connections = ConnectionLimit::new(options.connections, options.patience);
        grpc.metrics().observe_web_connections(&connections);
        Self { inner: Arc::new(Inner { grpc: grpc.clone(), options, connections }) }
    }

    /// Answers until `shutdown` completes, and then finishes the requests under way, for at most
    /// [`WebOptions::drain_timeout`].
    ///
    /// # Errors
    /// The system gives no thread for long decisions.
    pub async fn serve(
        &self,
        listener: impl Into<Listener>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let Inner { grpc, options, connections } = &*self.inner;
        let listener = listener.into();
        grpc.note_tls(&listener);
        let mut hosts = options.hosts.clone();
        hosts.extend(options.public_url.as_ref().map(|url| url.host().to_owned()));
        let admission = Admission {
            hosts: Arc::new(AllowedHosts::new(&listener, hosts)),
            tokens: options.tokens.clone(),
            grpc: grpc.clone(),
            scheme: if matches!(listener, Listener::Tls(..)) { "https" } else { "http" },
        };
        let authzen = Authzen::new(grpc, LongCallPool::start()?, options.public_url.clone());
        let console = Console::new(grpc, options.bounds.clone(), options.tokens.clone());
        let routes = authzen::routes(authzen)
            .merge(console.routes())
            .layer(middleware::from_fn_with_state(admission, admit));
        let limits = ConnectionLimits {
            head_timeout: options.head_timeout,
            http2: grpc.options().http2.clone(),
        };
        let face = HttpFace {
            face: Face::Web,
            connections: Arc::clone(connections),
            drain_timeout: options.drain_timeout,
        };
        let serving = face.serve(listener, shutdown, move |io, peer, stopped| {
            connection::serve(io, peer, routes.clone(), limits.clone(), stopped)
        });
        tokio::select! {
            () = serving => {}
            () = console.sample() => {}
            () = console.prepare() => {}
        }
        Ok(())
    }
}
