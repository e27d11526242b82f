//! An encrypted connection that knows who is at the other end.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::{ClientId, identity};

/// A connection whose handshake is over.
#[derive(Debug)]
pub(in crate::server) struct Encrypted {
    io: TlsStream<TcpStream>,
    peer: EncryptedPeer,
}

/// Who is at the other end. It is the same for every call of a connection, so it is found out once.
#[derive(Debug, Clone)]
pub(in crate::server) struct EncryptedPeer {
    pub address: Option<SocketAddr>,
    /// The name by which the client's certificate lets it in.
    pub identity: Option<Arc<str>>,
}

impl Encrypted {
    /// The connection of a client that was let in because it is one of those.
    pub fn new(io: TlsStream<TcpStream>, allowed: &[ClientId]) -> Self {
        let (tcp, tls) = io.get_ref();
        let certificate = tls.peer_certificates().and_then(<[_]>::first);
        let identity = certificate.and_then(|certificate| identity::of(certificate, allowed));
        let peer = EncryptedPeer { address: tcp.peer_addr().ok(), identity };
        Self { io, peer }
    }

    /// Where the client is.
    pub fn address(&self) -> Option<SocketAddr> {
        self.peer.address
    }
}

impl Connected for Encrypted {
    type ConnectInfo = EncryptedPeer;

    fn connect_info(&self) -> EncryptedPeer {
        self.peer.clone()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
