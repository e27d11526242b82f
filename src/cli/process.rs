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
    CliError, Exit,
    addresses::{AddressFile, Addresses},
    certificate,
    client::chain,
    handles,
    listeners::{self, Listeners},
    required_tests,
    serve::STACK_BYTES,
    signals::{Signal, Signals},
    source::source,
};
use crate::{
    decision_log::{DecisionLog, OpenError},
    live::Live,
    reload::{self, Options, Reloader, Source},
    server::{Listener, LogControl, Observability, ServeError, Server, ServerOptions},
    settings::{Settings, to_json},
    telemetry::{Telemetry, Variables},
};

/// How much longer than their own deadline the servers are given to stop.
const GRACE: Duration = Duration::from_secs(1);

/// How long the decision log may take to write what is left.
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
    let tls = certificate::load(settings)?;
    let Listeners { grpc, http, addresses, sockets } =
        listeners::bind(settings, tls.as_ref()).await?;
    let certificates = tls.map(|tls| certificate::watch(&tls, settings));
    let address_file = address_file.map(|path| write_addresses(path, &addresses)).transpose()?;

    // The listeners are open before anything is loaded, so that who asks meanwhile is told
    // NOT_SERVING instead of being refused.
    let live = Arc::new(Live::default());
    let telemetry = Telemetry::start(&telemetry_variables());
    let observability = Observability {
        tracer: telemetry.tracer(),
        metrics: telemetry.metrics().clone(),
        decision_log: decision_log.clone(),
        log: Some(log),
        settings: to_json(settings),
    };
    let server = Server::observed(Arc::clone(&live), server_options(settings), observability);
    let mut serving = Serving::start(&server, grpc, http);
    let loading = Loading { source: source(settings), options: reload_options(settings), live };
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
    server.set_serving(true);
    log_ready(&addresses, &loading.live, started);

    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Changed => {
                    tracing::info!(signal = "SIGHUP", "looking for changes");
                    reloader.hint();
                    certificates.iter().for_each(Reloader::hint);
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

fn server_options(settings: &Settings) -> ServerOptions {
    let limits = &settings.limits;
    let defaults = ServerOptions::default();
    ServerOptions {
        limits: limits.request.clone(),
        batch_items: limits.batch_items.get(),
        message_bytes: limits.message_bytes.get(),
        message_parts: limits.message_parts.get(),
        on_forbid_error: settings.on_forbid_error,
        verify_sample: settings.verify_sample,
        concurrent_requests: limits.concurrent_requests.get(),
        held_bytes: limits.held_bytes.get(),
        connections: handles::connection_limits(limits, defaults.workers),
        request_timeout: limits.request_timeout,
        http_head_timeout: limits.http_head_timeout,
        drain_timeout: settings.shutdown.drain,
        ..defaults
    }
}

fn reload_options(settings: &Settings) -> Options {
    Options {
        default_store: settings.default_store.clone(),
        bounds: settings.bounds.clone(),
        require_tests: settings.require_tests,
        settle: settings.reload.settle,
        rehash_interval: settings.reload.rehash_interval,
        run_tests: Some(required_tests::failures),
        use_events: settings.reload.use_events,
    }
}

fn log_ready(addresses: &Addresses, live: &Live, started: Instant) {
    let stores = live.stores();
    let stores: Vec<_> =
        stores.iter().map(|store| format!("{}@{}", store.name(), store.revision())).collect();
    tracing::info!(
        ready_in = format!("{:.1?}", started.elapsed()),
        grpc = addresses.grpc.join(", "),
        http = addresses.http.as_deref().unwrap_or("off"),
        source = live.status().source,
        stores = stores.join(", "),
        "ready"
    );
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
    fn start(server: &Server, grpc: Vec<Listener>, http: Option<Listener>) -> Self {
        let stop = watch::Sender::new(false);
        let mut servers = JoinSet::new();
        let stopping = || {
            let mut stop = stop.subscribe();
            // It fails where nobody can say it any more, and that is a reason to stop too.
            async move { drop(stop.wait_for(|stop| *stop).await) }
        };
        if let Some(listener) = http {
            let (server, stopping) = (server.clone(), stopping());
            servers.spawn(async move { server.serve_http(listener, stopping).await });
        }
        let (server, stopping) = (server.clone(), stopping());
        servers.spawn(async move { server.serve_grpc(grpc, stopping).await });
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
