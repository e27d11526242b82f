//! Entities that the store or its directory holds, and roles that a caller says are held.

use std::{sync::Arc, time::Duration};

use humbaba::{
    directory::{Assignment, AssignmentKey, Change, DirectoryVersion, EntityRow, Position},
    grpc::GrpcOptions,
    http::WebOptions,
    model::Uid,
    reload::RowReport,
    request::{Grant, RequestLimits},
    store::{Bounds, PolicyStore, StoreFiles},
};
use serde_json::{Value as Json, json};

use super::web::{Web, ask, asking, entity, with};
use crate::support::{http, stores::store, wait};

const SCHEMA: &str = r#"
@role entity Role;
entity Group;
entity User in [Group, Role] = { level: Long, name?: String } tags String;
entity Robot in [Role] = { roles?: Set<String> };
entity Site = { owner: Role, editor: Role, plan?: String };
entity Page;
action "enter" appliesTo { principal: User, resource: Site };
action "edit" appliesTo { principal: [User, Robot], resource: [Site, Page], context: { now?: datetime } };
"#;

const POLICIES: &str = r#"
permit (principal in Group::"staff", action == Action::"enter", resource)
when { principal.level > 5 && principal.hasTag("floor") && resource has plan && resource.plan == "open" };
permit (principal, action == Action::"edit", resource is Site) when { principal in resource.editor };
permit (principal in Role::"Site::1#owner", action == Action::"edit", resource is Page);
permit (principal is Robot, action == Action::"edit", resource is Page)
when { principal has roles && principal.roles.contains("editor") };
"#;

const ENTITIES: &str = r#"[
    {"uid": {"type": "User", "id": "alice"}, "attrs": {"level": 1}, "parents": [{"type": "Group", "id": "staff"}], "tags": {"floor": "1"}},
    {"uid": {"type": "Group", "id": "staff"}, "attrs": {}, "parents": []},
    {"uid": {"type": "Site", "id": "1"}, "attrs": {"plan": "open"}, "parents": []}
]"#;

fn guard(settings: &str) -> Arc<PolicyStore> {
    let files = [
        ("schema.cedarschema", SCHEMA),
        ("p.cedar", POLICIES),
        ("facts.cedarentities.json", ENTITIES),
        ("store.toml", settings),
    ];
    store("guard", &files)
}

/// Alice wants to enter the site, and says that of herself.
fn enter(properties: Json) -> Json {
    let question = ask("User::alice", "enter", "Site::1");
    asking(question, "subject", with("User::alice", properties))
}

fn explained(question: Json) -> Json {
    asking(question, "options", json!({"explain": true}))
}

#[tokio::test]
async fn properties_of_held_entities_are_ignored_and_named() {
    let web = Web::start([guard("")]).await;
    // A value that would not fit is as little looked at as one that would.
    for level in [json!(9), json!("nine")] {
        let question = enter(json!({"level": level, "name": "A", "other": 1}));
        assert_eq!(web.evaluation(&question).await, json!({"decision": false}));
        let answer = web.evaluation(&explained(question)).await;
        let ignored = json!(["subject.properties.level", "subject.properties.name"]);
        assert_eq!(answer["context"]["ignored"], ignored);
    }
    let question = asking(
        enter(json!({})),
        "resource",
        with("Site::1", json!({"plan": "closed", "owner": "x"})),
    );
    let answer = web.evaluation(&explained(question)).await;
    assert_eq!(answer["context"]["ignored"], json!(["resource.properties.plan"]));
}

#[tokio::test]
async fn overridable_attributes_are_laid_over_what_is_held_and_the_rest_stays() {
    let web =
        Web::start([guard("[authzen]\noverridable = [\"User.level\", \"Site.plan\"]\n")]).await;
    assert!(!web.decision(&enter(json!({}))).await);
    // Group, tag and the site's plan are those that are held.
    assert!(web.decision(&enter(json!({"level": 9}))).await);
    let closed =
        asking(enter(json!({"level": 9})), "resource", with("Site::1", json!({"plan": "closed"})));
    assert!(!web.decision(&closed).await);
    let answer = web.evaluation(&explained(enter(json!({"level": 9, "name": "A"})))).await;
    assert_eq!(answer["context"]["ignored"], json!(["subject.properties.name"]));
    let (_, message) = web.fault(&enter(json!({"level": "9"}))).await;
    assert!(message.starts_with("subject.properties.level: a long is expected"), "{message}");
    // A subject that is not held has no group, whatever is said.
    let stranger = json!({"level": 9, "floor": "1", "parents": ["staff"]});
    let question = asking(enter(json!({})), "subject", with("User::mallory", stranger));
    assert!(!web.decision(&question).await);
    // Nothing of one question is left for the next.
    assert!(!web.decision(&enter(json!({}))).await);
    let items = json!([enter(json!({"level": 9})), enter(json!({})), enter(json!({"level": 8}))]);
    let answer = web.evaluations(&json!({"evaluations": items})).await;
    let expected = json!([{"decision": true}, {"decision": false}, {"decision": true}]);
    assert_eq!(answer, json!({"evaluations": expected}));
}

#[test]
fn what_store_toml_lists_must_be_an_attribute() {
    for (listed, message) in [
        ("Usr.level", "the schema has no entity type `Usr`"),
        ("User.lvl", "`User` has no attribute `lvl`"),
        ("Site.owner", "`Site.owner` is a role slot"),
        ("level", "`level` names no attribute: write `Type.attribute`"),
    ] {
        let settings = format!("[authzen]\noverridable = [\"User.level\", \"{listed}\"]\n");
        let files =
            [("schema.cedarschema", SCHEMA), ("p.cedar", POLICIES), ("store.toml", &settings)];
        let files = files.map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
        let files = StoreFiles::new("guard".parse().unwrap(), files);
        let problems = PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap_err();
        let rendered = problems[0].render();
        assert!(rendered.contains(message) && rendered.contains("store.toml:2:"), "{rendered}");
    }
}

/// May the subject edit the site, with those roles?
fn edit(roles: &Json) -> Json {
    let subject = with("User::bob", json!({"level": 1, "roles": roles}));
    asking(ask("User::bob", "edit", "Site::1"), "subject", subject)
}

#[tokio::test]
async fn roles_count_only_where_the_store_says_so() {
    let scoped =
        |role: &str, site: &str| json!([{"role": role, "scope": {"type": "Site", "id": site}}]);
    let web = Web::start([guard("")]).await;
    let ignored = web.evaluation(&explained(edit(&scoped("editor", "1")))).await;
    assert_eq!(ignored["decision"], json!(false));
    assert_eq!(ignored["context"]["ignored"], json!(["subject.properties.roles"]));
    // Whatever a token carries under that name.
    assert_eq!(web.evaluation(&edit(&json!("admin"))).await, json!({"decision": false}));

    let web = Web::start([guard("[authzen]\nroles = \"assignments\"\n")]).await;
    assert!(web.decision(&edit(&scoped("editor", "1"))).await);
    assert!(!web.decision(&edit(&scoped("editor", "2"))).await);
    assert!(!web.decision(&edit(&scoped("owner", "1"))).await);
    let expiring = |at: &str| json!([{"role": "editor", "scope": {"type": "Site", "id": "1"}, "expires_at": at}]);
    assert!(web.decision(&edit(&expiring("2999-01-01T00:00:00Z"))).await);
    assert!(!web.decision(&edit(&expiring("2001-01-01T00:00:00Z"))).await);
    for (roles, message) in [
        (json!("editor"), "subject.properties.roles: an array of roles is expected, not a string"),
        (json!(["editor"]), "subject.properties.roles[0]: write `{\"role\""),
        (json!([1]), "subject.properties.roles[0]: a role is expected, not a number"),
        (json!([{"role": "editor"}]), "subject.properties.roles[0].scope: missing"),
        (json!([{"scope": entity("Site::1")}]), "subject.properties.roles[0].role: missing"),
        (
            json!([{"role": "editor", "scope": {"id": "1"}}]),
            "subject.properties.roles[0].scope: name an entity",
        ),
        (expiring("soon"), "subject.properties.roles[0].expires_at: `soon` is not a date and time"),
        (scoped("boss", "1"), "subject.properties.roles[0].role: `Site` has no role `boss`"),
        (
            json!([{"role": "editor", "scope": entity("Page::1")}]),
            "subject.properties.roles[0].scope: no role can be held on a `Page`",
        ),
    ] {
        let (_, found) = web.fault(&edit(&roles)).await;
        assert!(found.starts_with(message), "{roles}: {found}");
    }
}

#[tokio::test]
async fn a_bare_role_means_the_resource_of_each_question() {
    let web = Web::start([guard("[authzen]\nroles = \"assignments-and-bare\"\n")]).await;
    assert!(web.decision(&edit(&json!(["editor"]))).await);
    assert!(!web.decision(&edit(&json!(["reader"]))).await);
    // A default subject is inherited whole, and its bare role means the item's resource.
    let subject = with("User::bob", json!({"level": 1, "roles": ["editor"]}));
    let items = json!([{"resource": entity("Site::1")}, {"resource": entity("Site::2")}, {"resource": entity("Page::1")}]);
    let request = json!({"subject": subject, "action": {"name": "edit"}, "evaluations": items});
    let expected = json!([{"decision": true}, {"decision": true}, {"decision": false}]);
    assert_eq!(web.evaluations(&request).await, json!({"evaluations": expected}));
    // A search lays it over each candidate, and finds scopes that the roles name.
    let roles = json!(["editor", {"role": "owner", "scope": entity("Site::7")}]);
    let subject = with("User::bob", json!({"level": 1, "roles": roles}));
    let request =
        json!({"subject": subject, "action": {"name": "edit"}, "resource": {"type": "Site"}});
    let found = web.post("/access/v1/search/resource", &request).await.json();
    assert_eq!(found, json!({"results": [entity("Site::1"), entity("Site::7")]}));
}

#[tokio::test]
async fn roles_are_an_attribute_where_the_type_declares_them() {
    let web = Web::start([guard("[authzen]\nroles = \"assignments\"\n")]).await;
    let question = |roles: Json| {
        let subject = with("Robot::r", json!({"roles": roles}));
        asking(ask("Robot::r", "edit", "Page::1"), "subject", subject)
    };
    assert!(web.decision(&question(json!(["editor"]))).await);
    let (_, message) =
        web.fault(&question(json!([{"role": "owner", "scope": entity("Site::1")}]))).await;
    assert!(message.starts_with("subject.properties.roles[0]: a string is expected"), "{message}");
}

/// Gives the store a directory in which bob is held, and edits site 2.
fn directory(web: &Web) {
    let (live, name) = (&web.server.live, "guard".parse().unwrap());
    live.add_directory(&name, "test", Duration::from_secs(3_600), 100);
    let directory = live.empty_directory(&name, &RequestLimits::default()).unwrap();
    let key = AssignmentKey {
        principal: Uid::new("User", "bob"),
        role: "editor".to_owned(),
        scope: Uid::new("Site", "2"),
    };
    let bob = r#"{"attrs": {"level": 9}, "parents": [{"type": "Group", "id": "staff"}], "tags": {"floor": "2"}}"#;
    let (directory, faults) = directory.apply(vec![
        Change::PutEntity(EntityRow { uid: Uid::new("User", "bob"), json: bob.to_owned() }),
        Change::Put(Assignment { key, expires_at: None, grant: Grant::default() }),
    ]);
    assert_eq!(faults, []);
    let version = DirectoryVersion { generation: "g".to_owned(), position: Position::Count(1) };
    live.replace_directory(&name, directory, version, RowReport::default());
}

#[tokio::test]
async fn what_a_directory_holds_is_the_truth() {
    let settings = "[authzen]\nroles = \"assignments\"\noverridable = [\"User.level\"]\n";
    let web = Web::start([guard(settings)]).await;
    directory(&web);
    let bob = |properties| {
        asking(ask("User::bob", "enter", "Site::1"), "subject", with("User::bob", properties))
    };
    assert!(web.decision(&bob(json!({}))).await);
    assert!(!web.decision(&bob(json!({"level": 1}))).await);
    let answer = web.evaluation(&explained(bob(json!({"name": "B"})))).await;
    assert_eq!(answer["decision"], json!(true));
    assert_eq!(answer["context"]["ignored"], json!(["subject.properties.name"]));
    assert!(answer["context"]["directory_version"].is_string(), "{answer}");
    assert!(web.decision(&ask("User::bob", "edit", "Site::2")).await);
    // Roles come from the directory alone, and time from the server.
    let role = json!([{"role": "editor", "scope": entity("Site::1")}]);
    let (_, message) = web.fault(&asking(edit(&role), "resource", entity("Site::1"))).await;
    assert!(
        message.starts_with("subject.properties.roles: the store's directory says"),
        "{message}"
    );
    let now = json!({"now": "2026-01-01T00:00:00Z"});
    let (_, message) =
        web.fault(&asking(ask("User::bob", "edit", "Site::2"), "context", now)).await;
    assert!(message.starts_with("context.now: "), "{message}");
    // Candidates are what it holds, scopes of assignments included.
    let request = json!({"subject": entity("User::bob"), "action": {"name": "edit"}, "resource": {"type": "Site"}});
    let found = web.post("/access/v1/search/resource", &request).await.json();
    assert_eq!(found, json!({"results": [entity("Site::2")]}));
    let request = json!({"subject": {"type": "User"}, "action": {"name": "edit"}, "resource": entity("Site::2")});
    let found = web.post("/access/v1/search/subject", &request).await.json();
    assert_eq!(found, json!({"results": [entity("User::bob")]}));
}

#[tokio::test]
async fn a_question_is_decided_on_nothing_older_than_the_version_that_it_names() {
    let web = Web::start([guard("")]).await;
    let question = ask("User::bob", "edit", "Site::2");
    let asked = async |version: &str| {
        let request = web.request("/access/v1/evaluation");
        let request = request.header("humbaba-at-least-version", version);
        web.send(request.body(question.to_string().into()).unwrap()).await
    };
    // Without a directory there is no version to wait for, and none in an answer.
    let answer = web.post("/access/v1/evaluation", &question).await;
    assert!(!answer.headers.contains_key("humbaba-directory-version"), "{answer:?}");
    let answer = asked("g.1").await;
    assert_eq!(
        (answer.status, &*answer.body),
        (412, "the policy store `guard` has no directory\n")
    );

    directory(&web);
    let answer = asked("g.1").await;
    assert_eq!(answer.json(), json!({"decision": true}));
    assert_eq!(answer.headers["humbaba-directory-version"], "g.1");
    let searched = json!({"subject": entity("User::bob"), "action": {"name": "edit"}, "resource": {"type": "Site"}});
    for (path, asked) in [("search/resource", &searched), ("evaluations", &question)] {
        let answer = web.post(&format!("/access/v1/{path}"), asked).await;
        assert_eq!(answer.headers["humbaba-directory-version"], "g.1", "{path}");
    }
    assert_eq!(asked("other.1").await.status, 412);
    for unreadable in ["", "g", "g.x"] {
        let answer = asked(unreadable).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains("that an answer carried"), "{answer:?}");
    }

    // A version that is not there yet is waited for.
    let removed = AssignmentKey {
        principal: Uid::new("User", "bob"),
        role: "editor".to_owned(),
        scope: Uid::new("Site", "2"),
    };
    let write = async {
        wait::until("the question waits", async || {
            let metrics = http::get(web.server.http, "/metrics").await.body;
            metrics.contains("humbaba_requests_waiting 1")
        })
        .await;
        let version = DirectoryVersion { generation: "g".to_owned(), position: Position::Count(2) };
        let changes = vec![Change::Delete(removed)];
        web.server.live.change_directory(&"guard".parse().unwrap(), changes, version)
    };
    let (answer, faults) = tokio::join!(asked("g.2"), write);
    assert_eq!(faults, []);
    assert_eq!(answer.json(), json!({"decision": false}));
    assert_eq!(answer.headers["humbaba-directory-version"], "g.2");
}

#[tokio::test]
async fn a_question_waits_no_longer_for_a_version_than_any_request_may_take() {
    let options =
        GrpcOptions { request_timeout: Duration::from_millis(200), ..GrpcOptions::default() };
    let web = Web::with([guard("")], options, WebOptions::default()).await;
    directory(&web);
    let request = web.request("/access/v1/evaluation").header("humbaba-at-least-version", "g.2");
    let body = ask("User::bob", "edit", "Site::2").to_string();
    assert_eq!(web.send(request.body(body.into()).unwrap()).await.status, 504);
}
