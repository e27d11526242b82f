//! The layer of environment variables.

use std::path::PathBuf;

use super::{
    SettingError,
    keys::{self, KEYS, SettingKey},
};

const PREFIX: &str = "HUMBABA_";
const CONFIG: &str = "HUMBABA_CONFIG";

/// The settings of the environment.
#[derive(Default)]
pub(super) struct EnvironmentSettings {
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Settings with the name and value of the variable, in the order of the names.
    pub settings: Vec<(&'static SettingKey, String, String)>,
}

pub(super) fn read(
    variables: impl IntoIterator<Item = (String, String)>,
    errors: &mut Vec<SettingError>,
) -> EnvironmentSettings {
    let mut environment = EnvironmentSettings::default();
    let mut variables: Vec<_> =
        variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    for (name, value) in variables {
        if name == CONFIG {
            environment.config = (!value.is_empty()).then(|| value.into());
        } else if let Some(key) = KEYS.iter().find(|key| keys::variable(key.name) == name) {
            environment.settings.push((key, name, value));
        } else if !is_service_link(&name, &value) {
            errors.push(SettingError::UnknownVariable { suggestion: suggestion(&name), name });
        }
    }
    environment
}

/// Returns whether Kubernetes set the variable for a Service called `humbaba` or `humbaba-…`. It does so in
/// every pod of the Service's namespace, so these must not keep the process from starting.
fn is_service_link(name: &str, value: &str) -> bool {
    let port_of_protocol = || {
        let (_, port) = name.rsplit_once("_PORT_").or_else(|| {
            let (rest, _) = name.rsplit_once("_PORT")?;
            rest.rsplit_once("_PORT_")
        })?;
        let (number, protocol) = port.split_once('_')?;
        let protocol = protocol.split('_').next()?;
        let is_number = number.chars().all(|c| c.is_ascii_digit());
        Some(is_number && ["TCP", "UDP", "SCTP"].contains(&protocol))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && value.contains("://"))
        || port_of_protocol().unwrap_or(false)
}

fn suggestion(name: &str) -> Option<String> {
    let written = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
    // `HUMBABA_LIMITS_ENTITIES` is the likeliest mistake: one underscore where the table ends.
    let flat = |key: &&SettingKey| key.name.replace('.', "_") == written;
    let meant = KEYS.iter().find(flat).map(|key| key.name);
    let meant = meant.or_else(|| keys::suggestion(&written.replace("__", ".")));
    meant.map(keys::variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_are_told_from_settings() {
        for (name, value, expected) in [
            ("HUMBABA_SERVICE_HOST", "10.0.0.1", true),
            ("HUMBABA_SERVICE_PORT", "8180", true),
            ("HUMBABA_SERVICE_PORT_GRPC", "8180", true),
            ("HUMBABA_PORT", "tcp://10.0.0.1:8180", true),
            ("HUMBABA_PORT_8180_TCP", "tcp://10.0.0.1:8180", true),
            ("HUMBABA_PORT_8180_TCP_PROTO", "tcp", true),
            ("HUMBABA_PORT_8180_TCP_PORT", "8180", true),
            ("HUMBABA_PORT_8180_TCP_ADDR", "10.0.0.1", true),
            ("HUMBABA_HTTP_PORT_8181_TCP_PORT", "8181", true),
            ("HUMBABA_PORT", "8180", false),
            ("HUMBABA_PORT_GRPC", "8180", false),
            ("HUMBABA_LISTENN", "8180", false),
        ] {
            assert_eq!(is_service_link(name, value), expected, "{name}={value}");
        }
    }
}
