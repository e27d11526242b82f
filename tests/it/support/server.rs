//! A server on ports of its own.

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use humbaba::{
    audit::DecisionLog,
    grpc::{GrpcOptions, GrpcServer, ServeError},
    http::{HttpOptions, HttpServer},
    net::Listener,
    proto::{
        IsAuthorizedRequest, IsAuthorizedResponse,
        authorization_service_client::AuthorizationServiceClient,
    },
    reload::{Live, LoadStatus, StoreStatus},
    shadow::{Shadow, ShadowOptions},
    store::{PolicyStore, Stores},
    telemetry::MetricsProvider,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tonic::{Response, Status, transport::Channel};

use super::wait::DEADLINE;

/// A client of the service.
pub type Client = AuthorizationServiceClient<Channel>;

/// A running server. It ends when it is dropped.
pub struct TestServer {
    pub server: GrpcServer,
    pub live: Arc<Live>,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    channel: Channel,
    stop: watch::Sender<bool>,
    serving: Vec<JoinHandle<Result<(), ServeError>>>,
}

impl TestServer {
    /// A server that decides with those stores, and says that it serves.
    pub async fn start(stores: impl IntoIterator<Item = Arc<PolicyStore>>) -> Self {
        Self::with(stores, GrpcOptions::default()).await
    }

    /// The same with options.
    pub async fn with(
        stores: impl IntoIterator<Item = Arc<PolicyStore>>,
        options: GrpcOptions,
    ) -> Self {
        let server = Self::empty(options).await;
        server.publish(stores, None);
        server.server.set_serving(true);
        server
    }

    /// A server that has nothing to decide with and does not say that it serves.
    pub async fn empty(options: GrpcOptions) -> Self {
        Self::empty_recording(options, DecisionLog::off()).await
    }

    /// A server that records its decisions.
    pub async fn recording(
        stores: impl IntoIterator<Item = Arc<PolicyStore>>,
        log: DecisionLog,
    ) -> Self {
        let server = Self::empty_recording(GrpcOptions::default(), log).await;
        server.publish(stores, None);
        server.server.set_serving(true);
        server
    }

    async fn empty_recording(options: GrpcOptions, log: DecisionLog) -> Self {
        Self::with_http(options, HttpOptions::default(), log).await
    }

    /// A server with options of both faces.
    pub async fn with_http(
        options: GrpcOptions,
        http_options: HttpOptions,
        log: DecisionLog,
    ) -> Self {
        Self::observed(options, http_options, &MetricsProvider::default(), log).await
    }

    /// A server that has nothing to decide with and makes its instruments with that provider.
    pub async fn with_metrics(metrics: &MetricsProvider) -> Self {
        let (options, http_options) = (GrpcOptions::default(), HttpOptions::default());
        Self::observed(options, http_options, metrics, DecisionLog::off()).await
    }

    /// A server that compares its answers with those of candidate policies.
    pub async fn shadowed(
        stores: impl IntoIterator<Item = Arc<PolicyStore>>,
        options: ShadowOptions,
    ) -> Self {
        let (live, metrics) = (Arc::new(Live::default()), MetricsProvider::default());
        let shadow = Shadow::start(options, Arc::clone(&live), &metrics).unwrap();
        let (log, grpc) = (DecisionLog::off(), GrpcOptions::default());
        let server = GrpcServer::with_shadow(Arc::clone(&live), grpc, None, &metrics, log, shadow);
        let server = Self::serving(live, server, HttpOptions::default()).await;
        server.publish(stores, None);
        server.server.set_serving(true);
        server
    }

    async fn observed(
        options: GrpcOptions,
        http_options: HttpOptions,
        metrics: &MetricsProvider,
        log: DecisionLog,
    ) -> Self {
        let live = Arc::new(Live::default());
        let server = GrpcServer::new(Arc::clone(&live), options, None, metrics, log);
        Self::serving(live, server, http_options).await
    }

    async fn serving(live: Arc<Live>, server: GrpcServer, http_options: HttpOptions) -> Self {
        let http_server = HttpServer::new(&server, http_options, None, serde_json::Value::Null);
        let bind = || async { TcpListener::bind("127.0.0.1:0").await.unwrap() };
        let (grpc_listener, http_listener) = (bind().await, bind().await);
        let grpc = grpc_listener.local_addr().unwrap();
        let http = http_listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let stopped = || {
            let mut stopped = stopped.clone();
            async move { drop(stopped.wait_for(|stopped| *stopped).await) }
        };
        let serve_grpc = {
            let (server, stopped) = (server.clone(), stopped());
            let listeners = vec![Listener::Tcp(grpc_listener)];
            tokio::spawn(async move { server.serve(listeners, stopped).await })
        };
        let serve_http = {
            let stopped = stopped();
            tokio::spawn(async move {
                http_server.serve(http_listener, stopped).await;
                Ok(())
            })
        };
        let channel = Channel::from_shared(format!("http://{grpc}")).unwrap().connect_lazy();
        Self { server, live, grpc, http, channel, stop, serving: vec![serve_grpc, serve_http] }
    }

    /// Puts stores in force; `default` decides requests that name none.
    pub fn publish(
        &self,
        stores: impl IntoIterator<Item = Arc<PolicyStore>>,
        default: Option<&str>,
    ) {
        let stores: Vec<_> = stores.into_iter().collect();
        let status = status_of(&stores);
        let default = default.map(|name| name.parse().unwrap());
        self.live.publish(Stores::new(stores, default), status);
    }

    /// A connection.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A client of the service.
    pub fn client(&self) -> Client {
        AuthorizationServiceClient::new(self.channel())
    }

    /// Asks one question.
    pub async fn ask(&self, question: IsAuthorizedRequest) -> Result<IsAuthorizedResponse, Status> {
        self.client().is_authorized(question).await.map(Response::into_inner)
    }

    /// Returns whether a question is allowed.
    pub async fn allows(&self, question: IsAuthorizedRequest) -> bool {
        super::ask::is_allow(&self.ask(question).await.unwrap())
    }

    /// Returns the status of a question that is refused.
    pub async fn refuses(&self, question: IsAuthorizedRequest) -> Status {
        self.ask(question).await.expect_err("bad input")
    }

    /// Tells the server to stop.
    pub fn begin_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Stops the server and waits for its end.
    pub async fn stop(mut self) {
        self.begin_stop();
        for serving in std::mem::take(&mut self.serving) {
            tokio::time::timeout(DEADLINE, serving).await.unwrap().unwrap().unwrap();
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

/// The state of loading when those stores were just loaded.
pub fn status_of(stores: &[Arc<PolicyStore>]) -> LoadStatus {
    let now = Some(SystemTime::now());
    let states = stores.iter().map(|store| StoreStatus {
        name: store.name().clone(),
        revision: Some(*store.revision()),
        loaded_at: now,
        policies: store.policies().policies().count(),
        proving_since: None,
        refused: None,
        problems: Vec::new(),
        warnings: Vec::new(),
    });
    LoadStatus {
        source: "memory".to_owned(),
        last_attempt: now,
        last_change: now,
        reloads: 1,
        stores: states.collect(),
        ..LoadStatus::default()
    }
}
