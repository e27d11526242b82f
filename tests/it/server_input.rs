//! Bad input: every kind of it is INVALID_ARGUMENT and names the field.

use humbaba::proto::{Entity, EntityUid, IsAuthorizedRequest, RoleAssignment};

use crate::support::{
    TestServer,
    ask::{
        Asking as _, Knowing as _, action, ask, assignment, assignment_of, entity, fields, long,
        moment, nothing, reference, text, uid, violations,
    },
    stores,
};

fn view() -> IsAuthorizedRequest {
    ask("User::alice", "site.view", "Site::1")
}

fn delete() -> IsAuthorizedRequest {
    ask("User::alice", "site.delete", "Site::1")
}

#[tokio::test]
async fn each_fault_is_named_with_its_field_and_what_to_send_instead() {
    let server = TestServer::start([stores::acme()]).await;
    let cases: Vec<(&str, IsAuthorizedRequest, &str, &str)> = vec![
        (
            "no principal",
            IsAuthorizedRequest { principal: None, ..view() },
            "principal",
            "missing: name an entity",
        ),
        (
            "no action",
            IsAuthorizedRequest { action: None, ..view() },
            "action",
            "missing: name an action",
        ),
        (
            "no resource",
            IsAuthorizedRequest { resource: None, ..view() },
            "resource",
            "missing: name an entity",
        ),
        (
            "unknown type of principal",
            ask("Robot::r", "site.view", "Site::1"),
            "principal.type",
            "no entity type `Robot` in the schema: there are `Acme::ApiClient`",
        ),
        (
            "no type of principal",
            IsAuthorizedRequest { principal: Some(EntityUid::default()), ..view() },
            "principal.type",
            "no entity type ``",
        ),
        (
            "unknown type of resource",
            ask("User::alice", "site.view", "Page::1"),
            "resource.type",
            "no entity type `Page`",
        ),
        (
            "a type of another namespace",
            ask("User::alice", "site.view", "Other::Site::1"),
            "resource.type",
            "no entity type `Other::Site`",
        ),
        (
            "unknown action",
            ask("User::alice", "site.vieww", "Site::1"),
            "action.id",
            "the schema has no action `site.vieww`: is it one of `site.view`, ",
        ),
        (
            "unknown type of action",
            IsAuthorizedRequest { action: Some(uid("Other::Action::site.view")), ..view() },
            "action.id",
            "no action `site.view`",
        ),
        (
            "an action of another resource",
            ask("User::alice", "team.view", "Site::1"),
            "resource.type",
            "does not apply to a resource of type `Acme::Site`: it applies to `Acme::Team`",
        ),
        (
            "an action of another principal",
            ask("ApiClient::key", "site.delete", "Site::1").fact("reason", text("x")),
            "principal.type",
            "does not apply to a principal of type `Acme::ApiClient`: it applies to `Acme::User`",
        ),
        (
            "an id that an enumerated type does not have",
            ask("User::alice", "form.send", "Form::f").entity(
                entity("Form::f")
                    .attribute("title", text(""))
                    .attribute("plan", reference("Plan::gold")),
            ),
            "entities[0].attributes.plan.id",
            "no `Acme::Plan` is called `gold`: there are `free`, `paid`",
        ),
        (
            "an unknown role",
            view().role("edditor", "Site::1"),
            "role_assignments[0].role",
            "`Acme::Site` has no role `edditor`: its roles are `editor`, `owner`, `viewer`",
        ),
        (
            "no role",
            view().role("", "Site::1"),
            "role_assignments[0].role",
            "has no role ``: its roles are `editor`, `owner`, `viewer`",
        ),
        (
            "an attribute that is no role slot",
            view().role("team", "Site::1"),
            "role_assignments[0].role",
            "has no role `team`",
        ),
        (
            "a scope without roles",
            view().role("editor", "Form::f"),
            "role_assignments[0].scope",
            "no role can be held on a `Acme::Form`: roles are held on `Acme::Instance`",
        ),
        (
            "a scope of unknown type",
            view().role("viewer", "Site::1").role("editor", "Page::1"),
            "role_assignments[1].scope.type",
            "no entity type `Page`",
        ),
        (
            "a holder that can hold no role",
            view().assignment(assignment_of("Site::2", "editor", "Site::1")),
            "role_assignments[0].principal",
            "a `Acme::Site` cannot hold a role",
        ),
        (
            "an expiry out of range",
            view().assignment(RoleAssignment {
                expires_at: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
                ..assignment("viewer", "Site::1")
            }),
            "role_assignments[0].expires_at",
            "out of range",
        ),
        (
            "an expiry with bad nanos",
            view().assignment(RoleAssignment {
                expires_at: Some(prost_types::Timestamp { nanos: 1_000_000_000, ..moment(0) }),
                ..assignment("viewer", "Site::1")
            }),
            "role_assignments[0].expires_at",
            "`nanos` is out of range",
        ),
        (
            "a fact that the action does not declare",
            view().fact("reason", text("x")),
            "context.reason",
            "the schema does not declare it here: declared are none",
        ),
        (
            "a fact of the wrong kind",
            delete().fact("reason", long(1)),
            "context.reason",
            "a string is expected here, not a long",
        ),
        (
            "a fact without a value",
            delete().fact("reason", nothing()),
            "context.reason",
            "no value is set",
        ),
        ("a fact left out", delete(), "context.reason", "missing: the action requires a string"),
        ("an entity without uid", view().entity(Entity::default()), "entities[0].uid", "missing"),
        (
            "an entity of unknown type",
            view().entity(entity("Page::1")),
            "entities[0].uid.type",
            "no entity type `Page`",
        ),
        (
            "an entity that is sent twice and not alike",
            view()
                .entity(entity("Site::1"))
                .entity(entity("Acme::Site::1").attribute("team", reference("Team::t"))),
            "entities[1].uid",
            "the same entity as entities[0], and another value: send it once",
        ),
        (
            "an entity that the store holds otherwise",
            view().entity(entity("Team::fixed").attribute("name", text("x"))),
            "entities[0].uid",
            "the policy store holds",
        ),
        (
            "an action that is not as the schema has it",
            view().entity(entity("Action::site.view").within("Action::site.edit")),
            "entities[0].uid",
            "is not as the schema declares it: do not send it",
        ),
        (
            "an attribute that is not declared",
            view().entity(entity("Site::1").attribute("color", text("red"))),
            "entities[0].attributes.color",
            "the schema does not declare it here",
        ),
        (
            "an attribute of the wrong kind",
            view().entity(entity("Site::1").attribute("locked", text("yes"))),
            "entities[0].attributes.locked",
            "a boolean is expected here, not a string",
        ),
        (
            "an attribute left out",
            ask("User::alice", "form.send", "Form::f").entity(entity("Form::f")),
            "entities[0].attributes.title",
            "missing: `Acme::Form` requires a string",
        ),
        (
            "tags where there are none",
            view().entity(entity("Site::1").tag("a", text("b"))),
            "entities[0].tags",
            "`Acme::Site` has no tags",
        ),
        (
            "a tag of the wrong kind",
            view().entity(entity("User::alice").tag("a", long(1))),
            "entities[0].tags.a",
            "a string is expected",
        ),
        (
            "a parent of the wrong type",
            view().entity(entity("User::alice").within("Site::1")),
            "entities[0].parents[0]",
            "a `Acme::User` cannot be in a `Acme::Site`: it can be in `Acme::Group`, `Acme::Role`",
        ),
        (
            "a parent of unknown type",
            view().entity(entity("User::alice").within("Group::g").within("Club::c")),
            "entities[0].parents[1].type",
            "no entity type `Club`",
        ),
        (
            "groups in a circle",
            view()
                .entity(entity("Group::a").within("Group::b"))
                .entity(entity("Group::b").within("Group::c"))
                .entity(entity("Group::c").within("Group::a")),
            "entities[2].parents",
            "a circle",
        ),
        (
            "a group in itself",
            view().entity(entity("Group::a").within("Group::a")),
            "entities[0].parents",
            "a circle",
        ),
    ];
    for (name, question, field, message) in cases {
        let answer = server.ask(question).await;
        let found = violations(&answer.expect_err(name));
        let [(found_field, description)] = &found[..] else { panic!("{name}: {found:?}") };
        assert_eq!(found_field, field, "{name}");
        assert!(description.contains(message), "{name}: {description}");
    }
}

#[tokio::test]
async fn an_action_that_is_only_a_group_cannot_be_asked() {
    let server = TestServer::start([stores::acme()]).await;
    let found = violations(&server.refuses(ask("User::alice", "site.any", "Site::1")).await);
    assert!(!found.is_empty());
    for (field, description) in found {
        assert!(["principal.type", "resource.type"].contains(&field.as_str()), "{field}");
        assert!(description.contains("only a group"), "{description}");
    }
}

#[tokio::test]
async fn three_faults_are_three_violations_of_one_answer() {
    let server = TestServer::start([stores::acme()]).await;
    let question = ask("User::alice", "site.delete", "Site::1")
        .fact("reason", long(1))
        .entity(entity("Site::1").attribute("color", text("red")))
        .role("owner", "Site::1")
        .role("king", "Site::1");
    let status = server.refuses(question).await;
    assert_eq!(
        fields(&status),
        ["context.reason", "entities[0].attributes.color", "role_assignments[1].role"]
    );
    assert!(status.message().starts_with("context.reason: "), "{}", status.message());
    assert!(status.message().ends_with("(and 2 violations more)"), "{}", status.message());
}

#[tokio::test]
async fn the_same_bad_request_always_gets_the_same_answer() {
    let server = TestServer::start([stores::acme()]).await;
    let names: Vec<_> = (0..30).map(|n| format!("fact{n:02}")).collect();
    let question = || names.iter().fold(view(), |view, name| view.fact(name, text("")));
    let first = server.refuses(question()).await;
    let expected: Vec<_> = names.iter().map(|name| format!("context.{name}")).collect();
    assert_eq!(fields(&first), expected);
    for _ in 0..5 {
        let again = server.refuses(question()).await;
        assert_eq!((again.message(), again.details()), (first.message(), first.details()));
    }
}

#[tokio::test]
async fn an_empty_request_lists_what_is_missing() {
    let server = TestServer::start([stores::acme()]).await;
    let status = server.refuses(IsAuthorizedRequest::default()).await;
    assert_eq!(fields(&status), ["principal", "action", "resource"]);
}

#[tokio::test]
async fn hostile_names_are_shown_short_and_escaped() {
    let server = TestServer::start([stores::acme()]).await;
    let long_name = "x".repeat(10_000);
    let mut question = view().fact("line\nbreak\u{202e}", text("")).fact(&long_name, text(""));
    question.resource = Some(EntityUid { r#type: "Søte\u{0}".repeat(1_000), id: "\u{0}".into() });
    question.action = Some(action("site.view"));
    let status = server.refuses(question).await;
    let found = violations(&status);
    assert_eq!(found.len(), 3, "{found:?}");
    for (field, description) in found {
        assert!(field.len() < 200 && !field.contains(['\n', '\u{202e}']), "{field:?}");
        assert!(description.chars().count() < 500, "{description:?}");
    }
}

#[tokio::test]
async fn more_violations_than_a_status_can_carry_are_counted() {
    let server = TestServer::start([stores::acme()]).await;
    let question = (0..1_000).fold(view(), |view, _| view.role("king", "Site::1"));
    let status = server.refuses(question).await;
    let found = violations(&status);
    assert!(found.len() > 10, "{}", found.len());
    let (last, rest) = found.split_last().unwrap();
    assert!(rest.iter().enumerate().all(|(n, v)| v.0 == format!("role_assignments[{n}].role")));
    assert!(last.0 == "request" && last.1.contains("violations more"), "{last:?}");
    // Clients take no more than 8 KiB of headers.
    assert!(status.details().len() * 4 / 3 + status.message().len() * 3 < 8 * 1024);
}

#[tokio::test]
async fn a_short_name_of_several_namespaces_is_told_all_of_them() {
    let schema = "namespace A { entity Site; entity User; action view appliesTo { principal: User, \
                  resource: Site }; } namespace B { entity Site; }";
    let server = TestServer::start([stores::store(
        "two",
        &[("s.cedarschema", schema), ("p.cedar", "permit (principal, action, resource);")],
    )])
    .await;
    let found = violations(&server.refuses(ask("A::User::u", "A::Action::view", "Site::1")).await);
    let told = found.iter().find(|(field, _)| field == "resource.type").unwrap();
    assert_eq!(told.1, "`Site` is not a whole name: send A::Site or B::Site");
}
