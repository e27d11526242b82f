//! The settings of the process, for every command that needs them.

use std::{env, path::PathBuf};

use super::CliError;
use crate::{
    regular_file,
    settings::{FlagSetting, Settled, settle},
};

/// The flags that every command with settings has.
#[derive(Debug, clap::Args)]
pub(super) struct SettingFlags {
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Change any setting, e.g. `--set limits.entities=100`
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
}

pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write `key=value`")?;
    if key.is_empty() {
        return Err("write `key=value`".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// A setting that has a flag of its own.
pub(super) fn flag(key: &str, values: impl IntoIterator<Item = String>) -> Option<FlagSetting> {
    let values: Vec<_> = values.into_iter().collect();
    let flag = format!("--{}", key.rsplit('.').next().unwrap_or(key).replace('_', "-"));
    (!values.is_empty()).then(|| FlagSetting { flag, key: key.to_owned(), values })
}

impl SettingFlags {
    /// Settles the settings with the process's environment and these flags.
    pub(super) fn settle(&self, own: Vec<FlagSetting>) -> Result<Settled, CliError> {
        let set = self.set.iter().map(|(key, value)| FlagSetting {
            flag: format!("--set {key}"),
            key: key.clone(),
            values: vec![value.clone()],
        });
        let flags: Vec<_> = set.chain(own).collect();
        // A variable that is no text cannot be one of ours with a good value, but must not go
        // unnoticed either: its lossy form is refused like any other bad value.
        let variables = env::vars_os().map(|(name, value)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        });
        Ok(settle(&flags, self.config.as_deref(), variables, regular_file::read_text)?)
    }
}
