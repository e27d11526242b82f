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

mod frames;
mod header_blocks;
mod split;
mod value;

pub use frames::AuthorityRewriter;

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
    /// Wraps a connection from which nothing was read.
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

#[cfg(test)]
mod tests;
