//! How many connections there may be, and how long one may keep the server waiting.
//!
//! HTTP/2 has a limit of its own on nearly everything once it speaks, and asks a silent peer whether
//! it is still there. What it does not look after is a peer that never begins to speak; HTTP/1 does
//! not look after one that never ends. Both are given up here.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::connections::Peer;

/// The connections of one face.
#[derive(Debug)]
pub struct Connections {
    limit: usize,
    patience: Duration,
    open: AtomicUsize,
    refused: AtomicU64,
    given_up: AtomicU64,
}

/// The place of one connection, from when it is accepted until it is closed.
#[derive(Debug)]
pub(super) struct Place(Arc<Connections>);

impl Connections {
    /// So many connections may be open; a peer that owes the server something has so long for it.
    #[must_use]
    pub fn new(limit: usize, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            limit,
            patience,
            open: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
        })
    }

    /// Takes a place, unless as many connections are open as there may be: then the next one is to
    /// be closed.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Place> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Place(Arc::clone(self)))
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections that were closed at once.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Connections that were closed because the peer kept the server waiting.
    pub(super) fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Relaxed)
    }
}

impl Place {
    /// Gives the place to a connection. The clock for what it owes begins now, in the runtime in
    /// which this is called.
    pub fn guard<Io>(self, io: Io, owed: Owed) -> Guarded<Io> {
        let clock = Some(Box::pin(sleep(self.0.patience)));
        Guarded { io, place: self, owed, clock }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a peer owes the server.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owed {
    /// HTTP/2: so many bytes to begin with. Afterwards the protocol looks after itself.
    Beginning(usize),
    /// HTTP/1: the rest of what it has begun, and taking what it is sent. Between two requests it
    /// owes nothing but a sign of life from time to time.
    Exchange {
        /// Whether nothing is under way.
        idle: bool,
    },
}

impl Owed {
    /// The preface of HTTP/2 and the head of the settings that follow it.
    pub const PREFACE: Self = Self::Beginning(24 + 9);
    /// The first request.
    pub const REQUEST: Self = Self::Exchange { idle: false };
}

/// How long an HTTP/1 connection may be idle.
const IDLE: Duration = Duration::from_secs(300);

/// A connection with its place.
#[derive(Debug)]
pub(super) struct Guarded<Io> {
    io: Io,
    place: Place,
    owed: Owed,
    /// Runs while the peer owes something.
    clock: Option<Pin<Box<Sleep>>>,
}

impl<Io> Guarded<Io> {
    /// The error of a peer that has kept the server waiting for too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(clock) = &mut self.clock else { return Poll::Pending };
        ready!(clock.as_mut().poll(cx));
        self.clock = None;
        self.place.0.given_up.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the peer kept the server waiting"))
    }

    fn has_read(&mut self, bytes: usize) {
        match &mut self.owed {
            Owed::Beginning(left) => {
                *left = left.saturating_sub(bytes);
                if *left == 0 {
                    self.clock = None;
                }
            }
            Owed::Exchange { idle: true } => self.is_idle(false),
            // What was begun must be at its end in time, however much of it dribbles in.
            Owed::Exchange { idle: false } => {}
        }
    }

    /// The peer has taken something: it is being answered.
    fn has_written(&mut self) {
        if matches!(self.owed, Owed::Exchange { .. }) {
            self.is_idle(true);
        }
    }

    fn waits_to_write(&mut self) {
        if matches!(self.owed, Owed::Exchange { idle: true }) {
            self.is_idle(false);
        }
    }

    fn is_idle(&mut self, now_idle: bool) {
        let time = if now_idle { IDLE } else { self.place.0.patience };
        self.owed = Owed::Exchange { idle: now_idle };
        match &mut self.clock {
            Some(clock) => clock.as_mut().reset(Instant::now() + time),
            None => self.clock = Some(Box::pin(sleep(time))),
        }
    }

    fn written<T>(
        &mut self,
        poll: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.has_written();
            return poll;
        }
        self.waits_to_write();
        self.poll_patience(cx).map(Err)
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Guarded<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.io).poll_read(cx, buffer);
        if poll.is_ready() {
            self.has_read(buffer.filled().len() - before);
        }
        // A peer that dribbles is looked at whenever a byte of it comes in, a silent one by the clock.
        match self.poll_patience(cx) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => poll,
        }
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Guarded<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.written(poll, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// No: h2 then copies messages of up to a kilobyte behind each other and writes them at once,
    /// where it would else write every one that is longer than 256 bytes by itself.
    fn is_write_vectored(&self) -> bool {
        false
    }
}

impl<Io: Connected> Connected for Guarded<Io> {
    type ConnectInfo = Io::ConnectInfo;

    fn connect_info(&self) -> Io::ConnectInfo {
        self.io.connect_info()
    }
}

impl<Io: Peer> Peer for Guarded<Io> {
    fn is_local(&self) -> bool {
        self.io.is_local()
    }
}

/// Connections of which each is guarded, and closed where there are too many.
pub(super) struct Limited<S> {
    accepted: S,
    connections: Arc<Connections>,
    owed: Owed,
}

impl<S> Limited<S> {
    /// All of them owe the same.
    pub fn new(accepted: S, connections: &Arc<Connections>, owed: Owed) -> Self {
        Self { accepted, connections: Arc::clone(connections), owed }
    }
}

impl<Io, S: Stream<Item = io::Result<Io>> + Unpin> Stream for Limited<S> {
    type Item = io::Result<Guarded<Io>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(accepted) = ready!(Pin::new(&mut self.accepted).poll_next(cx)) else {
                return Poll::Ready(None);
            };
            let io = match accepted {
                Ok(io) => io,
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            if let Some(place) = self.connections.enter() {
                return Poll::Ready(Some(Ok(place.guard(io, self.owed))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio_stream::StreamExt as _;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    fn connect(owed: Owed) -> (DuplexStream, Guarded<DuplexStream>) {
        let (peer, io) = duplex(16);
        (peer, Connections::new(1, PATIENCE).enter().unwrap().guard(io, owed))
    }

    /// Reads until there is no more or the peer is given up.
    async fn read_on(io: &mut Guarded<DuplexStream>) -> io::ErrorKind {
        let mut buffer = [0; 64];
        loop {
            match io.read(&mut buffer).await {
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
    async fn connections_beyond_the_limit_are_closed_until_one_ends() {
        let connections = Connections::new(1, PATIENCE);
        let ends: Vec<_> = (0..3).map(|_| duplex(16)).collect();
        let (mut peers, ios): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        let accepted = tokio_stream::iter(ios.into_iter().map(Ok));
        let mut limited = Limited::new(accepted, &connections, Owed::PREFACE);
        let first = limited.next().await.unwrap().unwrap();
        assert!(limited.next().await.is_none());
        assert_eq!((connections.open(), connections.refused()), (1, 2));
        for refused in peers.drain(1..) {
            assert_eq!({ refused }.read(&mut [0]).await.unwrap(), 0);
        }
        drop(first);
        assert!(connections.enter().is_some());
        assert_eq!((connections.open(), connections.refused()), (0, 2));
    }

    #[tokio::test]
    async fn who_never_begins_is_given_up() {
        let (_peer, mut io) = connect(Owed::PREFACE);
        assert_eq!(read_on(&mut io).await, io::ErrorKind::TimedOut);
        let (peer, mut io) = connect(Owed::Beginning(100));
        dribble(peer);
        assert_eq!(read_on(&mut io).await, io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_has_begun_may_be_silent() {
        let (mut peer, mut io) = connect(Owed::Beginning(3));
        peer.write_all(b"xyz").await.unwrap();
        let silent = async {
            tokio::time::sleep(PATIENCE * 3).await;
            drop(peer);
        };
        assert_eq!(tokio::join!(read_on(&mut io), silent).0, io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn an_exchange_must_end_and_may_then_be_idle() {
        let (peer, mut io) = connect(Owed::REQUEST);
        dribble(peer);
        assert_eq!(read_on(&mut io).await, io::ErrorKind::TimedOut);

        let (mut peer, mut io) = connect(Owed::REQUEST);
        peer.write_all(b"ask").await.unwrap();
        io.read_exact(&mut [0; 3]).await.unwrap();
        io.write_all(b"answer").await.unwrap();
        let idle = async {
            tokio::time::sleep(PATIENCE * 3).await;
            drop(peer);
        };
        assert_eq!(tokio::join!(read_on(&mut io), idle).0, io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn who_does_not_take_the_answer_is_given_up() {
        let (_peer, mut io) = connect(Owed::REQUEST);
        let error = io.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
