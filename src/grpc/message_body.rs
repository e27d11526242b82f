//! The body of a unary request: one message in its frame
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::{
    fmt::Display,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::{Body, Frame};
use tonic::{
    Status,
    codegen::{
        StdError,
        http::{HeaderMap, HeaderName},
    },
};

/// The bytes of a frame's head: a flag and the length of the message.
const HEAD: usize = 5;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The head of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// The message is compressed with the request's `grpc-encoding`.
    pub is_compressed: bool,
    /// The bytes of the message, compressed.
    pub length: usize,
}

/// A body whose frame's head has been read. It gives the head again, and an error where it
/// holds anything but exactly one message.
#[derive(Debug)]
pub(super) struct MessageBody<B> {
    body: B,
    /// The bytes that were read to find the head.
    read: Bytes,
    length: usize,
    /// Bytes of the frame that were not given yet.
    missing: usize,
}

impl<B> MessageBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    /// Reads the head of the message, and no more than the pieces of the body in which it lies.
    ///
    /// # Errors
    /// The head is not that of a message, or the body cannot be read.
    pub async fn read_head(headers: &HeaderMap, mut body: B) -> Result<(FrameHead, Self), Status> {
        let mut read = Bytes::new();
        while read.len() < HEAD {
            let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await else {
                return Err(invalid(if read.is_empty() {
                    "there is none"
                } else {
                    "it is cut off"
                }));
            };
            let frame = frame.map_err(|error| Status::from_error(error.into()))?;
            // The trailers of a request have no meaning.
            let Ok(data) = frame.into_data() else { continue };
            read = if read.is_empty() { data } else { joined(&read, &data) };
        }
        let mut head = read.slice(..HEAD);
        let (flag, length) = (head.get_u8(), head.get_u32() as usize);
        let is_encoded = headers.get(GRPC_ENCODING).is_some_and(|encoding| encoding != "identity");
        let is_compressed = match flag {
            0 => false,
            1 if is_encoded => true,
            1 => {
                return Err(invalid(
                    "it is flagged as compressed, but no `grpc-encoding` is named",
                ));
            }
            flag => return Err(invalid(format!("its flag is {flag}: send 0 or 1"))),
        };
        let head = FrameHead { is_compressed, length };
        Ok((head, Self { body, read, length, missing: HEAD + length }))
    }
}

impl<B> Body for MessageBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let frame = if this.read.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(Status::from_error(error.into()))));
                }
                None if this.missing == 0 => return Poll::Ready(None),
                None => {
                    let (length, got) = (this.length, this.length.saturating_sub(this.missing));
                    let error = invalid(format!("it is cut off after {got} of {length} bytes"));
                    return Poll::Ready(Some(Err(error)));
                }
            }
        } else {
            Frame::data(std::mem::take(&mut this.read))
        };
        if let Some(data) = frame.data_ref() {
            match this.missing.checked_sub(data.len()) {
                Some(missing) => this.missing = missing,
                None => {
                    let error = invalid("something follows the message, and a call has one");
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

fn joined(one: &[u8], other: &[u8]) -> Bytes {
    let mut joined = BytesMut::with_capacity(one.len() + other.len());
    joined.extend_from_slice(one);
    joined.extend_from_slice(other);
    joined.freeze()
}

fn invalid(what: impl Display) -> Status {
    Status::invalid_argument(format!("the request is not a valid message: {what}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{collections::VecDeque, convert::Infallible};

    use http_body_util::BodyExt as _;
    use tonic::Code;

    use super::*;

    /// A body in pieces.
    struct Pieces(VecDeque<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    async fn read_in_pieces(
        encoding: Option<&'static str>,
        bytes: &[u8],
        size: usize,
    ) -> Result<(FrameHead, Bytes), Status> {
        let pieces = bytes.chunks(size).map(Bytes::copy_from_slice);
        let pieces = Pieces(pieces.flat_map(|piece| [Bytes::new(), piece]).collect());
        let encoding = encoding.map(|encoding| (GRPC_ENCODING, encoding.parse().unwrap()));
        let headers = encoding.into_iter().collect();
        let (head, body) = MessageBody::read_head(&headers, pieces).await?;
        Ok((head, body.collect().await?.to_bytes()))
    }

    #[tokio::test]
    async fn a_message_is_given_as_it_came_however_it_is_cut() {
        for length in [0_u32, 1, 300, 70_000] {
            let message: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let framed = [&[0], &length.to_be_bytes()[..], &message].concat();
            for size in [1, 2, 4, 5, 6, 1_000, framed.len()] {
                let (head, read) = read_in_pieces(None, &framed, size).await.unwrap();
                assert_eq!(head, FrameHead { is_compressed: false, length: message.len() });
                assert_eq!(read, framed);
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_exactly_one_message_is_refused() {
        let good = [0, 0, 0, 0, 3, 1, 2, 3];
        for (bytes, told) in [
            (&[][..], "there is none"),
            (&good[..4], "it is cut off"),
            (&good[..7], "after 2 of 3 bytes"),
            (&good[..5], "after 0 of 3 bytes"),
            (&[&good[..], &[0]].concat(), "something follows"),
            (&[&[1], &good[1..]].concat(), "compressed"),
            (&[&[7], &good[1..]].concat(), "flag is 7"),
        ] {
            for size in [1, 3, bytes.len().max(1)] {
                let status = read_in_pieces(Some("identity"), bytes, size).await.unwrap_err();
                assert_eq!(status.code(), Code::InvalidArgument, "{bytes:?}");
                assert!(status.message().contains(told), "{bytes:?}: {status}");
            }
        }
    }

    #[tokio::test]
    async fn a_compressed_message_names_its_encoding() {
        let (head, _) = read_in_pieces(Some("gzip"), &[1, 0, 0, 0, 1, 9], 6).await.unwrap();
        assert_eq!(head, FrameHead { is_compressed: true, length: 1 });
        let (head, _) = read_in_pieces(Some("gzip"), &[0, 0, 0, 0, 1, 9], 6).await.unwrap();
        assert!(!head.is_compressed);
    }
}
