//! The clients that are let in over TLS, those that are not, and the counts of both.

use std::time::Duration;

use humbaba::net::tls::TlsVersion;
use rustls::version::{TLS12, TLS13};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    pki::{Authority, Pair},
    tls::{TlsServer, ask_once, channel, client_config, https_get},
    wait::until,
};

#[tokio::test]
async fn without_client_certificates_everybody_with_the_right_authority_is_served() {
    let server = TlsServer::start(|_| {}).await;
    server.ask(None).await.unwrap();
    let stranger = Authority::new("servers");
    let answer = ask_once(channel(server.grpc, &stranger.pem, None)).await;
    let error = answer.unwrap_err();
    assert!(error.contains("invalid peer certificate"), "{error}");
    until("the client's refusal is counted", async || {
        server.refused("grpc", "by_client").await == 1.0
    })
    .await;
    assert_eq!(server.metric(r#"humbaba_tls_handshakes_total{face="grpc"}"#).await, 1.0);
}

#[tokio::test]
async fn clients_are_known_by_the_names_in_their_certificates() {
    let (clients, strangers) = (Authority::new("clients"), Authority::new("clients"));
    let ids =
        ["web.example.org", "spiffe://example.org/ns/shop/sa/web", "spiffe://example.org/ops/*"];
    let server = TlsServer::mutual(&clients, &ids).await;
    let none: Option<Pair> = None;
    for (name, client, reason) in [
        ("DNS", Some(clients.client(&["web.example.org"])), ""),
        ("one of several", Some(clients.client(&["a.example.org", "web.example.org"])), ""),
        ("SPIFFE id", Some(clients.client(&["spiffe://example.org/ns/shop/sa/web"])), ""),
        ("below", Some(clients.client(&["spiffe://example.org/ops/oncall"])), ""),
        ("wrong DNS", Some(clients.client(&["evil.example.org"])), "identity_not_listed"),
        ("wildcard", Some(clients.client(&["*.example.org"])), "identity_not_listed"),
        (
            "wrong URI",
            Some(clients.client(&["spiffe://example.org/ns/shop/sa/we"])),
            "identity_not_listed",
        ),
        ("no name", Some(clients.client(&[])), "identity_not_listed"),
        ("no certificate", none, "no_certificate"),
        ("expired", Some(clients.expired_client(&["web.example.org"])), "certificate_expired"),
        ("other authority", Some(strangers.client(&["web.example.org"])), "certificate_untrusted"),
        ("a server's", Some(clients.server(2088)), "certificate_untrusted"),
    ] {
        let before = server.refused("grpc", reason).await;
        let answer = server.ask(client.as_ref()).await;
        if reason.is_empty() {
            assert!(answer.is_ok(), "{name}: {answer:?}");
            continue;
        }
        answer.expect_err(name);
        // A client may try more than once.
        until(&format!("{name} is counted as {reason}"), async || {
            server.refused("grpc", reason).await > before
        })
        .await;
    }
    assert_eq!(server.metric(r#"humbaba_tls_handshakes_total{face="grpc"}"#).await, 4.0);
}

#[tokio::test]
async fn a_client_that_is_not_listed_is_told_so() {
    let clients = Authority::new("clients");
    let server = TlsServer::mutual(&clients, &["web.example.org"]).await;
    let wrong = clients.client(&["evil.example.org"]);
    let config = client_config(&server.ca.pem, Some(&wrong), &[&TLS13], &["h2"]);
    let error = https_get(server.grpc, config, "/").await.unwrap_err().to_string();
    assert!(error.contains("AccessDenied"), "{error}");
}

#[tokio::test]
async fn a_certificate_of_the_authority_suffices_where_nobody_is_listed() {
    let clients = Authority::new("clients");
    let server = TlsServer::mutual(&clients, &[]).await;
    server.ask(Some(&clients.client(&[]))).await.unwrap();
    server.ask(None).await.unwrap_err();
}

#[tokio::test]
async fn the_http_face_is_as_strict_unless_told_otherwise() {
    let clients = Authority::new("clients");
    let server = TlsServer::mutual(&clients, &["web.example.org"]).await;
    let get = async |client: Option<&Pair>| {
        let config = client_config(&server.ca.pem, client, &[&TLS12, &TLS13], &["http/1.1"]);
        https_get(server.https, config, "/livez").await
    };
    let right = clients.client(&["web.example.org"]);
    let answer = get(Some(&right)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
    for (client, reason) in [
        (Some(clients.client(&["evil.example.org"])), "identity_not_listed"),
        (None, "no_certificate"),
    ] {
        get(client.as_ref()).await.unwrap_err();
        assert_eq!(server.refused("http", reason).await, 1.0);
    }

    let pem = clients.pem.clone();
    let server = TlsServer::start(|options| {
        let path = options.certificate.with_file_name("clients.crt");
        std::fs::write(&path, pem).unwrap();
        options.client_ca = Some(path);
        options.http_client_certificates = false;
    })
    .await;
    let config = client_config(&server.ca.pem, None, &[&TLS13], &["http/1.1"]);
    assert!(https_get(server.https, config, "/livez").await.unwrap().ends_with("ok\n"));
    server.ask(None).await.unwrap_err();
}

#[tokio::test]
async fn versions_and_protocols() {
    let newest = TlsServer::start(|options| options.min_version = TlsVersion::V1_3).await;
    let usual = TlsServer::start(|_| {}).await;
    for (server, version, protocol, reason) in [
        (&usual, &TLS12, "http/1.1", ""),
        (&usual, &TLS13, "http/1.1", ""),
        (&usual, &TLS13, "h2", "protocol"),
        (&newest, &TLS13, "http/1.1", ""),
        (&newest, &TLS12, "http/1.1", "incompatible"),
    ] {
        let config = client_config(&server.ca.pem, None, &[version], &[protocol]);
        let answer = https_get(server.https, config, "/livez").await;
        assert_eq!(answer.is_ok(), reason.is_empty(), "{version:?} {protocol}: {answer:?}");
        if !reason.is_empty() {
            assert_eq!(server.refused("http", reason).await, 1.0, "{reason}");
        }
    }
}

#[tokio::test]
async fn what_is_older_than_tls_1_2_is_refused() {
    let server = TlsServer::start(|_| {}).await;
    for (version, expected) in [
        // An alert, fatal, protocol version.
        (2, &[21, 3, 3, 0, 2, 2, 70]),
        // The same hello at 1.2 is answered with a server's.
        (3, &[22, 3, 3, 0, 0, 2, 0]),
    ] {
        let suites = [0x00, 0x04, 0xc0, 0x2b, 0xc0, 0x23];
        let signatures = [0, 13, 0, 4, 0, 2, 4, 3];
        let (groups, points) = ([0, 10, 0, 4, 0, 2, 0, 23], [0, 11, 0, 2, 1, 0]);
        let extensions = [&signatures[..], &groups, &points].concat();
        let length = u8::try_from(extensions.len()).unwrap();
        let body = [&[3, version][..], &[7; 32], &[0], &suites, &[1, 0, 0, length], &extensions];
        let body = body.concat();
        let hello = [&[1, 0, 0, u8::try_from(body.len()).unwrap()][..], &body].concat();
        let record = [&[22, 3, 1, 0, u8::try_from(hello.len()).unwrap()][..], &hello].concat();
        let mut connection = TcpStream::connect(server.grpc).await.unwrap();
        connection.write_all(&record).await.unwrap();
        let mut answer = [0; 7];
        connection.read_exact(&mut answer).await.unwrap();
        // The length differs from certificate to certificate.
        if answer[0] == 22 {
            (answer[3], answer[4], answer[6]) = (0, 0, 0);
        }
        assert_eq!(&answer, expected, "{version}");
    }
    assert_eq!(server.refused("grpc", "incompatible").await, 1.0);
}

#[tokio::test]
async fn slow_and_silent_clients_keep_nobody_waiting_and_are_sent_away() {
    let server = TlsServer::start(|options| {
        options.handshake_timeout = Duration::from_secs(5);
        options.handshakes_under_way = 32.try_into().unwrap();
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(server.grpc).await.unwrap());
    }
    let crowded_out = async || server.refused("grpc", "crowded_out").await;
    until("eight are too many", async || crowded_out().await == 8.0).await;
    server.ask(None).await.unwrap();
    // The good client took the place of a ninth.
    until("one more made room", async || crowded_out().await == 9.0).await;
    for mut connection in silent {
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "{answer:?}");
    }
    until("all are sent away", async || server.refused("grpc", "timeout").await == 31.0).await;
}

#[tokio::test]
async fn what_is_no_tls_is_refused() {
    let server = TlsServer::start(|_| {}).await;
    let mut connection = TcpStream::connect(server.https).await.unwrap();
    connection.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(server.refused("http", "not_tls").await, 1.0);
    drop(TcpStream::connect(server.https).await.unwrap());
    until("the other left", async || server.refused("http", "disconnected").await == 1.0).await;
}
