//! Signals of the operating system.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::signal::unix::{self, SignalKind};

/// Time after a signal to end in which a further one is the same wish. Whoever signals the process and
/// its group sends it twice within some milliseconds: `timeout` of coreutils does, and a wrapper that
/// forwards the Ctrl-C which the terminal gave to the whole group. Somebody who no longer wants to wait
/// has seen it not end first, which takes longer.
const SAME_WISH: Duration = Duration::from_secs(1);

/// The signals that the process listens to.
#[derive(Debug)]
pub(super) struct Signals {
    hangup: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

/// A signal that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessSignal {
    /// SIGHUP: something may have changed.
    Changed,
    /// SIGTERM or SIGINT: end.
    Stop(&'static str),
}

impl Signals {
    /// Begins to listen. From here on the signals no longer end the process by themselves.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: unix::signal(SignalKind::hangup())?,
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
        })
    }

    /// The next signal.
    pub(super) async fn next(&mut self) -> ProcessSignal {
        tokio::select! {
            Some(()) = self.terminate.recv() => ProcessSignal::Stop("SIGTERM"),
            Some(()) = self.interrupt.recv() => ProcessSignal::Stop("SIGINT"),
            Some(()) = self.hangup.recv() => ProcessSignal::Changed,
            else => std::future::pending().await,
        }
    }

    /// The name of the next signal to end.
    pub(super) async fn stop(&mut self) -> &'static str {
        loop {
            if let ProcessSignal::Stop(name) = self.next().await {
                return name;
            }
        }
    }

    /// The name of the next signal to end that is another wish than the one of `first`.
    pub(super) async fn stop_at_once(&mut self, first: Instant) -> &'static str {
        loop {
            let name = self.stop().await;
            if first.elapsed() >= SAME_WISH {
                return name;
            }
        }
    }
}
