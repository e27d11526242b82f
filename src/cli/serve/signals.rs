//! Signals of the operating system.

use std::io;

use tokio::signal::unix::{self, SignalKind};

/// The signals that the process listens to.
#[derive(Debug)]
pub(super) struct Signals {
    hangup: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

/// A signal that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
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
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            Some(()) = self.terminate.recv() => Signal::Stop("SIGTERM"),
            Some(()) = self.interrupt.recv() => Signal::Stop("SIGINT"),
            Some(()) = self.hangup.recv() => Signal::Changed,
            else => std::future::pending().await,
        }
    }

    /// The name of the next signal to end.
    pub(super) async fn stop(&mut self) -> &'static str {
        loop {
            if let Signal::Stop(name) = self.next().await {
                return name;
            }
        }
    }
}
