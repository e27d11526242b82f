//! Where calls come in.

use std::{
    io,
    os::unix::net,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::Sleep,
};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::Tls;
use crate::net::authority::AuthorityStream;

/// A bound socket on which calls are taken.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
    /// TCP with TLS.
    Tls(TcpListener, Tls),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

/// How long no connection is taken after the system had none to give.
const PAUSE: Duration = Duration::from_millis(100);

/// Something that connections come from.
pub(super) trait Accept: Unpin + Send + 'static {
    type Io: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static;

    /// A connection on which gRPC is served.
    type Grpc: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static;

    /// A connection on its way from one runtime to another.
    type Raw: Send + 'static;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Io>>;

    /// Takes a connection from the runtime that accepted it.
    fn let_go(io: Self::Io) -> io::Result<Self::Raw>;

    /// Gives a connection to the runtime in which this is called.
    fn take_over(raw: Self::Raw) -> io::Result<Self::Grpc>;
}

impl Accept for TcpListener {
    type Io = TcpStream;
    type Grpc = TcpStream;
    type Raw = std::net::TcpStream;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let (stream, _) = ready!(Self::poll_accept(self, cx))?;
        // An answer is one small packet that nothing follows.
        stream.set_nodelay(true)?;
        Poll::Ready(Ok(stream))
    }

    fn let_go(io: TcpStream) -> io::Result<Self::Raw> {
        io.into_std()
    }

    fn take_over(raw: Self::Raw) -> io::Result<TcpStream> {
        TcpStream::from_std(raw)
    }
}

impl Accept for UnixListener {
    type Io = UnixStream;
    type Grpc = AuthorityStream<UnixStream>;
    type Raw = net::UnixStream;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        Poll::Ready(ready!(Self::poll_accept(self, cx)).map(|(stream, _)| stream))
    }

    fn let_go(io: UnixStream) -> io::Result<Self::Raw> {
        io.into_std()
    }

    fn take_over(raw: Self::Raw) -> io::Result<Self::Grpc> {
        UnixStream::from_std(raw).map(AuthorityStream::new)
    }
}

/// The connections of a listener, without end. When the system cannot give one, for example because
/// it has no file descriptor left, it waits a little instead of asking again at once and for ever.
pub(super) struct Incoming<L> {
    listener: L,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<L> Incoming<L> {
    pub fn new(listener: L) -> Self {
        Self { listener, pause: None }
    }
}

impl<L: Accept> Stream for Incoming<L> {
    type Item = io::Result<L::Io>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok(io) => return Poll::Ready(Some(Ok(io))),
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
                }
            }
        }
    }
}

/// Whether it is the one connection that failed and the next may be fine.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput};

    // Setting an option on a connection that is gone already is an invalid argument on some systems.
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio_stream::StreamExt as _;

    use super::*;

    /// Fails so many times, and then gives a connection.
    struct Failing {
        error: fn() -> io::Error,
        left: Arc<AtomicUsize>,
    }

    impl Accept for Failing {
        type Io = UnixStream;
        type Grpc = UnixStream;
        type Raw = net::UnixStream;

        fn poll_accept(&self, _: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
            if self.left.load(Ordering::Relaxed) == 0 {
                return Poll::Ready(Ok(UnixStream::pair().unwrap().0));
            }
            self.left.fetch_sub(1, Ordering::Relaxed);
            Poll::Ready(Err((self.error)()))
        }

        fn let_go(io: UnixStream) -> io::Result<Self::Raw> {
            io.into_std()
        }

        fn take_over(raw: Self::Raw) -> io::Result<UnixStream> {
            UnixStream::from_std(raw)
        }
    }

    async fn time_to_connection(failures: usize, error: fn() -> io::Error) -> Duration {
        let started = std::time::Instant::now();
        let left = Arc::new(AtomicUsize::new(failures));
        Incoming::new(Failing { error, left }).next().await.unwrap().unwrap();
        started.elapsed()
    }

    #[tokio::test]
    async fn a_listener_goes_on_after_errors_and_does_not_spin_while_the_system_is_out_of_files() {
        const EMFILE: i32 = 24;
        let waited = time_to_connection(2, || io::Error::from_raw_os_error(EMFILE)).await;
        assert!(waited >= PAUSE * 2, "{waited:?}");
        let waited = time_to_connection(100, || io::ErrorKind::ConnectionAborted.into()).await;
        assert!(waited < PAUSE * 20, "{waited:?}");
    }
}
