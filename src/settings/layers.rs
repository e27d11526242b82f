//! The layers laid over each other, and the origin of each value.

use std::collections::HashMap;

use super::{Origin, SettingError, Settings, SettingsErrors, keys, place::Written};

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

/// The settings of the layers that were read so far, with all that is wrong in them.
#[derive(Default)]
pub(super) struct Layers {
    pub settings: Settings,
    pub origins: HashMap<&'static str, Origin>,
    pub errors: Vec<SettingError>,
}

impl Layers {
    /// Sets a value of a layer, which takes the place of that of an earlier one.
    pub fn set(&mut self, key: &'static keys::SettingKey, written: &Written, origin: Origin) {
        match (key.place)(&mut self.settings).read(written) {
            Ok(()) => drop(self.origins.insert(key.name, origin)),
            Err(message) => {
                self.errors.push(SettingError::Value { key: key.name, origin, message })
            }
        }
    }

    /// Checks the settings together.
    ///
    /// # Errors
    /// Everything that is wrong in any of the layers.
    pub fn settle(mut self) -> Result<Settled, SettingsErrors> {
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
