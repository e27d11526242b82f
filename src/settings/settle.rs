//! Settling the settings: all layers, one over the other.

use std::{collections::HashMap, io, path::Path};

use super::{
    Origin, SettingError, Settings, SettingsErrors, environment, file, keys, layers::Layers,
    setting_field::Written,
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

impl Layers {
    fn settle(mut self) -> Result<Settled, SettingsErrors> {
        self.check_tls();
        self.check_addresses();
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
