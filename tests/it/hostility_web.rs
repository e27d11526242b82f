//! The acts of hostile peers on `web_listen` over HTTP/1.1. A caller of gRPC and one of AuthZEN are
//! answered meanwhile.

use std::{
    fs,
    net::SocketAddr,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    cli::policies,
    support::{
        hostile::{connect, is_closed},
        siege::{MIB, Siege, hits, slow_peers_are_closed},
        wait::{self, DEADLINE},
    },
};

pub const EVALUATION: &str = "/access/v1/evaluation";

/// A siege with a well-behaved caller of AuthZEN, who opens a connection for each question.
pub struct WebSiege {
    siege: Siege,
    caller: JoinHandle<()>,
    answered: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Deref for WebSiege {
    type Target = Siege;

    fn deref(&self) -> &Siege {
        &self.siege
    }
}

impl WebSiege {
    pub async fn begin(settings: &[&str]) -> Self {
        let folder = policies(&["guard"]);
        let toml = folder.path().join("guard/store.toml");
        fs::write(toml, "[authzen]\nroles = \"assignments-and-bare\"\n").unwrap();
        let siege = Siege::begin_with(folder, settings).await;
        let (answered, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let caller = {
            let (answered, over, web) = (answered.clone(), over.clone(), siege.web);
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let answer = exchange(web, &good()).await;
                    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                    assert!(answer.ends_with("{\"decision\":true}"), "{answer}");
                    answered.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        };
        let siege = Self { siege, caller, answered, over };
        siege.both_answer_on().await;
        siege
    }

    /// The callers of gRPC and of AuthZEN are answered.
    pub async fn both_answer_on(&self) {
        self.siege.answers_on().await;
        let before = self.answered.load(Ordering::Relaxed);
        wait::until("the caller of AuthZEN is answered", async || {
            assert!(!self.caller.is_finished(), "a good request failed");
            self.answered.load(Ordering::Relaxed) > before + 2
        })
        .await;
    }

    /// The same as [`Self::end`], where the caller of AuthZEN may have been sent away.
    pub async fn end_without_caller(self, more_memory: usize) {
        self.caller.abort();
        self.siege.end(more_memory).await;
    }

    /// Nothing has failed, nothing is left over, and memory has grown by no more than that.
    pub async fn end(self, more_memory: usize) {
        self.both_answer_on().await;
        self.over.store(true, Ordering::Relaxed);
        self.caller.await.expect("every good request was answered");
        self.siege.end(more_memory).await;
    }
}

/// The head of a question with those header lines, each with its end.
fn head(headers: &str) -> String {
    format!("POST {EVALUATION} HTTP/1.1\r\nHost: localhost\r\n{headers}")
}

pub fn question() -> String {
    json!({
        "subject": {"type": "User", "id": "alice", "properties": {"roles": ["viewer"]}},
        "action": {"name": "view"},
        "resource": {"type": "Site", "id": "42"},
    })
    .to_string()
}

/// A question, after which the connection is kept or closed.
pub fn posted(body: &str, connection: &str) -> Vec<u8> {
    let headers = format!(
        "Content-Type: application/json\r\nConnection: {connection}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head(&headers) + body).into_bytes()
}

fn good() -> Vec<u8> {
    posted(&question(), "close")
}

/// Sends bytes, and reads what comes until the server closes the connection.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let (mut reading, mut writing) = TcpStream::connect(address).await.unwrap().into_split();
    let mut answer = Vec::new();
    let exchanged = async {
        // The server may have enough before it has read everything.
        let _ = tokio::join!(writing.write_all(bytes), reading.read_to_end(&mut answer));
    };
    timeout(DEADLINE, exchanged).await.expect("an answer, or the end of the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_and_slow_bodies() {
    let siege = WebSiege::begin(&[
        "limits.patience_ms=1000",
        "limits.http_head_timeout_ms=1000",
        "limits.request_timeout_ms=1000",
    ])
    .await;
    let json = "Content-Type: application/json\r\n";
    let sized = head(&format!("{json}Content-Length: 1000\r\n\r\n"));
    let chunked = head(&format!("{json}Transfer-Encoding: chunked\r\n\r\n"));
    let form = "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
    let cases: [(&[u8], &[u8]); 6] = [
        (b"", &[b'x'; 1_000]),
        (b"GET / HTTP/1.1\r\n", &b"x: y\r\n".repeat(100)),
        (sized.as_bytes(), &[b' '; 999]),
        (chunked.as_bytes(), &b"1\r\n \r\n".repeat(100)),
        (form.as_bytes(), &[b'x'; 999]),
        // The preface of HTTP/2, and a frame without end.
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0; 8]),
    ];
    let cases = cases.map(|(at_once, bytes)| (siege.web, at_once, bytes));
    slow_peers_are_closed(&cases).await;
    assert!(hits(siege.http, "patience_ms").await >= 20);
    siege.end(32 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_too_large() {
    let siege = WebSiege::begin(&["limits.held_bytes=8000000"]).await;
    let json = "Content-Type: application/json\r\n";
    let huge = head(&format!("{json}Content-Length: 1000000000000\r\n\r\n"));
    let answer = exchange(siege.web, huge.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    // A body without end.
    let mut connection = connect(siege.web).await.unwrap();
    let chunked = head(&format!("{json}Transfer-Encoding: chunked\r\n\r\n"));
    connection.write_all(chunked.as_bytes()).await.unwrap();
    let chunk = [b"100000\r\n".to_vec(), vec![b' '; MIB], b"\r\n".to_vec()].concat();
    let mut sent = 0;
    while let Ok(Ok(())) = timeout(DEADLINE, connection.write_all(&chunk)).await {
        sent += 1;
        assert!(sent < 64, "it is let be");
    }

    // Much is promised and nothing comes.
    let promise = head(&format!("{json}Content-Length: 4000000\r\n\r\n "));
    let mut waiting = Vec::new();
    let mut shed = 0;
    for _ in 0..20 {
        let mut connection = connect(siege.web).await.unwrap();
        connection.write_all(promise.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        match timeout(Duration::from_secs(3), connection.read_exact(&mut answer)).await {
            Ok(read) => {
                read.unwrap();
                assert_eq!(&answer, b"HTTP/1.1 503");
                shed += 1;
            }
            Err(_) => waiting.push(connection),
        }
    }
    assert!(shed >= 18, "{shed} were shed");
    assert_eq!(hits(siege.http, "held_bytes").await, shed);
    assert!(hits(siege.http, "message_bytes").await >= 2);
    siege.both_answer_on().await;
    drop(waiting);
    siege.end(32 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_question() {
    let siege = WebSiege::begin(&[]).await;
    let long = "x".repeat(MIB);
    let twice = question().replacen('{', r#"{"subject": {"type": "User", "id": "bob"}, "#, 1);
    let within = question().replacen(r#""id":"42""#, r#""id":"41","id":"42""#, 1);
    for body in [
        "[".repeat(MIB),
        r#"{"a":"#.repeat(MIB / 5),
        format!("{}{}", "[".repeat(200), "]".repeat(200)),
        twice,
        within,
        "1".repeat(MIB),
        format!("{{\"context\": -{}}}", "9".repeat(MIB)),
        format!("\"{long}\""),
        format!("{{\"{long}\": {{\"{long}\": "),
        r#"{"subject": "\ud800"}"#.to_owned(),
        "\u{feff}{}".to_owned(),
    ] {
        let answer = exchange(siege.web, &posted(&body, "close")).await;
        let begin: String = body.chars().take(40).collect();
        assert!(answer.starts_with("HTTP/1.1 400"), "{begin}: {answer}");
        assert!(answer.len() < 2_000, "{begin}: an answer of {} bytes", answer.len());
    }
    let body = question();
    for (kind, status) in [
        ("Content-Type: application/json; charset=utf-8", 200),
        ("Content-Type: text/plain", 400),
        ("Content-Type: application/x-www-form-urlencoded", 400),
        ("Content-Type: multipart/form-data; boundary=x", 400),
        ("Content-Type: application/jsonx", 400),
        ("Content-Type: ", 400),
        ("X-Content-Type: application/json", 400),
        ("Content-Type: application/json\r\nContent-Encoding: gzip", 400),
    ] {
        let headers =
            format!("{kind}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = exchange(siege.web, (head(&headers) + &body).as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{kind}: {answer}");
    }
    siege.end(48 * MIB).await;
}

/// Heads that proxies and servers read in different ways, and heads that are too large.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_are_too_large_or_ambiguous() {
    let siege = WebSiege::begin(&[]).await;
    let json = "Content-Type: application/json\r\n";
    let smuggled = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let chunks = format!("0\r\n\r\n{smuggled}");
    for (request, status) in [
        (head(&format!("{}\r\n", "a: b\r\n".repeat(1_000))), "431"),
        (head(&format!("a: {}\r\n\r\n", "b".repeat(100_000))), "431"),
        (head(&format!("{}: b\r\n\r\n", "a".repeat(100_000))), "431"),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(100_000)), "431"),
        (head(&format!("{json}Content-Length: 4\r\nContent-Length: 5\r\n\r\n{{}}")), "400"),
        (head(&format!("{json}Content-Length: -1\r\n\r\n{{}}")), "400"),
        (head(&format!("{json}Transfer-Encoding: gzip\r\n\r\n{{}}")), "400"),
        (head(&format!("{json}Transfer-Encoding: chunked, identity\r\n\r\n{chunks}")), "400"),
        (head(&format!("{json}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n")), "400"),
        (head("a b: c\r\n\r\n"), "400"),
        (head("Host: localhost\r\n\r\n"), "400"),
        ("GET / HTTP/9.9\r\nHost: localhost\r\n\r\n".to_owned(), "400"),
        ("\u{0}\u{1}\u{2}\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = exchange(siege.web, request.as_bytes()).await;
        let (begin, answers) =
            (&request[..request.len().min(120)], answer.matches("HTTP/1.1 ").count());
        assert!(answers <= 1, "{begin:?}: {answer}");
        // The answer may be overtaken by the end of a connection on which more was sent.
        let is_expected = answer.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status}"));
        assert!(is_expected, "{begin:?}: {answer}");
    }
    // Both lengths: chunks count, and the connection ends.
    let both = format!("{json}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    let answer = exchange(siege.web, head(&both).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "nothing is smuggled: {answer}");
    siege.end(16 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_requests() {
    const COUNT: usize = 2_000;
    let siege = WebSiege::begin(&["limits.patience_ms=2000"]).await;
    // A peer that reads the answers gets each of them.
    let pipeline = [posted(&question(), "keep-alive").repeat(COUNT - 1), good()].concat();
    let answer = exchange(siege.web, &pipeline).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), COUNT);
    assert_eq!(answer.matches("{\"decision\":true}").count(), COUNT);

    // One that does not is sent away, be the requests or the answers long.
    let page = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned();
    let id = "x".repeat(8_000);
    let echo = format!("GET /nothing HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: {id}\r\n\r\n");
    for request in [page, echo] {
        let mut connections = Vec::new();
        for _ in 0..20 {
            let mut connection = connect(siege.web).await.unwrap();
            let pipeline = request.repeat(100_000 / request.len()).into_bytes();
            connections.push(tokio::spawn(async move {
                while let Ok(Ok(())) = timeout(DEADLINE, connection.write_all(&pipeline)).await {}
                is_closed(&mut connection, DEADLINE).await
            }));
        }
        for connection in connections {
            assert!(connection.await.unwrap(), "it is let be");
        }
    }
    assert!(hits(siege.http, "patience_ms").await >= 40);
    siege.end(32 * MIB).await;
}
