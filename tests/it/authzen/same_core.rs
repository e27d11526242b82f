//! AuthZEN and gRPC decide with one core: the same questions have the same answers, count in the same
//! metrics and are recorded in the same log.

use std::{fs, process::Command};

use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full};
use humbaba::proto::{Decision, IsAuthorizedRequest};
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::web::{Web, asking, entity as named, with};
use crate::{
    cli::{command, end, write_store},
    cli_sidecar::Sidecar,
    support::{
        ask::{Asking as _, Knowing as _, ask, entity, long, text},
        http::get,
        random::Random,
        stores,
    },
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Asks over one connection of HTTP/2.
struct Http2(http2::SendRequest<Full<Bytes>>, String);

impl Http2 {
    async fn connect(web: &Web) -> Self {
        let stream = TokioIo::new(TcpStream::connect(web.address).await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        Self(sender, web.address.to_string())
    }

    async fn ask(&mut self, question: &Json) -> Json {
        let uri = format!("http://{}/access/v1/evaluation", self.1);
        let request = Request::post(uri).header("content-type", "application/json");
        let request = request.body(Full::new(question.to_string().into())).unwrap();
        let answer = self.0.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }
}

/// A question that can be said both ways.
fn question(random: &mut Random) -> (IsAuthorizedRequest, Json) {
    let subject = *random.pick(&[
        "User::alice",
        "User::bob",
        "Acme::User::carol",
        "Group::g",
        "ApiClient::c",
        "Ghost::x",
    ]);
    let actions = [
        "site.view",
        "site.edit",
        "site.goals.create",
        "site.preview",
        "site.delete",
        "site.count",
        "team.view",
        "form.send",
        "site.any",
        "nothing",
    ];
    let action = *random.pick(&actions);
    let resource = match action {
        "team.view" => "Team::t",
        "form.send" => "Form::f",
        _ => *random.pick(&["Site::1", "Site::1", "Site::2", "Team::t"]),
    };
    let mut grpc = ask(subject, action, resource);
    let mut http = json!({"action": {"name": action}});
    let (mut of_subject, mut of_resource) = (json!({}), json!({}));
    let (mut sent_subject, mut sent_resource) = (entity(subject), entity(resource));
    if subject.contains("User") && random.below(2) == 0 {
        sent_subject = sent_subject.attribute("name", text("N"));
        of_subject["name"] = json!("N");
    }
    if resource.starts_with("Site") && random.below(3) == 0 {
        let locked = random.below(2) == 0;
        let value = humbaba::proto::value::Kind::Boolean(locked);
        sent_resource = sent_resource.attribute("locked", crate::support::ask::value(value));
        of_resource["locked"] = json!(locked);
    }
    if resource.starts_with("Form") && random.below(5) > 0 {
        let title = *random.pick(&["open", "closed"]);
        sent_resource = sent_resource.attribute("title", text(title));
        of_resource["title"] = json!(title);
    }
    if subject != "Ghost::x" {
        grpc = grpc.entity(sent_subject);
    }
    grpc = grpc.entity(sent_resource);
    let mut roles = Vec::new();
    for _ in 0..random.below(3) {
        let (role, scope) = *random.pick(&[
            ("viewer", "Site::1"),
            ("editor", "Site::1"),
            ("owner", "Site::1"),
            ("editor", "Site::2"),
            ("owner", "Team::t"),
            ("admin", "Instance::main"),
            ("boss", "Site::1"),
        ]);
        grpc = grpc.role(role, scope);
        roles.push(json!({"role": role, "scope": named(scope)}));
    }
    of_subject["roles"] = roles.into();
    let mut context = json!({});
    if action == "site.delete" && random.below(4) > 0 {
        let reason = *random.pick(&["", "spam"]);
        grpc = grpc.fact("reason", text(reason));
        context["reason"] = json!(reason);
    }
    if action == "site.count" && random.below(4) > 0 {
        // The last one overflows, and its forbid denies.
        let amount = *random.pick(&[1, 99, 100, i64::MAX]);
        grpc = grpc.fact("amount", long(amount));
        context["amount"] = json!(amount);
    }
    http["subject"] = with(subject, of_subject);
    http["resource"] = with(resource, of_resource);
    (grpc, asking(http, "context", context))
}

#[tokio::test]
async fn a_thousand_random_questions_have_the_same_answers_both_ways() {
    let store = stores::acme_with(&[("store.toml", "[authzen]\nroles = \"assignments\"\n")]);
    let web = Web::start([store]).await;
    let mut http2 = Http2::connect(&web).await;
    let mut random = Random::new(TestRng::from_seed(RngAlgorithm::ChaCha, &[15; 32]));
    let (mut allowed, mut denied, mut refused) = (0, 0, 0);
    for _ in 0..1_000 {
        let (grpc, http) = question(&mut random);
        let answer = http2.ask(&http).await;
        match web.server.ask(grpc).await {
            Ok(response) => {
                let is_allow = response.decision() == Decision::Allow;
                assert_eq!(answer, json!({"decision": is_allow}), "{http}");
                allowed += usize::from(is_allow);
                denied += usize::from(!is_allow);
            }
            Err(status) => {
                assert_eq!(answer["decision"], json!(false), "{http}");
                assert_eq!(answer["context"]["error"]["status"], json!(422), "{http} {status:?}");
                refused += 1;
            }
        }
    }
    assert!(allowed > 100 && denied > 100 && refused > 100, "{allowed} {denied} {refused}");
    // Both count in the same metrics.
    let metrics = get(web.server.http, "/metrics").await.body;
    let count = |rpc: &str, decision: &str| -> usize {
        let series = format!(
            r#"humbaba_decisions_total{{decision="{decision}",rpc="{rpc}",store="acme"}} "#
        );
        let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
        line.map_or(0, |count| count.parse().unwrap())
    };
    for rpc in ["IsAuthorized", "Evaluation"] {
        assert_eq!((count(rpc, "allow"), count(rpc, "deny")), (allowed, denied), "{rpc}");
    }
}

#[test]
fn decisions_are_recorded_and_can_be_made_again() {
    let (folder, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = folder.path().join("guard");
    write_store(
        folder.path(),
        "guard",
        "permit (principal, action, resource) when { principal.level > 5 };",
    );
    fs::write(
        store.join("schema.cedarschema"),
        "entity User = { level: Long }; entity Site;
         action \"edit\", \"view\" appliesTo { principal: User, resource: Site };",
    )
    .unwrap();
    let alice =
        r#"[{"uid": {"type": "User", "id": "alice"}, "attrs": {"level": 1}, "parents": []}]"#;
    fs::write(store.join("facts.cedarentities.json"), alice).unwrap();
    fs::write(store.join("store.toml"), "[authzen]\noverridable = [\"User.level\"]\n").unwrap();
    let file = place.path().join("decisions.jsonl").to_str().unwrap().to_owned();
    let sidecar =
        Sidecar::start(folder.path(), &["--decision-log=required", "--decision-log-file", &file]);
    let address = sidecar.addresses["web"].as_str().unwrap();
    let post = |path: &str, body: &Json| {
        let url = format!("http://{address}/access/v1/{path}");
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail", &url, "-H", "Content-Type: application/json"]);
        curl.args([
            "-H",
            "X-Request-ID: mine",
            "-H",
            &format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01"),
        ]);
        let ended = curl.args(["-d", &body.to_string()]).output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        serde_json::from_slice::<Json>(&ended.stdout).unwrap()
    };
    let item = |level: i64| json!({"subject": with("User::alice", json!({"level": level}))});
    let request = json!({"action": {"name": "edit"}, "resource": named("Site::1"), "evaluations": [item(9), item(2)]});
    let decisions = json!([{"decision": true}, {"decision": false}]);
    assert_eq!(post("evaluations", &request), json!({"evaluations": decisions}));
    let search =
        json!({"subject": with("User::alice", json!({"level": 9})), "resource": named("Site::1")});
    let found = json!({"results": [{"name": "edit"}, {"name": "view"}]});
    assert_eq!(post("search/action", &search), found);

    let text = fs::read_to_string(&file).unwrap();
    let records: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rpcs: Vec<_> = records.iter().map(|record| record["rpc"].as_str().unwrap()).collect();
    assert_eq!(rpcs, ["Evaluations", "Evaluations", "Search"]);
    let schema = include_str!("../../../docs/decision-record.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    for (record, (decision, item)) in records.iter().zip([
        (json!("allow"), json!(0)),
        (json!("deny"), json!(1)),
        (json!(null), json!(null)),
    ]) {
        assert!(schema.is_valid(record), "{record:#}");
        assert_eq!((&record["decision"], &record["item"]), (&decision, &item));
        assert_eq!(
            (&record["decision_id"], &record["request_id"]),
            (&json!("mine"), &json!("mine"))
        );
        assert_eq!(record["trace_id"], json!(TRACE));
        assert!(record["caller"]["address"].is_string(), "{record:#}");
    }
    for item in ["0", "1"] {
        let policies = folder.path().to_str().unwrap();
        let again = ["check", "--policies", policies, "--record", &file, "--item", item];
        let ended = end(&mut command(&again));
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.out.contains("the same answer as"), "{}", ended.out);
    }
}
