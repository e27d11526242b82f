//! Candidate policies that decide beside the live ones.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use humbaba::{
    model::OnForbidError,
    proto::{
        BatchIsAuthorizedItem, BatchIsAuthorizedRequest, IsAuthorizedRequest,
        batch_is_authorized_result::Result as ItemResult,
    },
    reload::{self, read_folder},
    request::RequestLimits,
    shadow::{CpuShare, ShadowOptions},
    store::{Bounds, PolicyStore},
};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::{
    cli,
    support::{
        TestServer,
        ask::{self, Asking as _, action, ask, assignment, is_allow, reference, uid},
        http,
        wait::until,
    },
};

pub fn options(folder: &Path) -> ShadowOptions {
    ShadowOptions {
        folder: folder.to_owned(),
        max_share: CpuShare::try_from(1.0).unwrap(),
        queue_bytes: 8 * 1024 * 1024,
        reload: reload::Options {
            settle: Duration::from_millis(5),
            settle_removals: Duration::from_millis(5),
            ..reload::Options::default()
        },
        limits: RequestLimits::default(),
        on_forbid_error: OnForbidError::Deny,
    }
}

pub fn load(folder: &Path, name: &str) -> Arc<PolicyStore> {
    let stores = read_folder(folder).unwrap();
    let files = stores.into_iter().find(|files| files.name().as_str() == name).unwrap();
    Arc::new(PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap())
}

/// A candidate for the store `guard` with more policies.
pub fn candidate(more: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    cli::write_store(folder.path(), "guard", &format!("{}{more}", cli::POLICIES));
    folder
}

pub const VIEWERS_EDIT: &str = r#"@id("viewers-edit")
permit (principal, action == Guard::Action::"edit", resource) when { principal in resource.viewer };
"#;
pub const NOBODY_VIEWS: &str = r#"@id("nobody-views")
forbid (principal, action == Guard::Action::"view", resource);
"#;

/// A server of the store `guard`, compared with that candidate once it has been loaded.
pub async fn guard(candidate: &TempDir) -> TestServer {
    let live = cli::policies(&["guard"]);
    let server =
        TestServer::shadowed([load(live.path(), "guard")], options(candidate.path())).await;
    until("the candidate is loaded", async || {
        shadow(&server).await["stores"].as_array().is_some_and(|stores| !stores.is_empty())
    })
    .await;
    server
}

/// A server of the store `guard`, whose queue has no room for a question to the candidate.
pub async fn without_room(candidate: &TempDir) -> TestServer {
    let live = cli::policies(&["guard"]);
    let options = ShadowOptions { queue_bytes: 1, ..options(candidate.path()) };
    let server = TestServer::shadowed([load(live.path(), "guard")], options).await;
    until("the candidate is loaded", async || {
        shadow(&server).await["stores"][0]["revision"].is_string()
    })
    .await;
    server
}

pub fn question(action: &str, role: &str) -> IsAuthorizedRequest {
    ask("User::alice", action, "Site::1").role(role, "Site::1")
}

pub async fn shadow(server: &TestServer) -> Json {
    let status: Json = serde_json::from_str(&http::get(server.http, "/status").await.body).unwrap();
    status["shadow"].clone()
}

/// Waits until so many answers were compared; returns the comparison of the first store.
pub async fn compared(server: &TestServer, count: u64) -> Json {
    let mut comparison = Json::Null;
    until("the answers are compared", async || {
        comparison = shadow(server).await["comparisons"][0].clone();
        comparison["compared"] == count
    })
    .await;
    comparison
}

pub async fn metric(server: &TestServer, series: &str) -> Option<u64> {
    let page = http::get(server.http, "/metrics").await.body;
    page.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[tokio::test]
async fn editors_who_would_add_members_are_seen_and_still_denied() {
    let folder = TempDir::new().unwrap();
    let store = folder.path().join("hitkeep");
    fs::create_dir(&store).unwrap();
    for entry in fs::read_dir("policies/hitkeep").unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), store.join(entry.file_name())).unwrap();
        }
    }
    let planted = r#"@id("editors-add-members") permit (
            principal is HitKeep::User,
            action == HitKeep::Action::"site.members.add",
            resource
        ) when { principal in resource.editor };"#;
    fs::write(store.join("planted.cedar"), planted).unwrap();
    let live = load(Path::new("policies"), "hitkeep");
    let server = TestServer::shadowed([Arc::clone(&live)], options(folder.path())).await;
    until("the candidate is loaded", async || {
        shadow(&server).await["stores"][0]["revision"].is_string()
    })
    .await;
    let add = ask("User::alice", "site.members.add", "Site::42")
        .role("editor", "Site::42")
        .fact("role", reference("SiteRole::viewer"));
    let create = ask("User::alice", "site.goals.create", "Site::42").role("editor", "Site::42");
    let mut decision_id = String::new();
    for _ in 0..5 {
        let answer = server.ask(add.clone()).await.unwrap();
        assert!(!is_allow(&answer) && answer.determining_policies.is_empty());
        assert_eq!(answer.revision, live.revision().to_string());
        decision_id = answer.decision_id;
        assert!(server.allows(create.clone()).await);
    }
    let comparison = compared(&server, 10).await;
    let counts = ["gains", "losses", "refused", "unlisted"].map(|name| comparison[name].clone());
    assert_eq!(counts, [5, 0, 0, 0]);
    assert_eq!(
        comparison["differences"],
        json!([{
            "action": "site.members.add", "direction": "gain", "count": 5,
            "decision_id": decision_id,
            "live": { "decision": "deny", "policies": [] },
            "candidate": { "decision": "allow", "policies": ["editors-add-members"] },
            "refused_field": null,
        }])
    );
    let labels = r#"{action="site.members.add",direction="gain",store="hitkeep"}"#;
    let series = format!("humbaba_shadow_differences_total{labels}");
    assert_eq!(metric(&server, &series).await, Some(5));
    let series = r#"humbaba_shadow_decisions_total{store="hitkeep"}"#;
    assert_eq!(metric(&server, series).await, Some(10));
}

#[tokio::test]
async fn losses_and_gains_are_told_apart_and_gains_come_first() {
    let candidate = candidate(&format!("{VIEWERS_EDIT}{NOBODY_VIEWS}"));
    let server = guard(&candidate).await;
    assert!(server.allows(question("view", "viewer")).await);
    assert!(server.allows(question("view", "viewer")).await);
    assert!(!server.allows(question("edit", "viewer")).await);
    assert!(server.allows(question("edit", "editor")).await);
    let comparison = compared(&server, 4).await;
    let differences = comparison["differences"].as_array().unwrap().iter();
    let told: Vec<_> = differences
        .map(|one| {
            json!([one["direction"], one["action"], one["count"], one["candidate"]["policies"]])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["gain", "edit", 1, ["viewers-edit"]]),
            json!(["loss", "view", 2, ["nobody-views"]])
        ]
    );
}

#[tokio::test]
async fn every_decided_item_of_a_batch_is_compared() {
    let candidate = candidate(VIEWERS_EDIT);
    let server = guard(&candidate).await;
    let items = ["view", "edit", "misspelt", "edit"].map(|id| BatchIsAuthorizedItem {
        action: Some(action(id)),
        ..BatchIsAuthorizedItem::default()
    });
    let batch = BatchIsAuthorizedRequest {
        principal: Some(uid("User::alice")),
        resource: Some(uid("Site::1")),
        role_assignments: vec![assignment("viewer", "Site::1")],
        items: items.to_vec(),
        ..BatchIsAuthorizedRequest::default()
    };
    let answer = server.client().batch_is_authorized(batch).await.unwrap().into_inner();
    let allowed: Vec<_> = answer
        .items
        .iter()
        .map(|item| match item.result.as_ref().unwrap() {
            ItemResult::Response(response) => Some(is_allow(response)),
            ItemResult::Error(_) => None,
        })
        .collect();
    assert_eq!(allowed, [Some(true), Some(false), None, Some(false)]);
    assert_eq!(compared(&server, 3).await["gains"], 2);
}

#[tokio::test]
async fn a_question_that_the_candidate_would_refuse_is_told_with_the_field() {
    let candidate = candidate("");
    let schema = cli::SCHEMA.replace("reason?: String", "reason: String");
    fs::write(candidate.path().join("guard/schema.cedarschema"), schema).unwrap();
    let server = guard(&candidate).await;
    assert!(server.allows(question("edit", "editor")).await);
    let comparison = compared(&server, 1).await;
    assert_eq!(comparison["refused"], 1);
    let difference = &comparison["differences"][0];
    assert_eq!(difference["direction"], "refused");
    assert_eq!(difference["refused_field"], "context.reason");
    assert_eq!(difference["candidate"], Json::Null);
}

#[tokio::test]
async fn what_the_queue_has_no_room_for_is_counted_and_answered() {
    let candidate = candidate(VIEWERS_EDIT);
    let server = without_room(&candidate).await;
    for _ in 0..20 {
        assert!(!server.allows(question("edit", "viewer")).await);
    }
    let shadow = shadow(&server).await;
    assert_eq!((&shadow["left_out"], &shadow["waiting_bytes"]), (&json!(20), &json!(0)));
    assert_eq!(shadow["comparisons"], json!([]));
    assert_eq!(metric(&server, "humbaba_shadow_left_out_total").await, Some(20));
}

#[tokio::test]
async fn answers_do_not_wait_for_a_comparison_that_rests() {
    let (candidate, live) = (candidate(VIEWERS_EDIT), cli::policies(&["guard"]));
    let max_share = CpuShare::try_from(0.001).unwrap();
    let options = ShadowOptions { max_share, ..options(candidate.path()) };
    let server = TestServer::shadowed([load(live.path(), "guard")], options).await;
    until("the candidate is loaded", async || {
        shadow(&server).await["stores"][0]["revision"].is_string()
    })
    .await;
    let begun = Instant::now();
    let questions = 500;
    for _ in 0..questions {
        assert!(!server.allows(question("edit", "viewer")).await);
    }
    // A decision takes microseconds, so its rest takes milliseconds; those of all would take longer
    // than all the answers.
    let shadow = shadow(&server).await;
    let compared = shadow["comparisons"][0]["compared"].as_u64().unwrap_or_default();
    assert!(compared < questions, "all were compared within {:?}", begun.elapsed());
    assert_eq!(shadow["left_out"], 0, "they wait");
}

#[tokio::test]
async fn a_broken_candidate_is_told_and_hurts_no_answer() {
    let (home, live) = (TempDir::new().unwrap(), cli::policies(&["guard"]));
    let folder = home.path().join("candidate");
    let server = TestServer::shadowed([load(live.path(), "guard")], options(&folder)).await;
    until("the missing folder is told", async || {
        shadow(&server).await["folder_problem"].is_string()
    })
    .await;
    assert!(server.allows(question("view", "viewer")).await);

    cli::write_store(&folder, "guard", "permit (principal, action, resource) when { nonsense };");
    until("the invalid store is told", async || {
        let shadow = shadow(&server).await;
        shadow["stores"][0]["problems"].as_array().is_some_and(|problems| !problems.is_empty())
    })
    .await;
    assert!(server.allows(question("view", "viewer")).await);
    assert_eq!(http::get(server.http, "/readyz?strict").await.status, 200);
    assert_eq!(shadow(&server).await["left_out"], 0, "there is nothing to compare with");

    cli::write_store(&folder, "guard", &format!("{}{NOBODY_VIEWS}", cli::POLICIES));
    until("the mended candidate is loaded", async || {
        shadow(&server).await["stores"][0]["revision"].is_string()
    })
    .await;
    assert!(server.allows(question("view", "viewer")).await);
    assert_eq!(compared(&server, 1).await["losses"], 1);
    let status = http::get(server.http, "/status").await.body;
    let status: Json = serde_json::from_str(&status).unwrap();
    assert_eq!(status["stores"].as_array().unwrap().len(), 1, "the live one alone");
}

#[tokio::test]
async fn a_changed_candidate_is_compared_anew() {
    let candidate = candidate(VIEWERS_EDIT);
    let server = guard(&candidate).await;
    assert!(!server.allows(question("edit", "viewer")).await);
    let first = compared(&server, 1).await;
    assert_eq!(first["gains"], 1);
    cli::write_store(candidate.path(), "guard", &format!("{}{NOBODY_VIEWS}", cli::POLICIES));
    until("the change is loaded", async || {
        shadow(&server).await["stores"][0]["revision"] != first["candidate_revision"]
    })
    .await;
    assert_eq!(shadow(&server).await["comparisons"], json!([]), "the old one says nothing");
    assert!(!server.allows(question("edit", "viewer")).await);
    assert!(server.allows(question("view", "viewer")).await);
    let second = compared(&server, 2).await;
    assert_eq!((&second["gains"], &second["losses"]), (&json!(0), &json!(1)));
    let series =
        r#"humbaba_shadow_differences_total{action="edit",direction="gain",store="guard"}"#;
    assert_eq!(metric(&server, series).await, Some(1), "metrics count on");
}

#[tokio::test]
async fn a_store_that_the_candidate_leaves_as_it_is_or_does_not_have_is_not_compared() {
    let candidate = candidate("");
    let server = guard(&candidate).await;
    let other = crate::support::stores::acme();
    let live = cli::policies(&["guard"]);
    server.publish([load(live.path(), "guard"), other], None);
    assert!(server.allows(question("view", "viewer").of_store("guard")).await);
    assert!(
        server
            .allows(
                ask::ask("User::a", "site.view", "Site::1")
                    .role("owner", "Site::1")
                    .of_store("acme")
            )
            .await
    );
    let shadow = shadow(&server).await;
    assert_eq!((&shadow["comparisons"], &shadow["left_out"]), (&json!([]), &json!(0)));
    assert_eq!(metric(&server, r#"humbaba_shadow_decisions_total{store="guard"}"#).await, None);
}

#[tokio::test]
async fn without_a_candidate_nothing_is_told() {
    let server = TestServer::start([crate::support::stores::acme()]).await;
    assert_eq!(shadow(&server).await, Json::Null);
    assert_eq!(metric(&server, "humbaba_shadow_left_out_total").await, None);
}
