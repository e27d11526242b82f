//! A client whose requests are the work of chance.

use std::collections::VecDeque;

use fastrand::Rng;

use super::{frames::*, header_blocks::*};

/// The name and value of each header, pseudo-headers first.
pub type Headers = Vec<(String, String)>;

/// Characters by the length of their codes, in the order of their codes (RFC 7541, appendix B).
pub const CHARACTERS: [(u32, &str); 10] = [
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

pub fn huffman(text: &str) -> Vec<u8> {
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
pub fn accepted(authority: &str) -> String {
    authority.replace('%', ".").replace(' ', "-").replace('/', "3")
}

/// A client that writes its requests in every way that there is, by chance.
pub struct Client {
    random: Rng,
    /// Set where it writes only authorities that h2 accepts.
    is_accepted: bool,
    table: VecDeque<(String, String)>,
    table_size: usize,
    pub out: Vec<u8>,
    pub sent: Vec<(Headers, Headers)>,
}

impl Client {
    pub fn new(seed: u64, is_accepted: bool) -> Self {
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

    /// Sends that many requests.
    pub fn send(mut self, requests: usize) -> Self {
        (0..requests).for_each(|_| self.request());
        self
    }
}

pub fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}
