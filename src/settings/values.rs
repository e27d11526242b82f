//! Settings that are written as one text.

use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use super::{HttpListen, ListenAddressError, setting_field::TextSetting};
use crate::{
    audit::LogMode,
    http::PublicUrl,
    model::{OnForbidError, StoreName},
};

/// The events that are logged, in the words of `tracing`'s filters: `info`, `humbaba=debug,warn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// The form of log events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// The fate of a store with which nothing can be compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FirstState {
    /// It is refused.
    #[default]
    Refuse,
    /// It is accepted.
    Trust,
}

impl TextSetting for FirstState {
    fn form(&self) -> &'static str {
        "`refuse` or `trust`"
    }

    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "refuse" => Self::Refuse,
            "trust" => Self::Trust,
            other => return Err(format!("`{other}` is neither `refuse` nor `trust`")),
        };
        Ok(())
    }

    fn write(&self) -> String {
        match self {
            Self::Refuse => "refuse".to_owned(),
            Self::Trust => "trust".to_owned(),
        }
    }
}

/// The mode of a Unix socket. Who may write to the socket may ask for decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(u32);

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl LogFilter {
    /// The filter as `tracing` takes it.
    #[must_use]
    pub fn to_env_filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl Default for SocketMode {
    fn default() -> Self {
        Self(0o660)
    }
}

impl SocketMode {
    /// The permission bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl TextSetting for Option<PathBuf> {
    fn form(&self) -> &'static str {
        "path, or empty"
    }

    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = (!text.is_empty()).then(|| text.into());
        Ok(())
    }

    fn write(&self) -> String {
        self.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }
}

impl TextSetting for Option<StoreName> {
    fn form(&self) -> &'static str {
        "name of a store, or empty"
    }

    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "" => None,
            name => Some(name.parse().map_err(|error| format!("{error}"))?),
        };
        Ok(())
    }

    fn write(&self) -> String {
        self.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

impl TextSetting for Option<PublicUrl> {
    fn form(&self) -> &'static str {
        "https URL, or empty"
    }

    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "" => None,
            url => Some(url.parse().map_err(|error| format!("{error}"))?),
        };
        Ok(())
    }

    fn write(&self) -> String {
        self.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

impl TextSetting for HttpListen {
    fn form(&self) -> &'static str {
        "address, or `off`"
    }

    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = text.parse().map_err(|error| match error {
            ListenAddressError::Malformed(_) => format!(
                "`{text}` is not an address: write `host:port`, e.g. `127.0.0.1:8181`, \
                 `tls:host:port`, `unix:/path` or `off`"
            ),
            ListenAddressError::LongPath { .. } => error.to_string(),
        })?;
        Ok(())
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl TextSetting for OnForbidError {
    fn form(&self) -> &'static str {
        "`deny` or `skip`"
    }

    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "deny" => Self::Deny,
            "skip" => Self::Skip,
            _ => return Err(format!("`{text}` is neither `deny` nor `skip`")),
        };
        Ok(())
    }

    fn write(&self) -> String {
        match self {
            Self::Deny => "deny".to_owned(),
            Self::Skip => "skip".to_owned(),
        }
    }
}

impl TextSetting for LogMode {
    fn form(&self) -> &'static str {
        "`off`, `on`, `otlp` or `required`"
    }

    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "off" => Self::Off,
            "on" => Self::On,
            "otlp" => Self::Otlp,
            "required" => Self::Required,
            _ => return Err(format!("`{text}` is none of `off`, `on`, `otlp`, `required`")),
        };
        Ok(())
    }

    fn write(&self) -> String {
        match self {
            Self::Off => "off".to_owned(),
            Self::On => "on".to_owned(),
            Self::Otlp => "otlp".to_owned(),
            Self::Required => "required".to_owned(),
        }
    }
}

impl TextSetting for SocketMode {
    fn form(&self) -> &'static str {
        "octal digits, at most `0777`"
    }

    fn read(&mut self, text: &str) -> Result<(), String> {
        let bits = u32::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o777);
        let bits = bits.ok_or_else(|| {
            format!("`{text}` is not a mode: write three octal digits, e.g. `0660`")
        })?;
        *self = Self(bits);
        Ok(())
    }

    fn write(&self) -> String {
        format!("{:04o}", self.0)
    }
}

impl std::str::FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        EnvFilter::builder().parse(text).map_err(|error| {
            format!(
                "`{text}` is not a filter: {error}: write a level (error, warn, info, debug, \
                 trace, off) or `target=level` pairs"
            )
        })?;
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Display for LogFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TextSetting for LogFilter {
    fn form(&self) -> &'static str {
        "filter"
    }

    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = text.parse()?;
        Ok(())
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl TextSetting for LogFormat {
    fn form(&self) -> &'static str {
        "`text` or `json`"
    }

    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "text" => Self::Text,
            "json" => Self::Json,
            _ => return Err(format!("`{text}` is neither `text` nor `json`")),
        };
        Ok(())
    }

    fn write(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Json => "json".to_owned(),
        }
    }
}
