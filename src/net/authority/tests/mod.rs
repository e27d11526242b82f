mod client;

use std::collections::VecDeque;

use fastrand::Rng;
use futures_util::{FutureExt as _, future::poll_fn};
use h2::server;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue};

use super::{frames::*, *};
use client::*;

/// The bytes that h2 gets when they are read in those pieces.
fn rewritten(bytes: &[u8], mut pieces: impl FnMut() -> usize) -> Vec<u8> {
    let (mut out, mut left, mut rewriter) = (bytes.to_vec(), 0, AuthorityRewriter::default());
    while left < out.len() {
        let end = (left + pieces()).min(out.len());
        rewriter.rewrite(&mut out[left..end]);
        left = end;
    }
    out
}

/// A connection whose client has sent everything and keeps it open.
struct Sent {
    bytes: VecDeque<u8>,
    random: Rng,
}

impl AsyncRead for Sent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = self.random.usize(1..200).min(buffer.remaining()).min(self.bytes.len());
        let piece: Vec<u8> = self.bytes.drain(..most).collect();
        buffer.put_slice(&piece);
        if piece.is_empty() { Poll::Pending } else { Poll::Ready(Ok(())) }
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

fn sorted(mut headers: Headers) -> Headers {
    headers.sort();
    headers
}

/// The requests that h2 reads, with their trailers.
async fn read_by_h2(io: impl AsyncRead + AsyncWrite + Unpin) -> Vec<(Headers, Headers)> {
    let mut connection = server::handshake(io).await.unwrap();
    let mut requests = Vec::new();
    // It never waits but for what the client did not send.
    while let Some(Some(request)) = connection.accept().now_or_never() {
        requests.push(request.unwrap());
    }
    let mut read = Vec::new();
    for (request, _respond) in &mut requests {
        let fields = |map: &HeaderMap| -> Headers {
            let field = |(name, value): (&HeaderName, &HeaderValue)| {
                (name.to_string(), value.to_str().unwrap().to_owned())
            };
            map.iter().map(field).collect()
        };
        let mut headers = fields(request.headers());
        let (uri, method) = (request.uri(), request.method());
        let pseudo = [
            (":method", method.as_str()),
            (":scheme", uri.scheme_str().unwrap()),
            (":path", uri.path()),
            (":authority", uri.authority().unwrap().as_str()),
        ];
        headers.extend(pseudo.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let body = request.body_mut();
        while let Some(data) = body.data().await {
            data.unwrap();
        }
        let trailers = poll_fn(|cx| body.poll_trailers(cx)).await.unwrap();
        read.push((sorted(headers), sorted(trailers.as_ref().map(fields).unwrap_or_default())));
    }
    read
}

#[tokio::test]
async fn h2_reads_every_request_as_it_was_sent_but_for_the_authority() {
    let mut requests = 0;
    for seed in 0..200 {
        let client = Client::new(seed, false).send(100);
        let random = Rng::with_seed(seed);
        let io = AuthorityStream::new(Sent { bytes: client.out.into(), random });
        let read = read_by_h2(io).await;
        assert_eq!(read.len(), client.sent.len(), "seed {seed}");
        for (read, (mut headers, trailers)) in read.into_iter().zip(client.sent) {
            let authority = headers.iter_mut().find(|(name, _)| name == ":authority").unwrap();
            authority.1 = accepted(&authority.1);
            assert_eq!(read, (sorted(headers), sorted(trailers)), "seed {seed}");
            requests += 1;
        }
    }
    assert_eq!(requests, 20_000);
}

#[test]
fn nothing_changes_but_the_authority_and_wherever_reads_end() {
    for seed in 0..200 {
        let sent = Client::new(seed, false).send(20).out;
        let accepted = Client::new(seed, true).send(20).out;
        assert!(rewritten(&sent, || usize::MAX / 2) == accepted, "seed {seed}");
        assert!(rewritten(&sent, || 1) == accepted, "seed {seed}, byte by byte");
        let mut random = Rng::with_seed(seed);
        assert!(rewritten(&sent, || random.usize(1..40)) == accepted, "seed {seed}, in pieces");
        assert!(
            rewritten(&accepted, || usize::MAX / 2) == accepted,
            "seed {seed}, accepted before"
        );
    }
}

#[test]
fn one_read_may_end_anywhere() {
    let sent = Client::new(5, false).send(20).out;
    let accepted = Client::new(5, true).send(20).out;
    for cut in 1..sent.len() {
        let mut pieces = [cut, usize::MAX / 2].into_iter();
        assert!(rewritten(&sent, || pieces.next().unwrap()) == accepted, "cut at {cut}");
    }
}

#[test]
fn the_codes_of_all_characters_are_followed() {
    let request = |authority: &str| {
        let value = huffman(authority);
        let mut out = PREFACE.to_vec();
        frame(
            &mut out,
            HEADERS,
            END_HEADERS,
            1,
            &[&[1, 0x80 | value.len() as u8], &*value].concat(),
        );
        out
    };
    for character in CHARACTERS.iter().flat_map(|(_, characters)| characters.chars()) {
        let authority = format!("%{character}/{character}{character} %");
        let (sent, expected) = (request(&authority), request(&accepted(&authority)));
        assert_eq!(rewritten(&sent, || 1), expected, "{authority:?}");
    }
}

/// The bytes of a request that would be rewritten.
fn request(stream: u32) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, HEADERS, END_HEADERS, stream, b"\x41\x03a%b");
    out
}

#[test]
fn after_what_cannot_be_followed_bytes_are_passed_on() {
    let well = |kind, flags, payload: &[u8]| {
        let mut out = Vec::new();
        frame(&mut out, kind, flags, 1, payload);
        out
    };
    let followed = [
        ("nothing", Vec::new()),
        ("a field of the static table", well(HEADERS, END_HEADERS, b"\x83")),
        ("an integer of five bytes", well(HEADERS, END_HEADERS, b"\xff\x80\x80\x80\x01")),
        ("nothing but padding", well(HEADERS, END_HEADERS | PADDED, b"\x02%%")),
        ("nothing but a priority", well(HEADERS, END_HEADERS | PRIORITY, b"\0\0\0\0\x07")),
    ];
    for (what, before) in followed {
        let bytes = [PREFACE, &before, &request(3)].concat();
        let end = bytes.len() - 2;
        let out = rewritten(&bytes, || 7);
        assert_eq!(out[end..], *b".b", "{what}");
        assert_eq!(out[..end], bytes[..end], "{what}");
    }

    let continued = |id: u32, kind| {
        let mut out = well(HEADERS, 0, b"");
        frame(&mut out, kind, END_HEADERS, id, b"");
        out
    };
    let not_followed = [
        ("a promise", well(PUSH_PROMISE, END_HEADERS, b"")),
        ("a continuation of nothing", well(CONTINUATION, END_HEADERS, b"")),
        ("a continuation of another stream", continued(3, CONTINUATION)),
        ("another frame within a block", continued(1, 0x0)),
        ("a stream that depends on itself", well(HEADERS, 0x24, b"\x80\0\0\x01\0\x83")),
        ("a priority that is cut off", well(HEADERS, 0x24, b"\0\0\0\0")),
        ("padding without its length", well(HEADERS, END_HEADERS | PADDED, b"")),
        ("more padding than payload", well(HEADERS, END_HEADERS | PADDED, b"\x03%%")),
        ("padding that leaves no priority", well(HEADERS, 0x2c, b"\x02\0\0\0\0\x07%")),
        ("a block that ends in a field", well(HEADERS, END_HEADERS, b"\x41\x07a")),
        ("a name without a letter", well(HEADERS, END_HEADERS, b"\x40\0\x01%")),
        ("an integer of six bytes", well(HEADERS, END_HEADERS, b"\xff\x80\x80\x80\x80\x01")),
        ("an entry far beyond the table", well(HEADERS, END_HEADERS, b"\x7f\xff\x01\x01%")),
    ];
    for (what, before) in not_followed {
        let bytes = [PREFACE, &before, &request(3)].concat();
        assert_eq!(rewritten(&bytes, || 7), bytes, "{what}");
    }
    let no_preface = [&PREFACE[..20], b"XXXX", &*request(1)].concat();
    assert_eq!(rewritten(&no_preface, || 7), no_preface);
}
