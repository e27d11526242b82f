//! The names by which callers may reach a listener. A page in a browser whose name its owner has let
//! point to this machine (DNS rebinding) sends its own name, and gets no answer.

use std::net::IpAddr;

use axum::http::uri::Authority;

use crate::net::Listener;

/// The names by which callers may reach a listener.
#[derive(Debug)]
pub(super) enum AllowedHosts {
    /// All: no browser connects to a Unix socket.
    Any,
    /// These names, `localhost`, and addresses of the listener.
    Listed {
        names: Vec<String>,
        /// The address that is listened on.
        bound: Option<IpAddr>,
    },
}

impl AllowedHosts {
    /// Allows the listener's own names and further ones, which are in lower case.
    pub fn new(listener: &Listener, names: Vec<String>) -> Self {
        let bound = match listener {
            Listener::Unix(_) => return Self::Any,
            Listener::Tcp(listener) | Listener::Tls(listener, _) => listener.local_addr(),
        };
        Self::Listed { names, bound: bound.ok().map(|address| address.ip().to_canonical()) }
    }

    /// Returns whether callers may use the host of an authority, on whatever port.
    pub fn allows(&self, authority: &Authority) -> bool {
        let Self::Listed { names, bound } = self else { return true };
        let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
        if host == "localhost" || names.contains(&host) {
            return true;
        }
        let (Ok(address), Some(bound)) = (host.parse::<IpAddr>(), bound) else { return false };
        let address = address.to_canonical();
        // An address that is listened on everywhere has every address of this machine, and no name points to an
        // address that is written out.
        address == *bound
            || bound.is_unspecified()
            || (address.is_loopback() && bound.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn allows(bound: &str, names: &[&str], host: &str) -> bool {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let hosts = AllowedHosts::Listed { names, bound: Some(bound.parse().unwrap()) };
        hosts.allows(&host.parse().unwrap())
    }

    #[test]
    fn a_listener_has_its_own_names_and_those_that_are_listed() {
        for (bound, host, is_allowed) in [
            ("127.0.0.1", "localhost", true),
            ("127.0.0.1", "LOCALHOST:8182", true),
            ("127.0.0.1", "127.0.0.1:1", true),
            ("127.0.0.1", "[::1]:8182", true),
            ("127.0.0.1", "10.0.0.1", false),
            ("127.0.0.1", "evil.example.com", false),
            ("127.0.0.1", "localhost.evil.example.com", false),
            ("127.0.0.1", "127.0.0.1.evil.example.com", false),
            ("10.0.0.1", "10.0.0.1:8182", true),
            ("10.0.0.1", "127.0.0.1", false),
            ("0.0.0.0", "10.0.0.1", true),
            ("0.0.0.0", "evil.example.com", false),
        ] {
            assert_eq!(allows(bound, &[], host), is_allowed, "{host} on {bound}");
        }
        assert!(allows("10.0.0.1", &["pdp.example.com"], "PDP.example.com:443"));
        assert!(!allows("10.0.0.1", &["pdp.example.com"], "example.com"));
    }
}
