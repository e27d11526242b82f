//! The time that a peer has to send what the server waits for.
//!
//! HTTP/2 has a limit of its own on nearly everything once it has begun, and pings a silent peer. It
//! does not notice a peer that never begins; HTTP/1 does not notice one that never ends. Both are
//! noticed here. An answer that a peer of HTTP/2 does not take is noticed by `UntakenAnswers`.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// HTTP/2's connection preface.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of the head of the SETTINGS frame that follows the preface.
const FRAME_HEAD: usize = 9;

/// The time that an HTTP/1 connection may be idle, where `limits.http_head_timeout_ms` is longer.
const IDLE: Duration = Duration::from_secs(300);

/// The deadline of one connection. It is judged by what is read from the connection and written to
/// it.
#[derive(Debug)]
pub(crate) struct ReadDeadline {
    awaited: Awaited,
    patience: Duration,
    /// Runs while something is awaited of the peer.
    timer: Option<Pin<Box<Sleep>>>,
}

/// The bytes that the server waits for.
#[derive(Debug, Clone, Copy)]
enum Awaited {
    /// A number of bytes, and then nothing more.
    Bytes(usize),
    /// The protocol: the preface of HTTP/2, of which this is still to come, or anything else.
    Protocol(&'static [u8]),
    /// The rest of a request, or that the peer takes the response.
    Exchange,
    /// The next request.
    Request,
}

impl ReadDeadline {
    /// Waits for the beginning of HTTP/2.
    pub fn http2_preface(patience: Duration) -> Self {
        Self::new(Awaited::Bytes(PREFACE.len() + FRAME_HEAD), patience)
    }

    /// Waits for the beginning of HTTP/2 where the peer speaks it, and else as for HTTP/1.
    pub fn http1_or_http2(patience: Duration) -> Self {
        Self::new(Awaited::Protocol(PREFACE), patience)
    }

    /// Waits for each request to end once it has begun, and for each response to be taken.
    pub fn http1_exchanges(patience: Duration) -> Self {
        Self::new(Awaited::Exchange, patience)
    }

    fn new(awaited: Awaited, patience: Duration) -> Self {
        Self { awaited, patience, timer: Some(Box::pin(sleep(patience))) }
    }

    /// Becomes ready once, when the peer has kept the server waiting for too long.
    pub fn poll_exceeded(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        ready!(timer.as_mut().poll(cx));
        self.timer = None;
        Poll::Ready(())
    }

    /// Notes that these bytes were read.
    pub fn on_read(&mut self, bytes: &[u8]) {
        match &mut self.awaited {
            Awaited::Bytes(missing) => {
                *missing = missing.saturating_sub(bytes.len());
                if *missing == 0 {
                    self.timer = None;
                }
            }
            Awaited::Protocol(expected) => {
                let (read, more) = bytes.split_at(bytes.len().min(expected.len()));
                match expected.strip_prefix(read) {
                    Some([]) => {
                        self.awaited = Awaited::Bytes(FRAME_HEAD);
                        self.on_read(more);
                    }
                    Some(rest) => *expected = rest,
                    None => self.awaited = Awaited::Exchange,
                }
            }
            Awaited::Request => self.wait_for(Awaited::Exchange, self.patience),
            // However slowly it dribbles in, what was begun must end in time.
            Awaited::Exchange => {}
        }
    }

    /// Notes that the peer has taken a part of a response.
    pub fn on_written(&mut self) {
        if matches!(self.awaited, Awaited::Exchange | Awaited::Request) {
            self.wait_for(Awaited::Request, IDLE);
        }
    }

    /// Notes that the peer does not take the response.
    pub fn on_write_blocked(&mut self) {
        if matches!(self.awaited, Awaited::Request) {
            self.wait_for(Awaited::Exchange, self.patience);
        }
    }

    fn wait_for(&mut self, awaited: Awaited, time: Duration) {
        self.awaited = awaited;
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(Instant::now() + time),
            None => self.timer = Some(Box::pin(sleep(time))),
        }
    }

    #[cfg(test)]
    pub fn bytes(bytes: usize, patience: Duration) -> Self {
        Self::new(Awaited::Bytes(bytes), patience)
    }
}
