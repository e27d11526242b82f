//! The connections of the HTTP face.

use std::{io, net::SocketAddr, time::Duration};

use axum::Router;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinSet,
    time::timeout,
};
use tokio_stream::{Stream, StreamExt as _};
use tonic::codegen::Service as _;

use super::tls::Encrypted;

/// Bytes of a request's head.
const HEAD_BYTES: usize = 32 * 1024;

/// How long what may take how long.
pub(super) struct HttpTimes {
    /// The head of a request; a connection on which none comes for so long is closed too.
    pub head: Duration,
    /// The requests under way, once it is time to stop.
    pub drain: Duration,
}

/// Whether a request comes from this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct IsLocal(pub bool);

/// A connection that knows where it comes from.
pub(super) trait Peer {
    /// Whether that is this machine. Of what nothing is known is not.
    fn is_local(&self) -> bool;
}

impl Peer for TcpStream {
    fn is_local(&self) -> bool {
        self.peer_addr().is_ok_and(is_loopback)
    }
}

impl Peer for Encrypted {
    fn is_local(&self) -> bool {
        self.address().is_some_and(is_loopback)
    }
}

impl Peer for UnixStream {
    fn is_local(&self) -> bool {
        true
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Answers on those connections until `shutdown` completes, and then what is under way.
pub(super) async fn serve<I>(
    mut connections: impl Stream<Item = io::Result<I>> + Unpin,
    routes: Router,
    times: HttpTimes,
    shutdown: impl Future<Output = ()>,
) where
    I: AsyncRead + AsyncWrite + Peer + Unpin + Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(times.head).max_buf_size(HEAD_BYTES);
    let graceful = GracefulShutdown::new();
    let mut open = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(connection) = connections.next() => {
                let Ok(io) = connection else { continue };
                let (is_local, routes) = (IsLocal(io.is_local()), routes.clone());
                let service = service_fn(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(is_local);
                    routes.clone().call(request)
                });
                let answered = graceful.watch(http.serve_connection(TokioIo::new(io), service));
                open.spawn(async move {
                    // A client that goes away or sends nonsense is its own business.
                    if let Err(error) = answered.await {
                        tracing::debug!(%error, "an HTTP connection broke off");
                    }
                });
            }
            Some(_) = open.join_next() => {}
        }
    }
    drop(connections);
    if timeout(times.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("stopped before every HTTP request was answered");
    }
}
