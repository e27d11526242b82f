//! One HTTP/2 connection that asks one prepared question again and again, as cheaply as it can be
//! done, because client and server share the machine.
//!
//! It writes frames that were encoded once and reads of an answer only what tells whether it is
//! right: an answer must carry a message that begins as expected and must end its stream. A status
//! that is not OK carries no message.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const FRAME_HEADER: usize = 9;
/// The largest frame that every peer takes.
const FRAME: usize = 16 * 1024;
const WINDOW: u32 = 0x7fff_ffff;

/// What is asked, prepared.
#[derive(Debug, Clone)]
pub struct Question {
    /// The gRPC message with its prefix.
    pub body: Arc<[u8]>,
    pub method: &'static str,
    /// How the message of a right answer begins.
    pub answer: &'static [u8],
}

/// A call that was answered.
pub struct Answered {
    /// When it was, or was meant to be, sent.
    pub sent: Instant,
}

struct Call {
    stream: u32,
    sent: Instant,
    right: bool,
}

pub struct Wire {
    socket: TcpStream,
    question: Question,
    out: Vec<u8>,
    input: Vec<u8>,
    read: usize,
    stream: u32,
    headers_sent: bool,
    window: i64,
    unacknowledged: u32,
    calls: Vec<Call>,
}

impl Wire {
    pub async fn connect(address: &str, question: Question) -> io::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        frame(&mut out, SETTINGS, 0, 0, &[&[0, 4][..], &WINDOW.to_be_bytes()].concat());
        frame(&mut out, WINDOW_UPDATE, 0, 0, &(WINDOW - 65_535).to_be_bytes());
        Ok(Self {
            socket,
            question,
            out,
            input: vec![0; 256 * 1024],
            read: 0,
            stream: 1,
            headers_sent: false,
            window: 65_535,
            unacknowledged: 0,
            calls: Vec::new(),
        })
    }

    pub fn in_flight(&self) -> usize {
        self.calls.len()
    }

    /// Whether the server takes one more message now.
    pub fn has_room(&self) -> bool {
        self.window >= self.question.body.len() as i64
    }

    /// Puts one call into the buffer.
    pub fn ask(&mut self, sent: Instant) {
        let stream = self.stream;
        self.stream += 2;
        let headers = self.headers();
        frame(&mut self.out, HEADERS, END_HEADERS, stream, &headers);
        let body = Arc::clone(&self.question.body);
        let mut chunks = body.chunks(FRAME).peekable();
        while let Some(chunk) = chunks.next() {
            let flags = if chunks.peek().is_none() { END_STREAM } else { 0 };
            frame(&mut self.out, DATA, flags, stream, chunk);
        }
        self.window -= body.len() as i64;
        self.calls.push(Call { stream, sent, right: false });
    }

    /// The headers, which the server knows by number from the second call on, as with any client.
    fn headers(&mut self) -> Vec<u8> {
        if self.headers_sent {
            return vec![0x83, 0x86, 0xc1, 0xc0, 0xbf, 0xbe];
        }
        self.headers_sent = true;
        let mut block = vec![0x83, 0x86];
        let path = format!("/humbaba.v1.AuthorizationService/{}", self.question.method);
        let text = |block: &mut Vec<u8>, text: &str| {
            block.push(u8::try_from(text.len()).expect("a short text"));
            block.extend(text.as_bytes());
        };
        block.push(0x44);
        text(&mut block, &path);
        block.push(0x41);
        text(&mut block, "localhost");
        block.push(0x5f);
        text(&mut block, "application/grpc");
        block.push(0x40);
        text(&mut block, "te");
        text(&mut block, "trailers");
        block
    }

    /// Writes what is in the buffer.
    pub async fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.socket.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Waits for answers and passes them on. Cancelling it loses nothing.
    pub async fn answers(&mut self, mut each: impl FnMut(&Answered)) -> io::Result<()> {
        if self.read == self.input.len() {
            self.input.resize(self.input.len() * 2, 0);
        }
        let count = self.socket.read(&mut self.input[self.read..]).await?;
        if count == 0 {
            return Err(io::Error::other("the server closed the connection"));
        }
        self.read += count;
        let mut at = 0;
        while self.read - at >= FRAME_HEADER {
            let length = usize::from(self.input[at]) << 16
                | usize::from(self.input[at + 1]) << 8
                | usize::from(self.input[at + 2]);
            let end = at + FRAME_HEADER + length;
            if end > self.read {
                break;
            }
            self.take(at, end, &mut each)?;
            at = end;
        }
        self.input.copy_within(at..self.read, 0);
        self.read -= at;
        Ok(())
    }

    fn take(&mut self, at: usize, end: usize, each: &mut impl FnMut(&Answered)) -> io::Result<()> {
        let (kind, flags) = (self.input[at + 3], self.input[at + 4]);
        let number = |at: usize| {
            let bytes: [u8; 4] = self.input[at..at + 4].try_into().expect("four bytes");
            u32::from_be_bytes(bytes) & 0x7fff_ffff
        };
        let stream = number(at + 5);
        let payload = at + FRAME_HEADER;
        match kind {
            DATA => {
                self.unacknowledged += (end - payload) as u32;
                let message = self.input[payload..end].get(5..).unwrap_or_default();
                let right = message.starts_with(self.question.answer);
                if let Some(call) = self.calls.iter_mut().find(|call| call.stream == stream) {
                    call.right |= right;
                }
            }
            SETTINGS if flags & ACK == 0 => frame(&mut self.out, SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => {
                let echoed = self.input[payload..end].to_vec();
                frame(&mut self.out, PING, ACK, 0, &echoed);
            }
            WINDOW_UPDATE if stream == 0 => self.window += i64::from(number(payload)),
            RST_STREAM | GOAWAY => {
                return Err(io::Error::other("the server gave up a call or the connection"));
            }
            _ => {}
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            self.end(stream, each)?;
        }
        if self.unacknowledged > WINDOW / 2 {
            frame(&mut self.out, WINDOW_UPDATE, 0, 0, &self.unacknowledged.to_be_bytes());
            self.unacknowledged = 0;
        }
        Ok(())
    }

    fn end(&mut self, stream: u32, each: &mut impl FnMut(&Answered)) -> io::Result<()> {
        let Some(index) = self.calls.iter().position(|call| call.stream == stream) else {
            return Err(io::Error::other("an answer to no question"));
        };
        let call = self.calls.swap_remove(index);
        if !call.right {
            return Err(io::Error::other("a wrong answer, or none"));
        }
        each(&Answered { sent: call.sent });
        Ok(())
    }
}

/// Asks once on a connection of its own; whether the answer was right.
pub async fn ask_once(address: &str, question: &Question) -> io::Result<Duration> {
    let sent = Instant::now();
    let mut wire = Wire::connect(address, question.clone()).await?;
    while !wire.has_room() {
        wire.flush().await?;
        wire.answers(|_| {}).await?;
    }
    wire.ask(sent);
    while wire.in_flight() > 0 {
        wire.flush().await?;
        wire.answers(|_| {}).await?;
    }
    Ok(sent.elapsed())
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
    out.extend(&length[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}
