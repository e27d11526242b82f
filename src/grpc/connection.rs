//! HTTP/2 connections and the calls on them.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use hyper::{body::Incoming, server::conn::http2, service::Service};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;
use tonic::{
    body::Body,
    codegen::http::{Request, Response},
};

use super::{Http2Limits, call::CallHandler};
use crate::net::{self, Connection, Peer, TrackedBody, UntakenAnswers};

/// Serves one connection until its peer closes it or, after `shutdown`, until its calls are answered.
pub(super) async fn serve(
    connection: Connection,
    peer: Peer,
    calls: Arc<CallHandler>,
    limits: Http2Limits,
    shutdown: CancellationToken,
) {
    let mut protocol = http2::Builder::new(TokioExecutor::new());
    protocol
        .timer(TokioTimer::new())
        // No gRPC client reads it.
        .auto_date_header(false)
        .max_concurrent_streams(limits.streams)
        .max_frame_size(Http2Limits::FRAME_BYTES)
        .max_header_list_size(limits.header_bytes)
        .max_pending_accept_reset_streams(limits.waiting_resets)
        .max_local_error_reset_streams(limits.forced_resets)
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout);
    let (limit, untaken) = (connection.limit(), UntakenAnswers::default());
    let calls = ConnectionCalls { calls, peer: Arc::new(peer), answers: untaken.clone() };
    let connection = protocol.serve_connection(TokioIo::new(connection), calls);
    let served = tokio::select! {
        served = net::serve_until_shutdown(connection, shutdown) => served,
        () = untaken.exceed(limit.patience()) => return limit.count_timeout(),
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Answers the calls of one connection, each in a task of its own.
struct ConnectionCalls {
    calls: Arc<CallHandler>,
    peer: Arc<Peer>,
    answers: UntakenAnswers,
}

impl Service<Request<Incoming>> for ConnectionCalls {
    type Response = Response<TrackedBody<Body>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(Arc::clone(&self.peer));
        let (calls, answers) = (Arc::clone(&self.calls), self.answers.clone());
        Box::pin(async move { Ok(calls.answer(request).await.map(|body| answers.track(body))) })
    }
}
