//! The HTTP/2 connections on which the gRPC face is served.

use std::{io, pin::pin, sync::Arc};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::JoinSet,
};
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::Connected;

use super::{
    ConnectionLimits, ServeError,
    calls::{Calls, OfConnection},
    transport::{Application, FRAME_BYTES, stop},
};

/// Serves calls over HTTP/2.
#[derive(Clone)]
pub(super) struct Http2 {
    calls: Arc<Calls>,
    protocol: http2::Builder<TokioExecutor>,
}

impl Http2 {
    /// With those limits on each connection.
    pub fn new(calls: Calls, limits: &ConnectionLimits) -> Self {
        let mut protocol = http2::Builder::new(TokioExecutor::new());
        protocol
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_frame_size(FRAME_BYTES)
            .max_header_list_size(limits.header_bytes)
            .max_pending_accept_reset_streams(limits.waiting_resets)
            .max_local_error_reset_streams(limits.forced_resets)
            .keep_alive_interval(limits.keepalive_interval)
            .keep_alive_timeout(limits.keepalive_timeout);
        Self { calls: Arc::new(calls), protocol }
    }

    /// Serves one connection until its peer closes it or, once told to stop, until its calls are
    /// answered.
    async fn serve<Io>(self, io: Io, stopped: watch::Receiver<bool>)
    where
        Io: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let calls = OfConnection::new(self.calls, io.connect_info());
        let mut connection = pin!(self.protocol.serve_connection(TokioIo::new(io), calls));
        let mut stop = pin!(stop(stopped));
        let served = tokio::select! {
            biased;
            served = &mut connection => served,
            () = &mut stop => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

impl Application for Http2 {
    async fn answer<I, Io>(
        self,
        mut connections: I,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), ServeError>
    where
        I: Stream<Item = io::Result<Io>> + Unpin + Send,
        Io: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let mut open = JoinSet::new();
        {
            let mut stop = pin!(stop(stopped.clone()));
            loop {
                tokio::select! {
                    () = &mut stop => break,
                    // Those that have ended must not be kept until the end.
                    Some(_) = open.join_next() => {}
                    accepted = connections.next() => match accepted {
                        Some(Ok(io)) => drop(open.spawn(self.clone().serve(io, stopped.clone()))),
                        Some(Err(error)) => tracing::debug!(%error, "cannot take a connection"),
                        None => break,
                    },
                }
            }
        }
        // Closes the socket before the last calls are answered: new clients go elsewhere at once.
        drop(connections);
        while open.join_next().await.is_some() {}
        Ok(())
    }
}
