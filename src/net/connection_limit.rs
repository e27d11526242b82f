//! The limit on open connections.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Connections over Unix sockets that may be open beyond the limit: probes of this machine must find room
/// where callers over TCP have taken all of it.
const UNIX_RESERVE: usize = 8;

/// Counts the open connections of one face, on all its listeners together, and refuses those beyond
/// a limit.
#[derive(Debug)]
pub struct ConnectionLimit {
    max: usize,
    patience: Duration,
    open: AtomicUsize,
    refused: AtomicU64,
    timed_out: AtomicU64,
}

/// The right of one connection to be open. It is taken when the connection is accepted, before any
/// TLS handshake, and given back when it is closed.
#[derive(Debug)]
pub(crate) struct ConnectionPermit(Arc<ConnectionLimit>);

impl ConnectionLimit {
    /// The default time that a peer may keep the server waiting.
    pub const PATIENCE: Duration = Duration::from_secs(10);

    /// Allows `max` open connections. A peer that has to send something has `patience` for it.
    #[must_use]
    pub fn new(max: usize, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            max,
            patience,
            open: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
        })
    }

    /// Returns a permit, unless as many connections are open as may be: then the next one is to be
    /// closed.
    pub(crate) fn acquire(self: &Arc<Self>) -> Option<ConnectionPermit> {
        self.acquire_below(self.max)
    }

    /// Returns a permit for a connection over a Unix socket, for which a few more may be open.
    pub(crate) fn acquire_over_unix(self: &Arc<Self>) -> Option<ConnectionPermit> {
        self.acquire_below(self.max.saturating_add(UNIX_RESERVE))
    }

    fn acquire_below(self: &Arc<Self>, max: usize) -> Option<ConnectionPermit> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(ConnectionPermit(Arc::clone(self)))
    }

    /// Returns how long a peer may keep the server waiting.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Returns how many connections are open, those in a TLS handshake included.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Returns how many connections were closed because too many were open.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Counts a connection whose peer kept the server waiting.
    pub(crate) fn count_timeout(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many connections were closed because the peer kept the server waiting.
    pub(crate) fn timed_out(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }
}

impl ConnectionPermit {
    /// Returns the limit that the connection counts against.
    pub fn limit(&self) -> &Arc<ConnectionLimit> {
        &self.0
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn connections_beyond_the_limit_are_refused_until_one_ends() {
        let limit = ConnectionLimit::new(1, Duration::ZERO);
        let first = limit.acquire().unwrap();
        assert!(limit.acquire().is_none());
        assert!(limit.acquire().is_none());
        assert_eq!((limit.open(), limit.refused()), (1, 2));
        drop(first);
        assert!(limit.acquire().is_some());
        assert_eq!((limit.open(), limit.refused()), (0, 2));
        let all: Vec<_> = std::iter::from_fn(|| limit.acquire_over_unix()).collect();
        assert_eq!(all.len(), 1 + UNIX_RESERVE);
    }
}
