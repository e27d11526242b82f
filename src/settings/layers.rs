//! The settings while one layer after the other is read.

use std::collections::HashMap;

use super::{Origin, SettingError, Settings, keys::SettingKey, setting_field::Written};

#[derive(Default)]
pub(super) struct Layers {
    pub settings: Settings,
    pub origins: HashMap<&'static str, Origin>,
    pub errors: Vec<SettingError>,
}

impl Layers {
    pub fn set(&mut self, key: &'static SettingKey, written: &Written, origin: Origin) {
        match (key.field)(&mut self.settings).read(written) {
            Ok(()) => drop(self.origins.insert(key.name, origin)),
            Err(message) => {
                self.errors.push(SettingError::Value { key: key.name, origin, message })
            }
        }
    }
}
