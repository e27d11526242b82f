//! Limits on what one connection may do, and on connections of every kind of listener.

use std::time::Duration;

use humbaba::{
    grpc::GrpcOptions,
    proto::{
        BatchIsAuthorizedItem, BatchIsAuthorizedRequest,
        authorization_service_client::AuthorizationServiceClient,
    },
};
use prost::Message as _;
use rustls::version::TLS13;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tonic::{Code, Request};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{
    ask::is_allow,
    hostile::{
        END_HEADERS, HEADERS, RST_STREAM, SETTINGS, beginning, call_of, connect, frame, headers,
        is_closed, read_frame, send_endless_headers, take_no_answers,
    },
    http,
    siege::{MIB, Siege, good, hits, wait_for_open, who_takes_no_answers_is_closed},
    tls::{self, TlsServer},
    wait::{self, DEADLINE},
};

/// Names of HTTP/2: a setting of the connection, and a reason for a reset.
const MAX_CONCURRENT_STREAMS: [u8; 2] = [0, 3];
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_beyond_the_limit() {
    let siege = Siege::begin(&["limits.streams=4"]).await;
    let mut connection = connect(siege.grpc).await.unwrap();
    connection.write_all(&beginning()).await.unwrap();
    for stream in (1..20).step_by(2) {
        let opened = frame(HEADERS, END_HEADERS, stream, &headers());
        connection.write_all(&opened).await.unwrap();
    }
    let (mut told, mut refused) = (None, Vec::new());
    while refused.len() < 6 {
        let frame = timeout(DEADLINE, read_frame(&mut connection)).await.unwrap().unwrap();
        match frame.kind {
            SETTINGS => {
                let mut settings = frame.payload.chunks(6);
                let limit = settings.find(|setting| setting[..2] == MAX_CONCURRENT_STREAMS);
                told = told.or(limit.map(|limit| limit[2..].to_vec()));
            }
            RST_STREAM => {
                assert_eq!(frame.payload, REFUSED_STREAM);
                refused.push(frame.stream);
            }
            _ => {}
        }
    }
    assert_eq!(told, Some(vec![0, 0, 0, 4]), "the peer is told");
    assert_eq!(refused, [9, 11, 13, 15, 17, 19]);
    // The refusals are sent before the calls that were taken begin.
    wait::until("as many calls as may be are under way", async || {
        let metrics = http::get(siege.http, "/metrics").await.body;
        let counts = ["4", "5"].map(|count| format!("humbaba_requests_in_flight {count}\n"));
        counts.iter().any(|line| metrics.contains(line))
    })
    .await;
    drop(connection);

    // A client that keeps to the limit, of which the first answer tells, waits and is answered.
    let mut client = AuthorizationServiceClient::new(siege.channel());
    client.is_authorized(good()).await.unwrap();
    let calls = (0..100).map(|_| {
        let mut client = client.clone();
        tokio::spawn(async move { client.is_authorized(good()).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(is_allow(&call.await.unwrap().unwrap().into_inner()));
    }
    siege.end(16 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_beyond_the_limit() {
    let siege = Siege::begin(&["limits.header_bytes=4096"]).await;
    let mut client = AuthorizationServiceClient::new(siege.channel());
    let mut with_header = async |bytes: usize| {
        let mut request = Request::new(good());
        request.metadata_mut().insert("x-long", "x".repeat(bytes).parse().unwrap());
        client.is_authorized(request).await
    };
    for bytes in [3_000, 8_000, 3_500, 12_000, 0] {
        let answer = with_header(bytes).await;
        if bytes < 4_096 {
            assert!(is_allow(&answer.unwrap().into_inner()), "{bytes}");
        } else {
            let code = answer.unwrap_err().code();
            assert!([Code::Unknown, Code::Internal].contains(&code), "{bytes}: {code:?}");
        }
    }

    let is_closed = send_endless_headers(siege.grpc, DEADLINE, 64 * MIB).await.unwrap();
    assert!(is_closed, "it is let be");
    siege.end(16 * MIB).await;
}

/// A peer that gives its streams no window, or a byte, answers pings and takes no answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_not_taken() {
    let siege =
        Siege::begin(&["limits.patience_ms=1000", "limits.concurrent_requests=10000"]).await;
    // Each item lacks everything, which the answer says of each.
    let items = vec![BatchIsAuthorizedItem::default(); 300];
    let batch = BatchIsAuthorizedRequest { items, ..BatchIsAuthorizedRequest::default() };
    let batch = batch.encode_to_vec();
    let path = "/humbaba.v1.AuthorizationService/BatchIsAuthorized";
    let requests = (1..200).step_by(2).flat_map(|stream| call_of(path, stream, &batch));
    let requests = requests.collect::<Vec<_>>().concat();
    for _ in 0..4 {
        who_takes_no_answers_is_closed(siege.grpc, [0, 1].repeat(2), &requests).await;
    }
    // The last is counted once its connection has ended.
    wait::until("each is counted", async || hits(siege.http, "patience_ms").await == 16).await;
    // Those of one round; each further one would add half as much again.
    siege.end(96 * MIB).await;
}

/// They give back the places of health checks, which probes need.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_checks_whose_answers_are_not_taken() {
    let siege = Siege::begin(&["limits.patience_ms=2000", "limits.concurrent_requests=10"]).await;
    let mut health = HealthClient::new(siege.channel());
    health.check(HealthCheckRequest::default()).await.unwrap();
    let path = "/grpc.health.v1.Health/Check";
    let requests = (1..40).step_by(2).flat_map(|stream| call_of(path, stream, &[]));
    let requests = requests.collect::<Vec<_>>().concat();
    let grpc = siege.grpc;
    let attack = tokio::spawn(async move { take_no_answers(grpc, 0, &requests).await });
    wait::until("no place is left", async || {
        let answer = health.check(HealthCheckRequest::default()).await;
        answer.is_err_and(|status| status.code() == Code::ResourceExhausted)
    })
    .await;
    wait::until("health checks are answered again", async || {
        health.check(HealthCheckRequest::default()).await.is_ok()
    })
    .await;
    timeout(DEADLINE, attack).await.expect("it is let be").unwrap().unwrap();
    wait::until("it is counted", async || hits(siege.http, "patience_ms").await == 1).await;
    siege.end(16 * MIB).await;
}

/// The limit holds for TCP and the Unix socket together, and so does the time to begin. Over the socket 8 more
/// are open, which probes need.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_on_a_unix_socket() {
    let siege = Siege::begin(&["limits.connections=20", "limits.patience_ms=3000"]).await;
    let soon = Duration::from_millis(50);
    let socket = siege.sidecar.socket();
    let (mut over_tcp, mut over_unix) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        over_tcp.push(TcpStream::connect(siege.grpc).await.unwrap());
        over_unix.push(UnixStream::connect(&socket).await.unwrap());
    }
    // One is the caller's.
    wait_for_open(siege.http, "grpc", 19..=19).await;
    for _ in 0..18 {
        let mut last = UnixStream::connect(&socket).await.unwrap();
        over_unix.extend((!is_closed(&mut last, soon).await).then_some(last));
    }
    assert_eq!(over_unix.len(), 18, "nine more were taken");
    assert_eq!(hits(siege.http, "connections").await, 9);
    // They say nothing, so they are given up, and there is room again.
    for connection in &mut over_unix {
        assert!(is_closed(connection, DEADLINE).await);
    }
    for connection in &mut over_tcp {
        assert!(is_closed(connection, DEADLINE).await);
    }
    assert_eq!(hits(siege.http, "patience_ms").await, 27);
    wait_for_open(siege.http, "grpc", 1..=1).await;
    siege.end(16 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_over_tls() {
    let options =
        GrpcOptions { connections: 3, patience: Duration::from_secs(2), ..GrpcOptions::default() };
    let server = TlsServer::limited(options, |_| ()).await;
    let config = tls::client_config(&server.ca.pem, None, &[&TLS13], &["h2"]);
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(tls::connect(server.grpc, config.clone()).await.unwrap());
    }
    wait_for_open(server.http, "grpc", 3..=3).await;
    if let Ok(mut further) = tls::connect(server.grpc, config.clone()).await {
        assert!(is_closed(&mut further, Duration::from_secs(1)).await);
    }
    assert_eq!(hits(server.http, "connections").await, 1);
    for connection in &mut silent {
        assert!(is_closed(connection, DEADLINE).await);
    }
    wait_for_open(server.http, "grpc", 0..=0).await;
    assert_eq!(hits(server.http, "patience_ms").await, 3);
    server.ask(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_count_as_connections() {
    let options = GrpcOptions { connections: 3, ..GrpcOptions::default() };
    let server = TlsServer::limited(options, |_| ()).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(server.grpc).await.unwrap());
    }
    wait_for_open(server.http, "grpc", 3..=3).await;
    let mut further = TcpStream::connect(server.grpc).await.unwrap();
    assert!(is_closed(&mut further, DEADLINE).await);
    assert_eq!(hits(server.http, "connections").await, 1);
    drop(silent);
    wait_for_open(server.http, "grpc", 0..=0).await;
    server.ask(None).await.unwrap();
}
