//! Reading a page of the HTTP face of a running Humbaba.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    HeaderMap, Request, StatusCode,
    client::conn::http1,
    header::{HOST, HeaderName},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

use super::{CliError, exit::chain, server_address::ServerAddress, tls_flags::TlsFlags};
use crate::settings::ListenAddress;

/// Bytes of the largest page that is read.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A page that the server answered with.
pub(super) struct HttpPage {
    pub status: StatusCode,
    headers: HeaderMap,
    pub body: String,
}

impl HttpPage {
    /// Returns a header; nothing where it is missing or not text.
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Asks for a page of the HTTP face, with TLS where the address says so.
///
/// # Errors
/// It cannot be reached, or answers with another status than 200.
pub(super) async fn get(
    address: &ServerAddress,
    tls: &TlsFlags,
    path: &str,
) -> Result<HttpPage, CliError> {
    let page = get_any(address, tls, path).await?;
    match page.status {
        StatusCode::OK => Ok(page),
        status => Err(CliError::Failure(format!("`{address}{path}` answers with {status}"))),
    }
}

/// Gets a page, whatever its status.
///
/// # Errors
/// It cannot be reached, or does not answer.
pub(super) async fn get_any(
    address: &ServerAddress,
    tls: &TlsFlags,
    path: &str,
) -> Result<HttpPage, CliError> {
    let failed = CliError::io(format!("cannot reach `{address}`"));
    match address.listen_address() {
        ListenAddress::Unix(socket) => {
            let stream = UnixStream::connect(socket).await.map_err(failed)?;
            ask(stream, "localhost", address, path).await
        }
        ListenAddress::Tcp(tcp) => {
            let host = tcp.host.as_str();
            let tls = address.speaks_tls().then(|| tls.connector(host)).transpose()?;
            let stream = TcpStream::connect((host, tcp.port)).await.map_err(failed)?;
            let Some((connector, server)) = tls else {
                return ask(stream, host, address, path).await;
            };
            let failed = CliError::io(format!("cannot speak TLS with `{address}`"));
            let stream = connector.connect(server, stream).await.map_err(failed)?;
            ask(stream, host, address, path).await
        }
    }
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    address: &ServerAddress,
    path: &str,
) -> Result<HttpPage, CliError> {
    let failed = |error: &dyn std::error::Error| {
        CliError::Failure(format!("cannot read `{address}{path}`: {}", chain(error)))
    };
    let connecting = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connecting.map_err(|error| failed(&error))?;
    tokio::spawn(connection);
    let request = Request::get(path).header(HOST, host).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| failed(&error))?;
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
    let body = body.map_err(|error| failed(&*error))?.to_bytes();
    Ok(HttpPage { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}
