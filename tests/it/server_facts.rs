//! Facts that a caller sends: what equals what is known is accepted, what could be mistaken is not.

use humbaba::proto::{Entity, EntityUid, IsAuthorizedRequest};

use crate::support::{
    TestServer,
    ask::{
        Asking as _, Knowing as _, ask, assignment, entity, is_allow, long, reference, text, uid,
        violations,
    },
    stores,
};

fn view() -> IsAuthorizedRequest {
    ask("User::alice", "site.view", "Site::1")
}

#[tokio::test]
async fn an_entity_that_is_sent_twice_with_the_same_facts_is_accepted() {
    let server = TestServer::start([stores::acme()]).await;
    let alice = || entity("User::alice").attribute("name", text("Alice"));
    let twice = view().role("viewer", "Site::1").entity(alice()).entity(alice());
    assert!(is_allow(&server.ask(twice.clone()).await.unwrap()));
    let other = entity("User::alice").attribute("name", text("Bob"));
    let status = server.ask(twice.entity(other)).await.unwrap_err();
    let found = violations(&status);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "entities[2].uid");
    assert!(found[0].1.contains("the same entity as entities[0], and another value"), "{found:?}");
}

#[tokio::test]
async fn an_action_entity_equal_to_the_schemas_is_accepted() {
    let server = TestServer::start([stores::acme()]).await;
    let edit = ask("User::alice", "site.goals.create", "Site::1").role("editor", "Site::1");
    let action = |parents: &[&str]| Entity {
        uid: Some(uid("Acme::Action::\"site.goals.create\"")),
        parents: parents.iter().map(|parent| uid(parent)).collect(),
        ..Entity::default()
    };
    let same = action(&["Acme::Action::\"site.edit\""]);
    assert!(is_allow(&server.ask(edit.clone().entity(same.clone())).await.unwrap()));
    for other in
        [action(&[]), action(&["Acme::Action::\"site.view\""]), same.attribute("level", long(1))]
    {
        let status = server.ask(edit.clone().entity(other)).await.unwrap_err();
        let found = violations(&status);
        assert!(found[0].1.contains("is not as the schema declares it"), "{found:?}");
    }
}

#[tokio::test]
async fn a_role_slot_that_a_caller_sends_is_refused() {
    let server = TestServer::start([stores::acme()]).await;
    let role = uid("Role::\"Site::1#viewer\"");
    let site = entity("Site::1").attribute("viewer", reference("Role::\"Site::1#viewer\""));
    let alice = Entity { uid: Some(uid("User::alice")), parents: vec![role], ..Entity::default() };
    let status = server.ask(view().entity(site).entity(alice)).await.unwrap_err();
    let found = violations(&status);
    assert_eq!(found[0].0, "entities[0].attributes.viewer");
    assert!(found[0].1.contains("filled by role assignments alone"), "{found:?}");
}

#[tokio::test]
async fn an_empty_id_is_no_identity() {
    let server = TestServer::start([stores::acme()]).await;
    let nobody = || EntityUid { r#type: "User".into(), id: String::new() };
    let site = || EntityUid { r#type: "Site".into(), id: String::new() };
    let of_nobody = || assignment("viewer", "Site::1");
    for (path, question) in [
        ("principal.id", IsAuthorizedRequest { principal: Some(nobody()), ..view() }),
        ("resource.id", IsAuthorizedRequest { resource: Some(site()), ..view() }),
        ("entities[0].uid.id", view().entity(Entity { uid: Some(nobody()), ..Entity::default() })),
        ("role_assignments[0].principal.id", {
            let mut assignment = of_nobody();
            assignment.principal = Some(nobody());
            view().assignment(assignment)
        }),
        ("role_assignments[0].scope.id", {
            let mut assignment = of_nobody();
            assignment.scope = Some(site());
            view().assignment(assignment)
        }),
    ] {
        let status = server.ask(question).await.unwrap_err();
        let found = violations(&status);
        assert_eq!(found[0].0, path, "{found:?}");
        assert!(found[0].1.contains("every entity has an id"), "{found:?}");
    }
}

/// A type is a role type because the schema says `@role`, not because of its name.
#[tokio::test]
async fn a_type_called_role_is_nothing_special_without_the_annotation() {
    let store = stores::store(
        "app",
        &[
            (
                "schema.cedarschema",
                "entity Role; entity User { role?: Role }; entity Doc;
                action view appliesTo { principal: User, resource: Doc };",
            ),
            (
                "policies.cedar",
                r#"@id("all") permit (principal, action, resource);
                @id("guard") forbid (principal, action, resource) unless { principal has role };"#,
            ),
        ],
    );
    let server = TestServer::start([store]).await;
    let view = || ask("User::alice", "view", "Doc::1");
    assert!(!is_allow(&server.ask(view()).await.unwrap()), "an attribute that nobody sent");
    let sent = entity("User::alice").attribute("role", reference("Role::any"));
    assert!(is_allow(&server.ask(view().entity(sent)).await.unwrap()));
}
