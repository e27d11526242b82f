//! Long calls and short ones on the same thread.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use humbaba::{
    grpc::GrpcOptions,
    proto::{
        BatchIsAuthorizedItem, BatchIsAuthorizedRequest, IsAuthorizedRequest, ListActionsRequest,
        RoleAssignments,
    },
};
use prost::Message as _;
use tonic::codec::CompressionEncoding::Gzip;

use crate::support::{
    TestServer,
    ask::{Asking as _, Knowing as _, action, ask, assignment, entity, text, uid},
    stores,
};

/// The factor by which a short call may take longer in the middle while long ones are under way.
const SLOWER: u32 = 10;

/// A server with one thread for all connections.
async fn server() -> TestServer {
    let options = GrpcOptions { workers: NonZeroUsize::MIN, ..GrpcOptions::default() };
    TestServer::with([stores::acme()], options).await
}

async fn short_call(server: &TestServer) -> Duration {
    let started = Instant::now();
    let question = ask("User::alice", "site.view", "Site::1").role("viewer", "Site::1");
    assert!(server.allows(question).await);
    started.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Has a long call made again and again, and short ones on the same connection meanwhile.
async fn short_calls_do_not_wait<F: Future<Output = ()>>(
    server: &TestServer,
    long: impl Fn() -> F,
) {
    let mut quiet = Vec::new();
    for _ in 0..100 {
        quiet.push(short_call(server).await);
    }
    let quiet = median(quiet);
    let (mut busy, mut long_calls) = (Vec::new(), Vec::new());
    while busy.len() < 100 || long_calls.len() < 3 {
        let started = Instant::now();
        let mut long = std::pin::pin!(long());
        loop {
            tokio::select! {
                () = &mut long => break,
                time = short_call(server) => busy.push(time),
            }
        }
        long_calls.push(started.elapsed());
    }
    let (busy, long) = (median(busy), median(long_calls));
    assert!(busy <= quiet * SLOWER, "short {busy:?} beside {long:?}, {quiet:?} by themselves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_calls_do_not_wait_for_a_large_message() {
    let server = server().await;
    let mut question = ask("User::alice", "site.view", "Site::1");
    for n in 0..900 {
        let name = text(&"a name ".repeat(150));
        question = question.entity(entity(&format!("User::u{n}")).attribute("name", name));
    }
    assert!(question.encoded_len() > GrpcOptions::default().inline_bytes);
    short_calls_do_not_wait(&server, || async {
        server.ask(question.clone()).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_calls_do_not_wait_for_a_compressed_message() {
    let server = server().await;
    let mut question = ask("User::alice", "site.view", "Site::1");
    let tags =
        (0..9_000).fold(entity("User::alice"), |user, n| user.tag(&n.to_string(), text("x")));
    question = question.entity(tags);
    short_calls_do_not_wait(&server, || async {
        let mut client = server.client().send_compressed(Gzip).accept_compressed(Gzip);
        client.is_authorized(question.clone()).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_calls_do_not_wait_for_a_batch() {
    let server = server().await;
    let own = RoleAssignments { items: vec![assignment("owner", "Site::1")] };
    let item = BatchIsAuthorizedItem { role_assignments: Some(own), ..Default::default() };
    let batch = BatchIsAuthorizedRequest {
        principal: Some(uid("User::alice")),
        action: Some(action("site.view")),
        resource: Some(uid("Site::1")),
        items: vec![item; 1_000],
        ..BatchIsAuthorizedRequest::default()
    };
    assert!(batch.encoded_len() < GrpcOptions::default().inline_bytes);
    short_calls_do_not_wait(&server, || async {
        server.client().batch_is_authorized(batch.clone()).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_calls_do_not_wait_for_an_explanation_or_a_list() {
    let server = server().await;
    let explained = (0..60).fold(
        ask("User::alice", "site.edit", "Site::1").explained(),
        |ask: IsAuthorizedRequest, n| ask.role("viewer", &format!("Site::{n}")),
    );
    let list = ListActionsRequest {
        principal: explained.principal.clone(),
        resource: explained.resource.clone(),
        role_assignments: explained.role_assignments.clone(),
        ..ListActionsRequest::default()
    };
    short_calls_do_not_wait(&server, || async {
        server.ask(explained.clone()).await.unwrap();
        server.client().list_actions(list.clone()).await.unwrap();
    })
    .await;
}
