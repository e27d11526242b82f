//! The frames of a connection, of which those with header blocks are followed (RFC 9113).

use super::{
    header_blocks::HeaderBlocks,
    split::{CannotFollow, split},
};

/// The bytes with which every client of HTTP/2 begins.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types and flags of frames.
pub(super) const HEADERS: u8 = 0x1;
pub(super) const PUSH_PROMISE: u8 = 0x5;
pub(super) const CONTINUATION: u8 = 0x9;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

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
