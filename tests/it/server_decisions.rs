//! One question, one decision.

use humbaba::{grpc::GrpcOptions, model::OnForbidError};
use tonic::Request;

use crate::support::{
    TestServer,
    ask::{
        Asking as _, Knowing as _, ask, assignment, assignment_of, datetime, entity, is_allow,
        long, moment, now, policies, reference, text, value,
    },
    stores,
};
use humbaba::proto::{RoleAssignment, value::Kind};

#[tokio::test]
async fn a_role_on_the_resource_allows_and_its_policy_is_named() {
    let server = TestServer::start([stores::acme()]).await;
    let answer =
        server.ask(ask("User::alice", "site.view", "Site::1").role("viewer", "Site::1")).await;
    let answer = answer.unwrap();
    assert!(is_allow(&answer));
    assert_eq!(policies(&answer), ["site-view"]);
    let annotations = &answer.determining_policies[0].annotations;
    assert_eq!(annotations["doc"], "Everyone with a role on the site may look at it.");
    assert!(answer.errors.is_empty() && answer.explanation.is_none());
    assert_eq!(answer.revision, stores::acme().revision().as_str());
}

#[tokio::test]
async fn without_a_role_that_counts_it_is_a_deny() {
    let server = TestServer::start([stores::acme()]).await;
    let view = || ask("User::alice", "site.view", "Site::1");
    for question in [
        view(),
        view().role("viewer", "Site::2"),
        view().assignment(assignment_of("User::bob", "viewer", "Site::1")),
        ask("User::alice", "site.edit", "Site::1").role("viewer", "Site::1"),
    ] {
        let answer = server.ask(question).await.unwrap();
        assert!(!is_allow(&answer));
        assert!(policies(&answer).is_empty());
    }
}

#[tokio::test]
async fn principal_and_scope_of_an_assignment_are_the_requests_own_where_they_are_left_out() {
    let server = TestServer::start([stores::acme()]).await;
    let bare = RoleAssignment { role: "viewer".into(), ..RoleAssignment::default() };
    assert!(server.allows(ask("User::alice", "site.view", "Site::1").assignment(bare)).await);
}

#[tokio::test]
async fn the_namespace_may_be_written_or_left_out() {
    let server = TestServer::start([stores::acme()]).await;
    for principal in ["User::alice", "Acme::User::alice"] {
        for resource in ["Site::1", "Acme::Site::1"] {
            for scope in ["Site::1", "Acme::Site::1"] {
                for action_type in ["", "Action", "Acme::Action"] {
                    let mut question = ask(principal, "site.view", resource).role("viewer", scope);
                    question.action.as_mut().unwrap().r#type = action_type.to_owned();
                    assert!(server.allows(question.clone()).await, "{question:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn groups_hold_roles_for_those_in_them() {
    let server = TestServer::start([stores::acme()]).await;
    let edit = ask("User::alice", "site.edit", "Site::1").assignment(assignment_of(
        "Group::staff",
        "editor",
        "Site::1",
    ));
    assert!(!server.allows(edit.clone()).await);
    let inside = edit.clone().entity(entity("User::alice").within("Group::staff"));
    assert!(server.allows(inside).await);
    let deeper = edit
        .entity(entity("User::alice").within("Group::team"))
        .entity(entity("Group::team").within("Group::staff"));
    assert!(server.allows(deeper).await);
}

#[tokio::test]
async fn an_api_client_holds_roles_like_anybody() {
    let server = TestServer::start([stores::acme()]).await;
    let view = ask("ApiClient::key", "site.view", "Site::1");
    assert!(!server.allows(view.clone()).await);
    assert!(server.allows(view.role("viewer", "Site::1")).await);
}

#[tokio::test]
async fn a_role_on_a_scope_that_an_attribute_leads_to_counts() {
    let server = TestServer::start([stores::acme()]).await;
    let edit = ask("User::alice", "site.edit", "Site::1").role("owner", "Team::core");
    assert!(!server.allows(edit.clone()).await);
    let site = entity("Site::1").attribute("team", reference("Team::core"));
    assert!(server.allows(edit.entity(site)).await);
}

#[tokio::test]
async fn a_role_on_a_singleton_counts_everywhere() {
    let server = TestServer::start([stores::acme()]).await;
    let delete = ask("User::root", "site.delete", "Site::1").fact("reason", text("old"));
    assert!(!server.allows(delete.clone()).await);
    assert!(server.allows(delete.clone().role("admin", "Instance::main")).await);
    assert!(!server.allows(delete.role("admin", "Instance::other")).await);
}

#[tokio::test]
async fn now_is_added_where_the_schema_declares_it() {
    let server = TestServer::start([stores::acme()]).await;
    let preview = ask("User::alice", "site.preview", "Site::1");
    assert!(server.allows(preview.clone()).await);
    let year_3000 = 32_503_680_000_000;
    assert!(!server.allows(preview.fact("now", datetime(year_3000))).await);
}

#[tokio::test]
async fn an_assignment_expires_to_the_millisecond_of_the_now_that_was_sent() {
    let server = TestServer::start([stores::acme()]).await;
    let year_3000 = 32_503_680_000_000;
    let preview = |expires_at| {
        let assignment = RoleAssignment {
            expires_at: Some(expires_at),
            ..assignment("admin", "Instance::main")
        };
        ask("User::root", "site.preview", "Site::1")
            .fact("now", datetime(year_3000))
            .assignment(assignment)
    };
    assert!(server.allows(preview(moment(year_3000 + 1))).await);
    assert!(!server.allows(preview(moment(year_3000))).await);
    assert!(!server.allows(preview(moment(year_3000 - 1))).await);
    // A time finer than a millisecond is cut off.
    let mut finer = moment(year_3000);
    finer.nanos = 999_999;
    assert!(!server.allows(preview(finer)).await);
}

#[tokio::test]
async fn an_assignment_expires_by_the_clock_where_no_now_is_sent() {
    let server = TestServer::start([stores::acme()]).await;
    for (offset, allowed) in [(600_000, true), (-1, false)] {
        let assignment = RoleAssignment {
            expires_at: Some(moment(now() + offset)),
            ..assignment("viewer", "Site::1")
        };
        let view = ask("User::alice", "site.view", "Site::1").assignment(assignment);
        assert_eq!(server.allows(view).await, allowed, "{offset}");
    }
}

#[tokio::test]
async fn a_forbid_on_an_action_group_holds_for_its_members() {
    let server = TestServer::start([stores::acme()]).await;
    for action in ["site.edit", "site.goals.create"] {
        let edit = |locked| {
            ask("User::alice", action, "Site::1")
                .role("owner", "Site::1")
                .entity(entity("Site::1").attribute("locked", value(Kind::Boolean(locked))))
        };
        assert!(server.allows(edit(false)).await, "{action}");
        let answer = server.ask(edit(true)).await.unwrap();
        assert!(!is_allow(&answer), "{action}");
        assert_eq!(policies(&answer), ["locked"]);
        let annotations = &answer.determining_policies[0].annotations;
        assert_eq!(annotations["advice"], "Unlock the site first.");
    }
}

#[tokio::test]
async fn a_forbid_that_fails_denies_and_says_so() {
    let server = TestServer::start([stores::acme()]).await;
    let count = |amount| ask("User::alice", "site.count", "Site::1").fact("amount", long(amount));
    assert!(server.allows(count(99)).await);
    assert!(!server.allows(count(100)).await);
    let answer = server.ask(count(i64::MAX)).await.unwrap();
    assert!(!is_allow(&answer));
    assert_eq!(policies(&answer), ["count-not-too-much"]);
    assert_eq!(answer.errors.len(), 1);
    assert_eq!(answer.errors[0].policy_id, "count-not-too-much");
    assert!(answer.errors[0].message.contains("overflow"), "{}", answer.errors[0].message);
}

#[tokio::test]
async fn a_forbid_that_fails_is_skipped_where_the_setting_says_so() {
    let options = GrpcOptions { on_forbid_error: OnForbidError::Skip, ..GrpcOptions::default() };
    let server = TestServer::with([stores::acme()], options).await;
    let count = ask("User::alice", "site.count", "Site::1").fact("amount", long(i64::MAX));
    let answer = server.ask(count).await.unwrap();
    assert!(is_allow(&answer));
    assert_eq!(policies(&answer), ["count"]);
    assert_eq!(answer.errors.len(), 1);
    assert_eq!(answer.errors[0].policy_id, "count-not-too-much");
}

#[tokio::test]
async fn a_permit_that_fails_grants_nothing() {
    let more = r#"
        @id("a-second-one")
        permit (principal, action == Acme::Action::"site.delete", resource)
        when { context.reason == "9" && 9223372036854775807 + 1 > 0 };
    "#;
    let server = TestServer::start([stores::acme_as("acme", more)]).await;
    let delete = ask("User::alice", "site.delete", "Site::1").fact("reason", text("9"));
    let answer = server.ask(delete.clone()).await.unwrap();
    assert!(!is_allow(&answer));
    assert_eq!(answer.errors[0].policy_id, "a-second-one");
    // It does not stand in the way of another permit either.
    let answer = server.ask(delete.role("owner", "Site::1")).await.unwrap();
    assert!(is_allow(&answer));
    assert_eq!((policies(&answer), answer.errors.len()), (vec!["site-delete"], 1));
}

#[tokio::test]
async fn a_decision_has_a_name_of_its_own_or_the_one_that_was_sent() {
    let server = TestServer::start([stores::acme()]).await;
    let name_of = async |sent: Option<&str>| {
        let mut request = Request::new(ask("User::alice", "site.view", "Site::1"));
        if let Some(sent) = sent {
            request.metadata_mut().insert("x-request-id", sent.parse().unwrap());
        }
        server.client().is_authorized(request).await.unwrap().into_inner().decision_id
    };
    let own = name_of(None).await;
    assert_eq!(own.parse::<uuid::Uuid>().unwrap().get_version_num(), 7);
    assert_ne!(name_of(None).await, own);
    let longest = "x".repeat(128);
    for sent in ["7f3-A/b:c", &longest] {
        assert_eq!(name_of(Some(sent)).await, sent);
    }
    for sent in ["", "with a space", &"x".repeat(129)] {
        let name = name_of(Some(sent)).await;
        assert!(name.parse::<uuid::Uuid>().is_ok(), "{sent:?} became {name:?}");
    }
}
