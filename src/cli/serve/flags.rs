//! The flags of `serve` that change settings.

use clap::{Args as _, Command, FromArgMatches as _};

use crate::{
    cli::{
        CliError,
        setting_flags::{SettingFlags, flag},
    },
    settings::{FlagSetting, Settled},
};

/// The flags that change settings.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ServeFlags {
    /// The policies folder [default: ./policies if it is there, else the embedded stores]
    #[arg(long, value_name = "DIR")]
    policies: Option<String>,
    /// Serve gRPC here: `host:port`, `tls:host:port` or `unix:/path`; may be given several times
    /// [default: 127.0.0.1:8180]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// Serve HTTP here: `host:port`, `tls:host:port`, `unix:/path` or `off` [default: 127.0.0.1:8181]
    #[arg(long, value_name = "ADDR")]
    http_listen: Option<String>,
    /// Serve AuthZEN and the console here: `host:port`, `tls:host:port`, `unix:/path` or `off`
    /// [default: 127.0.0.1:8182]
    #[arg(long, value_name = "ADDR")]
    web_listen: Option<String>,
    /// Keep a directory for a store: `STORE=embedded`, `STORE=files:/folder` or `STORE=postgres`; may be
    /// given several times
    #[arg(long, value_name = "STORE=SOURCE")]
    directory: Vec<String>,
    /// Serve `DirectoryService` here, which writes directories: `unix:/path`, or `host:port` or
    /// `tls:host:port` with a token or client certificates [default: off]
    #[arg(long, value_name = "ADDR")]
    directory_listen: Option<String>,
    /// The file with the tokens of which callers of `DirectoryService` send one
    #[arg(long, value_name = "FILE")]
    directory_token_file: Option<String>,
    /// The folder in which embedded directories are kept, and for `no-gains` what is in force
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The store that decides requests which name none
    #[arg(long, value_name = "NAME")]
    default_store: Option<String>,
    /// The effect of a forbid whose evaluation fails: `deny` or `skip` [default: deny]
    #[arg(long, value_name = "EFFECT")]
    on_forbid_error: Option<String>,
    /// Have this share of decisions made by Cedar's evaluator as well, from 0 (none) to 1 (all). A
    /// difference is logged and counted, and Cedar's answer is given [default: 0]
    #[arg(long, value_name = "SHARE")]
    verify_sample: Option<String>,
    /// Decide with the candidate policies of this folder as well, off the way of the answers, and
    /// count where they differ; `humbaba shadow-report` tells
    #[arg(long, value_name = "DIR")]
    shadow: Option<String>,
    /// A gate that a valid store must pass before it comes in force: `tests`, `invariants`,
    /// `no-gains`; may be given several times. The last two need the solver cvc5
    #[arg(long, value_name = "GATE")]
    require: Vec<String>,
    /// The certificate for TLS and its intermediates, PEM; spoken where other machines can connect
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// The certification authority of clients, PEM; if given, clients need a certificate
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<String>,
    /// A client that may call, by a DNS name or URI in its certificate; may be given several times
    /// [default: all with a certificate]
    #[arg(long, value_name = "NAME")]
    tls_client_id: Vec<String>,
    /// The file with the tokens of which callers of gRPC and of `--web-listen` send one
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// Listen on addresses that other machines can reach without TLS
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure: Option<String>,
    /// Record decisions: `on`, `otlp` (sent to the collector that the variables `OTEL_…` name),
    /// `required` (no answer leaves without its record on disk) or `off`
    /// [default: off]
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    decision_log: Option<String>,
    /// Write decision records to this file [default: stdout]
    #[arg(long, value_name = "FILE")]
    decision_log_file: Option<String>,
    /// The events to log, e.g. `info` or `humbaba=debug,warn` [default: info]
    #[arg(long, value_name = "FILTER")]
    log_filter: Option<String>,
    /// The form of the log: `text` or `json` [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    #[command(flatten)]
    settings: SettingFlags,
}

impl ServeFlags {
    /// Settles the settings with these flags and the process's environment.
    pub(in crate::cli) fn settle(&self) -> Result<Settled, CliError> {
        self.settings.settle(self.settings_of_flags())
    }

    fn settings_of_flags(&self) -> Vec<FlagSetting> {
        let log = |name: &str, value: &Option<String>| {
            let value = value.clone()?;
            let flag = format!("--log-{name}");
            Some(FlagSetting { flag, key: format!("log.{name}"), values: vec![value] })
        };
        let client_ids = (!self.tls_client_id.is_empty()).then(|| FlagSetting {
            flag: "--tls-client-id".to_owned(),
            key: "tls.client_ids".to_owned(),
            values: self.tls_client_id.clone(),
        });
        let tls = |name: &str, value: &Option<String>| {
            let (key, value) = (format!("tls.{name}"), value.clone()?);
            let flag = format!("--tls-{}", name.replace('_', "-"));
            Some(FlagSetting { flag, key, values: vec![value] })
        };
        let decision_log = |flag: &str, name: &str, value: &Option<String>| {
            let values = vec![value.clone()?];
            Some(FlagSetting { flag: flag.to_owned(), key: format!("decision_log.{name}"), values })
        };
        let shadow = self.shadow.clone().map(|folder| FlagSetting {
            flag: "--shadow".to_owned(),
            key: "shadow.folder".to_owned(),
            values: vec![folder],
        });
        let directory = (!self.directory.is_empty()).then(|| FlagSetting {
            flag: "--directory".to_owned(),
            key: "directory.sources".to_owned(),
            values: self.directory.clone(),
        });
        let of_directory = |name: &str, value: &Option<String>| {
            let (key, value) = (format!("directory.{name}"), value.clone()?);
            let flag = format!("--directory-{}", name.replace('_', "-"));
            Some(FlagSetting { flag, key, values: vec![value] })
        };
        let flags = [
            flag("policies", self.policies.clone()),
            flag("listen", self.listen.clone()),
            flag("http_listen", self.http_listen.clone()),
            flag("web_listen", self.web_listen.clone()),
            flag("data", self.data.clone()),
            directory,
            of_directory("listen", &self.directory_listen),
            of_directory("token_file", &self.directory_token_file),
            flag("default_store", self.default_store.clone()),
            flag("on_forbid_error", self.on_forbid_error.clone()),
            flag("verify_sample", self.verify_sample.clone()),
            shadow,
            flag("reload.require", self.require.clone()),
            flag("auth.token_file", self.token_file.clone()),
            flag("insecure", self.insecure.clone()),
            tls("cert", &self.tls_cert),
            tls("key", &self.tls_key),
            tls("client_ca", &self.tls_client_ca),
            client_ids,
            decision_log("--decision-log", "mode", &self.decision_log),
            decision_log("--decision-log-file", "file", &self.decision_log_file),
            log("filter", &self.log_filter),
            log("format", &self.log_format),
        ];
        flags.into_iter().flatten().collect()
    }

    /// Returns each setting that has a flag of its own, with that flag.
    pub(in crate::cli) fn of_settings() -> Vec<(String, String)> {
        let command = Self::augment_args(Command::new("serve"));
        let with_value = command.get_arguments().filter(|arg| arg.get_action().takes_values());
        // The value of a flag does not matter here, but that of `--set` must be `key=value`.
        let flags = with_value.filter_map(|arg| Some(format!("--{}=a=b", arg.get_long()?)));
        let given: Vec<_> = std::iter::once("serve".to_owned()).chain(flags).collect();
        let parsed = command.try_get_matches_from(given);
        let parsed = parsed.and_then(|matches| Self::from_arg_matches(&matches));
        let settings = parsed.map(|flags| flags.settings_of_flags()).unwrap_or_default();
        settings.into_iter().map(|setting| (setting.key, setting.flag)).collect()
    }
}
