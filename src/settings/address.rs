//! Addresses to listen on.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    os::unix,
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
    /// At this address.
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
pub enum ListenAddressError {
    /// It has another form.
    #[error(
        "`{0}` is not an address: write `host:port`, e.g. `127.0.0.1:8180`, `tls:host:port` or \
         `unix:/path`"
    )]
    Malformed(String),
    /// The path of a Unix socket is longer than the system allows.
    #[error(
        "`{path}` has {} bytes, which is too long for the path of a Unix socket (Linux allows 107): \
         name a shorter one",
        path.len()
    )]
    LongPath {
        /// The path.
        path: String,
    },
}

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

    /// Returns whether nobody can listen at both. Names are not looked up.
    fn excludes(&self, other: &Self) -> bool {
        let ip = |host: &str| host.parse::<IpAddr>().map(|ip| ip.to_canonical());
        let is_one_host = match (ip(&self.host), ip(&other.host)) {
            (Ok(one), Ok(other)) => {
                let is_all = one.is_unspecified() || other.is_unspecified();
                one == other || (is_all && one.is_ipv4() == other.is_ipv4())
            }
            _ => self.host.eq_ignore_ascii_case(&other.host),
        };
        // The system chooses another port each time.
        self.port == other.port && self.port != 0 && is_one_host
    }
}

impl ListenAddress {
    pub(super) fn tcp(&self) -> Option<&TcpAddress> {
        match self {
            Self::Tcp(address) => Some(address),
            Self::Unix(_) => None,
        }
    }

    /// Returns whether nobody can listen at both. Names and links are not followed.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(other)) => one.excludes(other),
            (Self::Unix(one), Self::Unix(other)) => one == other,
            (Self::Tcp(_), Self::Unix(_)) | (Self::Unix(_), Self::Tcp(_)) => false,
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
        let error = || ListenAddressError::Malformed(text.chars().take(80).collect());
        // A host may be named `tls` or `plain`, but then a port follows it and no address.
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
        if path.is_empty() || path.contains('\0') {
            return Err(ListenAddressError::Malformed(text.chars().take(80).collect()));
        }
        // No other fault is left.
        unix::net::SocketAddr::from_pathname(path)
            .map_err(|_| ListenAddressError::LongPath { path: path.to_owned() })?;
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
