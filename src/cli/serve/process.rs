//! The life of a serving process: bind, load, serve, stop.

use std::{ops::ControlFlow, path::Path, sync::Arc, time::Instant};

use super::{
    addresses::{AddressFile, Addresses},
    certificate,
    first_load::FirstLoad,
    listeners::{self, Listeners, SocketFile},
    log_writer::LogWriter,
    options::{
        gated_options, reload_options, server_options, source_options, telemetry_variables,
        web_options,
    },
    prerequisites::Prerequisites,
    serving::Serving,
    signals::{ProcessSignal, Signals},
    stop_times::{GRACE, RECORDS},
    tokens,
};
use crate::{
    audit::DecisionLog,
    cli::{CliError, Exit, exit::chain, source::source},
    grpc::{DirectoryListener, GrpcServer},
    http::{HttpServer, LogControl, WebServer},
    reload::{EMBEDDED, Live, LiveDirectory, Options, Reloader},
    settings::{Settings, to_json},
    shadow::{Shadow, ShadowOptions},
    sources::{self, Sources},
    telemetry::{MetricsProvider, Telemetry},
};

/// Serves until a signal ends it.
pub(super) async fn serve(
    settings: &Settings,
    log: Arc<dyn LogControl>,
    log_writer: &LogWriter,
    address_file: Option<&Path>,
    started: Instant,
) -> Result<Exit, CliError> {
    let mut process = Process::begin(settings, log, log_writer, address_file).await?;
    let reloader = match process.load_policies().await? {
        ControlFlow::Continue(reloader) => reloader,
        ControlFlow::Break(exit) => return Ok(exit),
    };
    let sources = match process.load_directories().await? {
        ControlFlow::Continue(sources) => sources,
        ControlFlow::Break(exit) => return Ok(exit),
    };
    process.announce(started);
    process.serve_until_signal(&reloader, &sources).await?;
    Ok(process.stop(Instant::now()).await)
}

/// A process that serves, from its first load to its end.
struct Process<'a> {
    settings: &'a Settings,
    signals: Signals,
    live: Arc<Live>,
    /// The options of loading policies.
    options: Options,
    decision_log: DecisionLog,
    telemetry: Telemetry,
    shadow: Shadow,
    server: GrpcServer,
    serving: Serving,
    addresses: Addresses,
    /// The files of the addresses that are removed at the end.
    files: (Vec<SocketFile>, Option<AddressFile>),
    /// Reads certificates and tokens again when their files change.
    watched: Vec<Reloader>,
}

impl<'a> Process<'a> {
    /// Opens what is needed, and serves. The listeners are open before anything is loaded, so that who
    /// asks meanwhile is told NOT_SERVING instead of being refused.
    async fn begin(
        settings: &'a Settings,
        log: Arc<dyn LogControl>,
        log_writer: &LogWriter,
        address_file: Option<&Path>,
    ) -> Result<Self, CliError> {
        for (setting, why) in settings.without_effect() {
            tracing::warn!(setting, "a setting has no effect: {why}");
        }
        let signals = Signals::listen().map_err(CliError::io("cannot listen for signals"))?;
        let opened = Prerequisites::open_all(settings)?;
        let Listeners { grpc, http, web, directory, addresses, sockets } =
            listeners::bind(settings, opened.tls.as_ref()).await?;
        let watched = watch_files(settings, &opened);
        let address_file =
            address_file.map(|path| write_addresses(path, &addresses)).transpose()?;
        let Prerequisites { decision_log, slow_gates, tls: _, directory_tokens, tokens } = opened;

        let live = Arc::new(Live::remembering(settings.console.history.get()));
        sources::announce(&settings.directory.sources, &source_options(settings), &live);
        let telemetry = Telemetry::start(&telemetry_variables());
        let metrics = telemetry.metrics();
        log_writer.observe(&metrics.meter());
        let shadow = start_shadow(settings, &live, metrics)?;
        let (grpc_options, http_options, web_connections) =
            server_options(settings, tokens.clone());
        let server = GrpcServer::with_shadow(
            Arc::clone(&live),
            grpc_options,
            telemetry.tracer(),
            metrics,
            decision_log.clone(),
            shadow.clone(),
        );
        let directory =
            directory.map(|listener| DirectoryListener { listener, tokens: directory_tokens });
        let http_server = HttpServer::new(&server, http_options, Some(log), to_json(settings));
        let web_server = WebServer::new(&server, web_options(settings, tokens, web_connections));
        let mut serving = Serving::start(&server, grpc, directory);
        serving.start_http(&http_server, http);
        serving.start_web(&web_server, web);
        Ok(Self {
            settings,
            signals,
            live,
            options: gated_options(settings, slow_gates),
            decision_log,
            telemetry,
            shadow,
            server,
            serving,
            addresses,
            files: (sockets, address_file),
            watched,
        })
    }

    /// Loads the policies, and watches them from then on.
    async fn load_policies(&mut self) -> Result<ControlFlow<Exit, Reloader>, CliError> {
        let load = FirstLoad {
            source: source(self.settings),
            options: self.options.clone(),
            live: Arc::clone(&self.live),
        };
        Ok(match self.unless_stopped(load.run()).await? {
            ControlFlow::Continue(loaded) => match loaded? {
                Some(reloader) => ControlFlow::Continue(reloader),
                None => ControlFlow::Break(Exit::InvalidPolicies),
            },
            ControlFlow::Break(exit) => ControlFlow::Break(exit),
        })
    }

    /// Loads the directories, and follows their sources from then on.
    async fn load_directories(&mut self) -> Result<ControlFlow<Exit, Sources>, CliError> {
        let options = source_options(self.settings);
        let sources = sources::start(&self.settings.directory.sources, &options, &self.live)
            .map_err(|error| CliError::Usage(chain(&error)))?;
        self.server.set_embedded(sources.embedded().clone());
        let live = Arc::clone(&self.live);
        let loaded = self.unless_stopped(directories_loaded(&live)).await?;
        Ok(loaded.map_continue(|()| sources))
    }

    /// Waits for a step of the start, unless a signal or a server that fails ends it.
    async fn unless_stopped<T>(
        &mut self,
        step: impl Future<Output = T>,
    ) -> Result<ControlFlow<Exit, T>, CliError> {
        tokio::select! {
            done = step => Ok(ControlFlow::Continue(done)),
            signal = self.signals.stop() => {
                tracing::info!(signal, "stopped while loading");
                Ok(ControlFlow::Break(Exit::Ok))
            }
            error = self.serving.failure() => Err(error),
        }
    }

    /// Tells everybody that questions are answered.
    fn announce(&self, started: Instant) {
        self.server.set_serving(true);
        if self.live.state().has_good_state() {
            log_ready(&self.addresses, &self.live, started);
        } else {
            tracing::error!(
                "not ready: nothing can be decided, for the directory of every policy store was \
                 refused; `/status` and the lines above say why"
            );
        }
        log_notices(self.settings, &self.live);
    }

    /// Looks for changes at each SIGHUP, until a signal to stop.
    async fn serve_until_signal(
        &mut self,
        reloader: &Reloader,
        sources: &Sources,
    ) -> Result<(), CliError> {
        loop {
            tokio::select! {
                signal = self.signals.next() => match signal {
                    ProcessSignal::Changed => {
                        tracing::info!(signal = "SIGHUP", "looking for changes");
                        reloader.hint();
                        self.shadow.hint();
                        sources.hint();
                        self.watched.iter().for_each(Reloader::hint);
                    }
                    ProcessSignal::Stop(signal) => {
                        tracing::info!(signal, "stopping");
                        return Ok(());
                    }
                },
                error = self.serving.failure() => return Err(error),
            }
        }
    }

    /// Stops, at once where another signal asks for it. `signalled` is when the first one came.
    async fn stop(self, signalled: Instant) -> Exit {
        let Self {
            settings, mut signals, server, mut serving, files, decision_log, telemetry, ..
        } = self;
        let stop = async {
            server.announce_stop();
            tokio::time::sleep(settings.shutdown.delay).await;
            // While the sockets are still listened on: later, a successor may have put its own there.
            drop(files);
            let drain = settings.shutdown.drain + GRACE;
            match tokio::time::timeout(drain, serving.stop()).await {
                Ok(()) => tracing::info!("stopped"),
                Err(_) => tracing::warn!("stopped with calls unanswered"),
            }
            if !decision_log.close(RECORDS).await {
                tracing::error!("stopped before every decision record was written");
            }
            telemetry.finish().await;
        };
        tokio::select! {
            () = stop => Exit::Ok,
            signal = signals.stop_at_once(signalled) => {
                tracing::warn!(signal, "stopped at once");
                Exit::Failure
            }
        }
    }
}

/// Has certificates and tokens read again whenever their files change.
fn watch_files(settings: &Settings, opened: &Prerequisites) -> Vec<Reloader> {
    let certificate = opened.tls.iter().map(|tls| certificate::watch(tls, settings));
    let tokens = [&opened.directory_tokens, &opened.tokens].into_iter().flatten();
    certificate.chain(tokens.map(|tokens| tokens::watch(tokens, settings))).collect()
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
