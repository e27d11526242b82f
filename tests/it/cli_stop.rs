//! `humbaba serve`: stopping.

use std::{os::unix::net::UnixListener, process::Command};

use humbaba::proto::{IsAuthorizedRequest, IsAuthorizedResponse};
use tokio::sync::mpsc;

use crate::{
    cli::{policies, run},
    cli_sidecar::{Sidecar, until},
};

#[test]
fn a_signal_ends_it_cleanly() {
    for signal in ["TERM", "INT"] {
        let folder = policies(&["guard"]);
        let mut sidecar = Sidecar::start(folder.path(), &[]);
        assert!(sidecar.socket().exists());
        sidecar.signal(signal);
        assert_eq!(sidecar.code(), 0, "{}", sidecar.log());
        assert!(!sidecar.socket().exists());
        assert!(!sidecar.folder.path().join("addresses.json").exists());
        assert_eq!(run(&["healthcheck", "--address", &sidecar.tcp()]).code, 1);
    }
}

/// A call of which the sidecar has seen the beginning and not the end.
struct OpenCall {
    runtime: tokio::runtime::Runtime,
    message: mpsc::Sender<IsAuthorizedRequest>,
    answer: tokio::task::JoinHandle<Result<IsAuthorizedResponse, tonic::Status>>,
}

impl OpenCall {
    fn begin(address: String) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (message, messages) = mpsc::channel(1);
        let channel = tonic::transport::Endpoint::from_shared(address).unwrap();
        let channel = runtime.block_on(channel.connect()).unwrap();
        let answer = runtime.spawn(async move {
            let mut grpc = tonic::client::Grpc::new(channel);
            grpc.ready().await.map_err(|error| tonic::Status::unknown(error.to_string()))?;
            let messages = tokio_stream::wrappers::ReceiverStream::new(messages);
            let path = "/humbaba.v1.AuthorizationService/IsAuthorized".parse().unwrap();
            let codec = tonic_prost::ProstCodec::default();
            let answer = grpc.client_streaming(tonic::Request::new(messages), path, codec).await;
            answer.map(tonic::Response::into_inner)
        });
        Self { runtime, message, answer }
    }

    /// Sends the question and waits for the answer.
    fn finish(self) -> Result<IsAuthorizedResponse, tonic::Status> {
        let Self { runtime, message, answer } = self;
        runtime.block_on(async move {
            let uid = |ty: &str, id: &str| {
                Some(humbaba::proto::EntityUid { r#type: ty.into(), id: id.into() })
            };
            let question = IsAuthorizedRequest {
                principal: uid("User", "alice"),
                action: uid("", "view"),
                resource: uid("Site", "42"),
                ..IsAuthorizedRequest::default()
            };
            // It fails where the call is over already, and then the answer tells why.
            let _ = message.send(question).await;
            drop(message);
            answer.await.unwrap()
        })
    }
}

/// Waits until the sidecar counts a call as begun.
fn until_begun(sidecar: &Sidecar) {
    use std::io::{Read as _, Write as _};

    let address = sidecar.addresses["http"].as_str().unwrap();
    until("the call to begin", || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text.lines().find(|line| line.starts_with("humbaba_requests_in_flight"))?;
        (line.rsplit(' ').next()? != "0").then_some(())
    });
}

#[test]
fn a_call_that_has_begun_is_answered_before_the_end() {
    let folder = policies(&["guard"]);
    let mut sidecar = Sidecar::start(folder.path(), &[]);
    let call = OpenCall::begin(sidecar.tcp());
    until_begun(&sidecar);
    sidecar.signal("TERM");
    sidecar.event("stopping");
    // A successor may take the place meanwhile, and keeps it.
    until("the place to be free", || (!sidecar.socket().exists()).then_some(()));
    let _successor = UnixListener::bind(sidecar.socket()).unwrap();
    assert!(sidecar.child.try_wait().unwrap().is_none(), "{}", sidecar.log());
    let answer = call.finish().unwrap();
    assert_eq!(answer.decision(), humbaba::proto::Decision::Deny);
    assert_eq!(sidecar.code(), 0);
    assert!(sidecar.socket().exists());
}

#[test]
fn a_call_that_never_ends_cannot_hold_it_beyond_the_deadline() {
    let folder = policies(&["guard"]);
    let mut sidecar = Sidecar::start(
        folder.path(),
        &["--set", "shutdown.drain_s=0", "--set", "limits.request_timeout_ms=600000"],
    );
    let call = OpenCall::begin(sidecar.tcp());
    until_begun(&sidecar);
    sidecar.signal("TERM");
    assert_eq!(sidecar.code(), 0);
    assert!(call.finish().is_err());
}

#[test]
fn a_signal_that_comes_twice_in_a_second_is_one_wish() {
    let folder = policies(&["guard"]);
    let mut sidecar = Sidecar::start(folder.path(), &["--set", "shutdown.drain_s=600"]);
    let call = OpenCall::begin(sidecar.tcp());
    until_begun(&sidecar);
    // As `timeout` of coreutils sends it: to its child, and to the group of both.
    let kill = format!("kill -TERM {id}; kill -INT {id}; kill -TERM {id}", id = sidecar.child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    sidecar.event("stopping");
    assert_eq!(call.finish().unwrap().decision(), humbaba::proto::Decision::Deny);
    assert_eq!(sidecar.code(), 0, "{}", sidecar.log());
    assert!(!sidecar.log().contains("stopped at once"), "{}", sidecar.log());
}

/// Signals again and again, as somebody does who will not wait any longer, and returns the exit code.
pub fn insist(sidecar: &mut Sidecar, signal: &str) -> i32 {
    let status = until("the end", || {
        let ended = sidecar.child.try_wait().unwrap();
        if ended.is_none() {
            sidecar.signal(signal);
        }
        ended
    });
    status.code().expect("no signal ended it")
}

#[test]
fn a_later_signal_ends_it_at_once() {
    let folder = policies(&["guard"]);
    let mut sidecar = Sidecar::start(
        folder.path(),
        &["--set", "shutdown.drain_s=600", "--set", "limits.request_timeout_ms=600000"],
    );
    let call = OpenCall::begin(sidecar.tcp());
    until_begun(&sidecar);
    sidecar.signal("TERM");
    sidecar.event("stopping");
    assert_eq!(insist(&mut sidecar, "INT"), 1);
    assert!(!sidecar.socket().exists());
    drop(call);
}
