//! The gRPC face, put together.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_stream::Stream;
use tonic::transport::{
    self,
    server::{Connected, Router},
};
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server as reflection;

use super::{
    Listener, ServeError, Server,
    admission::Admitted,
    authorization::Authorization,
    listen::Incoming,
    peers::{Limited, Owed},
    tls::{Face, Handshakes},
    traced::Traced,
    work::Workshop,
};
use crate::proto::{
    self, authorization_service_server::AuthorizationServiceServer as AuthorizationServer,
};

/// Bytes of one frame, of which a reader keeps one.
const FRAME_BYTES: u32 = 16 * 1024;
/// Streams that a peer may have reset before they were looked at, and streams that it may have made
/// the server reset, until the connection is closed: what resets so rapidly asks for work without
/// waiting for it.
const PENDING_RESETS: usize = 20;
const FORCED_RESETS: usize = 100;

/// Serves until told to stop, and then until the calls under way are answered.
pub(super) async fn serve(
    server: &Server,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let router = router(server)?;
    let (stop, stopped) = watch::channel(false);
    let mut serving = JoinSet::new();
    for listener in listeners {
        let (router, stopped) = (router.clone(), stopped.clone());
        let connections = server.connections();
        match listener {
            Listener::Tcp(listener) => {
                let limited = Limited::new(Incoming::new(listener), connections, Owed::PREFACE);
                serving.spawn(accept(router, limited, stopped))
            }
            Listener::Unix(listener) => {
                let limited = Limited::new(Incoming::new(listener), connections, Owed::PREFACE);
                serving.spawn(accept(router, limited, stopped))
            }
            Listener::Tls(listener, tls) => {
                let encrypted = Handshakes::new(listener, tls, Face::Grpc);
                let limited = Limited::new(encrypted, connections, Owed::PREFACE);
                serving.spawn(accept(router, limited, stopped))
            }
        };
    }
    tokio::select! {
        () = shutdown => {}
        Some(ended) = serving.join_next() => return ended.unwrap_or_else(|error| Err(error.into())),
    }
    server.health().stop();
    stop.send_replace(true);
    let drained = async {
        while let Some(ended) = serving.join_next().await {
            ended.unwrap_or_else(|error| Err(error.into()))?;
        }
        Ok(())
    };
    timeout(server.options().drain_timeout, drained).await.unwrap_or_else(|_| {
        tracing::warn!("stopped before every call was answered");
        Ok(())
    })
}

async fn accept<I>(
    router: Router,
    connections: impl Stream<Item = io::Result<I>>,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), ServeError>
where
    I: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let stop = async move {
        // The sender is gone only when serving is over as well.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    Ok(router.serve_with_incoming_shutdown(connections, stop).await?)
}

fn router(server: &Server) -> Result<Router, ServeError> {
    let authorization = Authorization {
        live: Arc::clone(server.live()),
        options: Arc::clone(server.options()),
        metrics: Arc::clone(server.metrics()),
        decision_log: server.decision_log().clone(),
        workshop: Workshop::new(),
    };
    let authorization = Admitted {
        inner: AuthorizationServer::new(authorization)
            .max_decoding_message_size(server.options().message_bytes),
        gate: Arc::clone(server.gate()),
        timeout: server.options().request_timeout,
        metrics: Arc::clone(server.metrics()),
    };
    let authorization =
        Traced { inner: authorization, tracer: server.observability().tracer.clone() };
    let described = || {
        reflection::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let limits = &server.options().connections;
    Ok(transport::Server::builder()
        .max_concurrent_streams(limits.streams)
        .max_frame_size(FRAME_BYTES)
        .http2_max_header_list_size(limits.header_bytes)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(FORCED_RESETS))
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .add_service(authorization)
        .add_service(HealthServer::new(server.health().clone()))
        .add_service(described().build_v1()?)
        .add_service(described().build_v1alpha()?))
}
