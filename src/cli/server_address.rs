//! The address of a running Humbaba, and how it is reached.

use std::{fmt, str::FromStr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{CliError, tls_flags::TlsFlags};
use crate::{
    client::{Client, ConnectError, Retry},
    settings::{HttpListen, ListenAddress, Settings, TcpAddress},
};

/// The gRPC address of a running Humbaba: `host:port`, `http://host:port`, `https://host:port` or
/// `unix:/path`. A TCP address says whether TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerAddress(ListenAddress);

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, tls) = match text.split_once("://") {
            Some(("https", address)) => (address, true),
            Some(("http", address)) => (address, false),
            _ => (text, false),
        };
        let error = || {
            format!(
                "`{text}` is not an address: write `http://host:port`, `https://host:port` or \
                 `unix:/path`"
            )
        };
        let mut address = address.trim_end_matches('/').parse().map_err(|_| error())?;
        match &mut address {
            ListenAddress::Tcp(address) => address.tls = Some(address.tls.unwrap_or(tls)),
            ListenAddress::Unix(_) if tls => return Err(error()),
            ListenAddress::Unix(_) => {}
        }
        Ok(Self(address))
    }
}

impl ServerAddress {
    /// The address by which this machine reaches a process with those settings. One that wants no
    /// TLS of it comes first.
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let addresses = settings.listen.iter().map(|address| Self::reaching(address, settings));
        addresses.min_by_key(Self::speaks_tls)
    }

    /// The address by which this machine reaches the HTTP face of such a process.
    pub(super) fn of_http(settings: &Settings) -> Option<Self> {
        match &settings.http_listen {
            HttpListen::On(address) => Some(Self::reaching(address, settings)),
            HttpListen::Off => None,
        }
    }

    pub(super) fn listen_address(&self) -> &ListenAddress {
        &self.0
    }

    /// The address by which this machine reaches what such a process listens on there.
    pub(super) fn reaching(address: &ListenAddress, settings: &Settings) -> Self {
        let ListenAddress::Tcp(tcp) = address else {
            return Self(address.clone());
        };
        let host = match tcp.host.as_str() {
            "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            host => host,
        };
        let (host, tls) = (host.to_owned(), Some(settings.speaks_tls(tcp)));
        Self(ListenAddress::Tcp(TcpAddress { host, port: tcp.port, tls }))
    }

    pub(super) fn speaks_tls(&self) -> bool {
        matches!(&self.0, ListenAddress::Tcp(TcpAddress { tls: Some(true), .. }))
    }

    /// Connects. The first connection and each call may take that long; the client's own calls send
    /// the token, where there is one.
    pub(super) async fn connect(
        &self,
        tls: &TlsFlags,
        token: Option<String>,
        timeout: Duration,
    ) -> Result<Client, CliError> {
        let mut client = Client::builder(self.to_string()).timeout(timeout).retry(Retry::never());
        if self.speaks_tls() {
            client = client.tls(tls.read()?);
        }
        if let Some(token) = token {
            client = client.bearer_token(token);
        }
        match client.connect().await {
            Ok(client) => Ok(client),
            Err(error @ ConnectError::Unreachable { .. }) => {
                Err(self.explained(error.to_string()).await)
            }
            Err(error) => Err(CliError::Failure(error.to_string())),
        }
    }

    /// Returns the failure of a conversation: where another protocol is spoken at the address, or a client
    /// certificate is asked for, in words that say so.
    pub(super) async fn explained(&self, failure: String) -> CliError {
        let spoken = match &self.0 {
            ListenAddress::Tcp(address) => spoken_at(address).await,
            ListenAddress::Unix(_) => None,
        };
        let advice = match (spoken, self.speaks_tls()) {
            (Some(Spoken::Tls), false) => "TLS is spoken there: write `https://`",
            (Some(Spoken::Http | Spoken::Other), true) => "no TLS is spoken there: write `http://`",
            (Some(Spoken::Http), false) => {
                "no gRPC is spoken there, but HTTP: gRPC is at an address of `listen`, by default port \
                 8180"
            }
            (Some(Spoken::Tls), true) => {
                return CliError::Failure(format!(
                    "{failure}; where the server asks for a certificate of the client, name one with \
                     `--cert` and `--key` that it accepts"
                ));
            }
            _ => return CliError::Failure(failure),
        };
        CliError::Failure(format!("`{self}`: {advice}"))
    }
}

/// The protocol that a server answers in.
enum Spoken {
    Tls,
    Http,
    Other,
}

/// Time for an answer that tells the protocol.
const PROBE_TIME: Duration = Duration::from_millis(500);

/// Asks a server in HTTP/1.1 without TLS; nothing where it does not answer.
async fn spoken_at(address: &TcpAddress) -> Option<Spoken> {
    let asked = async {
        let host = address.host.as_str();
        let mut stream = TcpStream::connect((host, address.port)).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut begin = [0; 5];
        stream.read_exact(&mut begin).await?;
        std::io::Result::Ok(begin)
    };
    let begin = tokio::time::timeout(PROBE_TIME, asked).await.ok()?.ok()?;
    // An alert of TLS begins with its type, 21, and the major version 3.
    Some(match &begin {
        [21, 3, ..] => Spoken::Tls,
        b"HTTP/" => Spoken::Http,
        _ => Spoken::Other,
    })
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ListenAddress::Tcp(address) => {
                let scheme = if self.speaks_tls() { "https" } else { "http" };
                write!(f, "{scheme}://{}", TcpAddress { tls: None, ..address.clone() })
            }
            unix @ ListenAddress::Unix(_) => unix.fmt(f),
        }
    }
}

/// Runs one conversation with a server, for `timeout` at most.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses() {
        for (written, expected) in [
            ("http://127.0.0.1:8180", "http://127.0.0.1:8180"),
            ("http://127.0.0.1:8180/", "http://127.0.0.1:8180"),
            ("localhost:8180", "http://localhost:8180"),
            ("[::1]:8180", "http://[::1]:8180"),
            ("https://humbaba.example:8180/", "https://humbaba.example:8180"),
            ("tls:127.0.0.1:8180", "https://127.0.0.1:8180"),
            ("unix:/run/humbaba.sock", "unix:/run/humbaba.sock"),
        ] {
            let address: ServerAddress = written.parse().unwrap();
            assert_eq!(address.to_string(), expected);
        }
        for written in
            ["https://127.0.0.1", "127.0.0.1", "http://a:b", "https://unix:/x", "unix:", ""]
        {
            assert!(written.parse::<ServerAddress>().is_err(), "{written}");
        }
    }

    #[test]
    fn a_process_is_reached_without_tls_where_it_can_be() {
        for (listen, has_certificate, reached) in [
            (&["0.0.0.0:8180"][..], false, "http://127.0.0.1:8180"),
            (&["[::]:8180"], false, "http://[::1]:8180"),
            (&["10.0.0.1:1"], false, "http://10.0.0.1:1"),
            (&["0.0.0.0:1"], true, "https://127.0.0.1:1"),
            (&["0.0.0.0:1", "unix:/run/x.sock", "127.0.0.1:2"], true, "unix:/run/x.sock"),
            (&["tls:127.0.0.1:1", "127.0.0.1:2"], true, "http://127.0.0.1:2"),
        ] {
            let mut settings = Settings {
                listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
                ..Settings::default()
            };
            settings.tls.cert = has_certificate.then(|| "tls.crt".into());
            assert_eq!(ServerAddress::of(&settings).unwrap().to_string(), reached);
        }
    }
}
