//! Makes h2 accept the `:authority` that official gRPC clients send over a Unix socket.
//!
//! # Why
//!
//! Clients built on gRPC's C core (Python, Ruby, PHP, C++) send the percent-encoded path of the
//! socket as `:authority`, for example `run%2Fhumbaba%2Fhumbaba.sock`; others send the path itself.
//! h2 parses it into a type that refuses `%`, `/` and spaces, and resets the stream with
//! PROTOCOL_ERROR before any service sees the request. It has no switch for this: **delete this
//! module when it has one** (<https://github.com/hyperium/h2/issues/487>).
//!
//! # What is changed
//!
//! Inside the value of `:authority` `%` becomes `.`, a space `-` and `/` `3`. Nothing else changes,
//! and no length does. The value has no meaning on a Unix socket; what is rewritten must not be shown
//! as what a client sent.
//!
//! # How
//!
//! [`AuthorityRewriter`] walks the frames (RFC 9113) and the header blocks (RFC 7541) of what is
//! read. It holds nothing back: when a read ends in the middle of a character, the first half is on
//! its way to h2 already. A character in Huffman form is therefore changed in one bit, which the
//! bits before it determine:
//!
//! | character | code | becomes | code |
//! |---|---|---|---|
//! | space | `010100` | `-` | `010110` |
//! | `%` | `010101` | `.` | `010111` |
//! | `/` | `011000` | `3` | `011001` |
//!
//! It keeps one bit for each entry of the dynamic table: set where its name is `:authority`.
//!
//! # What must hold
//!
//! - h2 announces the default header table size, 4,096 bytes. An entry takes at least 32, so there
//!   are never more than the 128 that are kept.
//! - Malformed input is for h2 to judge: after the first thing that cannot be followed, or that h2
//!   does not read as it is written, bytes are only passed on.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection of a Unix socket on which the authority of requests is rewritten.
#[derive(Debug)]
pub struct AuthorityStream<Io> {
    io: Io,
    rewriter: AuthorityRewriter,
}

impl<Io> AuthorityStream<Io> {
    /// Wraps a connection of which nothing was read.
    pub fn new(io: Io) -> Self {
        Self { io, rewriter: AuthorityRewriter::default() }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for AuthorityStream<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        if let Some(read) = buffer.filled_mut().get_mut(before..) {
            self.rewriter.rewrite(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for AuthorityStream<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// The bytes with which every client of HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types and flags of frames.
const HEADERS: u8 = 0x1;
const PUSH_PROMISE: u8 = 0x5;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

const NAME: &[u8] = b":authority";
const NAME_IN_HUFFMAN: &[u8] = &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f];

/// The indices of the static table; those of the dynamic one follow.
const STATIC_ENTRIES: usize = 61;
const STATIC_AUTHORITY: usize = 1;

/// One more than the last code of as many bits as the index (RFC 7541, appendix B). The same number of
/// bits of a longer code are never less. Characters of an authority have codes of at most 15 bits.
const CODES_END: [u16; 16] =
    [0, 0, 0, 0, 0, 0x0a, 0x2e, 0x7c, 0xfe, 0x1fc, 0x3fd, 0x7fd, 0xffc, 0x1ffe, 0x3ffe, 0x7fff];

/// The bytes cannot be followed any further.
#[derive(Debug)]
struct CannotFollow;

/// Rewrites the authority of all requests in the bytes of one connection.
#[derive(Debug, Default)]
pub struct AuthorityRewriter {
    at: FramePart,
    headers: HeaderBlocks,
    /// The stream whose header block goes on in a CONTINUATION frame.
    continued: Option<u32>,
}

/// The part of a frame to which the next byte belongs.
#[derive(Debug)]
enum FramePart {
    /// The preface, of which this is still to come.
    Preface(&'static [u8]),
    Head(Gathered<9>),
    PadLength(HeadersFrame),
    Priority(HeadersFrame, Gathered<5>),
    /// The part of a header block that a frame holds.
    Block(HeadersFrame),
    /// Bytes that hold nothing of a header block.
    Skipped(usize),
    /// No part: bytes are passed on.
    Unknown,
}

impl Default for FramePart {
    fn default() -> Self {
        Self::Preface(PREFACE)
    }
}

/// A HEADERS or CONTINUATION frame.
#[derive(Debug, Clone, Copy)]
struct HeadersFrame {
    stream: u32,
    /// Bytes still to come, without the padding as soon as its length is known.
    left: usize,
    padding: usize,
    has_priority: bool,
    ends_headers: bool,
}

/// The bytes of a fixed number that have been read.
#[derive(Debug)]
struct Gathered<const N: usize> {
    bytes: [u8; N],
    count: usize,
}

impl<const N: usize> Default for Gathered<N> {
    fn default() -> Self {
        Self { bytes: [0; N], count: 0 }
    }
}

impl<const N: usize> Gathered<N> {
    /// Adds one byte, and returns all of them when they are complete.
    fn add(&mut self, byte: u8) -> Option<[u8; N]> {
        if let Some(place) = self.bytes.get_mut(self.count) {
            *place = byte;
        }
        self.count += 1;
        (self.count == N).then_some(self.bytes)
    }
}

impl AuthorityRewriter {
    /// Rewrites the bytes that were read next, in place.
    pub fn rewrite(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            match self.step(bytes) {
                Ok(rest) => bytes = rest,
                Err(CannotFollow) => {
                    self.at = FramePart::Unknown;
                    return;
                }
            }
        }
    }

    /// Walks through one part of a frame, or what has come of it, and returns the bytes after it.
    fn step<'a>(&mut self, bytes: &'a mut [u8]) -> Result<&'a mut [u8], CannotFollow> {
        match &mut self.at {
            FramePart::Preface(expected) => {
                let (read, rest) = split(bytes, expected.len());
                *expected = expected.strip_prefix(&*read).ok_or(CannotFollow)?;
                if expected.is_empty() {
                    self.at = FramePart::Head(Gathered::default());
                }
                Ok(rest)
            }
            FramePart::Head(head) => {
                let (byte, rest) = bytes.split_first_mut().ok_or(CannotFollow)?;
                if let Some(head) = head.add(*byte) {
                    self.at = self.begin(head)?;
                }
                Ok(rest)
            }
            FramePart::PadLength(frame) => {
                let (byte, rest) = bytes.split_first_mut().ok_or(CannotFollow)?;
                frame.padding = usize::from(*byte);
                frame.left = frame.left.checked_sub(1 + frame.padding).ok_or(CannotFollow)?;
                self.at = frame.after_pad_length();
                Ok(rest)
            }
            FramePart::Priority(frame, priority) => {
                let (byte, rest) = bytes.split_first_mut().ok_or(CannotFollow)?;
                frame.left = frame.left.checked_sub(1).ok_or(CannotFollow)?;
                if let Some([a, b, c, d, _weight]) = priority.add(*byte) {
                    // h2 does not read the headers of a stream that depends on itself.
                    if stream(u32::from_be_bytes([a, b, c, d])) == frame.stream {
                        return Err(CannotFollow);
                    }
                    self.at = FramePart::Block(*frame);
                }
                Ok(rest)
            }
            FramePart::Block(frame) => {
                let (block, rest) = split(bytes, frame.left);
                self.headers.rewrite(block)?;
                frame.left -= block.len();
                if frame.left == 0 {
                    if frame.ends_headers {
                        self.headers.end()?;
                    } else {
                        self.continued = Some(frame.stream);
                    }
                    self.at = FramePart::Skipped(frame.padding);
                }
                Ok(rest)
            }
            FramePart::Skipped(left) => {
                let (skipped, rest) = split(bytes, *left);
                *left -= skipped.len();
                if *left == 0 {
                    self.at = FramePart::Head(Gathered::default());
                }
                Ok(rest)
            }
            FramePart::Unknown => Err(CannotFollow),
        }
    }

    /// Returns the part that follows the head of a frame.
    fn begin(&mut self, head: [u8; 9]) -> Result<FramePart, CannotFollow> {
        let [a, b, c, kind, flags, id @ ..] = head;
        let frame = HeadersFrame {
            stream: stream(u32::from_be_bytes(id)),
            left: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            padding: 0,
            has_priority: flags & PRIORITY != 0,
            ends_headers: flags & END_HEADERS != 0,
        };
        match (kind, self.continued.take()) {
            (HEADERS, None) if flags & PADDED != 0 => Ok(FramePart::PadLength(frame)),
            (HEADERS, None) => Ok(frame.after_pad_length()),
            (CONTINUATION, Some(stream)) if stream == frame.stream => Ok(FramePart::Block(frame)),
            // Nothing may come between, and a client promises nothing.
            (_, Some(_)) | (CONTINUATION | PUSH_PROMISE, None) => Err(CannotFollow),
            _ => Ok(FramePart::Skipped(frame.left)),
        }
    }
}

impl HeadersFrame {
    fn after_pad_length(self) -> FramePart {
        if self.has_priority {
            FramePart::Priority(self, Gathered::default())
        } else {
            FramePart::Block(self)
        }
    }
}

/// A stream's number without the bit in front of it.
fn stream(id: u32) -> u32 {
    id & 0x7fff_ffff
}

/// Divides bytes into so many, or as many as there are, and the rest.
fn split(bytes: &mut [u8], count: usize) -> (&mut [u8], &mut [u8]) {
    bytes.split_at_mut(count.min(bytes.len()))
}

/// The header blocks of a connection, which share a dynamic table.
#[derive(Debug, Default)]
struct HeaderBlocks {
    at: FieldPart,
    field: Field,
    /// Which of the last 128 entries that were added have the name `:authority`, the newest in the
    /// lowest bit. Those that were evicted are the oldest, and nobody refers to them.
    authorities: u128,
}

/// The part of a field to which the next byte belongs.
#[derive(Debug, Default)]
enum FieldPart {
    #[default]
    Start,
    /// An integer after its first byte.
    Integer { of: Number, value: usize, shift: u32 },
    /// The form and length of a string.
    Length(Text),
    /// Bytes of the name, which is `:authority` if exactly these follow.
    Name { left: usize, expected: Option<&'static [u8]> },
    /// Bytes of the value.
    Value { left: usize, rewrite: Rewrite },
}

/// A literal field under way.
#[derive(Debug, Default)]
struct Field {
    is_authority: bool,
    /// True where it becomes an entry of the dynamic table.
    is_added: bool,
}

/// The meaning of an integer.
#[derive(Debug, Clone, Copy)]
enum Number {
    /// A whole field, or the size of the table.
    Nothing,
    NameIndex,
    LengthOf(Text, Form),
}

#[derive(Debug, Clone, Copy)]
enum Text {
    Name,
    Value,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Plain,
    Huffman,
}

/// The way in which a value is rewritten.
#[derive(Debug)]
enum Rewrite {
    Nothing,
    Plain,
    Huffman(Code),
}

impl HeaderBlocks {
    /// Rewrites the next bytes of a block.
    fn rewrite(&mut self, mut bytes: &mut [u8]) -> Result<(), CannotFollow> {
        while !bytes.is_empty() {
            bytes = self.step(bytes)?;
        }
        Ok(())
    }

    /// Ends a block.
    fn end(&self) -> Result<(), CannotFollow> {
        matches!(self.at, FieldPart::Start).then_some(()).ok_or(CannotFollow)
    }

    /// Walks through one part of a field, or what has come of it, and returns the bytes after it.
    fn step<'a>(&mut self, bytes: &'a mut [u8]) -> Result<&'a mut [u8], CannotFollow> {
        match &mut self.at {
            FieldPart::Start => {
                let (byte, rest) = bytes.split_first_mut().ok_or(CannotFollow)?;
                self.begin(*byte)?;
                Ok(rest)
            }
            FieldPart::Integer { of, value, shift } => {
                let (byte, rest) = bytes.split_first_mut().ok_or(CannotFollow)?;
                *value += usize::from(*byte & 0x7f) << *shift;
                *shift += 7;
                if *byte & 0x80 == 0 {
                    let (of, value) = (*of, *value);
                    self.take(of, value)?;
                } else if *shift == 28 {
                    // h2 takes integers of at most five bytes.
                    return Err(CannotFollow);
                }
                Ok(rest)
            }
            FieldPart::Length(text) => {
                let (byte, rest) = bytes.split_first_mut().ok_or(CannotFollow)?;
                let form = if *byte & 0x80 == 0 { Form::Plain } else { Form::Huffman };
                let of = Number::LengthOf(*text, form);
                self.integer(of, *byte, 0x7f)?;
                Ok(rest)
            }
            FieldPart::Name { left, expected } => {
                let (name, rest) = split(bytes, *left);
                *left -= name.len();
                *expected = expected.and_then(|expected| expected.strip_prefix(&*name));
                if *left == 0 {
                    self.field.is_authority = *expected == Some(&[]);
                    self.at = FieldPart::Length(Text::Value);
                }
                Ok(rest)
            }
            FieldPart::Value { left, rewrite } => {
                let (value, rest) = split(bytes, *left);
                *left -= value.len();
                rewrite.apply(value);
                if *left == 0 {
                    self.end_field();
                }
                Ok(rest)
            }
        }
    }

    /// Reads the first byte of a field or of a change of the table's size.
    fn begin(&mut self, byte: u8) -> Result<(), CannotFollow> {
        self.field = Field { is_authority: false, is_added: byte & 0xc0 == 0x40 };
        match byte {
            0x80.. => self.integer(Number::Nothing, byte, 0x7f),
            0x40.. => self.integer(Number::NameIndex, byte, 0x3f),
            0x20.. => self.integer(Number::Nothing, byte, 0x1f),
            _ => self.integer(Number::NameIndex, byte, 0x0f),
        }
    }

    /// Reads the first byte of an integer, which has room for less than `largest`.
    fn integer(&mut self, of: Number, byte: u8, largest: u8) -> Result<(), CannotFollow> {
        let value = usize::from(byte & largest);
        if value < usize::from(largest) {
            return self.take(of, value);
        }
        self.at = FieldPart::Integer { of, value, shift: 0 };
        Ok(())
    }

    /// Goes on after an integer.
    fn take(&mut self, of: Number, value: usize) -> Result<(), CannotFollow> {
        self.at = match of {
            Number::Nothing => FieldPart::Start,
            Number::NameIndex if value == 0 => FieldPart::Length(Text::Name),
            Number::NameIndex => {
                self.field.is_authority = self.is_authority(value)?;
                FieldPart::Length(Text::Value)
            }
            // h2 may leave out a field without a name, and go on.
            Number::LengthOf(Text::Name, _) if value == 0 => return Err(CannotFollow),
            Number::LengthOf(Text::Name, form) => {
                let expected = match form {
                    Form::Plain => NAME,
                    Form::Huffman => NAME_IN_HUFFMAN,
                };
                FieldPart::Name { left: value, expected: Some(expected) }
            }
            Number::LengthOf(Text::Value, _) if value == 0 => {
                self.end_field();
                return Ok(());
            }
            Number::LengthOf(Text::Value, form) => {
                let rewrite = match form {
                    _ if !self.field.is_authority => Rewrite::Nothing,
                    Form::Plain => Rewrite::Plain,
                    Form::Huffman => Rewrite::Huffman(Code::default()),
                };
                FieldPart::Value { left: value, rewrite }
            }
        };
        Ok(())
    }

    fn is_authority(&self, index: usize) -> Result<bool, CannotFollow> {
        let Some(entry) = index.checked_sub(STATIC_ENTRIES + 1) else {
            return Ok(index == STATIC_AUTHORITY);
        };
        let entry = u32::try_from(entry).map_err(|_| CannotFollow)?;
        Ok(self.authorities.checked_shr(entry).ok_or(CannotFollow)? & 1 == 1)
    }

    fn end_field(&mut self) {
        if self.field.is_added {
            self.authorities = self.authorities << 1 | u128::from(self.field.is_authority);
        }
        self.at = FieldPart::Start;
    }
}

impl Rewrite {
    /// Rewrites the next bytes of the value.
    fn apply(&mut self, bytes: &mut [u8]) {
        match self {
            Self::Nothing => {}
            Self::Plain => bytes.iter_mut().for_each(|byte| {
                *byte = match *byte {
                    b'%' => b'.',
                    b' ' => b'-',
                    b'/' => b'3',
                    other => other,
                };
            }),
            Self::Huffman(code) => bytes.iter_mut().for_each(|byte| code.rewrite(byte)),
        }
    }
}

/// The bits that have been read of the Huffman code of one character.
#[derive(Debug, Default)]
struct Code {
    bits: u16,
    count: usize,
}

impl Code {
    /// Rewrites the next eight bits.
    fn rewrite(&mut self, byte: &mut u8) {
        for bit in (0..8).rev().map(|place| 1 << place) {
            // The next bit of space and `%`, and of `/`.
            if matches!((self.count, self.bits), (4, 0b0101) | (5, 0b01100)) {
                *byte |= bit;
            }
            // A longer code is of no character that may be in an authority: h2 will refuse it.
            let Some(end) = CODES_END.get(self.count + 1) else { return };
            self.bits = self.bits << 1 | u16::from(*byte & bit != 0);
            self.count += 1;
            if self.bits < *end {
                *self = Self::default();
            }
        }
    }
}

#[cfg(test)]
mod tests;
