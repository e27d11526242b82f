//! Answers that a peer of HTTP/2 does not take.
//!
//! Such a peer opens streams and gives them no window: their answers stay in memory for as long as it
//! answers pings. So each piece of an answer has a time in which it must be taken.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

/// The answers of one connection that wait for its peer. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct UntakenAnswers(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// When each began to wait, by number; the first is the oldest.
    since: BTreeMap<u64, Instant>,
    next: u64,
}

/// Something that waits for the peer, until this is dropped.
#[derive(Debug)]
struct WaitingPiece {
    answers: UntakenAnswers,
    number: u64,
}

/// A body whose pieces count as untaken until they are sent.
#[derive(Debug)]
pub(crate) struct TrackedBody<B> {
    body: B,
    answers: UntakenAnswers,
    /// The wait for the first piece: a stream without a window is not asked for any.
    unasked: Option<WaitingPiece>,
}

/// The bytes of a piece.
struct TrackedBytes {
    bytes: Bytes,
    _waiting: WaitingPiece,
}

impl UntakenAnswers {
    /// Follows the pieces of an answer until they are sent.
    pub fn track<B>(&self, body: B) -> TrackedBody<B> {
        TrackedBody { body, answers: self.clone(), unasked: Some(self.begin()) }
    }

    /// Completes once a piece has waited for that long.
    pub async fn exceed(&self, patience: Duration) {
        loop {
            let now = Instant::now();
            let oldest = self.lock().since.first_key_value().map(|(_, since)| *since);
            let deadline = oldest.unwrap_or(now) + patience;
            if deadline <= now {
                return;
            }
            sleep_until(deadline).await;
        }
    }

    fn begin(&self) -> WaitingPiece {
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.since.insert(number, Instant::now());
        WaitingPiece { answers: self.clone(), number }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitingPiece {
    fn drop(&mut self) {
        self.answers.lock().since.remove(&self.number);
    }
}

impl AsRef<[u8]> for TrackedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.unasked = None;
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let answers = &self.answers;
        // The protocol drops the bytes once it has sent them.
        let track = |bytes| Bytes::from_owner(TrackedBytes { bytes, _waiting: answers.begin() });
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
    #![allow(clippy::unwrap_used)]

    use std::convert::Infallible;

    use http_body_util::{BodyExt as _, Full, StreamBody};
    use tokio::time::timeout;

    use super::*;

    impl UntakenAnswers {
        fn count(&self) -> usize {
            self.lock().since.len()
        }
    }

    #[tokio::test]
    async fn an_answer_waits_from_its_beginning_until_its_bytes_are_sent() {
        let answers = UntakenAnswers::default();
        let mut body = answers.track(Full::new(Bytes::from_static(b"answer")));
        assert_eq!(answers.count(), 1, "nothing was asked of it");
        let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let part = bytes.slice(..1);
        drop((body, bytes));
        assert_eq!(answers.count(), 1, "a part of it is not sent");
        let exceeded = answers.exceed(Duration::from_millis(10));
        timeout(Duration::from_secs(20), exceeded).await.unwrap();
        drop(part);
        assert_eq!(answers.count(), 0);
    }

    #[tokio::test]
    async fn a_stream_that_has_nothing_to_say_does_not_wait_for_its_peer() {
        let answers = UntakenAnswers::default();
        let silent = tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>();
        let mut body = answers.track(StreamBody::new(silent));
        let next = timeout(Duration::from_millis(1), body.frame()).await;
        assert!(next.is_err());
        assert_eq!(answers.count(), 0);
    }
}
