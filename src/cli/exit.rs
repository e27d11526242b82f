//! Exit codes, and the errors of commands.

use std::{error::Error, fmt::Write as _, io, process::ExitCode};

use crate::{reload::FolderError, settings::SettingsErrors};

/// The outcome of a command, as its exit code tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// Something failed, and the input is not at fault.
    Failure = 1,
    /// The decision is a deny, or a check failed.
    Refused = 2,
    /// Policies are invalid.
    InvalidPolicies = 3,
    /// The settings, arguments or input are wrong.
    Usage = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The settings are wrong.
    #[error("bad configuration\n{0}")]
    Settings(#[from] SettingsErrors),
    /// The arguments or the input are wrong.
    #[error("{0}")]
    Usage(String),
    /// The policies folder cannot be read or holds no store.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The policies are not valid.
    #[error("{0}")]
    Policies(String),
    /// Input or output failed.
    #[error("{doing}: {error}")]
    Io {
        /// The operation.
        doing: String,
        /// The system's error.
        error: io::Error,
    },
    /// Something else failed.
    #[error("{0}")]
    Failure(String),
}

impl CliError {
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |error| Self::Io { doing, error }
    }

    /// Tells the user of it in one piece, and returns the exit code.
    pub(super) fn tell(&self, to: &mut impl io::Write) -> Exit {
        // A failure to write has nowhere to be reported.
        let _ = to.write_all(format!("error: {self}\n").as_bytes());
        self.exit()
    }

    /// Returns the exit code of a command that ends with this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) | Self::Usage(_) => Exit::Usage,
            Self::Folder(_) | Self::Policies(_) => Exit::InvalidPolicies,
            Self::Io { .. } | Self::Failure(_) => Exit::Failure,
        }
    }
}

/// Returns the text of an error with its causes, for libraries whose errors do not name them.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            let _ = write!(text, ": {message}");
        }
        cause = error.source();
    }
    text
}
