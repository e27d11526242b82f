//! The gRPC face, put together.

use std::{pin::pin, sync::Arc};

use tokio::{runtime::Handle, sync::watch, time::timeout};
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server as reflection;

use super::{
    Listener, ServeError, Server,
    authorization::Authorization,
    calls::Calls,
    http2::Http2,
    transport::{self, Workers},
    work::Workshop,
};
use crate::proto;

/// Serves until told to stop, and then until the calls under way are answered.
pub(super) async fn serve(
    server: &Server,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let application = Http2::new(calls(server)?, &server.options().connections);
    let workers = Workers::start(server.options().workers)?;
    let runtimes = workers.runtimes().cloned().chain([Handle::current()]);
    server.metrics().observe_tasks(runtimes.collect());
    let (stop, stopped) = watch::channel(false);
    let mut serving =
        pin!(transport::serve(application, &workers, listeners, server.connections(), stopped));
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

fn calls(server: &Server) -> Result<Calls, ServeError> {
    let described = || {
        reflection::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let options = server.options();
    Ok(Calls {
        authorization: Authorization {
            live: Arc::clone(server.live()),
            options: Arc::clone(options),
            metrics: Arc::clone(server.metrics()),
            decision_log: server.decision_log().clone(),
            workshop: Workshop::new(),
        },
        gate: Arc::clone(server.gate()),
        metrics: Arc::clone(server.metrics()),
        tracer: server.observability().tracer.clone(),
        timeout: options.request_timeout,
        message_bytes: options.message_bytes,
        rest: Routes::new(HealthServer::new(server.health().clone()))
            .add_service(described().build_v1()?)
            .add_service(described().build_v1alpha()?)
            .prepare(),
    })
}
