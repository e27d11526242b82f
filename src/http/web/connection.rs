//! Connections of `web_listen`, over HTTP/1.1 or HTTP/2.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::{Request, Version, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service as _;

use crate::{
    grpc::Http2Limits,
    http::server::HEAD_BYTES,
    net::{self, Connection, Peer, TrackedBody, UntakenAnswers},
};

/// Limits on one connection.
#[derive(Debug, Clone)]
pub(super) struct ConnectionLimits {
    pub head_timeout: Duration,
    pub http2: Http2Limits,
}

/// Serves one connection until its peer closes it or, after `shutdown`, until its requests are answered.
pub(super) async fn serve(
    connection: Connection,
    peer: Peer,
    routes: Router,
    limits: ConnectionLimits,
    shutdown: CancellationToken,
) {
    let mut protocol = auto::Builder::new(TokioExecutor::new());
    protocol
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(HEAD_BYTES);
    protocol
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2.streams)
        .max_frame_size(Http2Limits::FRAME_BYTES)
        .max_header_list_size(limits.http2.header_bytes)
        .max_pending_accept_reset_streams(limits.http2.waiting_resets)
        .max_local_error_reset_streams(limits.http2.forced_resets)
        .keep_alive_interval(limits.http2.keepalive_interval)
        .keep_alive_timeout(limits.http2.keepalive_timeout);
    let (peer, limit, answers) = (Arc::new(peer), connection.limit(), UntakenAnswers::default());
    let untaken = answers.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        // Over HTTP/1 the connection itself is looked at.
        let answers = (request.version() == Version::HTTP_2).then(|| answers.clone());
        request.extensions_mut().insert(Arc::clone(&peer));
        let answer = routes.clone().call(request);
        async move {
            let response = answer.await?;
            Ok::<_, std::convert::Infallible>(response.map(|body| match answers {
                Some(answers) => answers.track(body),
                None => TrackedBody::untracked(body),
            }))
        }
    });
    let connection = protocol.serve_connection(TokioIo::new(connection), service);
    let served = tokio::select! {
        served = net::serve_until_shutdown(connection, shutdown) => served,
        () = untaken.exceed(limit.patience()) => return limit.count_timeout(),
    };
    // A client that goes away or sends nonsense is its own business.
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to web_listen broke off");
    }
}
