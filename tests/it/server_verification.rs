//! Decisions that Cedar's evaluator makes as well.

use humbaba::{
    grpc::GrpcOptions,
    proto::{
        BatchIsAuthorizedItem, BatchIsAuthorizedRequest, BatchIsAuthorizedResult,
        IsAuthorizedResponse, ListActionsRequest, ListActionsResponse,
        batch_is_authorized_result::Result as ItemResult,
    },
    telemetry::Sampler,
};
use serde_json::json;

use crate::support::{
    TestServer,
    ask::{Asking as _, action, ask, assignment, is_allow, long, uid},
    directory::{give, held, held_entity, version},
    http, stores,
};

async fn sampling(verify_sample: Sampler) -> TestServer {
    let options = GrpcOptions { verify_sample, ..GrpcOptions::default() };
    TestServer::with([stores::acme()], options).await
}

/// The numbers of decisions that were verified and that were wrong.
async fn verified(server: &TestServer) -> (u64, u64) {
    let page = http::get(server.http, "/metrics").await.body;
    let value = |name: &str| {
        let series = format!("humbaba_{name}_total{{store=\"acme\"}} ");
        let value = page.lines().find_map(|line| line.strip_prefix(&series));
        value.unwrap_or_else(|| panic!("no {name}: {page}")).parse().unwrap()
    };
    (value("verifications"), value("verification_failures"))
}

/// The answers of a server to questions of every kind.
async fn answers(
    server: &TestServer,
) -> (Vec<IsAuthorizedResponse>, Vec<BatchIsAuthorizedResult>, ListActionsResponse) {
    let mut single = Vec::new();
    let questions = [
        ask("User::alice", "site.view", "Site::1").role("viewer", "Site::1"),
        ask("User::alice", "site.view", "Site::1"),
        ask("User::alice", "site.count", "Site::1").fact("amount", long(99)).explained(),
        // One that a forbid stops, and one whose evaluation fails.
        ask("User::alice", "site.count", "Site::1").fact("amount", long(100)),
        ask("User::alice", "site.count", "Site::1").fact("amount", long(i64::MAX)).explained(),
    ];
    for question in questions {
        let mut answer = server.ask(question).await.unwrap();
        answer.decision_id.clear();
        single.push(answer);
    }
    let items = ["site.view", "site.edit", "site.preview", "site.misspelt"].map(|id| {
        BatchIsAuthorizedItem { action: Some(action(id)), ..BatchIsAuthorizedItem::default() }
    });
    let batch = BatchIsAuthorizedRequest {
        principal: Some(uid("User::alice")),
        resource: Some(uid("Site::1")),
        role_assignments: vec![assignment("editor", "Site::1")],
        items: items.to_vec(),
        ..BatchIsAuthorizedRequest::default()
    };
    let batch = server.client().batch_is_authorized(batch).await.unwrap().into_inner();
    let mut items = batch.items;
    for item in &mut items {
        if let Some(ItemResult::Response(response)) = &mut item.result {
            response.decision_id.clear();
        }
    }
    let list = ListActionsRequest {
        principal: Some(uid("User::alice")),
        resource: Some(uid("Site::1")),
        role_assignments: vec![assignment("owner", "Site::1")],
        ..ListActionsRequest::default()
    };
    let list = server.client().list_actions(list).await.unwrap().into_inner();
    (single, items, list)
}

#[tokio::test]
async fn every_decision_is_verified_where_all_are_asked_for_and_answered_as_before() {
    let (none, all) = (sampling(Sampler::default()).await, sampling(Sampler::ALL).await);
    let before = answers(&none).await;
    assert_eq!(answers(&all).await, before);
    assert_eq!(verified(&none).await, (0, 0));
    let page = http::get(all.http, "/metrics").await.body;
    let decisions = page.lines().filter(|line| line.starts_with("humbaba_decisions_total{"));
    let decisions = decisions.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
    let decisions = decisions.sum();
    // Five questions, three items, and the actions that need no fact.
    assert!(decisions > 5 + 3 + 2, "{page}");
    assert_eq!(verified(&all).await, (decisions, 0));
}

#[tokio::test]
async fn a_share_of_a_large_batch_is_verified() {
    let server = sampling(0.5.try_into().unwrap()).await;
    let batch = BatchIsAuthorizedRequest {
        principal: Some(uid("User::alice")),
        action: Some(action("site.view")),
        resource: Some(uid("Site::1")),
        items: vec![BatchIsAuthorizedItem::default(); 1_000],
        ..BatchIsAuthorizedRequest::default()
    };
    server.client().batch_is_authorized(batch).await.unwrap();
    let (verified, wrong) = verified(&server).await;
    // Eight standard deviations on each side.
    assert!((370..=630).contains(&verified), "{verified}");
    assert_eq!(wrong, 0);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_and_that_no_policy_looks_at_makes_no_decision_wrong() {
    let server = sampling(Sampler::ALL).await;
    let store = server.live.stores().get("acme").unwrap().clone();
    let team = json!({"attrs": {"team": {"type": "Team", "id": "web"}}});
    give(&server.live, &store, vec![held("User::alice", "viewer", "Site::1")]);
    let unreadable = json!({"attrs": {"undeclared": 1}});
    let rows = vec![held_entity("Site::1", &team), held_entity("Team::web", &unreadable)];
    let faults = server.live.change_directory(store.name(), rows, version(2));
    assert_eq!(faults.len(), 1, "{faults:?}");
    let answer = server.ask(ask("User::alice", "site.preview", "Site::1")).await.unwrap();
    assert!(is_allow(&answer), "{answer:?}");
    assert_eq!(verified(&server).await, (1, 0));
}
