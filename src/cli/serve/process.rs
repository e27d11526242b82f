//! The life of a serving process: bind, load, serve, stop.

use std::{
    env,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    addresses::{AddressFile, Addresses},
    certificate,
    listeners::{self, Listeners},
    loading::Loading,
    log_writer::LogWriter,
    options::{server_options, source_options, web_options},
    serving::Serving,
    signals::{Signal, Signals},
    solver::slow_gates,
    token,
};
use crate::{
    audit::{DecisionLog, OpenError},
    cli::{CliError, Exit, exit::chain, source::source},
    grpc::{DirectoryListener, GrpcServer},
    http::{HttpServer, LogControl, WebServer},
    reload::{EMBEDDED, Gate, Live, LiveDirectory, Options, Reloader},
    settings::{Settings, to_json},
    shadow::{Shadow, ShadowOptions},
    sources,
    telemetry::{MetricsProvider, Telemetry, Variables},
};

/// Time that the servers are given to stop beyond their own deadline.
const GRACE: Duration = Duration::from_secs(1);

/// Time that the decision log may take to write what is left.
const FLUSH: Duration = Duration::from_secs(5);

/// Serves until a signal ends it.
pub(super) async fn serve(
    settings: &Settings,
    log: Arc<dyn LogControl>,
    log_writer: &LogWriter,
    address_file: Option<&Path>,
    started: Instant,
) -> Result<Exit, CliError> {
    let decision_log = open_log(settings)?;
    let mut signals = Signals::listen().map_err(CliError::io("cannot listen for signals"))?;
    let options = gated_options(settings)?;
    let tls = certificate::load(settings)?;
    let directory_token =
        token::load(settings.directory.token_file.as_deref(), "directory.token_file")?;
    let token = token::load(settings.token_file.as_deref(), "auth.token_file")?;
    let Listeners { grpc, http, web, directory, addresses, sockets } =
        listeners::bind(settings, tls.as_ref()).await?;
    let watched = [
        tls.map(|tls| certificate::watch(&tls, settings)),
        directory_token.as_ref().map(|token| token::watch(token, settings)),
        token.as_ref().map(|token| token::watch(token, settings)),
    ];
    let directory =
        directory.map(|listener| DirectoryListener { listener, token: directory_token });
    let address_file = address_file.map(|path| write_addresses(path, &addresses)).transpose()?;

    // The listeners are open before anything is loaded, so that who asks meanwhile is told
    // NOT_SERVING instead of being refused.
    let live = Arc::new(Live::remembering(settings.console.history.get()));
    let source_options = source_options(settings);
    sources::announce(&settings.directory.sources, &source_options, &live);
    let telemetry = Telemetry::start(&telemetry_variables());
    let (grpc_options, http_options, web_connections) = server_options(settings, token.clone());
    let web_options = web_options(settings, token, web_connections);
    let (tracer, records) = (telemetry.tracer(), decision_log.clone());
    let metrics = telemetry.metrics();
    log_writer.observe(&metrics.meter());
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
    let web_server = WebServer::new(&server, web_options);
    let mut serving = Serving::start(&server, grpc, directory);
    serving.start_http(&http_server, http);
    serving.start_web(&web_server, web);
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
    let options = settings.decision_log.options(telemetry_variables());
    DecisionLog::open(settings.console.keeping(options)).map_err(|error| match error {
        OpenError::Key { .. } | OpenError::Otlp(_) => CliError::Usage(error.to_string()),
        OpenError::File { .. }
        | OpenError::Random(_)
        | OpenError::Hmac(_)
        | OpenError::Thread(_) => CliError::Failure(error.to_string()),
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
        web = addresses.web.as_deref().unwrap_or("off"),
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
