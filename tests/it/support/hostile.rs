//! Peers that mean harm, in the bytes of HTTP/2. Also used by `benches/soak`.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
pub const INITIAL_WINDOW_SIZE: u16 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const IS_AUTHORIZED: &str = "/humbaba.v1.AuthorizationService/IsAuthorized";

/// Numbers that look random and are the same in every run.
pub struct Random(pub u64);

impl Random {
    /// A number below that one.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }
}

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The beginning of a connection.
pub fn beginning() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// The payload of a SETTINGS frame.
pub fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A string of HPACK, without compression.
pub fn text(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

/// The headers of a call, in HPACK without compression.
pub fn headers() -> Vec<u8> {
    headers_of(IS_AUTHORIZED)
}

/// The headers of a call of that method.
pub fn headers_of(path: &str) -> Vec<u8> {
    let te = [vec![0x00], text("te"), text("trailers")].concat();
    [post(path, "application/grpc"), te].concat()
}

/// The headers of a request with a body of that type, in HPACK without compression.
pub fn post(path: &str, content_type: &str) -> Vec<u8> {
    [
        vec![0x83, 0x86, 0x04],
        text(path),
        vec![0x01],
        text("localhost"),
        vec![0x0f, 0x10],
        text(content_type),
    ]
    .concat()
}

/// A message with the head that says how long it is, be it true or not.
pub fn message(length: u32, message: &[u8]) -> Vec<u8> {
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// A whole call.
pub fn call(stream: u32, request: &[u8]) -> [Vec<u8>; 2] {
    call_of(IS_AUTHORIZED, stream, request)
}

/// A whole call of that method.
pub fn call_of(path: &str, stream: u32, request: &[u8]) -> [Vec<u8>; 2] {
    let message = message(request.len() as u32, request);
    [
        frame(HEADERS, END_HEADERS, stream, &headers_of(path)),
        frame(DATA, END_STREAM, stream, &message),
    ]
}

/// A connection that leaves no trace in the system when it is dropped.
pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let connection = TcpStream::connect(address).await?;
    connection.set_zero_linger()?;
    Ok(connection)
}

/// Reads what comes until the server closes the connection. Whether it did within that time.
pub async fn is_closed(connection: &mut (impl AsyncRead + Unpin), within: Duration) -> bool {
    let mut buffer = [0; 4_096];
    let read = async { while !matches!(connection.read(&mut buffer).await, Ok(0) | Err(_)) {} };
    timeout(within, read).await.is_ok()
}

/// A frame that came from the server.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// The next frame.
pub async fn read_frame(connection: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let mut head = [0; 9];
    connection.read_exact(&mut head).await?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    connection.read_exact(&mut payload).await?;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Ok(Frame { kind: head[3], stream, payload })
}

/// Opens streams and resets them at once. Whether the server closed the connection.
pub async fn reset_rapidly(address: SocketAddr, times: u32) -> io::Result<bool> {
    let mut connection = connect(address).await?;
    connection.write_all(&beginning()).await?;
    for stream in (0..times).map(|n| 2 * n + 1) {
        let opened = frame(HEADERS, END_HEADERS, stream, &headers());
        let reset = frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        if connection.write_all(&[opened, reset].concat()).await.is_err() {
            return Ok(true);
        }
    }
    Ok(is_closed(&mut connection, Duration::from_secs(5)).await)
}

/// Sends headers without end. Whether the server closed the connection within that time and before it
/// had taken that many bytes.
pub async fn send_endless_headers(
    address: SocketAddr,
    within: Duration,
    at_most: usize,
) -> io::Result<bool> {
    let mut connection = connect(address).await?;
    connection.write_all(&beginning()).await?;
    let mut endless = frame(HEADERS, 0, 1, &headers());
    let field = [&[0, 1, b'x', 100][..], &[b'x'; 100]].concat();
    let more = frame(CONTINUATION, 0, 1, &field.repeat(100));
    let (begun, mut sent) = (Instant::now(), 0);
    while connection.write_all(&endless).await.is_ok() && begun.elapsed() < within {
        sent += endless.len();
        if sent >= at_most {
            return Ok(false);
        }
        endless.clone_from(&more);
    }
    Ok(is_closed(&mut connection, within).await)
}

/// Sends those frames on a connection that gives each stream a window of that many bytes, and takes no
/// answer, but answers pings and goes on talking. How long the server let it.
pub async fn take_no_answers(
    address: SocketAddr,
    window: u32,
    requests: &[u8],
) -> io::Result<Duration> {
    let mut connection = connect(address).await?;
    let settings = frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, window));
    connection.write_all(&[PREFACE, &settings, requests].concat()).await?;
    let begun = Instant::now();
    while let Ok(received) = read_frame(&mut connection).await {
        let answer = match received.kind {
            PING => frame(PING, ACK, 0, &received.payload),
            _ => frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        };
        if connection.write_all(&answer).await.is_err() {
            break;
        }
    }
    Ok(begun.elapsed())
}

/// Sends bytes one by one, with a pause after each, for as long as the server lets it. How long it
/// did.
pub async fn dribble(
    address: SocketAddr,
    at_once: &[u8],
    bytes: &[u8],
    pause: Duration,
    at_most: Duration,
) -> io::Result<Duration> {
    let mut connection = connect(address).await?;
    let begun = Instant::now();
    connection.write_all(at_once).await?;
    for byte in bytes {
        let sent = connection.write_all(&[*byte]).await;
        if sent.is_err() || is_closed(&mut connection, pause).await || begun.elapsed() > at_most {
            break;
        }
    }
    Ok(begun.elapsed())
}

/// Sends frames that are right but for some of their bytes, and frames of which nothing is right,
/// on one connection. How many were sent until the server had enough.
pub async fn send_nonsense(
    address: SocketAddr,
    request: &[u8],
    random: &mut Random,
) -> io::Result<usize> {
    let mut connection = connect(address).await?;
    let mut bytes = beginning();
    let mut sent = 1;
    for stream in (1..=15).step_by(2) {
        let mut request = request.to_vec();
        for _ in 0..random.below(4) {
            let place = random.below(request.len());
            request[place] = random.byte();
        }
        // Most are framed rightly, so that what is in them is read as well.
        let frames = match random.below(8) {
            0 => vec![nonsense(random)],
            1 => {
                let mut frames = call(stream, &request).concat();
                let place = random.below(frames.len());
                frames[place] = random.byte();
                vec![frames]
            }
            _ => call(stream, &request).to_vec(),
        };
        sent += frames.len();
        bytes.extend(frames.concat());
    }
    // The server may close at any time.
    let _ = connection.write_all(&bytes).await;
    let mut buffer = [0; 4_096];
    let _ = timeout(Duration::from_millis(20), connection.read(&mut buffer)).await;
    Ok(sent)
}

fn nonsense(random: &mut Random) -> Vec<u8> {
    let payload: Vec<_> = (0..random.below(64)).map(|_| random.byte()).collect();
    frame(random.byte() % 12, random.byte(), random.below(20) as u32, &payload)
}
