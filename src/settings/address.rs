//! Addresses to listen on.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// An address at which decisions are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// TCP, written `host:port`, `tls:host:port` or `plain:host:port`.
    Tcp(TcpAddress),
    /// A Unix socket, written `unix:/path`.
    Unix(PathBuf),
}

/// The address at which HTTP is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpListen {
    /// Nowhere, written `off`.
    Off,
    /// There.
    On(ListenAddress),
}

/// A host, as a name or an IP address, and a port. Port 0 lets the system choose one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpAddress {
    /// A name or an IP address, an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// TLS or not, where the address says it.
    pub tls: Option<bool>,
}

/// A text that is no address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an address: write `host:port`, e.g. `127.0.0.1:8180`, `tls:host:port` or `unix:/path`"
)]
pub struct ListenAddressError(String);

impl TcpAddress {
    pub(super) fn loopback(port: u16) -> Self {
        Self { host: "127.0.0.1".to_owned(), port, tls: None }
    }

    /// Returns whether only this machine can reach it. Of names only `localhost` is known to be so.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl ListenAddress {
    pub(super) fn tcp(&self) -> Option<&TcpAddress> {
        match self {
            Self::Tcp(address) => Some(address),
            Self::Unix(_) => None,
        }
    }
}

impl HttpListen {
    /// Returns the address, if there is one.
    #[must_use]
    pub fn address(&self) -> Option<&ListenAddress> {
        match self {
            Self::Off => None,
            Self::On(address) => Some(address),
        }
    }
}

impl FromStr for TcpAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ListenAddressError(text.chars().take(80).collect());
        // A host may be called so too, but then a port follows and not an address.
        let (text, tls) = match text.split_once(':') {
            Some(("tls", rest)) if rest.contains(':') => (rest, Some(true)),
            Some(("plain", rest)) if rest.contains(':') => (rest, Some(false)),
            _ => (text, None),
        };
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: address.ip().to_string(), port: address.port(), tls });
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let port = port.parse().map_err(|_| error())?;
        let name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
        if host.is_empty() || !host.chars().all(name) {
            return Err(error());
        }
        Ok(Self { host: host.to_owned(), port, tls })
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(path) = text.strip_prefix("unix:") else { return text.parse().map(Self::Tcp) };
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(ListenAddressError(text.to_owned()));
        }
        Ok(Self::Unix(path.into()))
    }
}

impl FromStr for HttpListen {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::On) }
    }
}

impl fmt::Display for TcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tls {
            Some(true) => f.write_str("tls:")?,
            Some(false) => f.write_str("plain:")?,
            None => {}
        }
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for HttpListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::On(address) => address.fmt(f),
        }
    }
}
