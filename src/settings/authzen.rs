//! The settings of AuthZEN and of the listener that serves it.

use std::{fmt, str::FromStr};

use super::{HttpListen, Layers, SettingError, Settings, TcpAddress};
use crate::http::PublicUrl;

/// The settings of AuthZEN.
#[derive(Debug, Clone, Default)]
pub struct AuthzenSettings {
    /// The URL under which callers reach AuthZEN; unset: as they write it.
    pub public_url: Option<PublicUrl>,
}

/// A name or an IP address by which callers may reach a listener, without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpHost(String);

/// A text that is not the name of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a host: write a name or an IP address without a port, e.g. `pdp.example.com`"
)]
pub struct HttpHostError(String);

impl HttpHost {
    /// Returns the name in lower case, an IPv6 address without its brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HttpHost {
    type Err = HttpHostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_host = plain.parse::<std::net::IpAddr>().is_ok() || plain.chars().all(is_name);
        if plain.is_empty() || !is_host {
            return Err(HttpHostError(text.chars().take(80).collect()));
        }
        Ok(Self(plain.to_ascii_lowercase()))
    }
}

impl fmt::Display for HttpHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Settings {
    /// Returns whether callers of `web_listen` show who they are, where it is at that address.
    #[must_use]
    pub fn knows_web_callers(&self, address: &TcpAddress) -> bool {
        self.token_file.is_some() || (self.tls.client_ca.is_some() && self.speaks_tls(address))
    }
}

impl Layers {
    /// Finds a `web_listen` that anybody on the network could ask.
    pub(super) fn check_web_listen(&mut self) {
        let settings = &self.settings;
        let HttpListen::On(address) = &settings.web_listen else { return };
        let Some(address) = address.tcp().filter(|address| !address.is_loopback()) else { return };
        if !settings.knows_web_callers(address) {
            let origin = self.origins.get("web_listen").cloned().unwrap_or_default();
            self.errors.push(SettingError::Conflict {
                key: "web_listen",
                origin,
                message: "other machines can reach it, and nothing says who may call: set \
                          `tls.client_ca` or `auth.token_file`, listen on 127.0.0.1 or a Unix \
                          socket, or write `off`",
            });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn hosts_are_names_and_addresses_without_a_port() {
        for (text, read) in [
            ("PDP.example.com", Some("pdp.example.com")),
            ("10.0.0.1", Some("10.0.0.1")),
            ("[::1]", Some("::1")),
            ("::1", Some("::1")),
            ("pdp.example.com:8182", None),
            ("https://pdp", None),
            ("", None),
            ("a b", None),
        ] {
            let host = text.parse::<HttpHost>();
            assert_eq!(host.as_ref().ok().map(HttpHost::as_str), read, "{text}");
        }
    }
}
