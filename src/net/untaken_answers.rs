//! Answers that a peer of HTTP/2 does not take.
//!
//! Such a peer opens streams and gives them no window: their answers stay in memory for as long as it
//! answers pings. So each piece of an answer has a time in which it must be taken. hyper asks a body for
//! a piece before the stream has a window for it, so that none is missed.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::time::sleep;

/// The answers of one connection that wait for its peer. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct UntakenAnswers(Arc<WaitingPieces>);

/// Counts the pieces that wait, by the period in which they began to: every answer pays for this, and
/// a count costs less than a time.
#[derive(Debug, Default)]
struct WaitingPieces {
    is_odd_period: AtomicBool,
    since_even_period: AtomicUsize,
    since_odd_period: AtomicUsize,
}

/// Something that waits for the peer, until this is dropped.
#[derive(Debug)]
struct WaitingPiece {
    pieces: Arc<WaitingPieces>,
    since_odd_period: bool,
}

/// A body whose pieces count as untaken until they are sent.
#[derive(Debug)]
pub(crate) struct TrackedBody<B> {
    body: B,
    /// Unset where nothing is counted.
    answers: Option<UntakenAnswers>,
}

/// The bytes of a piece. The protocol drops them once it has sent them.
#[derive(Debug)]
pub(crate) struct TrackedBytes {
    bytes: Bytes,
    _waiting: Option<WaitingPiece>,
}

impl UntakenAnswers {
    /// Follows the pieces of an answer until they are sent.
    pub fn track<B>(&self, body: B) -> TrackedBody<B> {
        TrackedBody { body, answers: Some(self.clone()) }
    }

    /// Completes once a piece has waited for `patience`, and before it has waited for twice as long.
    pub async fn exceed(&self, patience: Duration) {
        let pieces = &self.0;
        loop {
            sleep(patience).await;
            let was_odd = pieces.is_odd_period.load(Ordering::Relaxed);
            // The period before the one that ends now.
            if pieces.since(!was_odd).load(Ordering::Relaxed) > 0 {
                return;
            }
            pieces.is_odd_period.store(!was_odd, Ordering::Relaxed);
        }
    }

    fn begin(&self) -> WaitingPiece {
        let pieces = Arc::clone(&self.0);
        let since_odd_period = pieces.is_odd_period.load(Ordering::Relaxed);
        pieces.since(since_odd_period).fetch_add(1, Ordering::Relaxed);
        WaitingPiece { pieces, since_odd_period }
    }
}

impl WaitingPieces {
    fn since(&self, odd_period: bool) -> &AtomicUsize {
        if odd_period { &self.since_odd_period } else { &self.since_even_period }
    }
}

impl Drop for WaitingPiece {
    fn drop(&mut self) {
        self.pieces.since(self.since_odd_period).fetch_sub(1, Ordering::Relaxed);
    }
}

impl Buf for TrackedBytes {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl<B> TrackedBody<B> {
    /// Returns a body of which nothing is counted.
    pub fn untracked(body: B) -> Self {
        Self { body, answers: None }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = TrackedBytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<TrackedBytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let begin = || self.answers.as_ref().map(UntakenAnswers::begin);
        let track = |bytes| TrackedBytes { bytes, _waiting: begin() };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(track))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]

    use http_body_util::{BodyExt as _, Full};
    use tokio::time::{Instant, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    async fn piece(answers: &UntakenAnswers) -> TrackedBytes {
        let mut body = answers.track(Full::new(Bytes::from_static(b"answer")));
        body.frame().await.unwrap().unwrap().into_data().unwrap()
    }

    #[tokio::test]
    async fn a_piece_waits_until_all_of_it_is_sent() {
        let answers = UntakenAnswers::default();
        let mut bytes = piece(&answers).await;
        bytes.advance(5);
        let begun = Instant::now();
        timeout(Duration::from_secs(20), answers.exceed(PATIENCE)).await.unwrap();
        assert!(begun.elapsed() >= PATIENCE);
        drop(bytes);
        let exceeded = timeout(4 * PATIENCE, answers.exceed(PATIENCE)).await;
        assert!(exceeded.is_err(), "nothing waits any more");
    }

    #[tokio::test]
    async fn pieces_that_are_sent_in_time_may_follow_each_other_for_long() {
        let answers = UntakenAnswers::default();
        let sending = async {
            for _ in 0..50 {
                let bytes = piece(&answers).await;
                sleep(PATIENCE / 10).await;
                drop(bytes);
            }
        };
        tokio::select! {
            () = sending => {}
            () = answers.exceed(PATIENCE) => panic!("no piece has waited for so long"),
        }
    }
}
