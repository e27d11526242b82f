//! The services of a listener, put together.

use std::{convert::Infallible, pin::Pin, sync::Arc};

use hyper::body::Incoming;
use tonic::{
    body::Body,
    codec::CompressionEncoding,
    codegen::{
        Service as _,
        http::{Request, Response},
    },
    service::Routes,
};
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server as reflection;

use super::{
    ServeError, authorization::Authorization, directory::Directories, message_body::MessageBody,
    metrics::Rpc, state::ServerState,
};
use crate::{
    net::{ConcurrencyLimit, LongCallPool},
    proto::{
        self,
        authorization_service_server::{self, AuthorizationServiceServer},
        directory_service_server::{self, DirectoryServiceServer},
    },
};

/// Bytes of a question of the health or reflection service, or of one that is answered with a stream.
const AUXILIARY_BYTES: usize = 16 * 1024;

/// A service as tonic generates it.
pub(super) type UnaryService =
    Arc<dyn Fn(Request<MessageBody<Incoming>>) -> UnaryFuture + Send + Sync>;

type UnaryFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// The services of a listener.
pub(super) struct Services {
    /// The full name of its service.
    pub name: &'static str,
    /// The methods of the service that take one message and answer with one.
    pub unary_methods: Vec<&'static str>,
    /// Answers them on the thread of the connection, apart from long calls.
    pub service: UnaryService,
    /// The same service for calls that are given to the pool as a whole.
    pub pooled_service: UnaryService,
    /// Health, reflection and what of the service answers with a stream.
    pub auxiliary: Routes,
    /// The limit on the calls of the service.
    pub calls: Arc<ConcurrencyLimit>,
}

impl Services {
    /// Puts the services of the listeners for decisions together.
    ///
    /// # Errors
    /// The contract cannot be described for reflection.
    pub fn decisions(server: &ServerState, pool: &LongCallPool) -> Result<Self, ServeError> {
        let options = &server.options;
        let decider = Arc::new(server.decider());
        let service = |pool| -> UnaryService {
            let decision_log = server.decision_log.clone();
            let (live, decider) = (Arc::clone(&server.live), Arc::clone(&decider));
            let waiting = Arc::clone(&server.waiting);
            let service = Authorization { live, decider, decision_log, pool, waiting };
            let service = AuthorizationServiceServer::new(service)
                .max_decoding_message_size(options.message_bytes)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip);
            Arc::new(move |request| service.clone().call(request))
        };
        let name = authorization_service_server::SERVICE_NAME;
        Ok(Self {
            name,
            unary_methods: Rpc::OF_GRPC.map(Rpc::name).to_vec(),
            service: service(Some(pool.clone())),
            pooled_service: service(None),
            auxiliary: auxiliary(server, name)?.prepare(),
            calls: Arc::clone(&server.limit),
        })
    }

    /// Puts the services of the listener for directories together. Its calls do not take the places
    /// of decisions.
    ///
    /// # Errors
    /// The contract cannot be described for reflection.
    pub fn directory(server: &ServerState, pool: &LongCallPool) -> Result<Self, ServeError> {
        let options = &server.options;
        let service = |pool| {
            DirectoryServiceServer::new(Directories {
                live: Arc::clone(&server.live),
                options: Arc::clone(options),
                embedded: Arc::clone(&server.embedded),
                health: server.health.clone(),
                metrics: Arc::clone(&server.metrics),
                pool,
            })
        };
        let unary = |pool| -> UnaryService {
            let service = service(pool)
                .max_decoding_message_size(options.message_bytes)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip);
            Arc::new(move |request| service.clone().call(request))
        };
        let streams = service(None).max_decoding_message_size(AUXILIARY_BYTES);
        let (calls, bytes) = (options.concurrent_requests, options.held_bytes);
        let calls = ConcurrencyLimit::new("concurrent_requests", calls, bytes);
        let name = directory_service_server::SERVICE_NAME;
        Ok(Self {
            name,
            unary_methods: vec!["Write", "ListAssignments", "ListEntities"],
            service: unary(Some(pool.clone())),
            pooled_service: unary(None),
            auxiliary: auxiliary(server, name)?.add_service(streams).prepare(),
            calls: Arc::new(calls),
        })
    }
}

/// Returns the health and reflection of a listener with one service.
fn auxiliary(server: &ServerState, service: &'static str) -> Result<Routes, ServeError> {
    let described = || {
        reflection::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(service)
            .with_service_name("grpc.health.v1.Health")
    };
    let v1 = described().with_service_name("grpc.reflection.v1.ServerReflection").build_v1()?;
    let v1alpha = described().with_service_name("grpc.reflection.v1alpha.ServerReflection");
    let v1alpha = v1alpha.build_v1alpha()?;
    let health = HealthServer::new(server.health.of_service(service));
    Ok(Routes::new(health.max_decoding_message_size(AUXILIARY_BYTES))
        .add_service(v1.max_decoding_message_size(AUXILIARY_BYTES))
        .add_service(v1alpha.max_decoding_message_size(AUXILIARY_BYTES)))
}
