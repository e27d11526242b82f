//! Groups of a directory: deep ones, and such as are in themselves.

use std::fs;

use humbaba::proto::{
    IsAuthorizedRequest, IsAuthorizedResponse, ListAssignmentsRequest, ListEntitiesRequest,
    directory_change::Change as Sent,
};
use serde_json::json;
use tempfile::TempDir;
use tonic::Code;

use crate::support::{
    TestServer,
    ask::{Knowing as _, ask, entity, is_allow, uid, violations},
    directory::{give, held, held_entity},
    directory_client::{change, decisions, directory, put, sidecar, write},
    followed::Followed,
    postgres::{Postgres, WRITER, value},
    stores,
    wait::until,
};

const SCHEMA: &str = r#"
    @role entity Role;
    entity Group in [Group, Role];
    entity User in [Group, Role];
    entity Site { owner: Role, viewer: Role };
    action view appliesTo { principal: User, resource: Site };
"#;
const RULES: &str = r#"
    permit (principal, action == Action::"view", resource)
    when { principal in [resource.owner, resource.viewer] };
"#;

/// Asks for somebody in the first of so many groups, each in the next, of which the last owns a site.
async fn at_depth(depth: usize) -> IsAuthorizedResponse {
    let store = stores::acme();
    let server = TestServer::start([std::sync::Arc::clone(&store)]).await;
    let within = |group: usize| json!({"parents": [{"type": "Group", "id": format!("g{group}")}]});
    let groups = (1..depth).map(|n| held_entity(&format!("Group::g{n}"), &within(n + 1)));
    let last = [
        held_entity("User::deep", &within(1)),
        held_entity(&format!("Group::g{depth}"), &json!({})),
        held(&format!("Group::g{depth}"), "owner", "Site::1"),
    ];
    give(&server.live, &store, groups.chain(last).collect());
    server.ask(ask("User::deep", "site.view", "Site::1")).await.unwrap()
}

#[tokio::test]
async fn who_is_in_too_many_groups_is_denied_with_the_limit() {
    assert!(is_allow(&at_depth(200).await));
    for depth in [201, 3_000, 30_000] {
        let answer = at_depth(depth).await;
        assert!(!is_allow(&answer), "{depth}");
        let message = &answer.errors[0].message;
        assert!(message.contains("`limits.ancestors` allows, which is 200"), "{message}");
        if depth == 201 {
            assert!(message.contains("`Acme::User::\"deep\"` is in too many"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_write_that_puts_a_group_in_itself_is_refused() {
    let (folder, data) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = folder.path().join("guard");
    fs::create_dir(&store).unwrap();
    fs::write(store.join("schema.cedarschema"), SCHEMA).unwrap();
    fs::write(store.join("policies.cedar"), RULES).unwrap();
    let running = sidecar(folder.path(), data.path(), &[]);
    let mut client = directory(&running);
    let within = |group: &str, parent: &str| {
        change(Sent::PutEntity(
            entity(&format!("Group::{group}")).within(&format!("Group::{parent}")),
        ))
    };
    let alice = change(Sent::PutEntity(entity("User::alice").within("Group::a")));
    write(&mut client, [alice, within("a", "b"), put("Group::b", "owner", "Site::1")]).await;

    let closing = [put("User::bob", "owner", "Site::1"), within("b", "a")];
    let all = crate::support::directory_client::changes(closing);
    let status = client.write(all).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let said = "the entity is in itself, through `Group::\"a\"`: leave one of them out";
    let expected = [("changes[1].put_entity.parents".to_owned(), said.to_owned())];
    assert_eq!(violations(&status), expected);
    let view = |user: &str| IsAuthorizedRequest { ..ask(user, "view", "Site::1") };
    let mut decisions = decisions(&running);
    for (user, allowed) in [("User::alice", true), ("User::bob", false)] {
        let answer = decisions.is_authorized(view(user)).await.unwrap().into_inner();
        assert_eq!(is_allow(&answer), allowed, "{user}");
    }
}

#[tokio::test]
async fn a_list_by_a_name_that_nothing_has_is_bad_input() {
    let (folder, data) = (crate::cli::policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &[]);
    let mut client = directory(&running);
    write(&mut client, [put("User::alice", "viewer", "Site::1")]).await;
    for include_ineffective in [false, true] {
        let question = ListAssignmentsRequest {
            principal: Some(uid("Usr::alice")),
            scope: Some(uid("Sight::1")),
            role: "boss".to_owned(),
            include_ineffective,
            ..ListAssignmentsRequest::default()
        };
        let status = client.list_assignments(question).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let said: Vec<_> = violations(&status);
        let fields: Vec<_> = said.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["principal.type", "scope.type", "role"]);
        assert_eq!(
            said[2].1,
            "no role `boss` in the schema: there are `editor`, `owner`, `viewer`"
        );
        assert!(said[0].1.starts_with("no entity type `Usr` in the schema: there are"), "{said:?}");
        let question = ListEntitiesRequest {
            r#type: "Usr".to_owned(),
            include_ineffective,
            ..ListEntitiesRequest::default()
        };
        let status = client.list_entities(question).await.unwrap_err();
        assert_eq!(violations(&status)[0].0, "type");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circle_in_postgresql_is_reported_until_it_is_broken() {
    let Some(postgres) = Postgres::start().await else { return };
    postgres.install(&[]).await;
    let app = postgres.client(WRITER).await;
    let store = stores::store("main", &[("schema.cedarschema", SCHEMA), ("policies.cedar", RULES)]);
    let group = |id: &str, parent: &str| {
        format!(
            "INSERT INTO humbaba.entities (type, id, entity) VALUES ('Group', '{id}', \
             '{{\"parents\": [{{\"type\": \"Group\", \"id\": \"{parent}\"}}]}}');"
        )
    };
    app.batch_execute(&format!("{}{}", group("a", "b"), group("b", "c"))).await.unwrap();
    let first = Followed::postgres(&store, postgres.url_file());
    first.at(&value(&app, "SELECT humbaba.version()").await).await;
    assert_eq!(first.row_problems(), Vec::<String>::new());
    app.batch_execute(&group("c", "a")).await.unwrap();
    // Also where all rows are read at once.
    let then = Followed::postgres(&store, postgres.url_file());
    for followed in [&first, &then] {
        until("all three are reported", async || followed.row_problems().len() == 3).await;
        let said =
            "Group::\"c\": `entity.parents`: the entity is in itself, through `Group::\"a\"`";
        let problems = followed.row_problems();
        assert!(problems.iter().any(|problem| problem.starts_with(said)), "{problems:?}");
    }
    app.batch_execute("DELETE FROM humbaba.entities WHERE id = 'b'").await.unwrap();
    for followed in [&first, &then] {
        until("nothing is reported", async || followed.row_problems().is_empty()).await;
    }

    let nameless = "INSERT INTO humbaba.assignments \
        (principal_type, principal_id, role, scope_type, scope_id) VALUES ('', 'e', 'owner', 'Site', '1')";
    app.batch_execute(nameless).await.unwrap();
    until("it is reported", async || first.row_problems().len() == 1).await;
    assert!(first.row_problems()[0].starts_with("``::\"e\", owner of Site::\"1\""));
}
