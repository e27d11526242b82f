//! Many questions in one call.

use humbaba::{
    grpc::GrpcOptions,
    proto::{
        BatchIsAuthorizedItem as Item, BatchIsAuthorizedRequest as Batch,
        BatchIsAuthorizedResponse, BatchIsAuthorizedResult, IsAuthorizedResponse, RoleAssignment,
        RoleAssignments, batch_is_authorized_result::Result as ItemResult, value::Kind,
    },
    telemetry::Sampler,
};
use prost::Message as _;
use tonic::{Code, Request, Status};
use tonic_types::{RpcStatusExt as _, pb};

use crate::support::{
    TestServer,
    ask::{Knowing as _, action, assignment, entity, fields, is_allow, policies, text, uid, value},
    http, raw, stores,
};

/// Alice views sites of which she owns the first.
fn batch(items: impl IntoIterator<Item = Item>) -> Batch {
    Batch {
        principal: Some(uid("User::alice")),
        action: Some(action("site.view")),
        resource: Some(uid("Site::1")),
        role_assignments: vec![assignment("owner", "Site::1")],
        items: items.into_iter().collect(),
        ..Batch::default()
    }
}

fn roles(items: impl Into<Vec<RoleAssignment>>) -> Option<RoleAssignments> {
    Some(RoleAssignments { items: items.into() })
}

async fn ask(server: &TestServer, batch: Batch) -> Result<BatchIsAuthorizedResponse, Status> {
    server.client().batch_is_authorized(batch).await.map(tonic::Response::into_inner)
}

fn response(result: &BatchIsAuthorizedResult) -> &IsAuthorizedResponse {
    match &result.result {
        Some(ItemResult::Response(response)) => response,
        other => panic!("no response: {other:?}"),
    }
}

fn error(result: &BatchIsAuthorizedResult) -> &pb::Status {
    match &result.result {
        Some(ItemResult::Error(error)) => error,
        other => panic!("no error: {other:?}"),
    }
}

fn error_fields(result: &BatchIsAuthorizedResult) -> Vec<String> {
    let details = error(result).get_details_bad_request().expect("a google.rpc.BadRequest");
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}

fn allowed(answer: &BatchIsAuthorizedResponse) -> Vec<bool> {
    answer.items.iter().map(|item| is_allow(response(item))).collect()
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_items() {
    let server = TestServer::start([stores::acme()]).await;
    let items = (0..50)
        .map(|n| Item { resource: Some(uid(&format!("Site::{}", n % 3))), ..Item::default() });
    let answer = ask(&server, batch(items)).await.unwrap();
    let expected: Vec<_> = (0..50).map(|n| n % 3 == 1).collect();
    assert_eq!(allowed(&answer), expected);
}

#[tokio::test]
async fn all_items_have_one_revision_and_a_name_each() {
    let server = TestServer::start([stores::acme()]).await;
    let answer = ask(&server, batch(vec![Item::default(); 3])).await.unwrap();
    assert_eq!(answer.revision, stores::acme().revision().as_str());
    let mut ids: Vec<_> = answer.items.iter().map(|item| &response(item).decision_id).collect();
    assert!(answer.items.iter().all(|item| response(item).revision == answer.revision));
    ids.dedup();
    assert_eq!(ids.len(), 3);

    let mut request = Request::new(batch(vec![Item::default(); 2]));
    request.metadata_mut().insert("x-request-id", "mine".parse().unwrap());
    let answer = server.client().batch_is_authorized(request).await.unwrap().into_inner();
    assert!(answer.items.iter().all(|item| response(item).decision_id == "mine"));
}

#[tokio::test]
async fn an_item_that_says_nothing_is_the_shared_question() {
    let server = TestServer::start([stores::acme()]).await;
    assert_eq!(allowed(&ask(&server, batch([Item::default()])).await.unwrap()), [true]);
}

#[tokio::test]
async fn principal_action_and_resource_of_an_item_come_before_the_shared_ones() {
    let server = TestServer::start([stores::acme()]).await;
    let items = [
        Item { principal: Some(uid("User::bob")), ..Item::default() },
        Item { action: Some(action("site.edit")), ..Item::default() },
        Item { resource: Some(uid("Site::2")), ..Item::default() },
    ];
    // The shared assignment means the principal of the batch, not that of an item.
    assert_eq!(allowed(&ask(&server, batch(items)).await.unwrap()), [false, true, false]);
}

#[tokio::test]
async fn a_shared_assignment_means_the_principal_and_resource_of_the_batch() {
    let server = TestServer::start([stores::acme()]).await;
    let mut batch = batch([
        Item::default(),
        Item { resource: Some(uid("Site::2")), ..Item::default() },
        Item { principal: Some(uid("User::bob")), ..Item::default() },
        Item { role_assignments: roles([]), ..Item::default() },
        // One of the item means the item's.
        Item {
            resource: Some(uid("Site::2")),
            role_assignments: roles([RoleAssignment {
                scope: None,
                ..assignment("owner", "Site::1")
            }]),
            ..Item::default()
        },
    ]);
    batch.role_assignments = vec![RoleAssignment { scope: None, ..assignment("owner", "Site::1") }];
    let answer = ask(&server, batch).await.unwrap();
    assert_eq!(allowed(&answer), [true, false, false, false, true]);
}

#[tokio::test]
async fn a_shared_assignment_that_the_batch_does_not_complete_is_bad_input_of_the_batch() {
    let server = TestServer::start([stores::acme()]).await;
    let complete = Item {
        principal: Some(uid("User::alice")),
        resource: Some(uid("Site::1")),
        role_assignments: roles([]),
        ..Item::default()
    };
    let bare = RoleAssignment { role: "owner".to_owned(), ..RoleAssignment::default() };
    let mut batch = batch([complete]);
    (batch.principal, batch.resource) = (None, None);
    batch.role_assignments = vec![bare];
    let status = ask(&server, batch).await.unwrap_err();
    assert_eq!(fields(&status), ["role_assignments[0].principal", "role_assignments[0].scope"],);
}

#[tokio::test]
async fn assignments_of_an_item_take_the_place_of_all_shared_ones() {
    let server = TestServer::start([stores::acme()]).await;
    let items = [
        Item { role_assignments: roles([assignment("viewer", "Site::2")]), ..Item::default() },
        Item {
            resource: Some(uid("Site::2")),
            role_assignments: roles([assignment("viewer", "Site::2")]),
            ..Item::default()
        },
    ];
    assert_eq!(allowed(&ask(&server, batch(items)).await.unwrap()), [false, true]);
}

#[tokio::test]
async fn facts_of_an_item_are_laid_over_the_shared_ones_by_name() {
    let server = TestServer::start([stores::acme()]).await;
    let mut batch = batch([
        Item::default(),
        Item { context: [("reason".to_owned(), text(""))].into(), ..Item::default() },
        Item { context: [("other".to_owned(), text(""))].into(), ..Item::default() },
    ]);
    batch.action = Some(action("site.delete"));
    batch.context = [("reason".to_owned(), text("old"))].into();
    let answer = ask(&server, batch).await.unwrap();
    assert!(is_allow(response(&answer.items[0])));
    assert!(!is_allow(response(&answer.items[1])));
    assert_eq!(error_fields(&answer.items[2]), ["context.other"]);
}

#[tokio::test]
async fn entities_of_an_item_take_the_place_of_shared_ones_by_uid() {
    let server = TestServer::start([stores::acme()]).await;
    let locked = |text, locked| entity(text).attribute("locked", value(Kind::Boolean(locked)));
    let mut batch = batch([
        Item::default(),
        Item { entities: vec![locked("Site::1", false)], ..Item::default() },
        // The same entity, however its type is written.
        Item { entities: vec![locked("Acme::Site::1", false)], ..Item::default() },
        // Another entity leaves the shared one in place.
        Item { entities: vec![locked("Site::2", false)], ..Item::default() },
    ]);
    batch.action = Some(action("site.edit"));
    batch.entities = vec![locked("Site::1", true)];
    let answer = ask(&server, batch).await.unwrap();
    assert_eq!(allowed(&answer), [false, true, true, false]);
    assert_eq!(policies(response(&answer.items[0])), ["locked"]);
}

#[tokio::test]
async fn a_bad_item_fails_alone_and_its_paths_begin_at_the_item() {
    let server = TestServer::start([stores::acme()]).await;
    let bad = Item {
        resource: Some(uid("Page::1")),
        context: [("reason".to_owned(), text(""))].into(),
        entities: vec![entity("Site::1").attribute("color", text("red"))],
        role_assignments: roles([assignment("king", "Site::1")]),
        ..Item::default()
    };
    let mut shared = batch([Item::default(), bad, Item::default()]);
    shared.entities = vec![entity("Site::7")];
    let answer = ask(&server, shared).await.unwrap();
    assert!(is_allow(response(&answer.items[0])));
    assert!(is_allow(response(&answer.items[2])));
    let error = error(&answer.items[1]);
    assert_eq!(error.code, i32::from(Code::InvalidArgument));
    assert!(error.message.starts_with("resource.type: "), "{}", error.message);
    assert_eq!(
        error_fields(&answer.items[1]),
        [
            "resource.type",
            "context.reason",
            "entities[0].attributes.color",
            "role_assignments[0].role",
        ]
    );
}

#[tokio::test]
async fn a_bad_shared_field_fails_the_items_that_use_it() {
    let server = TestServer::start([stores::acme()]).await;
    let mut batch =
        batch([Item::default(), Item { resource: Some(uid("Site::1")), ..Item::default() }]);
    batch.resource = None;
    let answer = ask(&server, batch).await.unwrap();
    assert_eq!(error_fields(&answer.items[0]), ["resource"]);
    assert!(is_allow(response(&answer.items[1])));
}

#[tokio::test]
async fn items_are_explained_one_by_one_or_all() {
    let server = TestServer::start([stores::acme()]).await;
    let explained = async |all, one| {
        let mut batch = batch([Item::default(), Item { explain: one, ..Item::default() }]);
        batch.explain = all;
        let answer = ask(&server, batch).await.unwrap();
        let explained = answer.items.iter().map(|item| response(item).explanation.is_some());
        explained.collect::<Vec<_>>()
    };
    assert_eq!(explained(false, false).await, [false, false]);
    assert_eq!(explained(false, true).await, [false, true]);
    assert_eq!(explained(true, false).await, [true, true]);
}

#[tokio::test]
async fn an_item_carries_all_its_violations() {
    let server = TestServer::start([stores::acme()]).await;
    let bad = Item {
        role_assignments: roles(vec![assignment("king", "Site::1"); 99]),
        ..Item::default()
    };
    let answer = ask(&server, batch([bad])).await.unwrap();
    assert_eq!(error_fields(&answer.items[0]).len(), 99);
}

#[tokio::test]
async fn no_items_are_no_answers() {
    let server = TestServer::start([stores::acme()]).await;
    let answer = ask(&server, batch([])).await.unwrap();
    assert_eq!((answer.items.len(), answer.revision.len()), (0, 32));
}

#[tokio::test]
async fn more_items_than_the_limit_fail_together() {
    let options = GrpcOptions { batch_items: 3, ..GrpcOptions::default() };
    let server = TestServer::with([stores::acme()], options).await;
    assert!(ask(&server, batch(vec![Item::default(); 3])).await.is_ok());
    let status = ask(&server, batch(vec![Item::default(); 4])).await.unwrap_err();
    assert_eq!(fields(&status), ["items"]);
}

#[tokio::test]
async fn a_thousand_items_are_answered() {
    let server = TestServer::start([stores::acme()]).await;
    let own = Item { role_assignments: roles([assignment("owner", "Site::1")]), ..Item::default() };
    let answer = ask(&server, batch(vec![own; 1_000])).await.unwrap();
    assert_eq!(answer.items.len(), 1_000);
    assert!(allowed(&answer).into_iter().all(|allowed| allowed));
}

/// A thousand sites: alice owns the first, edits every third and views every fifth.
fn many_sites() -> Batch {
    let site = |n: usize| format!("Site::many-{n}");
    let roles = (0..1_000).flat_map(|n| {
        let editor = (n % 3 == 0).then(|| assignment("editor", &site(n)));
        editor.into_iter().chain((n % 5 == 0).then(|| assignment("viewer", &site(n))))
    });
    let sites = (0..1_000).map(|n| Item { resource: Some(uid(&site(n))), ..Item::default() });
    let mut batch = batch(sites);
    batch.role_assignments = roles.take(1_000).collect();
    batch
}

#[tokio::test]
async fn many_sites_are_answered_each_under_its_own_name() {
    let server = TestServer::start([stores::acme()]).await;
    let mut batch = many_sites();
    let held = batch.role_assignments.len();
    let viewed = |n: usize| {
        let site = uid(&format!("Site::many-{n}"));
        batch.role_assignments.iter().any(|role| role.scope.as_ref() == Some(&site))
    };
    let expected: Vec<_> = (0..1_000).map(viewed).collect();
    assert!(held > 400 && expected.contains(&false));
    let answer = ask(&server, batch.clone()).await.unwrap();
    assert_eq!(allowed(&answer), expected);
    let ids: std::collections::HashSet<_> =
        answer.items.iter().map(|item| &response(item).decision_id).collect();
    assert_eq!(ids.len(), 1_000);
    for (item, allowed) in answer.items.iter().zip(&expected) {
        assert_eq!(response(item).revision, answer.revision);
        let by = if *allowed { vec!["site-view"] } else { Vec::new() };
        assert_eq!(policies(response(item)), by);
    }
    batch.explain = true;
    batch.items.truncate(50);
    let explained = ask(&server, batch).await.unwrap();
    assert_eq!(allowed(&explained), expected[..50]);
    assert!(explained.items.iter().all(|item| response(item).explanation.is_some()));
}

#[tokio::test]
async fn every_item_is_counted_once_however_it_is_answered() {
    let server = TestServer::start([stores::acme()]).await;
    let items = (0..10)
        .map(|n| Item { resource: Some(uid(&format!("Site::{}", n % 5))), ..Item::default() });
    let bad = Item { resource: Some(uid("Page::1")), ..Item::default() };
    let answer = ask(&server, batch(items.chain([bad]))).await.unwrap();
    let allows = answer.items[..10].iter().filter(|item| is_allow(response(item))).count();
    assert_eq!(allows, 2);
    let page = http::get(server.http, "/metrics").await.body;
    for (decision, count) in [("allow", 2), ("deny", 8)] {
        let series = format!(
            "humbaba_decisions_total{{decision=\"{decision}\",rpc=\"BatchIsAuthorized\",store=\"acme\"}} {count}"
        );
        assert!(page.lines().any(|line| line == series), "{series}: {page}");
    }
}

#[tokio::test]
async fn items_that_are_verified_are_found_right() {
    let options = GrpcOptions { verify_sample: Sampler::ALL, ..GrpcOptions::default() };
    let server = TestServer::with([stores::acme()], options).await;
    let items = (0..20)
        .map(|n| Item { resource: Some(uid(&format!("Site::{}", n % 10))), ..Item::default() });
    let answer = ask(&server, batch(items)).await.unwrap();
    assert_eq!(allowed(&answer), (0..20).map(|n| n % 10 == 1).collect::<Vec<_>>());
    let page = http::get(server.http, "/metrics").await.body;
    for (name, count) in [("verifications", 20), ("verification_failures", 0)] {
        let series = format!("humbaba_{name}_total{{store=\"acme\"}} {count}");
        assert!(page.lines().any(|line| line == series), "{series}: {page}");
    }
}

#[tokio::test]
async fn a_message_with_an_item_that_is_none_is_refused_as_a_whole() {
    let server = TestServer::start([stores::acme()]).await;
    let mut message = batch(vec![Item::default(); 100]).encode_to_vec();
    // One more item, whose resource is cut off.
    message.extend([0x4a, 3, 0x1a, 9, 0x0a]);
    let body = raw::frame(&message).into();
    let answer: Result<BatchIsAuthorizedResponse, _> =
        raw::call_method(server.channel(), "BatchIsAuthorized", body).await;
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains("not a valid message"), "{status:?}");
}

#[tokio::test]
async fn a_batch_has_the_errors_of_stores_as_a_whole() {
    let server = TestServer::start([stores::acme()]).await;
    let mut batch = batch([Item::default()]);
    batch.policy_store = "other".to_owned();
    assert_eq!(ask(&server, batch).await.unwrap_err().code(), Code::NotFound);
}
