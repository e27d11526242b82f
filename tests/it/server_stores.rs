//! The store that decides.

use humbaba::grpc::GrpcOptions;
use tonic::Code;

use crate::support::{
    TestServer,
    ask::{Asking as _, ask, fields, is_allow},
    stores,
};

fn view() -> humbaba::proto::IsAuthorizedRequest {
    ask("User::alice", "site.view", "Site::1")
}

/// A store in which everybody may do everything.
fn open(name: &str) -> std::sync::Arc<humbaba::store::PolicyStore> {
    stores::acme_as(name, r#"@id("open") permit (principal, action, resource);"#)
}

#[tokio::test]
async fn with_no_store_at_all_the_service_is_unavailable() {
    let server = TestServer::empty(GrpcOptions::default()).await;
    for question in [view(), view().of_store("acme")] {
        let status = server.refuses(question).await;
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), "no policy store is loaded");
    }
}

#[tokio::test]
async fn a_store_is_found_by_its_name() {
    let server = TestServer::start([stores::acme_as("one", ""), open("two")]).await;
    assert!(!server.allows(view().of_store("one")).await);
    assert!(server.allows(view().of_store("two")).await);
}

#[tokio::test]
async fn an_unknown_store_is_not_found_and_the_others_are_named() {
    let server = TestServer::start([stores::acme_as("one", ""), open("two")]).await;
    for name in ["three", "ONE", "one ", "../one", &"x".repeat(100_000)] {
        let status = server.refuses(view().of_store(name)).await;
        assert_eq!(status.code(), Code::NotFound, "{name}");
        assert!(status.message().ends_with("there are one, two"), "{}", status.message());
    }
}

#[tokio::test]
async fn the_only_store_needs_no_name() {
    let server = TestServer::start([open("only")]).await;
    assert!(server.allows(view()).await);
}

#[tokio::test]
async fn with_several_stores_and_no_default_a_name_is_needed() {
    let server = TestServer::start([stores::acme_as("one", ""), open("two")]).await;
    let status = server.refuses(view()).await;
    assert_eq!(fields(&status), ["policy_store"]);
    assert!(status.message().ends_with("one, two"), "{}", status.message());
}

#[tokio::test]
async fn the_default_decides_what_names_no_store() {
    let server = TestServer::empty(GrpcOptions::default()).await;
    server.publish([stores::acme_as("one", ""), open("two")], Some("two"));
    assert!(server.allows(view()).await);
    assert!(!server.allows(view().of_store("one")).await);
    // A default that is not loaded is not replaced by another store.
    server.publish([open("two")], Some("one"));
    assert_eq!(server.refuses(view()).await.code(), Code::NotFound);
}

#[tokio::test]
async fn a_new_revision_decides_from_its_publication_on() {
    let server = TestServer::start([stores::acme()]).await;
    let before = server.ask(view()).await.unwrap();
    assert!(!is_allow(&before));
    server.publish([open("acme")], None);
    let after = server.ask(view()).await.unwrap();
    assert!(is_allow(&after));
    assert_ne!(before.revision, after.revision);
}
