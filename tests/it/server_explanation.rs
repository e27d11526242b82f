//! Tests of explanations.

use humbaba::proto::{Explanation, IsAuthorizedRequest, RoleAssignment, value::Kind};

use crate::support::{
    TestServer,
    ask::{
        Asking as _, Knowing as _, ask, assignment, assignment_of, entity, is_allow, moment, now,
        reference, uid, value,
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

fn hints(explanation: &Explanation) -> Vec<(String, Vec<String>)> {
    let hint = |hint: &humbaba::proto::Hint| {
        let add = roles(&hint.add.iter().cloned().collect::<Vec<_>>());
        (add.join(""), roles(&hint.instead_of))
    };
    explanation.hints.iter().map(hint).collect()
}

#[tokio::test]
async fn a_hint_names_the_role_that_grants_least() {
    let question = ask("User::alice", "site.edit", "Site::1").role("viewer", "Site::1");
    let explanation = explain(question).await;
    let hints = hints(&explanation);
    assert_eq!(hints[0], ("editor on Acme::Site::1".to_owned(), vec![]), "{hints:?}");
    assert!(
        explanation.summary.ends_with("The least of them: `editor` on Acme::Site::\"1\"."),
        "{}",
        explanation.summary
    );
}

#[tokio::test]
async fn a_hint_names_the_role_to_take_away_where_adding_one_is_useless() {
    let least_privileged = r#"
        @id("viewers-only-view")
        forbid (principal, action in Acme::Action::"site.edit", resource is Acme::Site)
        when { principal in resource.viewer };"#;
    let server = TestServer::start([stores::acme_as("acme", least_privileged)]).await;
    let question = ask("User::alice", "site.edit", "Site::1").role("viewer", "Site::1");
    let answer = server.ask(question.clone().explained()).await.unwrap();
    let explanation = answer.explanation.unwrap();
    let hint = explanation.hints[0].clone();
    assert_eq!(
        hints(&explanation)[0],
        ("editor on Acme::Site::1".to_owned(), vec!["viewer on Acme::Site::1".to_owned()])
    );
    assert!(
        explanation.summary.contains("with `editor` on Acme::Site::\"1\" instead of `viewer`"),
        "{}",
        explanation.summary
    );
    // Applied, the hint flips the decision.
    let mut changed = question;
    changed.role_assignments = vec![hint.add.unwrap()];
    assert!(is_allow(&server.ask(changed).await.unwrap()));
}

#[tokio::test]
async fn nothing_is_hinted_where_no_role_helps() {
    let question = ask("User::alice", "site.edit", "Site::1")
        .role("owner", "Site::1")
        .entity(entity("Site::1").attribute("locked", value(Kind::Boolean(true))));
    assert_eq!(hints(&explain(question).await), []);
}
