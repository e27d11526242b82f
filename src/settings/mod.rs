//! Settings in four layers: defaults, a TOML file, the environment, flags.
//! A later layer wins, and the settled settings know where each value came from.

mod address;
mod authzen;
mod console;
mod decision_log;
mod directory;
mod environment;
mod error;
mod file;
mod group;
mod keys;
mod origin;
mod place;
mod print;
mod reference;
mod tls;
mod values;

pub use address::{HttpListen, ListenAddress, ListenAddressError, TcpAddress};
pub use authzen::{AuthzenSettings, HttpHost, HttpHostError};
pub use console::ConsoleSettings;
pub use decision_log::DecisionLogSettings;
pub use directory::{DirectorySettings, SourceError};
pub use error::{SettingError, SettingsErrors};
pub use group::SocketGroup;
pub use origin::Origin;
pub use print::{print, to_json};
pub use reference::{SettingReference, reference};
pub use tls::TlsSettings;
pub use values::{FirstState, LogFilter, LogFormat, SocketMode};

use std::{
    collections::HashMap,
    io,
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    grpc::GrpcOptions,
    http::HttpOptions,
    model::{OnForbidError, StoreName},
    net::tls::TlsOptions,
    reload::{self, Gate},
    request::RequestLimits,
    shadow::CpuShare,
    store::Bounds,
    telemetry::Sampler,
};
use place::Written;

/// The settings of the process.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The policies folder; unset: `./policies` if it is there, else the embedded stores.
    pub policies: Option<PathBuf>,
    /// The addresses at which decisions are served over gRPC.
    pub listen: Vec<ListenAddress>,
    /// The address at which HTTP is served.
    pub http_listen: HttpListen,
    /// The address at which AuthZEN is served.
    pub web_listen: HttpListen,
    /// Names by which callers may reach `web_listen`, besides its own.
    pub http_hosts: Vec<HttpHost>,
    /// The file with the token that callers of gRPC and of `web_listen` send.
    pub token_file: Option<PathBuf>,
    /// AuthZEN.
    pub authzen: AuthzenSettings,
    /// The mode of Unix sockets.
    pub socket_mode: SocketMode,
    /// The group of Unix sockets; unset: that of the process.
    pub socket_group: Option<SocketGroup>,
    /// TLS.
    pub tls: TlsSettings,
    /// Listen beyond this machine although there is no TLS.
    pub insecure: bool,
    /// The store that decides requests which name none.
    pub default_store: Option<StoreName>,
    /// The rule for a forbid whose evaluation fails.
    pub on_forbid_error: OnForbidError,
    /// The share of decisions that Cedar's evaluator makes as well, to hold one against the other.
    pub verify_sample: Sampler,
    /// The folder in which the process keeps what outlives it.
    pub data: Option<PathBuf>,
    /// Directories.
    pub directory: DirectorySettings,
    /// Reloading.
    pub reload: ReloadSettings,
    /// Shadow decisions.
    pub shadow: ShadowSettings,
    /// Bounds on requests.
    pub limits: Limits,
    /// Bounds on stores.
    pub bounds: Bounds,
    /// Stopping.
    pub shutdown: ShutdownSettings,
    /// Recording decisions.
    pub decision_log: DecisionLogSettings,
    /// The console.
    pub console: ConsoleSettings,
    /// Logging.
    pub log: LogSettings,
}

/// The settings of reloads.
#[derive(Debug, Clone)]
pub struct ReloadSettings {
    /// Time that the folder must be quiet before it is read.
    pub settle: Duration,
    /// Time that a store of which a file is gone must be unchanged before that is put in force.
    pub settle_removals: Duration,
    /// Interval at which the folder is read even without an event.
    pub rehash_interval: Duration,
    /// Listen to the file system's events, which network file systems do not send.
    pub use_events: bool,
    /// Refuse a store that has warnings.
    pub deny_warnings: bool,
    /// The gates that a valid store must pass before it comes in force.
    pub require: Vec<Gate>,
    /// The folder with which `no-gains` compares a store that is not in force yet.
    pub baseline: Option<PathBuf>,
    /// The answer of `no-gains` to a store that is neither in force nor in the baseline.
    pub first: FirstState,
    /// Time that the gates that take a solver have for one store.
    pub gate_timeout: Duration,
}

impl Default for ReloadSettings {
    fn default() -> Self {
        let reload::Options {
            settle,
            settle_removals,
            rehash_interval,
            use_events,
            deny_warnings,
            ..
        } = reload::Options::default();
        Self {
            settle,
            settle_removals,
            rehash_interval,
            use_events,
            deny_warnings,
            require: Vec::new(),
            baseline: None,
            first: FirstState::default(),
            gate_timeout: Duration::from_secs(60),
        }
    }
}

/// The settings of shadow decisions.
#[derive(Debug, Clone)]
pub struct ShadowSettings {
    /// The folder of the candidate policies; unset: no shadow decisions.
    pub folder: Option<PathBuf>,
    /// The share of one processor's time that they may take.
    pub max_share: CpuShare,
    /// Bytes of questions that may wait.
    pub queue_bytes: NonZeroUsize,
}

impl Default for ShadowSettings {
    fn default() -> Self {
        Self {
            folder: None,
            max_share: CpuShare::default(),
            queue_bytes: const { NonZeroUsize::new(8 * 1024 * 1024).unwrap() },
        }
    }
}

/// Limits on requests and connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Limits on one question.
    pub request: RequestLimits,
    /// Bytes of one gRPC message.
    pub message_bytes: NonZeroUsize,
    /// Fields of one message, those of the messages in it included.
    pub message_parts: NonZeroUsize,
    /// Bytes of a message up to which a call is answered on the thread of its connection.
    pub inline_bytes: usize,
    /// Questions in one batch.
    pub batch_items: NonZeroUsize,
    /// Calls that are served at once; more are refused.
    pub concurrent_requests: NonZeroUsize,
    /// Open health watches and reflection streams; more are refused.
    pub watches: NonZeroUsize,
    /// Open streams of the changes of directories; more are refused.
    pub directory_watches: NonZeroUsize,
    /// Calls that wait for a version of a directory; more are refused.
    pub waiting: NonZeroUsize,
    /// Entities or assignments of one page of a list; more are cut to it.
    pub page_items: NonZeroUsize,
    /// Changes in one write to a directory.
    pub directory_changes: NonZeroUsize,
    /// Bytes of messages that are held at once; calls that need more are refused.
    pub held_bytes: NonZeroUsize,
    /// Open gRPC connections; more are closed at once.
    pub connections: NonZeroUsize,
    /// Open HTTP connections; more are closed at once.
    pub http_connections: NonZeroUsize,
    /// Open connections to `web_listen`; more are closed at once.
    pub web_connections: NonZeroUsize,
    /// Calls under way on one gRPC connection; more wait at the client.
    pub streams: NonZeroU32,
    /// Bytes of the headers of one call.
    pub header_bytes: NonZeroU32,
    /// Streams of one connection that may be reset before they were looked at, until it is closed.
    pub waiting_resets: NonZeroUsize,
    /// Streams of one connection that the server may have to reset until it is closed.
    pub forced_resets: NonZeroUsize,
    /// Time that a peer may take to begin, and over HTTP to end what it has begun.
    pub patience: Duration,
    /// Silence after which a gRPC connection is asked whether it is still there.
    pub keepalive_interval: Duration,
    /// Time that it may take to say so.
    pub keepalive_timeout: Duration,
    /// Time that one call may take, the arrival of its message included.
    pub request_timeout: Duration,
    /// Time that a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// TLS handshakes that may be under way on one listener; with one more, the oldest gives way.
    pub handshakes: NonZeroUsize,
    /// Time that the head of an HTTP request may take, and that a connection may be without one.
    pub http_head_timeout: Duration,
}

/// The settings of stopping.
#[derive(Debug, Clone)]
pub struct ShutdownSettings {
    /// Time that calls are still taken after a signal to stop, while the process says that it does
    /// not serve.
    pub delay: Duration,
    /// Time that calls under way may take to end.
    pub drain: Duration,
}

/// The settings of the log.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// Which events are logged.
    pub filter: LogFilter,
    /// The form of events.
    pub format: LogFormat,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policies: None,
            listen: vec![ListenAddress::Tcp(TcpAddress::loopback(8180))],
            http_listen: HttpListen::On(ListenAddress::Tcp(TcpAddress::loopback(8181))),
            web_listen: HttpListen::On(ListenAddress::Tcp(TcpAddress::loopback(8182))),
            http_hosts: Vec::new(),
            token_file: None,
            authzen: AuthzenSettings::default(),
            socket_mode: SocketMode::default(),
            socket_group: None,
            tls: TlsSettings::default(),
            insecure: false,
            default_store: None,
            on_forbid_error: OnForbidError::default(),
            verify_sample: Sampler::default(),
            data: None,
            directory: DirectorySettings::default(),
            reload: ReloadSettings::default(),
            shadow: ShadowSettings::default(),
            limits: Limits::default(),
            bounds: Bounds::default(),
            shutdown: ShutdownSettings {
                delay: Duration::ZERO,
                drain: GrpcOptions::default().drain_timeout,
            },
            decision_log: DecisionLogSettings::default(),
            console: ConsoleSettings::default(),
            log: LogSettings { filter: LogFilter::default(), format: LogFormat::default() },
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let (grpc, http) = (GrpcOptions::default(), HttpOptions::default());
        // No default is zero.
        let positive = |default| NonZeroUsize::new(default).unwrap_or(NonZeroUsize::MIN);
        let small = |default| NonZeroU32::new(default).unwrap_or(NonZeroU32::MIN);
        Self {
            request: grpc.limits,
            message_bytes: positive(grpc.message_bytes),
            message_parts: positive(grpc.message_parts),
            inline_bytes: grpc.inline_bytes,
            batch_items: positive(grpc.batch_items),
            concurrent_requests: positive(grpc.concurrent_requests),
            watches: positive(grpc.watches),
            directory_watches: positive(grpc.directory_watches),
            waiting: positive(grpc.waiting),
            page_items: positive(grpc.page_items),
            directory_changes: positive(grpc.directory_changes),
            held_bytes: positive(grpc.held_bytes),
            connections: positive(grpc.connections),
            http_connections: positive(http.connections),
            web_connections: positive(http.connections),
            streams: small(grpc.http2.streams),
            header_bytes: small(grpc.http2.header_bytes),
            waiting_resets: positive(grpc.http2.waiting_resets),
            forced_resets: positive(grpc.http2.forced_resets),
            patience: grpc.patience,
            keepalive_interval: grpc.http2.keepalive_interval,
            keepalive_timeout: grpc.http2.keepalive_timeout,
            request_timeout: grpc.request_timeout,
            handshake_timeout: TlsOptions::HANDSHAKE_TIMEOUT,
            handshakes: TlsOptions::HANDSHAKES,
            http_head_timeout: http.head_timeout,
        }
    }
}

/// One setting given as a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagSetting {
    /// The flag as the user wrote it, e.g. `--listen`.
    pub flag: String,
    /// The setting, e.g. `limits.entities`.
    pub key: String,
    /// Its value; several for a list.
    pub values: Vec<String>,
}

/// Settings with the origin of each value.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The settings.
    pub settings: Settings,
    origins: HashMap<&'static str, Origin>,
}

impl Settled {
    /// Returns the origin of the value of a setting, e.g. of `limits.entities`.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or_default()
    }

    /// Returns the settings that some layer gave a value, with the origin of each.
    pub fn origins(&self) -> impl Iterator<Item = (&'static str, &Origin)> {
        self.origins.iter().map(|(key, origin)| (*key, origin))
    }
}

/// Settles the settings from flags, environment variables and the file that `--config` or
/// `HUMBABA_CONFIG` names. Variables that do not begin with `HUMBABA_` are not looked at.
///
/// # Errors
/// Everything that is wrong in any of the layers.
pub fn settle(
    flags: &[FlagSetting],
    config: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    read_file: impl Fn(&Path) -> io::Result<String>,
) -> Result<Settled, SettingsErrors> {
    let mut layers = Layers::default();
    let environment = environment::read(variables, &mut layers.errors);
    let file = config.map(Path::to_owned).or(environment.config);
    if let Some(path) = file {
        match read_file(&path) {
            Ok(text) => file::read(&path, &text, &mut layers),
            Err(error) => layers.errors.push(SettingError::Unreadable { path, error }),
        }
    }
    for (key, variable, value) in environment.settings {
        layers.set(key, &Written::text(value), Origin::Variable(variable));
    }
    for FlagSetting { flag, key, values } in flags {
        let origin = Origin::Flag(flag.clone());
        match keys::find(key) {
            Some(key) => layers.set(key, &Written::Texts(values.clone()), origin),
            None => layers.errors.push(SettingError::UnknownKey {
                key: key.clone(),
                origin,
                suggestion: keys::suggestion(key),
            }),
        }
    }
    layers.settle()
}

#[derive(Default)]
struct Layers {
    settings: Settings,
    origins: HashMap<&'static str, Origin>,
    errors: Vec<SettingError>,
}

impl Layers {
    fn set(&mut self, key: &'static keys::SettingKey, written: &Written, origin: Origin) {
        match (key.place)(&mut self.settings).read(written) {
            Ok(()) => drop(self.origins.insert(key.name, origin)),
            Err(message) => {
                self.errors.push(SettingError::Value { key: key.name, origin, message })
            }
        }
    }

    fn settle(mut self) -> Result<Settled, SettingsErrors> {
        self.check_tls();
        self.check_directories();
        self.check_web_listen();
        let origins = &self.origins;
        self.errors.extend(
            self.settings
                .decision_log
                .conflicts(|key| origins.get(key).cloned().unwrap_or_default()),
        );
        if self.errors.is_empty() {
            Ok(Settled { settings: self.settings, origins: self.origins })
        } else {
            Err(SettingsErrors(self.errors))
        }
    }
}
