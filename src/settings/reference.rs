//! Name, default and meaning of each setting, for the reference in the documentation.

use super::{
    Settings,
    keys::{KEYS, variable},
};

/// A setting as a reference tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingReference {
    /// Its name in the configuration file, with the table in front: `limits.entities`.
    pub name: &'static str,
    /// Its environment variable.
    pub variable: String,
    /// The form of its value, with unit and bounds.
    pub form: String,
    /// The default, as TOML.
    pub default: String,
    /// Its meaning.
    pub about: &'static str,
}

/// Returns every setting, those of one table together.
#[must_use]
pub fn reference() -> Vec<SettingReference> {
    let mut settings = Settings::default();
    KEYS.iter()
        .map(|key| {
            let unit = if key.name.ends_with("_bytes") { "bytes" } else { "number" };
            SettingReference {
                name: key.name,
                variable: variable(key.name),
                form: (key.field)(&mut settings).form(unit),
                default: (key.field)(&mut settings).write().to_string(),
                about: key.about,
            }
        })
        .collect()
}
