//! The gRPC face: the services, the threads that answer them, and stopping.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use opentelemetry_sdk::trace::SdkTracer;
use tokio::{runtime::Handle, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    GrpcOptions, ServeError,
    call::{AuxiliaryLimits, CallHandler},
    connection,
    decider::Decider,
    health::HealthService,
    metrics::Metrics,
    services::Services,
    state::ServerState,
};
use crate::{
    audit::DecisionLog,
    model::StoreName,
    net::{
        self, BearerTokens, ConcurrencyLimit, ConnectionLimit, Face, Listener, LongCallPool,
        ServerTls, WorkerThreads,
    },
    reload::Live,
    shadow::Shadow,
    sources::EmbeddedDirectory,
    telemetry::MetricsProvider,
};

/// The settings that name the files of tokens.
const TOKENS: &str = "auth.token_file";
const DIRECTORY_TOKENS: &str = "directory.token_file";

/// A listener on which directories are written and read, and nothing is decided.
#[derive(Debug)]
pub struct DirectoryListener {
    /// The listener.
    pub listener: Listener,
    /// The tokens of which callers need one; none where a client certificate or the mode of a Unix socket
    /// protects it.
    pub tokens: Option<BearerTokens>,
}

/// The gRPC face of one process. Clones are the same server.
#[derive(Debug, Clone)]
pub struct GrpcServer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: ServerState,
    connections: Arc<ConnectionLimit>,
    tls: OnceLock<ServerTls>,
    directory_tokens: OnceLock<BearerTokens>,
    is_stopping: AtomicBool,
}

impl GrpcServer {
    /// Makes a server that decides with what is live. It reports NOT_SERVING until
    /// [`Self::set_serving`]. With a tracer each call has a span; the instruments of
    /// `metrics` are those of all faces. Whoever opened the decision log closes it once the server has
    /// ended.
    #[must_use]
    pub fn new(
        live: Arc<Live>,
        options: GrpcOptions,
        tracer: Option<SdkTracer>,
        metrics: &MetricsProvider,
        decision_log: DecisionLog,
    ) -> Self {
        Self::with_shadow(live, options, tracer, metrics, decision_log, Shadow::off())
    }

    /// Makes a server that compares its answers with those of candidate policies.
    #[must_use]
    pub fn with_shadow(
        live: Arc<Live>,
        options: GrpcOptions,
        tracer: Option<SdkTracer>,
        metrics: &MetricsProvider,
        decision_log: DecisionLog,
        shadow: Shadow,
    ) -> Self {
        let limit = ConcurrencyLimit::new(
            "concurrent_requests",
            options.concurrent_requests,
            options.held_bytes,
        );
        let limit = Arc::new(limit);
        let waiting = Arc::new(ConcurrencyLimit::new("waiting", options.waiting, 0));
        let metrics = Metrics::new(metrics, &live, [&limit, &waiting], &decision_log);
        let metrics = Arc::new(metrics);
        if let Some(tokens) = &options.tokens {
            metrics.observe_tokens(TOKENS, tokens);
        }
        let inner = Inner {
            connections: ConnectionLimit::new(options.connections, options.patience),
            state: ServerState {
                health: HealthService::new(Arc::clone(&live)),
                live,
                options: Arc::new(options),
                tracer,
                decision_log,
                shadow,
                limit,
                waiting,
                metrics,
                embedded: Arc::default(),
            },
            tls: OnceLock::new(),
            directory_tokens: OnceLock::new(),
            is_stopping: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Reports in the gRPC health service whether the server answers: for the server as a whole,
    /// for the service of each listener and, while nothing is refused, for `strict`. A server that
    /// was told to stop stays NOT_SERVING, and one is NOT_SERVING while no store has a good state.
    pub fn set_serving(&self, serving: bool) {
        self.inner.state.health.set_serving(serving);
    }

    /// Announces that the server will stop: neither the health service nor `/readyz` send anybody
    /// here any more. Calls are answered as before.
    pub fn announce_stop(&self) {
        self.inner.is_stopping.store(true, Ordering::Relaxed);
        self.set_serving(false);
    }

    /// Allows writes to the directories that the sidecar keeps itself. Before this call there are none
    /// to write to; a second call does nothing.
    pub fn set_embedded(&self, directories: BTreeMap<StoreName, EmbeddedDirectory>) {
        // Fails where they are set already.
        let _ = self.inner.state.embedded.set(directories);
    }

    /// Answers on all listeners until `shutdown` completes, and then finishes the calls under way,
    /// for at most [`GrpcOptions::drain_timeout`].
    ///
    /// # Errors
    /// The server could not begin or go on.
    pub async fn serve(
        &self,
        listeners: Vec<Listener>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        self.serve_with_directory(listeners, None, shutdown).await
    }

    /// Answers on listeners for decisions, and on one for directories, as [`Self::serve`] does.
    ///
    /// # Errors
    /// The server could not begin or go on.
    pub async fn serve_with_directory(
        &self,
        listeners: Vec<Listener>,
        directory: Option<DirectoryListener>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let state = &self.inner.state;
        let workers = WorkerThreads::start(state.options.workers)?;
        let pool = LongCallPool::start()?;
        let runtimes = workers.runtimes().iter().chain(pool.handle()).cloned();
        self.metrics().observe_tasks(runtimes.chain([Handle::current()]).collect());
        let limits = AuxiliaryLimits::new(&state.options);
        let services = Services::decisions(state, &pool)?;
        let tokens = state.options.tokens.clone();
        let handler = CallHandler::new(state, services, tokens, pool.clone(), limits.clone());
        let decisions = Arc::new(handler);
        let mut calls: Vec<_> =
            listeners.into_iter().map(|listener| (listener, Arc::clone(&decisions))).collect();
        if let Some(DirectoryListener { listener, tokens }) = directory {
            if let Some(tokens) = &tokens {
                self.inner.directory_tokens.get_or_init(|| {
                    self.metrics().observe_tokens(DIRECTORY_TOKENS, tokens);
                    tokens.clone()
                });
            }
            let services = Services::directory(state, &pool)?;
            let handler = CallHandler::new(state, services, tokens, pool, limits);
            calls.push((listener, Arc::new(handler)));
        }
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        for (listener, calls) in calls {
            self.note_tls(&listener);
            let limits = state.options.http2.clone();
            let (stopping, stopped) = (stop.clone(), stop.clone());
            let serve_connection = move |io, peer| {
                connection::serve(io, peer, Arc::clone(&calls), limits.clone(), stopped.clone())
            };
            let (connections, runtimes) =
                (Arc::clone(self.connections()), workers.runtimes().to_vec());
            serving.spawn(async move {
                let face = Face::Grpc;
                net::serve(listener, face, connections, &runtimes, stopping, serve_connection)
                    .await;
            });
        }
        tokio::select! {
            () = shutdown => {}
            // No listener ends by itself.
            Some(ended) = serving.join_next() => return Ok(ended?),
        }
        self.inner.state.health.stop();
        stop.cancel();
        let drained = async {
            while let Some(ended) = serving.join_next().await {
                ended?;
            }
            Ok(())
        };
        timeout(self.inner.state.options.drain_timeout, drained).await.unwrap_or_else(|_| {
            tracing::warn!("stopped before every call was answered");
            Ok(())
        })
    }

    /// Reports the TLS of a listener in status and metrics.
    pub(crate) fn note_tls(&self, listener: &Listener) {
        if let Listener::Tls(_, tls) = listener {
            self.inner.tls.get_or_init(|| {
                self.metrics().observe_tls(tls);
                tls.clone()
            });
        }
    }

    pub(crate) fn tls(&self) -> Option<&ServerTls> {
        self.inner.tls.get()
    }

    /// Returns the tokens that callers send, with the settings that name their files.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = (&'static str, &BearerTokens)> {
        let decisions = self.options().tokens.as_ref().map(|tokens| (TOKENS, tokens));
        let directory = self.inner.directory_tokens.get().map(|tokens| (DIRECTORY_TOKENS, tokens));
        decisions.into_iter().chain(directory)
    }

    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.inner.state.live
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.inner.state.health.is_serving()
    }

    /// Returns whether the first load of stores and directories has ended.
    pub(crate) fn is_loaded(&self) -> bool {
        self.inner.state.health.is_loaded()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.inner.is_stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn connections(&self) -> &Arc<ConnectionLimit> {
        &self.inner.connections
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.state.metrics
    }

    /// Returns what decides questions as the calls of this server are decided.
    pub(crate) fn decider(&self) -> Decider {
        self.inner.state.decider()
    }

    pub(crate) fn options(&self) -> &Arc<GrpcOptions> {
        &self.inner.state.options
    }

    /// Returns the limit on calls under way, which all faces share.
    pub(crate) fn call_limit(&self) -> &Arc<ConcurrencyLimit> {
        &self.inner.state.limit
    }

    /// Returns the limit on calls that wait for a version of a directory, which all faces share.
    pub(crate) fn waiting_limit(&self) -> &Arc<ConcurrencyLimit> {
        &self.inner.state.waiting
    }

    pub(crate) fn tracer(&self) -> Option<&SdkTracer> {
        self.inner.state.tracer.as_ref()
    }

    pub(crate) fn shadow(&self) -> &Shadow {
        &self.inner.state.shadow
    }

    pub(crate) fn decision_log(&self) -> &DecisionLog {
        &self.inner.state.decision_log
    }
}
