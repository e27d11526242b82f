//! Questions to a store that has a directory.

use std::{sync::Arc, time::Duration};

use humbaba::{
    directory::Assignment,
    grpc::GrpcOptions,
    model::{OnForbidError, Timestamp},
    proto::{
        BatchIsAuthorizedItem, BatchIsAuthorizedRequest, IsAuthorizedRequest, ListActionsRequest,
        RoleAssignments, batch_is_authorized_result::Result as ItemResult,
    },
    request::Grant,
    store::PolicyStore,
};
use serde_json::json;
use tonic::Code;

use crate::support::{
    TestServer,
    ask::{Asking as _, Knowing as _, ask, entity, fields, is_allow, now, text, uid},
    directory::{
        announce, fill, give, gone, held, held_assignment, held_entity, held_until, version,
    },
    stores, wait,
};

fn view(who: &str) -> IsAuthorizedRequest {
    ask(who, "site.view", "Site::1")
}

/// A server of a store whose directory says that Alice edits site 1.
async fn server() -> (TestServer, Arc<PolicyStore>) {
    let store = stores::acme();
    let server = TestServer::start([Arc::clone(&store)]).await;
    give(&server.live, &store, vec![held("User::alice", "editor", "Site::1")]);
    (server, store)
}

#[tokio::test]
async fn a_role_of_the_directory_counts_and_the_answer_names_the_version() {
    let (server, store) = server().await;
    let answer = server.ask(view("User::alice")).await.unwrap();
    assert!(is_allow(&answer));
    assert_eq!(answer.directory_version, "history.1");
    assert!(!is_allow(&server.ask(view("User::bob")).await.unwrap()));
    assert!(!is_allow(&server.ask(ask("User::alice", "site.view", "Site::2")).await.unwrap()));

    server.live.change_directory(
        store.name(),
        vec![gone("User::alice", "editor", "Site::1"), held("User::bob", "viewer", "Site::1")],
        version(2),
    );
    let answer = server.ask(view("User::alice")).await.unwrap();
    assert!(!is_allow(&answer));
    assert_eq!(answer.directory_version, "history.2");
    assert!(is_allow(&server.ask(view("User::bob")).await.unwrap()));
}

#[tokio::test]
async fn groups_and_attributes_of_the_directory_count() {
    let (server, store) = server().await;
    server.live.change_directory(
        store.name(),
        vec![
            held("Group::staff", "owner", "Team::web"),
            held_entity("User::carol", &json!({"parents": [{"type": "Group", "id": "juniors"}]})),
            held_entity("Group::juniors", &json!({"parents": [{"type": "Group", "id": "staff"}]})),
            held_entity("Site::1", &json!({"attrs": {"team": {"type": "Team", "id": "web"}}})),
        ],
        version(2),
    );
    assert!(is_allow(&server.ask(view("User::carol")).await.unwrap()));
    let edit = ask("User::carol", "site.edit", "Site::1");
    assert!(is_allow(&server.ask(edit.clone()).await.unwrap()));

    let locked = json!({"attrs": {"team": {"type": "Team", "id": "web"}, "locked": true}});
    server.live.change_directory(store.name(), vec![held_entity("Site::1", &locked)], version(3));
    assert!(!is_allow(&server.ask(edit).await.unwrap()));
    assert!(is_allow(&server.ask(view("User::carol")).await.unwrap()));
}

#[tokio::test]
async fn a_role_expires_by_the_servers_clock() {
    let (server, store) = server().await;
    server.live.change_directory(
        store.name(),
        vec![
            held_until("User::past", "viewer", "Site::1", now() - 1),
            held_until("User::soon", "viewer", "Site::1", now() + 60_000),
        ],
        version(2),
    );
    assert!(!is_allow(&server.ask(view("User::past")).await.unwrap()));
    assert!(is_allow(&server.ask(view("User::soon")).await.unwrap()));
    let preview = ask("User::past", "site.preview", "Site::1");
    assert!(is_allow(&server.ask(preview.clone()).await.unwrap()));
    let moved = preview.fact("now", crate::support::ask::datetime(0));
    let status = server.ask(moved).await.unwrap_err();
    assert_eq!(
        (status.code(), fields(&status)),
        (Code::InvalidArgument, vec!["context.now".into()])
    );
}

#[tokio::test]
async fn callers_cannot_assert_roles_in_whatever_form() {
    let (server, store) = server().await;
    let locked = json!({"attrs": {"locked": true}});
    server.live.change_directory(store.name(), vec![held_entity("Site::1", &locked)], version(2));
    let unlocked = crate::support::ask::value(humbaba::proto::value::Kind::Boolean(false));
    for (question, field) in [
        (view("User::bob").role("owner", "Site::1"), "role_assignments"),
        (
            view("User::bob").entity(entity("User::bob").within("Group::staff")),
            "entities[0].parents",
        ),
        (
            view("User::bob").entity(entity("Site::1").attribute("locked", unlocked)),
            "entities[0].attributes.locked",
        ),
        (
            view("User::bob").entity(
                entity("Site::1").attribute("team", crate::support::ask::reference("Team::t")),
            ),
            "entities[0].attributes.team",
        ),
    ] {
        let status = server.ask(question).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert_eq!(fields(&status), [field]);
    }
    // Nothing is held of Bob himself, and no role comes of a name.
    let named = view("User::bob").entity(entity("User::bob").attribute("name", text("Bob")));
    assert!(!is_allow(&server.ask(named).await.unwrap()));
}

#[tokio::test]
async fn a_batch_cannot_assert_roles_either() {
    let (server, _) = server().await;
    let item = |roles: Option<RoleAssignments>| BatchIsAuthorizedItem {
        principal: Some(uid("User::bob")),
        role_assignments: roles,
        ..BatchIsAuthorizedItem::default()
    };
    let owner = crate::support::ask::assignment("owner", "Site::1");
    let batch = BatchIsAuthorizedRequest {
        action: Some(crate::support::ask::action("site.view")),
        resource: Some(uid("Site::1")),
        items: vec![
            item(None),
            item(Some(RoleAssignments { items: vec![owner.clone()] })),
            BatchIsAuthorizedItem { principal: Some(uid("User::alice")), ..item(None) },
        ],
        ..BatchIsAuthorizedRequest::default()
    };
    let answer = server.client().batch_is_authorized(batch.clone()).await.unwrap().into_inner();
    assert_eq!(answer.directory_version, "history.1");
    let results: Vec<_> = answer.items.into_iter().map(|item| item.result.unwrap()).collect();
    let [ItemResult::Response(bob), ItemResult::Error(asserted), ItemResult::Response(alice)] =
        &results[..]
    else {
        panic!("{results:?}");
    };
    assert!(!is_allow(bob) && is_allow(alice));
    assert!(asserted.message.starts_with("role_assignments:"), "{}", asserted.message);

    let owner = crate::support::ask::assignment_of("User::bob", "owner", "Site::1");
    let shared = BatchIsAuthorizedRequest { role_assignments: vec![owner], ..batch };
    let status = server.client().batch_is_authorized(shared).await.unwrap_err();
    assert_eq!(fields(&status), ["role_assignments"]);
}

#[tokio::test]
async fn a_store_may_say_that_callers_add_to_its_directory() {
    let store = stores::acme_with(&[("store.toml", "[directory]\nrequest_facts = \"add\"\n")]);
    let server = TestServer::start([Arc::clone(&store)]).await;
    let team = json!({"attrs": {"team": {"type": "Team", "id": "web"}}});
    give(
        &server.live,
        &store,
        vec![held("Group::staff", "owner", "Team::web"), held_entity("Site::1", &team)],
    );
    let in_staff = view("User::bob").entity(entity("User::bob").within("Group::staff"));
    assert!(is_allow(&server.ask(in_staff).await.unwrap()));
    assert!(is_allow(&server.ask(view("User::eve").role("viewer", "Site::1")).await.unwrap()));
    // The attribute that is sent is added, the one that is held stays.
    let locked = crate::support::ask::value(humbaba::proto::value::Kind::Boolean(true));
    let edit = ask("User::bob", "site.edit", "Site::1")
        .entity(entity("User::bob").within("Group::staff"))
        .entity(entity("Site::1").attribute("locked", locked));
    assert!(!is_allow(&server.ask(edit).await.unwrap()));
    let other = entity("Site::1").attribute("team", crate::support::ask::reference("Team::other"));
    let status = server.ask(view("User::bob").entity(other)).await.unwrap_err();
    assert_eq!(fields(&status), ["entities[0].attributes.team"]);
}

#[tokio::test]
async fn an_allow_names_the_assignment_that_carried_it_and_who_granted_it() {
    let (server, store) = server().await;
    let grant = Grant {
        granted_at: Some(Timestamp::from_seconds(1_767_225_600)),
        granted_by: "carol".to_owned(),
        reason: "TICKET-7".to_owned(),
    };
    let assignment = Assignment { grant, ..held_assignment("Group::staff", "viewer", "Site::1") };
    let member = json!({"parents": [{"type": "Group", "id": "staff"}]});
    server.live.change_directory(
        store.name(),
        vec![humbaba::directory::Change::Put(assignment), held_entity("User::bob", &member)],
        version(2),
    );
    let answer = server.ask(view("User::bob").explained()).await.unwrap();
    let explanation = answer.explanation.unwrap();
    let [carried] = &explanation.carried_by[..] else { panic!("{explanation:?}") };
    assert_eq!(carried.principal.as_ref().unwrap().id, "staff");
    assert_eq!(carried.role, "viewer");
    let grant = carried.grant.as_ref().unwrap();
    assert_eq!((grant.granted_by.as_str(), grant.reason.as_str()), ("carol", "TICKET-7"));
    assert_eq!(grant.granted_at.as_ref().unwrap().seconds, 1_767_225_600);
}

#[tokio::test]
async fn the_hint_of_a_deny_put_into_the_directory_allows() {
    let (server, store) = server().await;
    let edit = ask("User::bob", "site.edit", "Site::1").explained();
    let answer = server.ask(edit.clone()).await.unwrap();
    assert!(!is_allow(&answer));
    let hints = answer.explanation.unwrap().hints;
    assert!(!hints.is_empty());
    for (count, hint) in (2..).zip(hints) {
        let add = hint.add.unwrap();
        assert!(hint.instead_of.is_empty());
        let (principal, scope) = (add.principal.unwrap(), add.scope.unwrap());
        let key = humbaba::directory::AssignmentKey {
            principal: humbaba::model::Uid::new(principal.r#type, principal.id),
            role: add.role,
            scope: humbaba::model::Uid::new(scope.r#type, scope.id),
        };
        let put = humbaba::directory::Change::Put(Assignment {
            key: key.clone(),
            expires_at: None,
            grant: Grant::default(),
        });
        server.live.change_directory(store.name(), vec![put], version(count));
        assert!(is_allow(&server.ask(edit.clone()).await.unwrap()), "{key:?}");
        let delete = humbaba::directory::Change::Delete(key);
        server.live.change_directory(store.name(), vec![delete], version(count));
        assert!(!is_allow(&server.ask(edit.clone()).await.unwrap()));
    }
}

#[tokio::test]
async fn actions_are_listed_with_the_directory() {
    let (server, _) = server().await;
    let list = |who: &str| ListActionsRequest {
        principal: Some(uid(who)),
        resource: Some(uid("Site::1")),
        ..ListActionsRequest::default()
    };
    let listed = |answer: humbaba::proto::ListActionsResponse| {
        answer.actions.into_iter().map(|action| action.id).collect::<Vec<_>>()
    };
    let alice = server.client().list_actions(list("User::alice")).await.unwrap().into_inner();
    assert_eq!(alice.directory_version, "history.1");
    let alice = listed(alice);
    let bob = listed(server.client().list_actions(list("User::bob")).await.unwrap().into_inner());
    assert!(alice.contains(&"site.goals.create".to_owned()), "{alice:?}");
    assert!(!bob.contains(&"site.view".to_owned()), "{bob:?}");
}

#[tokio::test]
async fn a_question_waits_for_the_version_that_it_asks_for() {
    let (server, store) = server().await;
    let at_least = |version: &str| IsAuthorizedRequest {
        at_least_version: version.to_owned(),
        ..view("User::bob")
    };
    assert!(!is_allow(&server.ask(at_least("history.1")).await.unwrap()));

    let mut client = server.client();
    let waiting = tokio::spawn(async move { client.is_authorized(at_least("history.2")).await });
    wait::until("the question waits", async || {
        let metrics = crate::support::http::get(server.http, "/metrics").await.body;
        metrics.contains("humbaba_requests_waiting 1")
    })
    .await;
    let bob = vec![held("User::bob", "viewer", "Site::1")];
    server.live.change_directory(store.name(), bob, version(2));
    let answer = waiting.await.unwrap().unwrap().into_inner();
    assert!(is_allow(&answer));
    assert_eq!(answer.directory_version, "history.2");
}

#[tokio::test]
async fn questions_beyond_the_limit_do_not_wait_and_are_counted() {
    let store = stores::acme();
    let options = GrpcOptions { waiting: 1, ..GrpcOptions::default() };
    let server = TestServer::with([Arc::clone(&store)], options).await;
    give(&server.live, &store, vec![held("User::alice", "editor", "Site::1")]);
    let later =
        || IsAuthorizedRequest { at_least_version: "history.2".to_owned(), ..view("User::alice") };
    let metrics = async || crate::support::http::get(server.http, "/metrics").await.body;
    let mut client = server.client();
    let first = tokio::spawn(async move { client.is_authorized(later()).await });
    wait::until("the question waits", async || {
        metrics().await.contains("humbaba_requests_waiting 1")
    })
    .await;
    let status = server.ask(later()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "the limit `limits.waiting` of 1 is reached: try again later");
    let page = metrics().await;
    assert!(page.contains("humbaba_limits_hit_total{limit=\"waiting\"} 1\n"), "{page}");
    first.abort();
}

#[tokio::test]
async fn a_version_that_never_comes_is_refused_in_time_and_a_wrong_one_at_once() {
    let (server, _) = server().await;
    let at_least = |version: &str| IsAuthorizedRequest {
        at_least_version: version.to_owned(),
        ..view("User::alice")
    };
    let mut late = tonic::Request::new(at_least("history.2"));
    late.set_timeout(Duration::from_millis(50));
    let status = server.client().is_authorized(late).await.unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    let status = server.ask(at_least("other.1")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let status = server.ask(at_least("nonsense")).await.unwrap_err();
    assert_eq!(fields(&status), ["at_least_version"]);

    let without = TestServer::start([stores::acme()]).await;
    let status = without.ask(at_least("history.1")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn without_a_first_state_or_a_fresh_one_nothing_is_decided() {
    let store = stores::acme();
    let server = TestServer::start([Arc::clone(&store)]).await;
    announce(&server.live, &store, Duration::from_millis(20));
    server.live.directory_failed(store.name(), "the database does not answer");
    let status = server.ask(view("User::alice")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("the database does not answer"), "{status:?}");

    fill(&server.live, store.name(), vec![held("User::alice", "viewer", "Site::1")]);
    wait::until("the state is too old", async || {
        server.live.directory_failed(store.name(), "the database does not answer");
        let status = server.ask(view("User::alice")).await.err();
        status.is_some_and(|status| status.code() == Code::Unavailable)
    })
    .await;
    let metrics = crate::support::http::get(server.http, "/metrics").await.body;
    assert!(metrics.contains("humbaba_directory_unavailable{store=\"acme\"} 1"), "{metrics}");
    server.live.confirm_directory(store.name());
    let metrics = crate::support::http::get(server.http, "/metrics").await.body;
    assert!(metrics.contains("humbaba_directory_assignments{store=\"acme\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_role_that_a_reload_takes_away_grants_nothing_and_comes_back_with_it() {
    let (server, store) = server().await;
    let status = async |server: &TestServer| {
        let page = crate::support::http::get(server.http, "/status").await.body;
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        page["directories"][0].clone()
    };
    assert_eq!(status(&server).await["ignored"], 0);
    server.publish([stores::acme_without_editors()], None);
    assert!(!is_allow(&server.ask(view("User::alice")).await.unwrap()));
    let page = status(&server).await;
    assert_eq!((&page["ignored"], &page["assignments"]), (&json!(1), &json!(1)));
    server.publish([store], None);
    assert!(is_allow(&server.ask(view("User::alice")).await.unwrap()));
    assert_eq!(status(&server).await["ignored"], 0);
}

/// A store of which Cedar's evaluator decides everything, as nobody has a level.
fn teams() -> Arc<PolicyStore> {
    stores::store(
        "teams",
        &[
            (
                "schema.cedarschema",
                "@role entity Role; entity User in [Role] = { level: Long };
                entity Team = { active?: Bool };
                entity Site = { owner: Role, team?: Team, more?: { teams: Set<Team> } } tags Team;
                action view, edit, tag, sum appliesTo { principal: User, resource: Site };",
            ),
            (
                "policies.cedar",
                r#"@id("owner") permit (principal, action, resource)
                when { principal in resource.owner };
                @id("level") permit (principal, action, resource) when { principal.level > 3 };
                @id("team") permit (principal, action == Action::"view", resource)
                when { resource has team && resource.team has active && resource.team.active };
                @id("inactive") forbid (principal, action == Action::"edit", resource)
                when { resource has team && resource.team has active && !resource.team.active };
                @id("tagged") forbid (principal, action == Action::"tag", resource)
                when { resource.hasTag("of") && resource.getTag("of") has active };
                @id("none") forbid (principal, action == Action::"sum", resource)
                when { resource has more && resource.more.teams.isEmpty() };"#,
            ),
        ],
    )
}

#[tokio::test]
async fn an_entity_that_cannot_be_read_denies_only_the_actions_of_policies_that_name_it() {
    let schema = "entity Group { n?: Long }; entity Team { flag: Bool }; entity User in [Group];
                  entity Doc { team: Team };
                  action x, y appliesTo { principal: User, resource: Doc };";
    // The second policy fails, so that Cedar's evaluator decides.
    let policies = r#"@id("all") permit (principal, action == Action::"x", resource);
        @id("team") permit (principal, action == Action::"x", resource)
        when { resource.team.flag };
        @id("group") permit (principal, action == Action::"y", resource)
        when { Group::"g" has n || true };"#;
    let files = [("schema.cedarschema", schema), ("policies.cedar", policies)];
    let store = stores::store("docs", &files);
    let server = TestServer::with([Arc::clone(&store)], GrpcOptions::default()).await;
    give(&server.live, &store, Vec::new());
    let rows = vec![
        held_entity("Group::g", &json!({"attrs": {"n": "not a number"}})),
        held_entity("Doc::1", &json!({"attrs": {"team": {"type": "Team", "id": "t"}}})),
    ];
    server.live.change_directory(store.name(), rows, version(2));
    let other = server.ask(ask("User::alice", "x", "Doc::1")).await.unwrap();
    assert!(is_allow(&other), "{other:?}");
    let named = server.ask(ask("User::alice", "y", "Doc::1")).await.unwrap();
    assert!(!is_allow(&named) && named.errors[0].message.contains("Group::\"g\""), "{named:?}");
}

#[tokio::test]
async fn a_value_that_names_an_entity_which_cannot_be_read_denies_what_reads_it_alone() {
    for on_forbid_error in [OnForbidError::Deny, OnForbidError::Skip] {
        let store = teams();
        let options = GrpcOptions { on_forbid_error, ..GrpcOptions::default() };
        let server = TestServer::with([Arc::clone(&store)], options).await;
        let roles = ["Site::1", "Site::2", "Site::3", "Site::4"];
        give(&server.live, &store, roles.map(|site| held("User::alice", "owner", site)).to_vec());
        let web = json!({"type": "Team", "id": "web"});
        let rows = vec![
            held_entity("Team::web", &json!({"attrs": {"undeclared": 1}})),
            held_entity("Site::1", &json!({"attrs": {"team": web}})),
            held_entity("Site::2", &json!({"attrs": {}, "tags": {"of": web}})),
            held_entity("Site::3", &json!({"attrs": {"more": {"teams": [web]}}})),
        ];
        let faults = server.live.change_directory(store.name(), rows, version(2));
        assert_eq!(faults.len(), 1, "{faults:?}");
        for (action, denied) in [("view", ""), ("edit", "1"), ("tag", "2"), ("sum", "3")] {
            for site in ["1", "2", "3", "4"] {
                let question = ask("User::alice", action, &format!("Site::{site}"));
                let answer = server.ask(question).await.unwrap();
                assert_eq!(is_allow(&answer), site != denied, "{action} {site}: {answer:?}");
                let names =
                    answer.errors.iter().any(|error| error.message.contains("Team::\"web\""));
                let reads = site == denied || (action, site) == ("view", "1");
                assert_eq!(names, reads, "{action} {site}: {answer:?}");
            }
        }
        // What is asked about is looked at by every policy.
        let row = held_entity("Site::4", &json!({"attrs": {"undeclared": 1}}));
        server.live.change_directory(store.name(), vec![row], version(3));
        assert!(!is_allow(&server.ask(ask("User::alice", "view", "Site::4")).await.unwrap()));
    }
}
