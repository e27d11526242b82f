//! The life of a serving process: bind, load, serve, stop.

use std::{
    env,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    task::{self, JoinError, JoinSet},
};

use super::{
    addresses::{AddressFile, Addresses},
    certificate, directory_token, file_handles,
    listeners::{self, Listeners},
    signals::{Signal, Signals},
};
use crate::{
    audit::{DecisionLog, OpenError},
    cli::{CliError, Exit, exit::chain, source::source},
    grpc::{DirectoryListener, GrpcOptions, GrpcServer, Http2Limits, ServeError},
    http::{HttpOptions, HttpServer, LogControl},
    net::Listener,
    reload::{self, EMBEDDED, Gate, Live, LiveDirectory, Options, Reloader, SlowGates, Source},
    settings::{Settings, to_json},
    shadow::{Shadow, ShadowOptions},
    sources::{self, SourceOptions},
    store::STACK_BYTES,
    telemetry::{MetricsProvider, Telemetry, Variables},
};

#[cfg(feature = "prove")]
use crate::{
    proofs::{Solver, SolverGates},
    settings::FirstState,
};

/// Time that the servers are given to stop beyond their own deadline.
const GRACE: Duration = Duration::from_secs(1);

/// Time that the decision log may take to write what is left.
const FLUSH: Duration = Duration::from_secs(5);

/// Serves until a signal ends it.
pub(super) async fn serve(
    settings: &Settings,
    log: Arc<dyn LogControl>,
    address_file: Option<&Path>,
    started: Instant,
) -> Result<Exit, CliError> {
    let decision_log = open_log(settings)?;
    let mut signals = Signals::listen().map_err(CliError::io("cannot listen for signals"))?;
    let options = gated_options(settings)?;
    let tls = certificate::load(settings)?;
    let token = directory_token::load(settings)?;
    let Listeners { grpc, http, directory, addresses, sockets } =
        listeners::bind(settings, tls.as_ref()).await?;
    let watched = [
        tls.map(|tls| certificate::watch(&tls, settings)),
        token.as_ref().map(|token| directory_token::watch(token, settings)),
    ];
    let directory = directory.map(|listener| DirectoryListener { listener, token });
    let address_file = address_file.map(|path| write_addresses(path, &addresses)).transpose()?;

    // The listeners are open before anything is loaded, so that who asks meanwhile is told
    // NOT_SERVING instead of being refused.
    let live = Arc::new(Live::default());
    let source_options = source_options(settings);
    sources::announce(&settings.directory.sources, &source_options, &live);
    let telemetry = Telemetry::start(&telemetry_variables());
    let (grpc_options, http_options) = server_options(settings);
    let (tracer, records) = (telemetry.tracer(), decision_log.clone());
    let metrics = telemetry.metrics();
    let shadow = start_shadow(settings, &live, metrics)?;
    let server = GrpcServer::with_shadow(
        Arc::clone(&live),
        grpc_options,
        tracer,
        metrics,
        records,
        shadow.clone(),
    );
    let http_server = HttpServer::new(&server, http_options, Some(log), to_json(settings));
    let mut serving = Serving::start(&server, grpc, directory, &http_server, http);
    let loading = Loading { source: source(settings), options, live };
    let reloader = tokio::select! {
        reloader = loading.run() => match reloader? {
            Some(reloader) => reloader,
            None => return Ok(Exit::InvalidPolicies),
        },
        signal = signals.stop() => {
            tracing::info!(signal, "stopped while loading");
            return Ok(Exit::Ok);
        }
        error = serving.failure() => return Err(error),
    };
    let sources = sources::start(&settings.directory.sources, &source_options, &loading.live)
        .map_err(|error| CliError::Usage(chain(&error)))?;
    server.set_embedded(sources.embedded().clone());
    tokio::select! {
        () = directories_loaded(&loading.live) => {}
        signal = signals.stop() => {
            tracing::info!(signal, "stopped while loading");
            return Ok(Exit::Ok);
        }
        error = serving.failure() => return Err(error),
    }
    server.set_serving(true);
    log_ready(&addresses, &loading.live, started);
    log_notices(settings, &loading.live);

    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Changed => {
                    tracing::info!(signal = "SIGHUP", "looking for changes");
                    reloader.hint();
                    shadow.hint();
                    sources.hint();
                    watched.iter().flatten().for_each(Reloader::hint);
                }
                Signal::Stop(signal) => {
                    tracing::info!(signal, "stopping");
                    break;
                }
            },
            error = serving.failure() => return Err(error),
        }
    }
    let stop = async {
        server.announce_stop();
        tokio::time::sleep(settings.shutdown.delay).await;
        // While the sockets are still listened on: later, a successor may have put its own there.
        drop((sockets, address_file));
        let drain = settings.shutdown.drain + GRACE;
        match tokio::time::timeout(drain, serving.stop()).await {
            Ok(()) => tracing::info!("stopped"),
            Err(_) => tracing::warn!("stopped with calls unanswered"),
        }
        if !decision_log.close(FLUSH).await {
            tracing::error!("stopped before every decision record was written");
        }
        telemetry.finish().await;
    };
    tokio::select! {
        () = stop => Ok(Exit::Ok),
        signal = signals.stop() => {
            tracing::warn!(signal, "stopped at once");
            Ok(Exit::Failure)
        }
    }
}

fn open_log(settings: &Settings) -> Result<DecisionLog, CliError> {
    DecisionLog::open(settings.decision_log.options(telemetry_variables())).map_err(|error| {
        match error {
            OpenError::Key { .. } | OpenError::Otlp(_) => CliError::Usage(error.to_string()),
            OpenError::File { .. }
            | OpenError::Random(_)
            | OpenError::Hmac(_)
            | OpenError::Thread(_) => CliError::Failure(error.to_string()),
        }
    })
}

fn telemetry_variables() -> Variables {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    Variables::new(env::vars_os().map(|(name, value)| (text(name), text(value))))
}

fn write_addresses(path: &Path, addresses: &Addresses) -> Result<AddressFile, CliError> {
    let failed = CliError::io(format!("cannot write `{}`", path.display()));
    AddressFile::write(path, addresses).map_err(failed)
}

/// Returns the options of both faces.
fn server_options(settings: &Settings) -> (GrpcOptions, HttpOptions) {
    let limits = &settings.limits;
    let defaults = GrpcOptions::default();
    let (connections, http_connections) = file_handles::connection_limits(limits, defaults.workers);
    let http = HttpOptions {
        connections: http_connections,
        patience: limits.patience,
        head_timeout: limits.http_head_timeout,
        drain_timeout: settings.shutdown.drain,
    };
    let grpc = GrpcOptions {
        limits: limits.request.clone(),
        batch_items: limits.batch_items.get(),
        message_bytes: limits.message_bytes.get(),
        message_parts: limits.message_parts.get(),
        inline_bytes: limits.inline_bytes,
        on_forbid_error: settings.on_forbid_error,
        verify_sample: settings.verify_sample,
        concurrent_requests: limits.concurrent_requests.get(),
        watches: limits.watches.get(),
        waiting: limits.waiting.get(),
        page_items: limits.page_items.get(),
        directory_changes: limits.directory_changes.get(),
        held_bytes: limits.held_bytes.get(),
        request_timeout: limits.request_timeout,
        drain_timeout: settings.shutdown.drain,
        connections,
        patience: limits.patience,
        http2: Http2Limits {
            streams: limits.streams.get(),
            header_bytes: limits.header_bytes.get(),
            waiting_resets: limits.waiting_resets.get(),
            forced_resets: limits.forced_resets.get(),
            keepalive_interval: limits.keepalive_interval,
            keepalive_timeout: limits.keepalive_timeout,
        },
        workers: defaults.workers,
    };
    (grpc, http)
}

fn source_options(settings: &Settings) -> SourceOptions {
    SourceOptions {
        max_age: settings.directory.max_age,
        limits: settings.limits.request.clone(),
        bounds: settings.directory.bounds,
        rehash_interval: settings.reload.rehash_interval,
        use_events: settings.reload.use_events,
        data: settings.data.clone(),
        kept_changes: settings.directory.kept_changes.get(),
        postgres_url_file: settings.directory.postgres_url_file.clone(),
        poll: settings.directory.poll,
    }
}

/// Waits until every directory has a first state: before that its store decides nothing. One that is
/// refused does not keep the other stores from being served.
async fn directories_loaded(live: &Live) {
    let mut changes = live.changes();
    loop {
        changes.mark_unchanged();
        let is_settled =
            |directory: &LiveDirectory| directory.state.is_some() || directory.is_refused;
        if live.state().directories.values().all(is_settled) {
            return;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn reload_options(settings: &Settings) -> Options {
    Options {
        default_store: settings.default_store.clone(),
        bounds: settings.bounds.clone(),
        settle: settings.reload.settle,
        settle_removals: settings.reload.settle_removals,
        rehash_interval: settings.reload.rehash_interval,
        use_events: settings.reload.use_events,
        ..Options::default()
    }
}

/// Returns the same with the gates that the settings name.
fn gated_options(settings: &Settings) -> Result<Options, CliError> {
    Ok(Options {
        require_tests: settings.reload.require.contains(&Gate::Tests),
        slow_gates: slow_gates(settings)?,
        deny_warnings: settings.reload.deny_warnings,
        ..reload_options(settings)
    })
}

/// Returns the gates that take a solver, if the settings name one.
#[cfg(feature = "prove")]
fn slow_gates(settings: &Settings) -> Result<Option<Arc<dyn SlowGates>>, CliError> {
    let reload = &settings.reload;
    let (invariants, no_gains) =
        (reload.require.contains(&Gate::Invariants), reload.require.contains(&Gate::NoGains));
    if !invariants && !no_gains {
        return Ok(None);
    }
    let solver = Solver::find().map_err(|error| {
        CliError::Usage(format!("`reload.require` names a gate that takes a solver: {error}"))
    })?;
    Ok(Some(Arc::new(SolverGates {
        solver,
        invariants,
        no_gains,
        timeout: reload.gate_timeout,
        bounds: settings.bounds.clone(),
        baseline: reload.baseline.clone(),
        trust_first: reload.first == FirstState::Trust,
    })))
}

#[cfg(not(feature = "prove"))]
fn slow_gates(settings: &Settings) -> Result<Option<Arc<dyn SlowGates>>, CliError> {
    let slow = settings.reload.require.iter().find(|gate| **gate != Gate::Tests);
    match slow {
        Some(gate) => Err(CliError::Usage(format!(
            "`reload.require` names `{gate}`, and this is built without the feature `prove`"
        ))),
        None => Ok(None),
    }
}

/// Begins to compare answers with those of candidate policies, where the settings name some.
fn start_shadow(
    settings: &Settings,
    live: &Arc<Live>,
    metrics: &MetricsProvider,
) -> Result<Shadow, CliError> {
    let Some(folder) = settings.shadow.folder.clone() else { return Ok(Shadow::off()) };
    let options = ShadowOptions {
        max_share: settings.shadow.max_share,
        queue_bytes: settings.shadow.queue_bytes.get(),
        reload: Options {
            // No gates: a candidate's changes are worth knowing even where a gate would refuse it.
            span: tracing::error_span!("shadow"),
            ..reload_options(settings)
        },
        limits: settings.limits.request.clone(),
        on_forbid_error: settings.on_forbid_error,
        folder,
    };
    Shadow::start(options, Arc::clone(live), metrics)
        .map_err(CliError::io("cannot start the thread of shadow decisions"))
}

fn log_ready(addresses: &Addresses, live: &Live, started: Instant) {
    let stores = live.stores();
    let stores: Vec<_> =
        stores.iter().map(|store| format!("{}@{}", store.name(), store.revision())).collect();
    tracing::info!(
        ready_in = format!("{:.1?}", started.elapsed()),
        grpc = addresses.grpc.join(", "),
        http = addresses.http.as_deref().unwrap_or("off"),
        directory = addresses.directory.as_deref().unwrap_or("off"),
        source = live.status().source,
        stores = stores.join(", "),
        "ready"
    );
}

/// Warns of what a person who starts the process may not have meant.
fn log_notices(settings: &Settings, live: &Live) {
    if live.status().source == EMBEDDED {
        tracing::warn!(
            "the built-in policy stores are served, which are for trying out: name a folder with \
             `--policies`"
        );
    }
    if let Some(name) = &settings.default_store
        && let Err(error) = live.stores().get(name.as_str())
    {
        tracing::error!("the default store decides nothing: {error}");
    }
}

/// The first load.
struct Loading {
    source: Source,
    options: Options,
    live: Arc<Live>,
}

impl Loading {
    /// Loads and then watches; nothing where there is nothing to decide with, which is logged.
    async fn run(&self) -> Result<Option<Reloader>, CliError> {
        let (source, options) = (self.source.clone(), self.options.clone());
        let live = Arc::clone(&self.live);
        // Memory that the load needed goes with the thread that ends with it.
        let thread = thread::Builder::new().name("load".to_owned()).stack_size(STACK_BYTES);
        let thread = thread
            .spawn(move || reload::load(&source, &options, &live))
            .map_err(CliError::io("cannot start the thread that loads"))?;
        let broke_off = |how| CliError::Failure(format!("loading broke off: {how}"));
        let joined = task::spawn_blocking(move || thread.join()).await;
        let loaded = joined.map_err(|error| broke_off(error.to_string()))?;
        match loaded.map_err(|_| broke_off("it panicked".to_owned()))? {
            Ok(()) => {
                let (source, options) = (self.source.clone(), self.options.clone());
                Ok(Some(reload::watch(source, options, Arc::clone(&self.live))))
            }
            // The loader has logged every problem of every store.
            Err(error) => {
                tracing::error!("nothing to decide with: {error}");
                Ok(None)
            }
        }
    }
}

/// The running servers.
struct Serving {
    servers: JoinSet<Result<(), ServeError>>,
    stop: watch::Sender<bool>,
}

impl Serving {
    fn start(
        server: &GrpcServer,
        grpc: Vec<Listener>,
        directory: Option<DirectoryListener>,
        http_server: &HttpServer,
        http: Option<Listener>,
    ) -> Self {
        let stop = watch::Sender::new(false);
        let mut servers = JoinSet::new();
        let stopping = || {
            let mut stop = stop.subscribe();
            // It fails where nobody can say it any more, and that is a reason to stop too.
            async move { drop(stop.wait_for(|stop| *stop).await) }
        };
        if let Some(listener) = http {
            let (server, stopping) = (http_server.clone(), stopping());
            servers.spawn(async move {
                server.serve(listener, stopping).await;
                Ok(())
            });
        }
        let (server, stopping) = (server.clone(), stopping());
        servers.spawn(async move { server.serve_with_directory(grpc, directory, stopping).await });
        Self { servers, stop }
    }

    /// Why a server ended that nobody told to.
    async fn failure(&mut self) -> CliError {
        let reason = match self.servers.join_next().await {
            None | Some(Ok(Ok(()))) => "it ended by itself".to_owned(),
            Some(Ok(Err(error))) => chain(&error),
            Some(Err(error)) => broken(&error),
        };
        CliError::Failure(format!("the server has failed: {reason}"))
    }

    /// Takes no more calls and waits for those that have begun.
    async fn stop(&mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.servers.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("{}", chain(&error)),
                Err(error) => tracing::warn!("{}", broken(&error)),
            }
        }
    }
}

fn broken(error: &JoinError) -> String {
    format!("it broke off: {error}")
}
