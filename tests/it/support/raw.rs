//! Calls of which the bytes are the test's own.

use axum::body::{Body as AnyBody, HttpBody as _};
use humbaba::proto::{IsAuthorizedResponse, authorization_service_server::SERVICE_NAME};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{
    Code, Status,
    body::Body,
    codegen::{Bytes, Service as _, http},
    transport::Channel,
};

/// A message in its gRPC frame.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// Calls `IsAuthorized` with that body.
pub async fn call(channel: Channel, body: AnyBody) -> Result<IsAuthorizedResponse, Status> {
    call_method(channel, "IsAuthorized", body).await
}

/// Calls a method of the service with that body.
pub async fn call_method<T: Message + Default>(
    channel: Channel,
    method: &str,
    body: AnyBody,
) -> Result<T, Status> {
    call_path(channel, &format!("/{SERVICE_NAME}/{method}"), body).await
}

/// Calls any method with that body.
pub async fn call_path<T: Message + Default>(
    channel: Channel,
    path: &str,
    body: AnyBody,
) -> Result<T, Status> {
    call_encoded(channel, path, None, body).await
}

async fn call_encoded<T: Message + Default>(
    channel: Channel,
    path: &str,
    encoding: Option<&str>,
    body: AnyBody,
) -> Result<T, Status> {
    let mut channel = channel;
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let request = http::Request::builder()
        .method("POST")
        .uri(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", encoding.unwrap_or("identity"))
        .body(Body::new(body))
        .unwrap();
    let response =
        channel.call(request).await.map_err(|error| Status::unavailable(error.to_string()))?;
    if let Some(status) = Status::from_header_map(response.headers()) {
        return Err(status);
    }
    let body = axum::body::to_bytes(AnyBody::new(response.into_body()), usize::MAX).await;
    let body = body.map_err(|error| Status::unavailable(error.to_string()))?;
    T::decode(&body[5..]).map_err(|error| Status::new(Code::DataLoss, error.to_string()))
}

/// Calls `IsAuthorized` with those bytes as its whole body.
pub async fn call_with(channel: Channel, bytes: Vec<u8>) -> Result<IsAuthorizedResponse, Status> {
    call(channel, AnyBody::from(bytes)).await
}

/// Calls `IsAuthorized` with those bytes as its whole body, of which the message is compressed.
pub async fn call_compressed(
    channel: Channel,
    bytes: Vec<u8>,
) -> Result<IsAuthorizedResponse, Status> {
    let path = format!("/{SERVICE_NAME}/IsAuthorized");
    call_encoded(channel, &path, Some("gzip"), AnyBody::from(bytes)).await
}

/// A body that is sent bit by bit; it ends when the sender is dropped.
pub fn slow_body() -> (mpsc::Sender<Vec<u8>>, AnyBody) {
    let (sender, receiver) = mpsc::channel::<Vec<u8>>(4);
    let pieces = ReceiverStream::new(receiver)
        .map(|piece| Ok::<_, std::convert::Infallible>(Bytes::from(piece)));
    (sender, AnyBody::from_stream(pieces))
}

/// Returns the error of a call that is refused, and whether the headers of the answer are all of it.
pub async fn refusal(mut channel: Channel, bytes: Vec<u8>) -> (Status, bool) {
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let request = http::Request::builder()
        .method("POST")
        .uri(format!("/{SERVICE_NAME}/IsAuthorized"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(AnyBody::from(bytes)))
        .unwrap();
    let response = channel.call(request).await.unwrap();
    let status = Status::from_header_map(response.headers()).unwrap();
    (status, response.body().is_end_stream())
}
