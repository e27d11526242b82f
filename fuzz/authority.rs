//! Properties of the rewriting of `:authority`, whatever a client sends.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::FutureExt as _;
use h2::server;
use humbaba::net::authority::AuthorityRewriter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Rewrites what follows the preface, read in pieces of as many bytes as the first one says.
///
/// It must not matter where reads end, and h2 must read the same requests but for the authority.
pub fn check(bytes: &[u8]) {
    let Some((&piece, sent)) = bytes.split_first() else { return };
    let sent = [PREFACE, sent].concat();
    let whole = rewritten(&sent, sent.len());
    assert_eq!(whole, rewritten(&sent, 1));
    assert_eq!(whole, rewritten(&sent, usize::from(piece).max(1)));
    assert_eq!(whole, rewritten(&whole, sent.len()));
    let read = read_by_h2(whole);
    for (stream, before) in read_by_h2(sent) {
        // A connection may end earlier: of a request that was refused h2 ignores the rest.
        if let Some(after) = read.get(&stream) {
            assert_eq!(after.others, before.others);
            assert_eq!(after.authority, before.authority.map(accepted));
        }
    }
}

fn rewritten(bytes: &[u8], piece: usize) -> Vec<u8> {
    let (mut bytes, mut rewriter) = (bytes.to_vec(), AuthorityRewriter::default());
    bytes.chunks_mut(piece).for_each(|piece| rewriter.rewrite(piece));
    bytes
}

fn accepted(authority: String) -> String {
    authority.replace('%', ".").replace(' ', "-").replace('/', "3")
}

/// A request that h2 has read.
struct Read {
    authority: Option<String>,
    /// Method, scheme, path and headers.
    others: String,
}

/// The requests that h2 reads, by stream.
fn read_by_h2(sent: Vec<u8>) -> BTreeMap<u32, Read> {
    let io = Sent(io::Cursor::new(sent));
    let Some(Ok(mut connection)) = server::handshake(io).now_or_never() else {
        return BTreeMap::new();
    };
    let mut requests = Vec::new();
    while let Some(Some(Ok(request))) = connection.accept().now_or_never() {
        requests.push(request);
    }
    let read = requests.iter().map(|(request, respond)| {
        let (uri, headers) = (request.uri(), request.headers());
        let target = (uri.scheme_str(), uri.path_and_query());
        let read = Read {
            authority: uri.authority().map(|authority| authority.to_string()),
            others: format!("{} {target:?} {headers:?}", request.method()),
        };
        (respond.stream_id().into(), read)
    });
    read.collect()
}

/// A connection whose client has sent everything and keeps it open.
struct Sent(io::Cursor<Vec<u8>>);

impl AsyncRead for Sent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = Pin::new(&mut self.0).poll_read(cx, buffer);
        if buffer.filled().len() == before { Poll::Pending } else { poll }
    }
}

impl AsyncWrite for Sent {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
