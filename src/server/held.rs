//! The bytes of messages that the process holds.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::HttpBody;
use tonic::{Status, body::Body, codegen::Bytes};

use super::admission::Place;

/// The body of a call. Room for a large message is taken as soon as its frame says how long it will
/// be, for that is when it is set aside, and given back when the call is over.
pub(super) struct HeldBody {
    body: Body,
    place: Arc<Place>,
    lengths: Lengths,
}

impl HeldBody {
    pub fn new(body: Body, place: Arc<Place>) -> Self {
        Self { body, place, lengths: Lengths::default() }
    }
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Some(longest) = self.lengths.longest_in(data)
            && let Err(status) = self.place.hold(longest)
        {
            return Poll::Ready(Some(Err(status)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// Finds in the bytes of a body, as they come in, how long its messages are said to be.
#[derive(Debug, Default)]
struct Lengths {
    /// What has been seen of the head of a message: a flag and four bytes of length.
    head_seen: usize,
    length: usize,
    /// What is missing of the message after its head.
    message_left: usize,
}

const HEAD: usize = 5;

impl Lengths {
    /// The greatest length of a message that begins in these bytes, if one does.
    fn longest_in(&mut self, mut bytes: &[u8]) -> Option<usize> {
        let mut longest = None;
        loop {
            let skipped = self.message_left.min(bytes.len());
            self.message_left -= skipped;
            let Some((byte, rest)) = bytes.get(skipped..).and_then(<[u8]>::split_first) else {
                return longest;
            };
            bytes = rest;
            if self.head_seen > 0 {
                self.length = self.length << 8 | usize::from(*byte);
            }
            self.head_seen += 1;
            if self.head_seen == HEAD {
                longest = longest.max(Some(self.length));
                self.message_left = self.length;
                (self.head_seen, self.length) = (0, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_found_however_the_bytes_are_cut() {
        let message = |length: usize| {
            let head = [&[0][..], &(length as u32).to_be_bytes()].concat();
            [head, vec![7; length]].concat()
        };
        let body = [message(3), message(0), message(70_000), message(5)].concat();
        for cut in [1, 2, 3, 5, 7, 11, 1_000, body.len()] {
            let mut lengths = Lengths::default();
            let found: Vec<_> =
                body.chunks(cut).filter_map(|bytes| lengths.longest_in(bytes)).collect();
            assert_eq!(found.iter().max(), Some(&70_000), "{cut}");
            if cut == 1 {
                assert_eq!(found, [3, 0, 70_000, 5]);
            }
        }
        let mut lengths = Lengths::default();
        assert_eq!(lengths.longest_in(&[0, 0xff, 0xff, 0xff]), None);
        assert_eq!(lengths.longest_in(&[0xff]), Some(u32::MAX as usize));
        assert_eq!(lengths.longest_in(&[]), None);
    }
}
