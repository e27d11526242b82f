//! Bound sockets and the connections that arrive on them.

use std::{io, net, os::unix, time::Duration};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::{ServerTls, authority::AuthorityStream, connection::Socket, peer::Peer};

/// A bound socket on which connections are accepted.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
    /// TCP with TLS.
    Tls(TcpListener, ServerTls),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

/// The pause in accepting after the system could not give a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection that was accepted and belongs to no runtime, so that any can take it.
#[derive(Debug)]
pub(super) enum AcceptedSocket {
    Tcp(net::TcpStream),
    Unix(unix::net::UnixStream),
}

impl Listener {
    /// Waits for the next connection. When the system cannot give one, for example because it has no
    /// file descriptor left, pauses instead of asking again at once and for ever.
    pub(super) async fn accept(&self) -> AcceptedSocket {
        retry(|| self.try_accept()).await
    }

    async fn try_accept(&self) -> io::Result<AcceptedSocket> {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => {
                let (socket, _) = listener.accept().await?;
                // An answer is one small packet that nothing follows.
                socket.set_nodelay(true)?;
                socket.into_std().map(AcceptedSocket::Tcp)
            }
            Self::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                socket.into_std().map(AcceptedSocket::Unix)
            }
        }
    }
}

impl AcceptedSocket {
    /// Registers the socket with the runtime in which this is called.
    pub fn register(self) -> io::Result<(Socket, Peer)> {
        Ok(match self {
            Self::Tcp(socket) => {
                let socket = TcpStream::from_std(socket)?;
                let peer = Peer::tcp(socket.peer_addr().ok());
                (Socket::Tcp(socket), peer)
            }
            Self::Unix(socket) => {
                let socket = UnixStream::from_std(socket)?;
                let peer = Peer::unix(socket.peer_cred().ok());
                (Socket::Unix(Box::new(AuthorityStream::new(socket))), peer)
            }
        })
    }
}

async fn retry<T, F>(accept: impl Fn() -> F) -> T
where
    F: Future<Output = io::Result<T>>,
{
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Returns whether only one connection failed, and the next may be fine.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput};

    // Setting an option on a connection that is gone already is an invalid argument on some systems.
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Measures how long it takes to accept after that many failures.
    async fn time_to_accept(failures: usize, error: fn() -> io::Error) -> Duration {
        let (started, asked) = (std::time::Instant::now(), AtomicUsize::new(0));
        retry(|| {
            let is_failure = asked.fetch_add(1, Ordering::Relaxed) < failures;
            std::future::ready(if is_failure { Err(error()) } else { Ok(()) })
        })
        .await;
        started.elapsed()
    }

    #[tokio::test]
    async fn a_listener_goes_on_after_errors_and_does_not_spin_while_the_system_is_out_of_files() {
        const EMFILE: i32 = 24;
        let waited = time_to_accept(2, || io::Error::from_raw_os_error(EMFILE)).await;
        assert!(waited >= PAUSE * 2, "{waited:?}");
        let waited = time_to_accept(100, || io::ErrorKind::ConnectionAborted.into()).await;
        assert!(waited < PAUSE * 20, "{waited:?}");
    }
}
