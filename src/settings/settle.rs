//! Settling the settings: file, environment and flags over the defaults.

use std::{io, path::Path};

use super::{
    Origin, SettingError, SettingsErrors, environment, file, keys,
    layers::{Layers, Settled},
    place::Written,
};

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
