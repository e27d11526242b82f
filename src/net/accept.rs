//! From a listener to connections that are served.

use std::sync::Arc;

use tokio::{runtime::Handle, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    Face, Listener,
    connection::{Connection, Socket},
    connection_limit::ConnectionLimit,
    listener::AcceptedSocket,
    peer::Peer,
    read_deadline::ReadDeadline,
    tls::Handshakes,
};

/// Accepts connections until `shutdown`, gives them to the runtimes in turn and serves each with
/// `serve_connection`. Returns once the last of them has ended.
///
/// A connection has its permit before anything is read of it, and stays on its runtime.
pub(crate) async fn serve<F>(
    listener: Listener,
    face: Face,
    limit: Arc<ConnectionLimit>,
    runtimes: &[Handle],
    shutdown: CancellationToken,
    serve_connection: impl Fn(Connection, Peer) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let handshakes = match &listener {
        Listener::Tls(_, tls) => Some(Arc::new(Handshakes::new(tls.clone(), face))),
        Listener::Tcp(_) | Listener::Unix(_) => None,
    };
    let mut connections = JoinSet::new();
    let mut runtimes = runtimes.iter().cycle();
    loop {
        let socket = tokio::select! {
            () = shutdown.cancelled() => break,
            socket = listener.accept() => socket,
            // Those that have ended must not be kept until the end.
            Some(_) = connections.join_next() => continue,
        };
        let permit = match &listener {
            Listener::Unix(_) => limit.acquire_over_unix(),
            Listener::Tcp(_) | Listener::Tls(..) => limit.acquire(),
        };
        let Some(permit) = permit else { continue };
        let Some(runtime) = runtimes.next() else { break };
        let (handshakes, serve_connection) = (handshakes.clone(), serve_connection.clone());
        let connection = async move {
            let Some((socket, peer)) = open(socket, handshakes).await else { return };
            let patience = permit.limit().patience();
            let deadline = match face {
                Face::Grpc => ReadDeadline::http2_preface(patience),
                Face::Http => ReadDeadline::http1_exchanges(patience),
                Face::Web => ReadDeadline::http1_or_http2(patience),
            };
            serve_connection(Connection::new(socket, permit, deadline), peer).await;
        };
        connections.spawn_on(connection, runtime);
    }
    // Closes the socket before the last calls are answered: new clients go elsewhere at once.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Takes over an accepted connection in the runtime of the caller, with a TLS handshake where one is
/// wanted.
async fn open(
    socket: AcceptedSocket,
    handshakes: Option<Arc<Handshakes>>,
) -> Option<(Socket, Peer)> {
    let registered = socket.register();
    let registered =
        registered.inspect_err(|error| tracing::warn!(%error, "cannot take over a connection"));
    match (registered.ok()?, handshakes) {
        ((Socket::Tcp(socket), peer), Some(handshakes)) => {
            let (socket, identity) = handshakes.complete(socket, peer.address).await?;
            Some((Socket::Tls(Box::new(socket)), Peer { identity, ..peer }))
        }
        (plain, _) => Some(plain),
    }
}
