//! Everything that a process opens before it serves, from the settings alone. `humbaba doctor` checks the same, one
//! by one: what is opened here cannot be forgotten there.

use std::sync::Arc;

use super::{certificate, options::telemetry_variables, solver::slow_gates, tokens};
use crate::{
    audit::{DecisionLog, LogOptions, OpenError},
    cli::CliError,
    net::{BearerTokens, ServerTls},
    reload::SlowGates,
    settings::Settings,
};

/// One thing that is opened before anything is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Prerequisite {
    /// The decision log: its file or collector, and the key of hashes.
    DecisionLog,
    /// The solver of the gates that take one.
    Gates,
    /// The certificate, its key and the authorities of clients.
    Certificate,
    /// The tokens of callers of `DirectoryService`.
    DirectoryTokens,
    /// The tokens of callers of gRPC and of `web_listen`.
    Tokens,
}

/// Everything that was opened.
#[derive(Debug, Default)]
pub(in crate::cli) struct Prerequisites {
    pub decision_log: DecisionLog,
    pub slow_gates: Option<Arc<dyn SlowGates>>,
    pub tls: Option<ServerTls>,
    pub directory_tokens: Option<BearerTokens>,
    pub tokens: Option<BearerTokens>,
}

impl Prerequisite {
    /// In the order in which a start opens them.
    pub const ALL: [Self; 5] =
        [Self::DecisionLog, Self::Gates, Self::Certificate, Self::DirectoryTokens, Self::Tokens];
}

impl Prerequisites {
    /// Opens everything. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// Something cannot be had.
    pub fn open_all(settings: &Settings) -> Result<Self, CliError> {
        let mut opened = Self::default();
        for one in Prerequisite::ALL {
            opened.open(one, settings)?;
        }
        Ok(opened)
    }

    /// Looks whether one thing could be opened, as [`Self::open_all`] does it, and changes nothing: the
    /// decision log is not opened, which would make its file. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn check(&mut self, one: Prerequisite, settings: &Settings) -> Result<(), CliError> {
        match one {
            Prerequisite::DecisionLog => DecisionLog::check(&log_options(settings)).map_err(of_log),
            Prerequisite::Gates
            | Prerequisite::Certificate
            | Prerequisite::DirectoryTokens
            | Prerequisite::Tokens => self.open(one, settings),
        }
    }

    fn open(&mut self, one: Prerequisite, settings: &Settings) -> Result<(), CliError> {
        match one {
            Prerequisite::DecisionLog => {
                self.decision_log = DecisionLog::open(log_options(settings)).map_err(of_log)?;
            }
            Prerequisite::Gates => self.slow_gates = slow_gates(settings)?,
            Prerequisite::Certificate => self.tls = certificate::load(settings)?,
            Prerequisite::DirectoryTokens => {
                let path = settings.directory.token_file.as_deref();
                self.directory_tokens = tokens::load(path, "directory.token_file")?;
            }
            Prerequisite::Tokens => {
                self.tokens = tokens::load(settings.token_file.as_deref(), "auth.token_file")?;
            }
        }
        Ok(())
    }
}

fn log_options(settings: &Settings) -> LogOptions {
    settings.console.keeping(settings.decision_log.options(telemetry_variables()))
}

fn of_log(error: OpenError) -> CliError {
    match error {
        OpenError::Key { .. } | OpenError::Otlp(_) => CliError::Usage(error.to_string()),
        OpenError::File { .. }
        | OpenError::Random(_)
        | OpenError::Hmac(_)
        | OpenError::Thread(_) => CliError::Failure(error.to_string()),
    }
}
