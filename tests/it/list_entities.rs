//! Lists of resources and principals, from a server with a directory.

use std::{collections::BTreeSet, time::Duration};

use humbaba::{
    audit::{DecisionLog, LogMode, LogOptions},
    directory::{Assignment, AssignmentKey, Change, DirectoryVersion, EntityRow, Position},
    grpc::GrpcOptions,
    model::{StoreName, Timestamp, Uid},
    proto::{
        EntityUid, ListPrincipalsRequest, ListPrincipalsResponse, ListResourcesRequest,
        ListResourcesResponse,
    },
    reload::RowReport,
    request::{Grant, RequestLimits},
    store::PolicyStore,
};
use tonic::{Code, Status};

use crate::support::{
    TestServer,
    ask::{
        Asking as _, Knowing as _, action, ask, assignment_of, datetime, entity, fields, is_allow,
        now, text, uid, violations,
    },
    stores,
};

/// A role of the directory.
fn role(principal: &str, role: &str, scope: &str) -> Change {
    until(principal, role, scope, None)
}

fn until(principal: &str, role: &str, scope: &str, expires_at: Option<Timestamp>) -> Change {
    let uid = |text: &str| text.parse::<Uid>().unwrap();
    let key = AssignmentKey { principal: uid(principal), role: role.to_owned(), scope: uid(scope) };
    let grant =
        Grant { granted_at: None, granted_by: "carol".to_owned(), reason: "ticket 7".to_owned() };
    Change::Put(Assignment { key, expires_at, grant })
}

/// An entity of the directory, in Cedar's JSON.
fn row(entity: &str, json: &str) -> Change {
    Change::PutEntity(EntityRow { uid: entity.parse().unwrap(), json: json.to_owned() })
}

fn member(user: &str, group: &str) -> Change {
    let json =
        format!(r#"{{"attrs": {{}}, "parents": [{{"type": "Acme::Group", "id": "{group}"}}]}}"#);
    row(user, &json)
}

/// Puts a directory in force, as the state of that number.
fn put(server: &TestServer, store: &str, number: u64, rows: Vec<Change>) {
    let name: StoreName = store.parse().unwrap();
    if number == 1 {
        server.live.add_directory(&name, "test", Duration::from_secs(600), 100);
    }
    let empty = server.live.empty_directory(&name, &RequestLimits::default()).unwrap();
    let (directory, faults) = empty.apply(rows);
    assert_eq!(faults, []);
    let version =
        DirectoryVersion { generation: "test".to_owned(), position: Position::Count(number) };
    server.live.replace_directory(&name, directory, version, RowReport::default());
}

async fn serving(options: GrpcOptions, rows: Vec<Change>) -> TestServer {
    let server = TestServer::with([stores::acme()], options).await;
    put(&server, "acme", 1, rows);
    server
}

fn past() -> Option<Timestamp> {
    Some(Timestamp::from_millis(now() - 1))
}

/// Two groups, one in the other, a team and some sites.
fn rows() -> Vec<Change> {
    vec![
        role("User::alice", "viewer", "Site::2"),
        role("User::alice", "editor", "Site::10"),
        until("User::alice", "owner", "Site::3", past()),
        role("Group::staff", "viewer", "Site::4"),
        role("Group::all", "owner", "Site::5"),
        role("User::bob", "viewer", "Site::2"),
        role("User::bob", "owner", "Team::red"),
        role("ApiClient::ci", "editor", "Site::2"),
        member("User::alice", "staff"),
        member("Group::staff", "all"),
        row(
            "Site::7",
            r#"{"attrs": {"team": {"__entity": {"type": "Acme::Team", "id": "red"}}}, "parents": []}"#,
        ),
        row("Site::10", r#"{"attrs": {"locked": true}, "parents": []}"#),
    ]
}

fn sites(principal: &str, action_id: &str) -> ListResourcesRequest {
    ListResourcesRequest {
        principal: Some(uid(principal)),
        action: Some(action(action_id)),
        resource_type: "Site".to_owned(),
        ..ListResourcesRequest::default()
    }
}

fn principals(entity_type: &str, action_id: &str, resource: &str) -> ListPrincipalsRequest {
    ListPrincipalsRequest {
        principal_type: entity_type.to_owned(),
        action: Some(action(action_id)),
        resource: Some(uid(resource)),
        ..ListPrincipalsRequest::default()
    }
}

async fn resources(
    server: &TestServer,
    list: ListResourcesRequest,
) -> Result<ListResourcesResponse, Status> {
    server.client().list_resources(list).await.map(tonic::Response::into_inner)
}

async fn who(
    server: &TestServer,
    list: ListPrincipalsRequest,
) -> Result<ListPrincipalsResponse, Status> {
    server.client().list_principals(list).await.map(tonic::Response::into_inner)
}

fn ids(entities: &[EntityUid]) -> Vec<&str> {
    entities.iter().map(|entity| entity.id.as_str()).collect()
}

#[tokio::test]
async fn the_resources_of_a_principal_are_listed_by_id() {
    let server = serving(GrpcOptions::default(), rows()).await;
    let answer = resources(&server, sites("User::alice", "site.view")).await.unwrap();
    assert_eq!(ids(&answer.resources), ["10", "2", "4", "5"]);
    assert!(answer.resources.iter().all(|site| site.r#type == "Acme::Site"));
    assert_eq!(answer.next_page_token, "");
    assert_eq!(answer.conditional, []);
    assert_eq!(answer.revision, stores::acme().revision().as_str());
    assert_eq!(answer.directory_version, "test.1");
    // A forbid takes the locked site off the list.
    let answer = resources(&server, sites("User::alice", "site.edit")).await.unwrap();
    assert_eq!(ids(&answer.resources), ["5"]);
    // By the role on a team that a site names.
    let answer = resources(&server, sites("User::bob", "site.edit")).await.unwrap();
    assert_eq!(ids(&answer.resources), ["7"]);
    let answer = resources(&server, sites("User::nobody", "site.view")).await.unwrap();
    assert_eq!(answer.resources, []);
}

#[tokio::test]
async fn the_principals_of_a_resource_are_listed_with_the_members_of_groups() {
    let server = serving(GrpcOptions::default(), rows()).await;
    for (entity_type, site, expected) in [
        ("User", "Site::2", vec!["alice", "bob"]),
        ("User", "Site::5", vec!["alice"]),
        ("User", "Site::7", vec!["bob"]),
        ("User", "Site::3", vec![]),
        ("Group", "Site::5", vec!["all", "staff"]),
        ("ApiClient", "Site::2", vec!["ci"]),
    ] {
        let answer = who(&server, principals(entity_type, "site.view", site)).await.unwrap();
        assert_eq!(ids(&answer.principals), expected, "{entity_type} on {site}");
        assert_eq!(answer.directory_version, "test.1");
    }
}

#[tokio::test]
async fn a_list_is_what_is_allowed_and_a_page_after_the_other_makes_the_whole() {
    let mut rows = rows();
    let many = (100..140).map(|n| role("User::alice", "viewer", &format!("Site::{n}")));
    rows.extend(many);
    let server = serving(GrpcOptions { page_items: 17, ..GrpcOptions::default() }, rows).await;
    let mut pages = Vec::new();
    let mut list = sites("User::alice", "site.view");
    loop {
        let answer = resources(&server, list.clone()).await.unwrap();
        pages.push(ids(&answer.resources).into_iter().map(str::to_owned).collect::<Vec<_>>());
        if answer.next_page_token.is_empty() {
            break;
        }
        list.page_token = answer.next_page_token;
    }
    // 44 sites: the setting cuts the first pages, and the last holds the rest.
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [17, 17, 10]);
    let listed = pages.concat();
    assert!(listed.is_sorted());
    let listed: BTreeSet<_> = listed.into_iter().collect();
    for id in (0..150).map(|n| n.to_string()) {
        let question = ask("User::alice", "site.view", &format!("Site::{id}"));
        assert_eq!(server.allows(question).await, listed.contains(&id), "{id}");
    }
    let one = ListResourcesRequest { page_size: 1, ..sites("User::alice", "site.view") };
    assert_eq!(ids(&resources(&server, one).await.unwrap().resources), ["10"]);
}

#[tokio::test]
async fn a_page_goes_on_after_the_last_id_whatever_has_changed() {
    let server = serving(GrpcOptions::default(), rows()).await;
    let mut list = ListResourcesRequest { page_size: 2, ..sites("User::alice", "site.view") };
    let answer = resources(&server, list.clone()).await.unwrap();
    assert_eq!(ids(&answer.resources), ["10", "2"]);
    put(
        &server,
        "acme",
        2,
        vec![role("User::alice", "viewer", "Site::1"), role("User::alice", "viewer", "Site::21")],
    );
    list.page_token = answer.next_page_token;
    let answer = resources(&server, list).await.unwrap();
    assert_eq!(ids(&answer.resources), ["21"]);
    assert_eq!(answer.directory_version, "test.2");
}

#[tokio::test]
async fn a_page_token_holds_for_its_own_question_alone() {
    let server = serving(GrpcOptions::default(), rows()).await;
    let mut list = ListResourcesRequest { page_size: 1, ..sites("User::alice", "site.view") };
    let token = resources(&server, list.clone()).await.unwrap().next_page_token;
    list.page_token = token.clone();
    list.page_size = 3;
    assert_eq!(ids(&resources(&server, list.clone()).await.unwrap().resources), ["2", "4", "5"]);
    let other =
        ListResourcesRequest { page_token: token.clone(), ..sites("User::bob", "site.view") };
    let status = resources(&server, other).await.unwrap_err();
    let found = violations(&status);
    assert_eq!(found[0].0, "page_token");
    assert!(found[0].1.contains("another question"), "{found:?}");
    list.page_token = "garbage".to_owned();
    assert_eq!(fields(&resources(&server, list).await.unwrap_err()), ["page_token"]);
    let mut list = principals("User", "site.view", "Site::2");
    list.page_token = token;
    assert_eq!(fields(&who(&server, list).await.unwrap_err()), ["page_token"]);
}

#[tokio::test]
async fn what_lacks_a_fact_of_the_request_is_conditional_and_says_which() {
    let mut rows = rows();
    rows.push(role("User::alice", "owner", "Site::6"));
    let server = serving(GrpcOptions::default(), rows).await;
    // `site.delete` asks for a reason, and for the role `owner`.
    let answer = resources(&server, sites("User::alice", "site.delete")).await.unwrap();
    assert_eq!(answer.resources, []);
    let conditional: Vec<_> = answer
        .conditional
        .iter()
        .map(|one| (one.entity.as_ref().unwrap().id.as_str(), one.reason.as_str()))
        .collect();
    assert_eq!(
        conditional,
        [
            ("5", "context.reason: missing: the action requires a string"),
            ("6", "context.reason: missing: the action requires a string"),
        ]
    );
    let mut list = sites("User::alice", "site.delete");
    list.context.insert("reason".to_owned(), text("old"));
    assert_eq!(ids(&resources(&server, list).await.unwrap().resources), ["5", "6"]);
}

#[tokio::test]
async fn an_entity_that_the_question_describes_is_listed_too() {
    let server = serving(
        GrpcOptions::default(),
        vec![row("Form::held", r#"{"attrs": {"title": "open"}, "parents": []}"#)],
    )
    .await;
    let list = ListResourcesRequest {
        resource_type: "Form".to_owned(),
        ..sites("User::alice", "form.send")
    };
    let answer = resources(&server, list.clone()).await.unwrap();
    assert_eq!(ids(&answer.resources), ["held"]);
    // A form of which the caller has said nothing is no candidate; one that it describes is.
    let mut described = list;
    described.entities = vec![
        entity("Form::sent").attribute("title", text("open")),
        entity("Form::other").attribute("title", text("shut")),
    ];
    let answer = resources(&server, described).await.unwrap();
    assert_eq!(ids(&answer.resources), ["held", "sent"]);
    assert_eq!(answer.conditional, []);
}

/// `request_facts = "add"`: what is sent counts beside what is held.
fn adding() -> std::sync::Arc<PolicyStore> {
    stores::store(
        "adding",
        &[
            (
                "schema.cedarschema",
                "@role entity Role; entity User in [Role];
                entity Doc = { owner: Role, level: Long };
                action view appliesTo { principal: User, resource: Doc };",
            ),
            (
                "policies.cedar",
                r#"@id("view") permit (principal, action, resource)
                when { principal in resource.owner && resource.level > 1 };"#,
            ),
            ("store.toml", "[directory]\nrequest_facts = \"add\"\n"),
        ],
    )
}

#[tokio::test]
async fn what_is_sent_is_listed_beside_what_is_held() {
    let server = TestServer::start([adding()]).await;
    put(
        &server,
        "adding",
        1,
        vec![
            role("User::alice", "owner", "Doc::high"),
            role("User::alice", "owner", "Doc::unknown"),
            role("User::bob", "owner", "Doc::other"),
            row("Doc::high", r#"{"attrs": {"level": 2}, "parents": []}"#),
        ],
    );
    let mut list =
        ListResourcesRequest { resource_type: "Doc".to_owned(), ..sites("User::alice", "view") };
    let answer = resources(&server, list.clone()).await.unwrap();
    assert_eq!(ids(&answer.resources), ["high"]);
    let reasons: Vec<_> = answer.conditional.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!(reasons, ["entities: `Doc::\"unknown\"` is not sent with its attribute `level`"]);
    let sent = |id: &str| entity(id).attribute("level", crate::support::ask::long(5));
    list.entities = vec![sent("Doc::unknown"), sent("Doc::sent"), sent("Doc::nobodys")];
    list.role_assignments = vec![crate::support::ask::assignment("owner", "Doc::sent")];
    let answer = resources(&server, list.clone()).await.unwrap();
    assert_eq!(ids(&answer.resources), ["high", "sent", "unknown"]);
    // A role without a scope would mean the resource, which is open.
    list.role_assignments[0].scope = None;
    let status = resources(&server, list).await.unwrap_err();
    assert_eq!(fields(&status), ["role_assignments[0].scope"]);
    let mut list = principals("User", "view", "Doc::high");
    list.role_assignments = vec![assignment_of("User::carol", "owner", "Doc::high")];
    assert_eq!(ids(&who(&server, list).await.unwrap().principals), ["alice", "carol"]);
}

#[tokio::test]
async fn a_list_needs_a_directory() {
    let server = TestServer::start([stores::acme()]).await;
    let status = resources(&server, sites("User::alice", "site.view")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("has no directory"), "{status}");
    let status = who(&server, principals("User", "site.view", "Site::1")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn bad_input_is_told_all_at_once() {
    let server = serving(GrpcOptions::default(), rows()).await;
    let list = ListResourcesRequest {
        resource_type: "Sit".to_owned(),
        ..sites("Client::alice", "site.vew")
    };
    let status = resources(&server, list).await.unwrap_err();
    assert_eq!(fields(&status), ["principal.type", "action.id", "resource_type"]);
    let list = ListResourcesRequest {
        resource_type: "Team".to_owned(),
        ..sites("User::alice", "site.view")
    };
    let found = violations(&resources(&server, list).await.unwrap_err());
    assert_eq!(found[0].0, "resource_type");
    assert!(found[0].1.contains("does not apply to a resource of type `Acme::Team`"), "{found:?}");
    let mut list = sites("User::alice", "site.view");
    list.role_assignments = vec![assignment_of("User::alice", "owner", "Site::1")];
    assert_eq!(fields(&resources(&server, list).await.unwrap_err()), ["role_assignments"]);
    let mut list = sites("User::alice", "site.preview");
    list.context.insert("now".to_owned(), datetime(0));
    assert_eq!(fields(&resources(&server, list).await.unwrap_err()), ["context.now"]);
}

#[tokio::test]
async fn a_version_that_is_asked_for_is_waited_for() {
    let server = serving(GrpcOptions::default(), rows()).await;
    let list = |version: &str| ListResourcesRequest {
        at_least_version: version.to_owned(),
        ..sites("User::alice", "site.view")
    };
    let status = resources(&server, list("other.1")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let (answer, ()) = tokio::join!(resources(&server, list("test.2")), async {
        put(&server, "acme", 2, vec![role("User::alice", "viewer", "Site::9")]);
    });
    let answer = answer.unwrap();
    assert_eq!(answer.directory_version, "test.2");
    assert_eq!(ids(&answer.resources), ["9"]);
}

#[tokio::test]
async fn a_list_of_actions_counts_what_the_directory_holds() {
    let server = serving(GrpcOptions::default(), rows()).await;
    let mut list = humbaba::proto::ListActionsRequest {
        principal: Some(uid("User::alice")),
        resource: Some(uid("Site::5")),
        ..Default::default()
    };
    let answer = server.client().list_actions(list.clone()).await.unwrap().into_inner();
    assert_eq!(
        ids(&answer.actions),
        ["site.edit", "site.goals.create", "site.preview", "site.view"]
    );
    assert_eq!(answer.directory_version, "test.1");
    // The server's clock counts, for every action.
    list.context.insert("now".to_owned(), datetime(0));
    assert_eq!(fields(&server.client().list_actions(list).await.unwrap_err()), ["context.now"]);
}

#[tokio::test]
async fn a_hint_that_is_followed_allows_and_an_allow_names_its_assignment() {
    let server = serving(GrpcOptions::default(), rows()).await;
    let question = || ask("User::dora", "site.edit", "Site::2").explained();
    let denied = server.ask(question()).await.unwrap();
    assert!(!is_allow(&denied));
    let hints = denied.explanation.unwrap().hints;
    assert!(!hints.is_empty());
    for (number, hint) in (2..).zip(hints) {
        assert_eq!(hint.instead_of, []);
        let add = hint.add.unwrap();
        let name = |uid: Option<EntityUid>| {
            let uid = uid.unwrap();
            Uid::new(uid.r#type, uid.id).to_string()
        };
        let (principal, scope) = (name(add.principal.clone()), name(add.scope.clone()));
        let mut rows = rows();
        rows.push(role(&principal, &add.role, &scope));
        put(&server, "acme", number, rows);
        let allowed = server.ask(question()).await.unwrap();
        assert!(is_allow(&allowed), "{add:?}");
        let carried_by = allowed.explanation.unwrap().carried_by;
        assert_eq!(carried_by.len(), 1, "{carried_by:?}");
        let grant = carried_by[0].grant.as_ref().unwrap();
        assert_eq!((grant.granted_by.as_str(), grant.reason.as_str()), ("carol", "ticket 7"));
        assert_eq!(carried_by[0].role, add.role);
        assert_eq!(carried_by[0].scope, add.scope);
    }
}

#[tokio::test]
async fn a_page_has_a_record_in_the_decision_log() {
    for hidden in [false, true] {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("decisions.jsonl");
        let mut options =
            LogOptions { mode: LogMode::On, file: Some(path.clone()), ..LogOptions::default() };
        if hidden {
            options.mask = vec!["resource.id".parse().unwrap()];
        }
        let log = DecisionLog::open(options).unwrap();
        let server = TestServer::recording([stores::acme()], log.clone()).await;
        put(&server, "acme", 1, rows());
        let list = ListResourcesRequest { page_size: 2, ..sites("User::alice", "site.view") };
        resources(&server, list).await.unwrap();
        resources(&server, sites("User::alice", "site.delete")).await.unwrap();
        who(&server, principals("User", "site.view", "Site::5")).await.unwrap();
        assert!(log.close(Duration::from_secs(20)).await);
        let records = crate::decision_log::records(&path);
        let rpcs: Vec<_> = records.iter().map(|record| record["rpc"].as_str().unwrap()).collect();
        assert_eq!(rpcs, ["ListResources", "ListResources", "ListPrincipals"]);
        let listed = &records[0]["listed"];
        assert_eq!((&listed["side"], &listed["type"]), (&"resource".into(), &"Site".into()));
        assert_eq!(listed["is_last"], false);
        assert_eq!(records[0]["action"]["id"], "site.view");
        assert_eq!(records[0].get("resource"), None);
        let first = if hidden { "[masked]" } else { "10" };
        assert_eq!(listed["allowed"][0]["id"], first);
        let reason = records[1]["listed"]["undecided"][0]["reason"].as_str().unwrap();
        assert_eq!(reason == "[masked]", hidden, "{reason}");
        assert_eq!(records[2]["listed"]["allowed"][0]["id"], "alice");
        assert_eq!(records[2]["resource"]["id"], if hidden { "[masked]" } else { "5" });
    }
}

#[tokio::test]
async fn the_decisions_of_a_list_are_counted() {
    let server = serving(GrpcOptions::default(), rows()).await;
    resources(&server, sites("User::alice", "site.edit")).await.unwrap();
    let text = crate::support::http::get(server.http, "/metrics").await.body;
    let count = |decision: &str| {
        let name = format!(
            r#"humbaba_decisions_total{{decision="{decision}",rpc="ListResources",store="acme"}} "#
        );
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().to_owned()
    };
    assert_eq!(count("allow"), "1");
    // The locked site. Sites without a role that allows it are not decided at all.
    assert_eq!(count("deny"), "1");
}
