//! The actions of a principal on a resource.

use humbaba::proto::{ListActionsRequest, ListActionsResponse, value::Kind};
use tonic::{Code, Status};

use crate::support::{
    TestServer,
    ask::{Knowing as _, assignment, entity, fields, long, text, uid, value},
    stores,
};

fn list() -> ListActionsRequest {
    ListActionsRequest {
        principal: Some(uid("User::alice")),
        resource: Some(uid("Site::1")),
        ..ListActionsRequest::default()
    }
}

async fn ask(server: &TestServer, list: ListActionsRequest) -> Result<ListActionsResponse, Status> {
    server.client().list_actions(list).await.map(tonic::Response::into_inner)
}

fn actions(answer: &ListActionsResponse) -> Vec<&str> {
    assert!(answer.actions.iter().all(|action| action.r#type == "Acme::Action"));
    answer.actions.iter().map(|action| action.id.as_str()).collect()
}

fn undecided(answer: &ListActionsResponse) -> Vec<(&str, &str)> {
    let undecided = answer.undecided.iter();
    undecided.map(|one| (one.action.as_ref().unwrap().id.as_str(), one.reason.as_str())).collect()
}

#[tokio::test]
async fn the_allowed_actions_are_listed_by_id() {
    let server = TestServer::start([stores::acme()]).await;
    let mut list = list();
    list.role_assignments = vec![assignment("editor", "Site::1")];
    let answer = ask(&server, list).await.unwrap();
    assert_eq!(actions(&answer), ["site.edit", "site.goals.create", "site.preview", "site.view"]);
    assert_eq!(answer.revision, stores::acme().revision().as_str());
}

#[tokio::test]
async fn what_lacks_a_fact_is_undecided_and_says_which() {
    let server = TestServer::start([stores::acme()]).await;
    let answer = ask(&server, list()).await.unwrap();
    assert_eq!(actions(&answer), ["site.preview"]);
    let undecided = undecided(&answer);
    assert_eq!(undecided.len(), 2);
    assert_eq!(undecided[0].0, "site.count");
    assert!(undecided[0].1.contains("context.amount: missing"), "{}", undecided[0].1);
    assert_eq!(undecided[1].0, "site.delete");
}

#[tokio::test]
async fn each_action_gets_the_facts_that_it_declares() {
    let server = TestServer::start([stores::acme()]).await;
    let mut list = list();
    list.context = [("amount".to_owned(), long(1)), ("reason".to_owned(), text("old"))].into();
    list.role_assignments = vec![assignment("owner", "Site::1")];
    let answer = ask(&server, list).await.unwrap();
    assert!(answer.undecided.is_empty());
    assert_eq!(
        actions(&answer),
        [
            "site.count",
            "site.delete",
            "site.edit",
            "site.goals.create",
            "site.preview",
            "site.view",
        ]
    );
}

#[tokio::test]
async fn a_forbid_takes_actions_off_the_list() {
    let server = TestServer::start([stores::acme()]).await;
    let mut list = list();
    list.role_assignments = vec![assignment("editor", "Site::1")];
    list.entities = vec![entity("Site::1").attribute("locked", value(Kind::Boolean(true)))];
    let answer = ask(&server, list).await.unwrap();
    assert_eq!(actions(&answer), ["site.preview", "site.view"]);
}

#[tokio::test]
async fn what_is_wrong_for_every_action_is_bad_input() {
    let server = TestServer::start([stores::acme()]).await;
    let unknown_fact =
        ListActionsRequest { context: [("fact".to_owned(), text(""))].into(), ..list() };
    assert_eq!(fields(&ask(&server, unknown_fact).await.unwrap_err()), ["context.fact"]);
    let no_principal = ListActionsRequest { principal: None, ..list() };
    assert_eq!(fields(&ask(&server, no_principal).await.unwrap_err()), ["principal"]);
    let bad_role =
        ListActionsRequest { role_assignments: vec![assignment("king", "Site::1")], ..list() };
    let status = ask(&server, bad_role).await.unwrap_err();
    assert_eq!(fields(&status), ["role_assignments[0].role"]);
    let nothing_applies = ListActionsRequest { resource: Some(uid("Plan::free")), ..list() };
    assert_eq!(fields(&ask(&server, nothing_applies).await.unwrap_err()), ["resource"]);
}

#[tokio::test]
async fn what_cannot_be_read_is_told_with_the_rest() {
    let server = TestServer::start([stores::acme()]).await;
    let out_of_range = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
    let mut bad_role = assignment("king", "Site::1");
    bad_role.expires_at = Some(out_of_range);
    let list = ListActionsRequest { role_assignments: vec![bad_role], ..list() };
    assert_eq!(
        fields(&ask(&server, list).await.unwrap_err()),
        ["role_assignments[0].expires_at", "role_assignments[0].role"]
    );
}

#[tokio::test]
async fn an_unknown_store_is_not_found() {
    let server = TestServer::start([stores::acme()]).await;
    let list = ListActionsRequest { policy_store: "other".to_owned(), ..list() };
    assert_eq!(ask(&server, list).await.unwrap_err().code(), Code::NotFound);
}
