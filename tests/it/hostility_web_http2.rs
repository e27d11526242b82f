//! The acts of hostile peers on `web_listen` over HTTP/2, and that others keep their connections.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use crate::{
    hostility_web::{EVALUATION, WebSiege},
    support::{
        hostile::{
            DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, PING, RST_STREAM, Random,
            SETTINGS, beginning, connect, frame, post, read_frame, reset_rapidly,
            send_endless_headers, send_nonsense, setting, text,
        },
        siege::{MIB, hits, who_takes_no_answers_is_closed},
        wait::DEADLINE,
    },
};

/// A GET request, in HPACK without compression.
fn get(path: &str) -> Vec<u8> {
    // GET, http, a path, an authority.
    [vec![0x82, 0x86, 0x04], text(path), vec![0x01], text("localhost")].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets_and_nonsense() {
    let siege = WebSiege::begin(&[]).await;
    for _ in 0..20 {
        assert!(reset_rapidly(siege.web, 5_000).await.unwrap(), "it is let be");
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut sent = 0;
    while sent < 2_000 {
        sent += send_nonsense(siege.web, b"{\"subject\": {}}", &mut random).await.unwrap();
    }
    siege.end(32 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_and_streams_beyond_the_limits() {
    let siege = WebSiege::begin(&["limits.header_bytes=4096", "limits.streams=4"]).await;
    let is_closed = send_endless_headers(siege.web, DEADLINE, 64 * MIB).await.unwrap();
    assert!(is_closed, "it is let be");

    // Streams beyond the limit, whose requests never end.
    let mut connection = connect(siege.web).await.unwrap();
    connection.write_all(&beginning()).await.unwrap();
    for stream in (1..20).step_by(2) {
        let opened = frame(HEADERS, END_HEADERS, stream, &post(EVALUATION, "application/json"));
        connection.write_all(&opened).await.unwrap();
    }
    let mut refused = 0;
    while refused < 6 {
        let frame = timeout(DEADLINE, read_frame(&mut connection)).await.unwrap().unwrap();
        refused += usize::from(frame.kind == RST_STREAM && frame.payload == [0, 0, 0, 7]);
    }
    siege.end(16 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_that_ask_for_an_answer() {
    let siege = WebSiege::begin(&[]).await;
    let floods = [
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, 1)),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/nothing")),
        frame(DATA, 0, 0, &[0; 100]),
    ];
    for flood in floods {
        // Nothing that the server says is read.
        let mut connection = connect(siege.web).await.unwrap();
        connection.write_all(&beginning()).await.unwrap();
        let (begun, flood) = (Instant::now(), flood.repeat(1_000));
        while begun.elapsed() < Duration::from_secs(1) {
            match timeout(Duration::from_secs(1), connection.write_all(&flood)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => break,
            }
        }
    }
    siege.end(32 * MIB).await;
}

/// A peer that gives its streams no window, or a byte, answers pings and takes no answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_not_taken() {
    let siege = WebSiege::begin(&["limits.patience_ms=1000"]).await;
    let requests: Vec<_> = (1..1_000)
        .step_by(2)
        .flat_map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/openapi.json")))
        .collect();
    who_takes_no_answers_is_closed(siege.web, [0, 1].repeat(5), &requests).await;
    assert!(hits(siege.http, "patience_ms").await >= 10);
    siege.end(64 * MIB).await;
}

/// AuthZEN gives up what it reads, and so does the one page that takes a form.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_never_come() {
    let siege = WebSiege::begin(&["limits.request_timeout_ms=2000"]).await;
    let mut connection = connect(siege.web).await.unwrap();
    connection.write_all(&beginning()).await.unwrap();
    for (stream, path) in [(1, EVALUATION), (3, "/sign-in")] {
        let opened = frame(HEADERS, END_HEADERS, stream, &post(path, "application/json"));
        connection.write_all(&opened).await.unwrap();
    }
    let mut answered = std::collections::BTreeSet::new();
    while answered.len() < 2 {
        let frame = timeout(DEADLINE, read_frame(&mut connection)).await.expect("an answer");
        let frame = frame.unwrap();
        if frame.kind == HEADERS {
            answered.insert(frame.stream);
        }
    }
    assert_eq!(hits(siege.http, "request_timeout_ms").await, 1);
    siege.end(16 * MIB).await;
}

/// The server's pings come less often than a peer may keep it waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_idle_keeps_the_connection() {
    let siege =
        WebSiege::begin(&["limits.patience_ms=1500", "limits.keepalive_interval_s=3"]).await;
    let stream = TokioIo::new(TcpStream::connect(siege.web).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..2 {
        let request = Request::get("http://localhost/openapi.json");
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.into_body().collect().await.unwrap().to_bytes().len() > 1_000);
        // Several times what a peer may keep the server waiting, with pings of the server in between.
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    assert_eq!(hits(siege.http, "patience_ms").await, 0);
    siege.end(16 * MIB).await;
}
