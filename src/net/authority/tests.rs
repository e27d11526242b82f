use std::collections::VecDeque;

use fastrand::Rng;
use futures_util::{FutureExt as _, future::poll_fn};
use h2::server;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue};

use super::{frames::*, header_blocks::*, *};

/// The name and value of each header, pseudo-headers first.
type Headers = Vec<(String, String)>;

/// Characters by the length of their codes, in the order of their codes (RFC 7541, appendix B).
const CHARACTERS: [(u32, &str); 10] = [
    (5, "012aceiost"),
    (6, " %-./3456789=A_bdfghlmnpru"),
    (7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, "&*,;XZ"),
    (10, "!\"()?"),
    (11, "'+|"),
    (12, "#>"),
    (13, "\0$@[]~"),
    (14, "^}"),
    (15, "<`{"),
];

fn code(character: char) -> (u32, u32) {
    let (mut code, mut bits) = (0, 5);
    for (length, characters) in CHARACTERS {
        code <<= length - bits;
        bits = length;
        if let Some(place) = characters.find(character) {
            return (code + place as u32, bits);
        }
        code += characters.len() as u32;
    }
    panic!("{character:?} has no code here")
}

fn huffman(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u64, 0);
    for (code, length) in text.chars().map(code) {
        bits = bits << length | u64::from(code);
        count += length;
        while count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    if count > 0 {
        bytes.push((bits << (8 - count)) as u8 | 0xff >> count);
    }
    bytes
}

/// The authorities that h2 accepts.
fn accepted(authority: &str) -> String {
    authority.replace('%', ".").replace(' ', "-").replace('/', "3")
}

/// A client that writes its requests in every way that there is, by chance.
struct Client {
    random: Rng,
    /// Returns whether it writes an authority that h2 accepts.
    is_accepted: bool,
    table: VecDeque<(String, String)>,
    table_size: usize,
    out: Vec<u8>,
    sent: Vec<(Headers, Headers)>,
}

impl Client {
    fn new(seed: u64, is_accepted: bool) -> Self {
        let (table, table_size) = (VecDeque::new(), 4096);
        let mut out = PREFACE.to_vec();
        frame(&mut out, 0x4, 0, 0, &[]);
        let random = Rng::with_seed(seed);
        Self { random, is_accepted, table, table_size, out, sent: Vec::new() }
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.random.u32(..one_in) == 0
    }

    fn integer(&mut self, block: &mut Vec<u8>, first: u8, largest: u8, value: usize) {
        if value < usize::from(largest) {
            return block.push(first | value as u8);
        }
        block.push(first | largest);
        let mut value = value - usize::from(largest);
        while value >= 0x80 {
            block.push(0x80 | (value & 0x7f) as u8);
            value >>= 7;
        }
        // Zeros behind the number make it longer and not greater.
        if self.chance(4) {
            block.extend([value as u8 | 0x80, 0]);
        } else {
            block.push(value as u8);
        }
    }

    fn string(&mut self, block: &mut Vec<u8>, text: &str) {
        let (form, bytes) =
            if self.random.bool() { (0x80, huffman(text)) } else { (0, text.as_bytes().to_vec()) };
        self.integer(block, form, 0x7f, bytes.len());
        block.extend(bytes);
    }

    fn evict_to(&mut self, size: usize) {
        let entry_size = |(name, value): &(String, String)| 32 + name.len() + value.len();
        while self.table.iter().map(entry_size).sum::<usize>() > size {
            self.table.pop_back();
        }
    }

    fn field(&mut self, block: &mut Vec<u8>, name: &str, value: &str) {
        let known = self.table.iter().position(|(n, v)| n == name && v == value);
        if let Some(place) = known.filter(|_| !self.chance(3)) {
            return self.integer(block, 0x80, 0x7f, STATIC_ENTRIES + 1 + place);
        }
        let (first, largest) = self.random.choice([(0x40, 0x3f), (0, 0xf), (0x10, 0xf)]).unwrap();
        let fixed = [(":authority", 1), (":method", 2), (":path", 4), (":scheme", 6)];
        let fixed = fixed.into_iter().find(|(n, _)| *n == name).map(|(_, index)| index);
        let places: Vec<_> = (0..self.table.len()).filter(|i| self.table[*i].0 == name).collect();
        let place = self.random.choice(places).map(|place| STATIC_ENTRIES + 1 + place);
        let index = if self.random.bool() { fixed.or(place) } else { place };
        let index = index.filter(|_| !self.chance(4));
        self.integer(block, first, largest, index.unwrap_or(0));
        if index.is_none() {
            self.string(block, name);
        }
        self.string(block, value);
        if first == 0x40 {
            let size = 32 + name.len() + value.len();
            self.evict_to(self.table_size.saturating_sub(size));
            if size <= self.table_size {
                self.table.push_front((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn headers(&mut self, stream: u32, flags: u8, headers: &Headers) {
        let mut block = Vec::new();
        while self.chance(8) {
            self.table_size = self.random.choice([0, 15, 40, 100, 1000, 4096]).unwrap();
            self.evict_to(self.table_size);
            self.integer(&mut block, 0x20, 0x1f, self.table_size);
        }
        for (name, value) in headers {
            self.field(&mut block, name, value);
        }
        let mut fragments = vec![block];
        while self.chance(3) && fragments.len() < 5 {
            let last = fragments.last_mut().unwrap();
            let rest = last.split_off(self.random.usize(..=last.len()));
            fragments.push(rest);
        }
        let (mut head, mut padding, mut flags) = (Vec::new(), Vec::new(), flags);
        if self.chance(4) {
            padding = vec![b'%'; self.random.usize(..256)];
            head.push(padding.len() as u8);
            flags |= PADDED;
        }
        if self.chance(4) {
            head.extend([0, 0, 0, 0, 7]);
            flags |= PRIORITY;
        }
        let last = fragments.len() - 1;
        for (number, fragment) in fragments.into_iter().enumerate() {
            let ends = if number == last { END_HEADERS } else { 0 };
            if number == 0 {
                let payload = [head.clone(), fragment, padding.clone()].concat();
                frame(&mut self.out, HEADERS, flags | ends, stream, &payload);
            } else {
                frame(&mut self.out, CONTINUATION, ends, stream, &fragment);
            }
        }
    }

    fn text(&mut self, characters: &str, most: usize) -> String {
        let characters: Vec<_> = characters.chars().collect();
        let length = self.random.usize(1..=most);
        (0..length).map(|_| self.random.choice(&characters).unwrap()).collect()
    }

    fn request(&mut self) {
        const END_STREAM: u8 = 0x1;
        let stream = 2 * self.sent.len() as u32 + 1;
        // None of the characters that others are changed to, so that different ones stay different.
        let often = "%%%% //abcTUVXYZ0129_~";
        let all = " %/012456789=A_bdfghlmnpruaceiostBCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz&*,;XZ!()'+$~";
        let authority = match self.random.u8(..4) {
            0 => "run%2Fhumbaba%2Fhumbaba.sock".to_owned(),
            1 => "localhost".to_owned(),
            2 => self.text(often, 8),
            _ => self.text(all, 200),
        };
        let authority = if self.is_accepted { accepted(&authority) } else { authority };
        let mut headers = vec![
            (":method".to_owned(), "POST".to_owned()),
            (":scheme".to_owned(), "http".to_owned()),
            (":path".to_owned(), format!("/{}", self.text("%/abc", 6))),
            (":authority".to_owned(), authority),
        ];
        self.random.shuffle(&mut headers);
        headers.extend(self.metadata());
        if self.random.bool() {
            self.headers(stream, END_STREAM, &headers);
            return self.sent.push((headers, Vec::new()));
        }
        self.headers(stream, 0, &headers);
        let data = self.text("%/ ", 100);
        frame(&mut self.out, 0x0, 0, stream, data.as_bytes());
        // A frame of a type that nobody knows, to be ignored.
        frame(&mut self.out, 0xbb, 0xff, stream, data.as_bytes());
        let trailers = self.metadata();
        self.headers(stream, END_STREAM, &trailers);
        self.sent.push((headers, trailers));
    }

    fn metadata(&mut self) -> Headers {
        let names = ["te", "authority", "x-authority", "host", "user-agent", "x%2f", "m"];
        let count = self.random.usize(1..5);
        let mut metadata: Headers = (0..count)
            .map(|_| {
                let name = self.random.choice(names).unwrap();
                let value = match name {
                    "te" => "trailers".to_owned(),
                    _ => format!("x{}x", self.text("%/ abcdefXYZ", 60)),
                };
                (name.to_owned(), value)
            })
            .collect();
        if self.chance(20) {
            metadata.push(("large".to_owned(), format!("x{}", self.text("%/ab", 6000))));
        }
        metadata
    }

    /// Sends so many requests.
    fn send(mut self, requests: usize) -> Self {
        (0..requests).for_each(|_| self.request());
        self
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}

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
