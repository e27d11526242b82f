//! Errors of the settings.

use std::{fmt, io, path::PathBuf};

use super::{Origin, TcpAddress};
use crate::model::Problem;

/// Everything that is wrong with the settings.
#[derive(Debug)]
pub struct SettingsErrors(pub Vec<SettingError>);

/// One thing that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file `{}`: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The file system's error.
        error: io::Error,
    },
    /// Something in the configuration file is wrong.
    #[error("{}", .0.render().trim_end())]
    File(Problem),
    /// There is no such setting.
    #[error("no setting is called `{key}` ({origin}){}", did_you_mean(suggestion.as_deref()))]
    UnknownKey {
        /// The name that was written.
        key: String,
        /// Its origin.
        origin: Origin,
        /// The name that may have been meant.
        suggestion: Option<&'static str>,
    },
    /// There is no setting for an environment variable.
    #[error("the environment variable `{name}` is no setting{}", did_you_mean(suggestion.as_deref()))]
    UnknownVariable {
        /// Its name.
        name: String,
        /// The name that may have been meant.
        suggestion: Option<String>,
    },
    /// A setting cannot have that value.
    #[error("setting `{key}` ({origin}): {message}")]
    Value {
        /// The setting.
        key: &'static str,
        /// The origin of the value.
        origin: Origin,
        /// The fault, and what to write.
        message: String,
    },
    /// Two settings do not go together.
    #[error("setting `{key}` ({origin}): {message}")]
    Conflict {
        /// The setting that is wrong beside the other.
        key: &'static str,
        /// Its origin.
        origin: Origin,
        /// The fault, and what to write.
        message: &'static str,
    },
    /// Other machines could reach an address, and there is no TLS.
    #[error(
        "setting `{key}` ({origin}): `{address}` can be reached from other machines, and there is \
         no TLS: set `tls.cert` and `tls.key`, listen on 127.0.0.1 or a Unix socket, or say \
         `--insecure` if the network is trusted"
    )]
    Insecure {
        /// The setting.
        key: &'static str,
        /// The address.
        address: TcpAddress,
        /// Its origin.
        origin: Origin,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(": did you mean `{name}`?")).unwrap_or_default()
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsErrors {}
