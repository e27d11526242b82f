//! An accepted connection.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::server::TlsStream;

use super::{
    authority::AuthorityStream,
    connection_limit::{ConnectionLimit, ConnectionPermit},
    read_deadline::ReadDeadline,
};

/// A connection with its permit. It ends with an error of kind `TimedOut` when its peer keeps the
/// server waiting.
#[derive(Debug)]
pub(crate) struct Connection<S = Socket> {
    socket: S,
    permit: ConnectionPermit,
    deadline: ReadDeadline,
    /// The deadline is exceeded: from now on everything fails, whatever the protocol asks for next.
    is_late: bool,
}

/// The socket of a connection, decrypted where it speaks TLS.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(Box<AuthorityStream<UnixStream>>),
    Tls(Box<TlsStream<TcpStream>>),
}

impl<S> Connection<S> {
    pub fn new(socket: S, permit: ConnectionPermit, deadline: ReadDeadline) -> Self {
        Self { socket, permit, deadline, is_late: false }
    }

    /// Returns the limit that the connection counts against.
    pub fn limit(&self) -> Arc<ConnectionLimit> {
        Arc::clone(self.permit.limit())
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if !self.is_late {
            ready!(self.deadline.poll_exceeded(cx));
            self.permit.limit().count_timeout();
            self.is_late = true;
        }
        let late = "the peer kept the server waiting";
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, late))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if poll.is_ready() {
            self.deadline.on_read(buffer.filled().get(before..).unwrap_or_default());
        }
        // A peer that dribbles is looked at whenever a byte of it comes in, a silent one by the timer.
        match self.poll_deadline(cx) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => poll,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_late {
            return self.poll_deadline(cx).map(Err);
        }
        let poll = Pin::new(&mut self.socket).poll_write(cx, bytes);
        if poll.is_ready() {
            self.deadline.on_written();
            return poll;
        }
        self.deadline.on_write_blocked();
        self.poll_deadline(cx).map(Err)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    /// Returns false, so that h2 copies small messages behind each other and writes them at once. It
    /// would write each one above 256 bytes by itself otherwise, which halves the calls per second.
    fn is_write_vectored(&self) -> bool {
        false
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;
    use crate::net::ConnectionLimit;

    const PATIENCE: Duration = Duration::from_millis(200);

    fn connect(deadline: ReadDeadline) -> (DuplexStream, Connection<DuplexStream>) {
        let (peer, socket) = duplex(16);
        let permit = ConnectionLimit::new(1, PATIENCE).acquire().unwrap();
        (peer, Connection::new(socket, permit, deadline))
    }

    /// Reads until there is no more or the peer is given up.
    async fn read_on(connection: &mut Connection<DuplexStream>) -> io::ErrorKind {
        let mut buffer = [0; 64];
        loop {
            match connection.read(&mut buffer).await {
                Ok(0) => return io::ErrorKind::UnexpectedEof,
                Ok(_) => {}
                Err(error) => return error.kind(),
            }
        }
    }

    fn dribble(mut peer: DuplexStream) {
        tokio::spawn(async move {
            while peer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(PATIENCE / 10).await;
            }
        });
    }

    #[tokio::test]
    async fn a_peer_that_never_begins_is_given_up() {
        let (_peer, mut connection) = connect(ReadDeadline::http2_preface(PATIENCE));
        assert_eq!(read_on(&mut connection).await, io::ErrorKind::TimedOut);
        let (peer, mut connection) = connect(ReadDeadline::bytes(100, PATIENCE));
        dribble(peer);
        assert_eq!(read_on(&mut connection).await, io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_has_begun_may_be_silent() {
        let (mut peer, mut connection) = connect(ReadDeadline::bytes(3, PATIENCE));
        peer.write_all(b"xyz").await.unwrap();
        let silent = async {
            tokio::time::sleep(PATIENCE * 3).await;
            drop(peer);
        };
        assert_eq!(tokio::join!(read_on(&mut connection), silent).0, io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn an_exchange_must_end_and_the_connection_may_then_be_idle() {
        let (peer, mut connection) = connect(ReadDeadline::http1_exchanges(PATIENCE));
        dribble(peer);
        assert_eq!(read_on(&mut connection).await, io::ErrorKind::TimedOut);

        let (mut peer, mut connection) = connect(ReadDeadline::http1_exchanges(PATIENCE));
        peer.write_all(b"ask").await.unwrap();
        connection.read_exact(&mut [0; 3]).await.unwrap();
        connection.write_all(b"answer").await.unwrap();
        let idle = async {
            tokio::time::sleep(PATIENCE * 3).await;
            drop(peer);
        };
        assert_eq!(tokio::join!(read_on(&mut connection), idle).0, io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_peer_that_may_choose_is_judged_by_the_protocol_that_it_speaks() {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        for (sent, ends) in [
            (&preface[..10], io::ErrorKind::TimedOut),
            (&preface[..], io::ErrorKind::TimedOut),
            (&[&preface[..], &settings].concat(), io::ErrorKind::UnexpectedEof),
            (&[&preface[..23], b"x", &settings].concat(), io::ErrorKind::TimedOut),
        ] {
            let (mut peer, mut connection) = connect(ReadDeadline::http1_or_http2(PATIENCE));
            let talk = async {
                peer.write_all(sent).await.unwrap();
                tokio::time::sleep(PATIENCE * 3).await;
                drop(peer);
            };
            assert_eq!(tokio::join!(read_on(&mut connection), talk).0, ends, "{sent:?}");
        }
    }

    #[tokio::test]
    async fn a_peer_that_does_not_take_the_answer_is_given_up() {
        let (_peer, mut connection) = connect(ReadDeadline::http1_exchanges(PATIENCE));
        let error = connection.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn whatever_is_done_with_a_peer_that_is_given_up_fails() {
        let (_peer, mut connection) = connect(ReadDeadline::http1_exchanges(PATIENCE));
        assert_eq!(read_on(&mut connection).await, io::ErrorKind::TimedOut);
        for _ in 0..2 {
            let error = connection.write_all(&[0; 64]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert_eq!(read_on(&mut connection).await, io::ErrorKind::TimedOut);
        }
    }
}
