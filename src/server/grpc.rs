//! The gRPC face, put together.

use std::{pin::pin, sync::Arc};

use tokio::{runtime::Handle, sync::watch, time::timeout};
use tonic::transport::server::Router;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server as reflection;

use super::{
    Listener, ServeError, Server,
    admission::Admitted,
    authorization::Authorization,
    traced::Traced,
    transport::{self, Workers},
    work::Workshop,
};
use crate::proto::{
    self, authorization_service_server::AuthorizationServiceServer as AuthorizationServer,
};

/// Serves until told to stop, and then until the calls under way are answered.
pub(super) async fn serve(
    server: &Server,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let router = router(server)?;
    let workers = Workers::start(server.options().workers)?;
    let runtimes = workers.runtimes().cloned().chain([Handle::current()]);
    server.metrics().observe_tasks(runtimes.collect());
    let (stop, stopped) = watch::channel(false);
    let mut serving =
        pin!(transport::serve(router, &workers, listeners, server.connections(), stopped,));
    tokio::select! {
        () = shutdown => {}
        ended = &mut serving => return ended,
    }
    server.health().stop();
    stop.send_replace(true);
    timeout(server.options().drain_timeout, serving).await.unwrap_or_else(|_| {
        tracing::warn!("stopped before every call was answered");
        Ok(())
    })
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
    Ok(transport::builder(&server.options().connections)
        .add_service(authorization)
        .add_service(HealthServer::new(server.health().clone()))
        .add_service(described().build_v1()?)
        .add_service(described().build_v1alpha()?))
}
