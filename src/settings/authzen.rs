//! The settings of AuthZEN and of the listener that serves it.

use std::{fmt, str::FromStr};

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
