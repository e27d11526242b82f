//! Serving connections of a listener over HTTP until the process stops.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{runtime::Handle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::net::{self, Connection, ConnectionLimit, Face, Listener, Peer};

/// A face of the process that is served over HTTP.
pub(super) struct HttpFace {
    pub face: Face,
    pub connections: Arc<ConnectionLimit>,
    /// The time that requests under way have to end.
    pub drain_timeout: Duration,
}

impl HttpFace {
    /// Serves each connection with what `serve_connection` makes until `shutdown` completes, and then
    /// waits for the requests under way. `serve_connection` gets a token that tells it to stop.
    pub async fn serve<F>(
        self,
        listener: Listener,
        shutdown: impl Future<Output = ()>,
        serve_connection: impl Fn(Connection, Peer, CancellationToken) -> F + Clone + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serve_connection =
            move |connection, peer| serve_connection(connection, peer, stopped.clone());
        let (face, connections, runtimes) = (self.face, self.connections, [Handle::current()]);
        let serving =
            net::serve(listener, face, connections, &runtimes, stop.clone(), serve_connection);
        let mut serving = pin!(serving);
        tokio::select! {
            () = shutdown => stop.cancel(),
            () = &mut serving => return,
        }
        if timeout(self.drain_timeout, serving).await.is_err() {
            tracing::warn!("stopped before every HTTP request was answered");
        }
    }
}
