//! Compressed messages.

use std::io::Write as _;

use axum::body::Body as AnyBody;
use flate2::{Compression, write::GzEncoder};
use humbaba::{
    grpc::GrpcOptions,
    proto::{IsAuthorizedResponse, authorization_service_server::SERVICE_NAME},
};
use prost::Message as _;
use tonic::{
    Code, Status,
    body::Body,
    codec::CompressionEncoding::Gzip,
    codegen::{Service as _, http},
};

use crate::support::{
    TestServer,
    ask::{Asking as _, ask, is_allow},
    stores,
};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Calls `IsAuthorized` as a client that accepts gzip does, with a frame of that flag.
async fn call(
    server: &TestServer,
    flag: u8,
    encoding: Option<&str>,
    message: &[u8],
) -> http::Response<AnyBody> {
    let mut channel = server.channel();
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let mut request = http::Request::builder()
        .method("POST")
        .uri(format!("/{SERVICE_NAME}/IsAuthorized"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-accept-encoding", "identity,gzip");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let body = AnyBody::from([&[flag], &length[..], message].concat());
    let request = request.body(Body::new(body)).unwrap();
    channel.call(request).await.unwrap().map(AnyBody::new)
}

fn status(response: &http::Response<AnyBody>) -> Status {
    Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok(""))
}

async fn bytes(response: http::Response<AnyBody>) -> Vec<u8> {
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()
}

fn question() -> Vec<u8> {
    ask("User::alice", "site.view", "Site::1").role("viewer", "Site::1").encode_to_vec()
}

#[tokio::test]
async fn a_compressed_question_is_answered() {
    let server = TestServer::start([stores::acme()]).await;
    let mut client = server.client().send_compressed(Gzip).accept_compressed(Gzip);
    let question = ask("User::alice", "site.view", "Site::1").role("viewer", "Site::1");
    let answer = client.is_authorized(question).await.unwrap();
    assert!(is_allow(answer.get_ref()));
}

#[tokio::test]
async fn an_answer_is_compressed_where_the_question_was() {
    let server = TestServer::start([stores::acme()]).await;
    let compressed = call(&server, 1, Some("gzip"), &gzip(&question())).await;
    assert_eq!(compressed.headers()["grpc-encoding"], "gzip");
    assert_eq!(bytes(compressed).await[0], 1);
    // Clients like Python's accept gzip with every call.
    for encoding in [None, Some("identity"), Some("gzip")] {
        let plain = call(&server, 0, encoding, &question()).await;
        assert!(!plain.headers().contains_key("grpc-encoding"));
        let bytes = bytes(plain).await;
        assert_eq!(bytes[0], 0);
        assert!(is_allow(&IsAuthorizedResponse::decode(&bytes[5..]).unwrap()));
    }
}

#[tokio::test]
async fn a_message_is_as_large_as_it_is_decompressed() {
    let limit = 100_000;
    let options = GrpcOptions { message_bytes: limit, ..GrpcOptions::default() };
    let server = TestServer::with([stores::acme()], options).await;
    let of_size = |bytes| {
        let mut question = ask("User::alice", "site.view", "Site::1");
        question.policy_store = "x".repeat(bytes);
        let more = question.encoded_len() - bytes;
        question.policy_store.truncate(bytes - more);
        assert_eq!(question.encoded_len(), bytes);
        gzip(&question.encode_to_vec())
    };
    // It is read, and then there is no such store.
    let fits = call(&server, 1, Some("gzip"), &of_size(limit)).await;
    assert_eq!(status(&fits).code(), Code::NotFound);
    for bytes in [limit + 1, 50_000_000] {
        let compressed = of_size(bytes);
        assert!(compressed.len() < limit);
        let status = status(&call(&server, 1, Some("gzip"), &compressed).await);
        assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
        assert!(status.message().contains("limit of 100000 bytes"), "{status:?}");
    }
    assert!(server.ask(ask("User::alice", "site.view", "Site::1")).await.is_ok());
}

#[tokio::test]
async fn what_cannot_be_decompressed_is_bad_input() {
    let server = TestServer::start([stores::acme()]).await;
    let whole = gzip(&question());
    let mut broken = whole.clone();
    broken[12] ^= 0xff;
    for message in [&b"no gzip"[..], &whole[..whole.len() / 2], &broken] {
        let status = status(&call(&server, 1, Some("gzip"), message).await);
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(status.message().contains("not a valid message"), "{status:?}");
    }
    // The parts of a message count once it is decompressed.
    let many = gzip(&[0x32, 0].repeat(500_000));
    let status = status(&call(&server, 1, Some("gzip"), &many).await);
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("parts"), "{status:?}");
}

#[tokio::test]
async fn another_compression_is_refused_with_what_is_accepted() {
    let server = TestServer::start([stores::acme()]).await;
    let response = call(&server, 1, Some("snappy"), &question()).await;
    assert_eq!(status(&response).code(), Code::Unimplemented);
    let accepted = response.headers()["grpc-accept-encoding"].to_str().unwrap();
    assert!(accepted.contains("gzip"), "{accepted}");
}
