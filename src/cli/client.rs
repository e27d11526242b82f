//! Reaching a running Humbaba.

use std::{error::Error, fmt::Write as _, str::FromStr, time::Duration};

use tonic::transport::{Channel, Endpoint};

use super::CliError;
use crate::settings::{ListenAddress, TcpAddress};

/// Where a running Humbaba serves gRPC: `host:port`, `http://host:port` or `unix:/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerAddress(ListenAddress);

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("https://") {
            return Err("there is no TLS yet: write `http://host:port` or `unix:/path`".to_owned());
        }
        let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let address = address.parse().map_err(|_| {
            format!("`{text}` is not an address: write `http://host:port` or `unix:/path`")
        })?;
        Ok(Self(address))
    }
}

impl From<&ListenAddress> for ServerAddress {
    /// The address by which this machine reaches a process that listens there.
    fn from(address: &ListenAddress) -> Self {
        let ListenAddress::Tcp(TcpAddress { host, port }) = address else {
            return Self(address.clone());
        };
        let host = match host.as_str() {
            "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            host => host,
        };
        Self(ListenAddress::Tcp(TcpAddress { host: host.to_owned(), port: *port }))
    }
}

impl ServerAddress {
    /// Connects.
    pub(super) async fn connect(&self) -> Result<Channel, CliError> {
        let uri = match &self.0 {
            ListenAddress::Tcp(address) => format!("http://{address}"),
            ListenAddress::Unix(path) => format!("unix:{}", path.display()),
        };
        let failed = |error: tonic::transport::Error| {
            CliError::Failure(format!("cannot reach `{}`: {}", self.0, chain(&error)))
        };
        let endpoint = Endpoint::from_shared(uri).map_err(failed)?;
        endpoint.connect().await.map_err(failed)
    }
}

/// Runs one conversation with a server that takes so long at most.
pub(super) fn run<T>(
    timeout: Duration,
    conversation: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(CliError::io("cannot start the runtime"))?;
    let ended = runtime.block_on(async { tokio::time::timeout(timeout, conversation).await });
    // Not waiting for a name that is still being looked up.
    runtime.shutdown_background();
    let late = || CliError::Failure(format!("no answer within {} s", timeout.as_secs_f64()));
    ended.map_err(|_| late())?
}

/// An error with its causes, for libraries whose errors do not name them themselves.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            let _ = write!(text, ": {message}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses() {
        for (written, expected) in [
            ("http://127.0.0.1:8180", "127.0.0.1:8180"),
            ("http://127.0.0.1:8180/", "127.0.0.1:8180"),
            ("localhost:8180", "localhost:8180"),
            ("[::1]:8180", "[::1]:8180"),
            ("unix:/run/humbaba.sock", "unix:/run/humbaba.sock"),
        ] {
            let address: ServerAddress = written.parse().unwrap();
            assert_eq!(address.0.to_string(), expected);
        }
        for written in ["https://127.0.0.1:8180", "127.0.0.1", "http://a:b", "unix:", ""] {
            assert!(written.parse::<ServerAddress>().is_err(), "{written}");
        }
    }

    #[test]
    fn any_address_is_reached_on_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:8180", "127.0.0.1:8180"),
            ("[::]:8180", "[::1]:8180"),
            ("10.0.0.1:1", "10.0.0.1:1"),
        ] {
            let listen: ListenAddress = listen.parse().unwrap();
            assert_eq!(ServerAddress::from(&listen).0.to_string(), reached);
        }
    }
}
