//! Lists of actions, compared with those of candidate policies.

use std::fs;

use humbaba::{
    proto::ListActionsRequest,
    shadow::{CpuShare, ShadowOptions},
};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::{
    cli,
    shadow::{
        NOBODY_VIEWS, VIEWERS_EDIT, candidate, compared, guard, load, metric, options, question,
        shadow, without_room,
    },
    support::{
        TestServer,
        ask::{assignment, text, uid},
        wait::until,
    },
};

/// Asks what somebody in that role may do, and returns the ids of the actions.
async fn list(server: &TestServer, role: &str, context: &[(&str, &str)]) -> Vec<String> {
    let context = context.iter().map(|(name, value)| ((*name).to_owned(), text(value)));
    let request = ListActionsRequest {
        principal: Some(uid("User::alice")),
        resource: Some(uid("Site::1")),
        role_assignments: vec![assignment(role, "Site::1")],
        context: context.collect(),
        ..ListActionsRequest::default()
    };
    let answer = server.client().list_actions(request).await.unwrap().into_inner();
    answer.actions.into_iter().map(|action| action.id).collect()
}

/// Returns what each difference of a comparison says.
fn told(comparison: &Json) -> Vec<Json> {
    let differences = comparison["differences"].as_array().unwrap().iter();
    let told = |one: &Json| {
        let candidate = &one["candidate"]["policies"];
        json!([one["direction"], one["action"], one["count"], one["live"]["policies"], candidate])
    };
    differences.map(told).collect()
}

/// Replaces the schema of a candidate.
fn with_schema(candidate: &TempDir, from: &str, to: &str) {
    assert!(cli::SCHEMA.contains(from));
    let path = candidate.path().join("guard/schema.cedarschema");
    fs::write(path, cli::SCHEMA.replace(from, to)).unwrap();
}

#[tokio::test]
async fn each_action_that_only_one_of_them_lists_is_a_difference() {
    let candidate = candidate(&format!("{VIEWERS_EDIT}{NOBODY_VIEWS}"));
    let server = guard(&candidate).await;
    for _ in 0..2 {
        assert_eq!(list(&server, "viewer", &[]).await, ["view"], "the answer is the live one");
    }
    assert_eq!(list(&server, "editor", &[]).await, ["edit", "view"]);
    let comparison = compared(&server, 6).await;
    assert_eq!(
        told(&comparison),
        [
            json!(["gain", "edit", 2, [], ["viewers-edit"]]),
            json!(["loss", "view", 3, ["view"], ["nobody-views"]]),
        ]
    );
    let counts = ["gains", "losses", "refused"].map(|name| comparison[name].clone());
    assert_eq!(counts, [2, 3, 0]);
    let series =
        r#"humbaba_shadow_differences_total{action="view",direction="loss",store="guard"}"#;
    assert_eq!(metric(&server, series).await, Some(3));
    assert_eq!(metric(&server, r#"humbaba_shadow_decisions_total{store="guard"}"#).await, Some(6));
}

#[tokio::test]
async fn an_action_that_the_candidate_leaves_undecided_is_refused_by_it() {
    let candidate = candidate("");
    with_schema(&candidate, "reason?: String", "reason: String");
    let server = guard(&candidate).await;
    // Neither lists `edit` for a viewer.
    assert_eq!(list(&server, "viewer", &[]).await, ["view"]);
    assert_eq!(compared(&server, 2).await["differences"], json!([]));
    assert_eq!(list(&server, "editor", &[]).await, ["edit", "view"]);
    let comparison = compared(&server, 4).await;
    assert_eq!(told(&comparison), [json!(["refused", "edit", 1, ["edit"], null])]);
    assert_eq!(comparison["differences"][0]["refused_field"], "context.reason");
}

#[tokio::test]
async fn an_action_that_only_the_candidate_knows_is_gained() {
    let share = r#"@id("viewers-share")
permit (principal, action == Guard::Action::"share", resource) when { principal in resource.viewer };
"#;
    let candidate = candidate(share);
    let known = r#"action "view" appliesTo"#;
    let added = r#"action "share" appliesTo { principal: [User], resource: [Site] };"#;
    with_schema(&candidate, known, &format!("{added}\n  {known}"));
    let server = guard(&candidate).await;
    assert_eq!(list(&server, "viewer", &[]).await, ["view"]);
    let comparison = compared(&server, 3).await;
    assert_eq!(told(&comparison), [json!(["gain", "share", 1, [], ["viewers-share"]])]);
}

#[tokio::test]
async fn a_list_that_the_candidate_refuses_is_told_for_each_action() {
    let candidate = candidate("");
    with_schema(&candidate, "reason?: String", "cause?: String");
    let policies = cli::POLICIES.replace("reason", "cause");
    fs::write(candidate.path().join("guard/policies.cedar"), policies).unwrap();
    let server = guard(&candidate).await;
    assert_eq!(list(&server, "viewer", &[("reason", "typo")]).await, ["view"]);
    let comparison = compared(&server, 2).await;
    assert_eq!(comparison["refused"], 2);
    assert_eq!(comparison["differences"][0]["refused_field"], "context.reason");
}

#[tokio::test]
async fn the_actions_of_a_list_without_room_are_counted_as_left_out() {
    let candidate = candidate(VIEWERS_EDIT);
    let server = without_room(&candidate).await;
    for _ in 0..10 {
        assert_eq!(list(&server, "viewer", &[]).await, ["view"]);
    }
    let shadow = shadow(&server).await;
    assert_eq!((&shadow["left_out"], &shadow["waiting_bytes"]), (&json!(20), &json!(0)));
}

#[tokio::test]
async fn lists_rest_within_the_same_budget() {
    let (candidate, live) = (candidate(VIEWERS_EDIT), cli::policies(&["guard"]));
    let max_share = CpuShare::try_from(0.001).unwrap();
    let options = ShadowOptions { max_share, ..options(candidate.path()) };
    let server = TestServer::shadowed([load(live.path(), "guard")], options).await;
    until("the candidate is loaded", async || {
        shadow(&server).await["stores"][0]["revision"].is_string()
    })
    .await;
    let lists = 200;
    for _ in 0..lists {
        assert_eq!(list(&server, "viewer", &[]).await, ["view"]);
    }
    assert!(!server.allows(question("edit", "viewer")).await);
    let shadow = shadow(&server).await;
    let compared = shadow["comparisons"][0]["compared"].as_u64().unwrap_or_default();
    assert!(compared < 2 * lists, "{compared} of {} were compared", 2 * lists);
    assert_eq!(shadow["left_out"], 0, "they wait");
}
