//! Settings in four layers: defaults, a TOML file, the environment, flags.
//! A later layer wins, and the settled settings know where each value came from.

mod address;
mod authzen;
mod checks;
mod console;
mod decision_log;
mod directory;
mod environment;
mod error;
mod file;
mod group;
mod keys;
mod layers;
mod limits;
mod listeners;
mod origin;
mod print;
mod reference;
mod reload;
mod setting_field;
mod settle;
mod shadow;
mod tls;
mod values;
mod without_effect;

pub use address::{HttpListen, ListenAddress, ListenAddressError, TcpAddress};
pub use authzen::{AuthzenSettings, HttpHost, HttpHostError};
pub use console::ConsoleSettings;
pub use decision_log::DecisionLogSettings;
pub use directory::{DirectorySettings, SourceError};
pub use error::{SettingError, SettingsErrors};
pub use group::SocketGroup;
pub use limits::Limits;
pub use origin::Origin;
pub use print::{print, to_json};
pub use reference::{SettingReference, reference};
pub use reload::ReloadSettings;
pub use settle::{FlagSetting, Settled, settle};
pub use shadow::ShadowSettings;
pub use tls::TlsSettings;
pub use values::{FirstState, LogFilter, LogFormat, SocketMode};

use std::{path::PathBuf, time::Duration};

use crate::{
    grpc::GrpcOptions,
    model::{OnForbidError, StoreName},
    store::Bounds,
    telemetry::Sampler,
};

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
    /// The file with the tokens of which callers of gRPC and of `web_listen` send one.
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
    /// The events that are logged.
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
