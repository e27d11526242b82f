//! One message in, one message out: how a unary call is framed in HTTP/2
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
//!
//! Tonic's own reader is made for streams and moves every byte through buffers of its own. A
//! message that arrives in one piece, as nearly all do, is read where it lies.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::HttpBody;
use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use prost::{DecodeError, Message};
use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, HeaderName, HeaderValue, Response, header::CONTENT_TYPE},
};

use super::admission::Place;

/// A flag and four bytes of length.
const HEAD: usize = 5;
/// Bytes that a message may have at most, whatever its head could say.
const LONGEST: usize = u32::MAX as usize;

/// Reads the message of a call, and waits until nothing follows it.
///
/// # Errors
/// There is not exactly one message, or it is compressed or longer than `limit` bytes, or no room
/// is left for it.
pub(super) async fn read<B>(
    headers: &HeaderMap,
    mut body: B,
    place: &Place,
    limit: usize,
) -> Result<Bytes, Status>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<tonic::codegen::StdError>,
{
    uncompressed(headers)?;
    let mut incoming = Incoming::default();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| Status::from_error(error.into()))?;
        // What is no data is a trailer, which a request has no use for.
        if let Ok(data) = frame.into_data() {
            incoming.add(data, place, limit)?;
        }
    }
    incoming.message()
}

/// Reads a message, if it is one.
///
/// # Errors
/// It is none.
pub(super) fn decode<T: Message + Default>(bytes: Bytes) -> Result<T, Status> {
    T::decode(bytes).map_err(|error| undecodable(&error))
}

/// What is answered to a message that is none.
pub(super) fn undecodable(error: &DecodeError) -> Status {
    bad(error)
}

fn uncompressed(headers: &HeaderMap) -> Result<(), Status> {
    const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
    let Some(encoding) = headers.get(ENCODING).filter(|encoding| *encoding != "identity") else {
        return Ok(());
    };
    let mut status = Status::unimplemented(format!(
        "the message is compressed with {encoding:?}, which is not understood: send it uncompressed"
    ));
    let accepted = tonic::metadata::MetadataValue::from_static("identity");
    status.metadata_mut().insert("grpc-accept-encoding", accepted);
    Err(status)
}

/// What has come in of a message, its head included.
#[derive(Default)]
struct Incoming {
    /// All of it, while it is one piece.
    piece: Bytes,
    /// All of it, once there is a second piece.
    pieces: BytesMut,
    /// Of head and message together, once the head is there.
    length: Option<usize>,
}

impl Incoming {
    fn add(&mut self, data: Bytes, place: &Place, limit: usize) -> Result<(), Status> {
        if data.is_empty() {
            return Ok(());
        }
        if self.piece.is_empty() && self.pieces.is_empty() {
            self.piece = data;
        } else {
            // The head of the first piece has said how long the whole is, and room was taken for it.
            let whole = self.length.unwrap_or(HEAD);
            let seen = std::mem::take(&mut self.piece);
            let missing = whole.saturating_sub(self.seen() + seen.len());
            self.pieces.reserve(seen.len() + missing.max(data.len()));
            self.pieces.put_slice(&seen);
            self.pieces.put_slice(&data);
        }
        if self.length.is_none() {
            self.length = self.head()?;
            if let Some(length) = self.length {
                fits(length - HEAD, limit)?;
                place.hold(length - HEAD)?;
            }
        }
        if self.length.is_some_and(|length| self.seen() > length) {
            return Err(bad("something follows the message, and a call has one"));
        }
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        if self.pieces.is_empty() { &self.piece } else { &self.pieces }
    }

    fn seen(&self) -> usize {
        self.bytes().len()
    }

    /// The length of the whole, if its head is there.
    fn head(&self) -> Result<Option<usize>, Status> {
        let Some((head, _)) = self.bytes().split_first_chunk::<HEAD>() else { return Ok(None) };
        let [flag, length @ ..] = *head;
        match flag {
            0 => {}
            1 => return Err(bad("it is flagged as compressed, but no `grpc-encoding` is named")),
            flag => return Err(bad(format!("its flag is {flag}: send 0"))),
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(LONGEST);
        Ok(Some(HEAD + length))
    }

    fn message(self) -> Result<Bytes, Status> {
        let seen = self.seen();
        let Some(length) = self.length else {
            return Err(bad(if seen == 0 { "there is none" } else { "it is cut off" }));
        };
        if seen < length {
            let (seen, length) = (seen - HEAD, length - HEAD);
            return Err(bad(format!("it is cut off after {seen} of {length} bytes")));
        }
        let mut bytes = if self.pieces.is_empty() { self.piece } else { self.pieces.freeze() };
        Ok(bytes.split_off(HEAD))
    }
}

fn fits(length: usize, limit: usize) -> Result<(), Status> {
    if length <= limit {
        return Ok(());
    }
    Err(Status::out_of_range(format!(
        "the message has {length} bytes, more than the limit of {limit}: send less, or several calls"
    )))
}

fn bad(what: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("the request is not a valid message: {what}"))
}

/// A message in its frame, of `length` bytes that `write` writes.
pub(super) fn framed(length: usize, write: impl FnOnce(&mut BytesMut)) -> Result<Bytes, Status> {
    let announced = announced(length)?;
    let mut bytes = BytesMut::with_capacity(HEAD + length);
    bytes.put_u8(0);
    bytes.put_u32(announced);
    write(&mut bytes);
    Ok(bytes.freeze())
}

/// A message that is written before it is known how long it will be.
pub(super) struct Unframed {
    /// The message behind the room for its head.
    pub bytes: Vec<u8>,
}

impl Unframed {
    pub fn new() -> Self {
        Self { bytes: vec![0; HEAD] }
    }

    /// The message in its frame.
    ///
    /// # Errors
    /// It is longer than a head can say.
    pub fn framed(mut self) -> Result<Bytes, Status> {
        let length = announced(self.bytes.len().saturating_sub(HEAD))?;
        if let Some([_, announced @ ..]) = self.bytes.first_chunk_mut::<HEAD>() {
            *announced = length.to_be_bytes();
        }
        Ok(self.bytes.into())
    }
}

fn announced(length: usize) -> Result<u32, Status> {
    u32::try_from(length)
        .map_err(|_| Status::out_of_range("the answer is too long: ask for less at once"))
}

/// The body of an answer.
#[derive(Default)]
pub(super) enum Answer {
    /// Nothing more, as where the headers say what went wrong.
    #[default]
    End,
    /// A message in its frame, and then that all went well.
    Message(Bytes),
    /// That all went well.
    Success,
    /// Whatever a service of tonic answers.
    Tonic(Body),
}

/// The answer to a call that went well.
pub(super) fn answer(framed: Bytes) -> Response<Answer> {
    let mut response = Response::new(Answer::Message(framed));
    let content_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        match this {
            Self::End => Poll::Ready(None),
            Self::Tonic(body) => Pin::new(body).poll_frame(cx),
            Self::Success => {
                *this = Self::End;
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Self::Message(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Success;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::End => true,
            Self::Tonic(body) => body.is_end_stream(),
            Self::Message(_) | Self::Success => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Tonic(body) => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{collections::VecDeque, sync::Arc};

    use tonic::Code;

    use super::*;
    use crate::server::{
        ServerOptions,
        admission::{Door, Gate},
    };

    /// A body in pieces.
    struct Pieces(VecDeque<Bytes>);

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    async fn read_in_pieces(bytes: &[u8], size: usize, limit: usize) -> Result<Bytes, Status> {
        let pieces = bytes.chunks(size).map(Bytes::copy_from_slice);
        let pieces = Pieces(pieces.flat_map(|piece| [Bytes::new(), piece]).collect());
        let door = Door::new(Arc::new(Gate::new(&ServerOptions::default())));
        read(&HeaderMap::new(), pieces, &door.enter().unwrap(), limit).await
    }

    #[tokio::test]
    async fn a_message_is_read_however_it_is_cut() {
        for length in [0, 1, 300, 70_000] {
            let message: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let framed = framed(length, |bytes| bytes.put_slice(&message)).unwrap();
            for size in [1, 2, 4, 5, 6, 1_000, framed.len()] {
                assert_eq!(read_in_pieces(&framed, size, length).await.unwrap(), message);
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_exactly_one_message_is_refused() {
        let good = [0, 0, 0, 0, 3, 1, 2, 3];
        for (bytes, code, told) in [
            (&[][..], Code::InvalidArgument, "there is none"),
            (&good[..4], Code::InvalidArgument, "it is cut off"),
            (&good[..7], Code::InvalidArgument, "after 2 of 3 bytes"),
            (&[&good[..], &[0]].concat(), Code::InvalidArgument, "something follows"),
            (&[&[1], &good[1..]].concat(), Code::InvalidArgument, "compressed"),
            (&[&[7], &good[1..]].concat(), Code::InvalidArgument, "flag is 7"),
            (&[0, 0, 0, 0, 4, 1, 2, 3, 4], Code::OutOfRange, "limit of 3"),
            (&[0, 0xff, 0xff, 0xff, 0xff], Code::OutOfRange, "4294967295 bytes"),
        ] {
            for size in [1, 3, bytes.len().max(1)] {
                let status = read_in_pieces(bytes, size, 3).await.unwrap_err();
                assert_eq!(status.code(), code, "{bytes:?}");
                assert!(status.message().contains(told), "{bytes:?}: {status}");
            }
        }
    }

    #[tokio::test]
    async fn a_compressed_message_is_refused_with_what_is_accepted() {
        let door = Door::new(Arc::new(Gate::new(&ServerOptions::default())));
        let headers =
            |encoding| HeaderMap::from_iter([(HeaderName::from_static("grpc-encoding"), encoding)]);
        let read = async |encoding| {
            let body = Pieces(VecDeque::from([Bytes::from_static(&[0; 5])]));
            let encoding = HeaderValue::from_static(encoding);
            read(&headers(encoding), body, &door.enter().unwrap(), 10).await
        };
        assert!(read("identity").await.is_ok());
        let status = read("gzip").await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
        assert_eq!(status.metadata().get("grpc-accept-encoding").unwrap(), "identity");
    }

    #[tokio::test]
    async fn an_answer_is_a_message_and_then_trailers() {
        let mut body = answer(framed(2, |bytes| bytes.put_slice(b"ok")).unwrap()).into_body();
        let mut next = async || poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let data = next().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, [&[0, 0, 0, 0, 2][..], b"ok"].concat());
        let trailers = next().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers.get("grpc-status").unwrap(), "0");
        assert!(next().await.is_none());
    }
}
