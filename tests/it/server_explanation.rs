//! Why?

use humbaba::proto::{Explanation, IsAuthorizedRequest, RoleAssignment, value::Kind};

use crate::support::{
    TestServer,
    ask::{
        Asking as _, Knowing as _, ask, assignment, assignment_of, entity, moment, now, reference,
        uid, value,
    },
    stores,
};

async fn explain(question: IsAuthorizedRequest) -> Explanation {
    let server = TestServer::start([stores::acme()]).await;
    server.ask(question.explained()).await.unwrap().explanation.expect("an explanation")
}

fn roles(assignments: &[RoleAssignment]) -> Vec<String> {
    let role = |assignment: &RoleAssignment| {
        let scope = assignment.scope.as_ref().unwrap();
        format!("{} on {}::{}", assignment.role, scope.r#type, scope.id)
    };
    assignments.iter().map(role).collect()
}

#[tokio::test]
async fn a_deny_names_the_roles_that_would_change_it() {
    let explanation = explain(ask("User::alice", "site.edit", "Site::1")).await;
    assert_eq!(
        roles(&explanation.missing_roles),
        ["editor on Acme::Site::1", "owner on Acme::Site::1", "admin on Acme::Instance::main"]
    );
    assert!(
        explanation
            .missing_roles
            .iter()
            .all(|role| role.principal == Some(uid("Acme::User::alice")))
    );
    assert!(explanation.obstacles.is_empty() && explanation.carried_by.is_empty());
    assert!(
        explanation.summary.contains("`editor` on Acme::Site::\"1\""),
        "{}",
        explanation.summary
    );
}

#[tokio::test]
async fn a_deny_names_roles_on_scopes_that_attributes_lead_to() {
    let site = entity("Site::1").attribute("team", reference("Team::core"));
    let explanation = explain(ask("User::alice", "site.edit", "Site::1").entity(site)).await;
    let missing = roles(&explanation.missing_roles);
    assert!(missing.contains(&"owner on Acme::Team::core".to_owned()), "{missing:?}");
}

#[tokio::test]
async fn a_forbid_is_named_with_its_advice() {
    let question = ask("User::alice", "site.edit", "Site::1")
        .role("owner", "Site::1")
        .entity(entity("Site::1").attribute("locked", value(Kind::Boolean(true))));
    let explanation = explain(question).await;
    assert_eq!(explanation.obstacles.len(), 1);
    assert_eq!(explanation.obstacles[0].policy_id, "locked");
    assert_eq!(explanation.obstacles[0].advice, "Unlock the site first.");
    assert!(explanation.missing_roles.is_empty());
    assert!(explanation.summary.contains("Unlock the site first."), "{}", explanation.summary);
}

#[tokio::test]
async fn an_allow_names_the_assignment_that_carried_it() {
    let expires_at = Some(moment(now() + 600_000));
    let question = ask("User::alice", "site.edit", "Site::1")
        .role("viewer", "Site::1")
        .entity(entity("User::alice").within("Group::staff"))
        .assignment(RoleAssignment {
            expires_at,
            ..assignment_of("Group::staff", "editor", "Site::1")
        });
    let explanation = explain(question).await;
    let expected = RoleAssignment {
        principal: Some(uid("Acme::Group::staff")),
        scope: Some(uid("Acme::Site::1")),
        expires_at,
        ..assignment("editor", "Site::1")
    };
    assert_eq!(explanation.carried_by, [expected]);
    assert!(explanation.missing_roles.is_empty() && explanation.obstacles.is_empty());
    assert!(explanation.summary.contains("`site-edit`"), "{}", explanation.summary);
}

#[tokio::test]
async fn an_allow_names_every_assignment_that_would_be_enough_alone() {
    let question = ask("User::alice", "site.edit", "Site::1")
        .role("editor", "Site::1")
        .role("viewer", "Site::1")
        .role("owner", "Site::1");
    let explanation = explain(question).await;
    assert_eq!(
        roles(&explanation.carried_by),
        ["editor on Acme::Site::1", "owner on Acme::Site::1"]
    );
}

#[tokio::test]
async fn without_being_asked_nothing_is_explained() {
    let server = TestServer::start([stores::acme()]).await;
    let answer = server.ask(ask("User::alice", "site.edit", "Site::1")).await.unwrap();
    assert_eq!(answer.explanation, None);
}
