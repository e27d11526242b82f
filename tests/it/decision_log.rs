//! The decision log: what a record holds.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::Duration,
};

use humbaba::{
    audit::{DecisionLog, LogMode, LogOptions},
    proto::{
        BatchIsAuthorizedItem, BatchIsAuthorizedRequest, IsAuthorizedRequest, ListActionsRequest,
    },
};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tonic::Request;

use crate::support::{
    TestServer,
    ask::{
        Asking as _, Knowing as _, action, ask, entity, is_allow, long, moment, reference, text,
        uid,
    },
    stores,
};

pub static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/decision-record.schema.json");
    let schema = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
});

/// A log in a folder of its own, and a server that writes to it.
pub struct Recorded {
    pub folder: TempDir,
    pub log: DecisionLog,
    pub server: TestServer,
}

impl Recorded {
    pub async fn start(change: impl FnOnce(&mut LogOptions)) -> Self {
        Self::with(stores::acme(), change).await
    }

    async fn with(
        store: Arc<humbaba::store::PolicyStore>,
        change: impl FnOnce(&mut LogOptions),
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let mut options = LogOptions {
            mode: LogMode::On,
            file: Some(folder.path().join("decisions.jsonl")),
            ..LogOptions::default()
        };
        change(&mut options);
        let log = DecisionLog::open(options).unwrap();
        let server = TestServer::recording([store], log.clone()).await;
        Self { folder, log, server }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("decisions.jsonl")
    }

    /// Everything that was written, once the log is closed. Every record must fit the schema.
    pub async fn records(&self) -> Vec<Json> {
        assert!(self.log.close(Duration::from_secs(20)).await);
        records(&self.path())
    }
}

pub fn records(path: &Path) -> Vec<Json> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    let records: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for record in &records {
        let errors: Vec<_> = SCHEMA
            .iter_errors(record)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{record:#}\n{}", errors.join("\n"));
    }
    records
}

pub fn edit() -> IsAuthorizedRequest {
    ask("User::alice", "site.edit", "Site::42").role("editor", "Site::42")
}

#[tokio::test]
async fn a_record_holds_the_whole_decision() {
    let recorded = Recorded::start(|_| ()).await;
    let question = edit()
        .entity(entity("Site::42").attribute(
            "locked",
            crate::support::ask::value(humbaba::proto::value::Kind::Boolean(true)),
        ))
        .entity(
            entity("User::alice")
                .attribute("name", text("Alice"))
                .tag("level", text("high"))
                .within("Group::g"),
        )
        .assignment(humbaba::proto::RoleAssignment {
            expires_at: Some(moment(1_769_850_000_123)),
            ..crate::support::ask::assignment_of("Group::g", "owner", "Team::t")
        });
    let mut question = Request::new(question);
    let metadata = question.metadata_mut();
    metadata.insert("x-request-id", "req-7".parse().unwrap());
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    metadata.insert("traceparent", trace.parse().unwrap());
    let answer = recorded.server.client().is_authorized(question).await.unwrap().into_inner();
    assert!(!is_allow(&answer));

    let [record] = <[Json; 1]>::try_from(recorded.records().await).unwrap();
    for (field, expected) in [
        ("record", json!("humbaba.decision.v1")),
        ("decision_id", json!("req-7")),
        ("request_id", json!("req-7")),
        ("trace_id", json!("4bf92f3577b34da6a3ce929d0e0e4736")),
        ("span_id", json!("00f067aa0ba902b7")),
        ("rpc", json!("IsAuthorized")),
        ("store", json!("acme")),
        ("revision", json!(answer.revision)),
        ("decision", json!("deny")),
        (
            "determining_policies",
            json!([{"policy_id": "locked",
                    "annotations": {"id": "locked", "advice": "Unlock the site first."}}]),
        ),
        ("errors", json!([])),
        ("principal", json!({"type": "User", "id": "alice"})),
        ("action", json!({"type": "", "id": "site.edit"})),
        ("resource", json!({"type": "Site", "id": "42"})),
        ("context", json!({})),
        (
            "entities",
            json!([
                {"uid": {"type": "Site", "id": "42"}, "attrs": {"locked": true}, "parents": []},
                {"uid": {"type": "User", "id": "alice"}, "attrs": {"name": "Alice"},
                 "parents": [{"type": "Group", "id": "g"}], "tags": {"level": "high"}},
            ]),
        ),
        (
            "role_assignments",
            json!([
                {"role": "editor", "scope": {"type": "Site", "id": "42"}},
                {"principal": {"type": "Group", "id": "g"}, "role": "owner",
                 "scope": {"type": "Team", "id": "t"}, "expires_at": "2026-01-31T09:00:00.123Z"},
            ]),
        ),
        ("on_forbid_error", json!("deny")),
    ] {
        assert_eq!(record[field], expected, "{field} of {record:#}");
    }
    let address = record["caller"]["address"].as_str().unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    assert!(record["latency_us"].is_u64() && record.get("hidden").is_none());
}

#[tokio::test]
async fn there_is_a_record_for_every_item_and_one_for_a_list() {
    let recorded = Recorded::start(|_| ()).await;
    let item = |id: &str| BatchIsAuthorizedItem {
        action: Some(action(id)),
        ..BatchIsAuthorizedItem::default()
    };
    let batch = BatchIsAuthorizedRequest {
        principal: Some(uid("User::alice")),
        resource: Some(uid("Site::42")),
        role_assignments: vec![crate::support::ask::assignment("viewer", "Site::42")],
        items: vec![item("site.view"), item("no.such"), item("site.edit")],
        ..BatchIsAuthorizedRequest::default()
    };
    let answers = recorded.server.client().batch_is_authorized(batch).await.unwrap().into_inner();
    let list = ListActionsRequest {
        principal: Some(uid("User::alice")),
        resource: Some(uid("Site::42")),
        role_assignments: vec![crate::support::ask::assignment("viewer", "Site::42")],
        ..ListActionsRequest::default()
    };
    recorded.server.client().list_actions(list).await.unwrap();
    // A question that cannot be decided is no decision.
    recorded.server.refuses(ask("User::alice", "no.such", "Site::42")).await;

    let records = recorded.records().await;
    let told: Vec<_> = records
        .iter()
        .map(|record| json!([record["rpc"], record["item"], record["decision"]]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["BatchIsAuthorized", 0, "allow"]),
            json!(["BatchIsAuthorized", 2, "deny"]),
            json!(["ListActions", null, null]),
        ]
    );
    let ids: Vec<_> = answers
        .items
        .iter()
        .filter_map(|item| match item.result.as_ref().unwrap() {
            humbaba::proto::batch_is_authorized_result::Result::Response(answer) => {
                Some(json!(answer.decision_id))
            }
            humbaba::proto::batch_is_authorized_result::Result::Error(_) => None,
        })
        .collect();
    assert_eq!(ids, [records[0]["decision_id"].clone(), records[1]["decision_id"].clone()]);
    assert_eq!(
        records[2]["actions"]["allowed"],
        json!([
            {"type": "Acme::Action", "id": "site.preview"}, {"type": "Acme::Action", "id": "site.view"},
        ])
    );
}

#[tokio::test]
async fn chosen_fields_are_hidden_wherever_they_stand() {
    let fields = |paths: &[&str]| paths.iter().map(|path| path.parse().unwrap()).collect();
    let key = TempDir::new().unwrap();
    let key = key.path().join("key");
    fs::write(&key, "0123456789abcdef\n").unwrap();
    let recorded = Recorded::start(|options| {
        options.hash = fields(&["principal.id"]);
        options.mask = fields(&["context.reason", "context.absent"]);
        options.omit = fields(&["entities.attrs.name", "caller"]);
        options.hash_key_file = Some(key.clone());
    })
    .await;
    let question = ask("User::alice", "site.delete", "Site::42")
        .role("owner", "Site::42")
        .assignment(crate::support::ask::assignment_of("Acme::User::alice", "viewer", "Site::42"))
        .fact("reason", text("secret"))
        .entity(entity("User::alice").attribute("name", text("Alice")));
    assert!(recorded.server.allows(question).await);
    // Cedar's words on an overflow would tell the value.
    let question = ask("User::alice", "site.count", "Site::42").fact("amount", long(i64::MAX));
    assert!(!recorded.server.allows(question).await);

    let records = recorded.records().await;
    let record = &records[0];
    let id = record["principal"]["id"].as_str().unwrap();
    assert!(id.starts_with("hash:"), "{record:#}");
    assert_eq!(
        record["entities"][0],
        json!({"uid": {"type": "User", "id": id}, "attrs": {}, "parents": []})
    );
    assert_eq!(record["role_assignments"][1]["principal"], json!({"type": "Acme::User", "id": id}));
    assert_eq!(record["context"], json!({"reason": "[masked]"}));
    assert_eq!(
        record["hidden"],
        json!(["entities.attrs.name", "caller", "principal.id", "context.reason"])
    );
    assert!(record.get("caller").is_none());
    assert_eq!(
        records[1]["errors"],
        json!([{"policy_id": "count-not-too-much", "message": "[masked]"}])
    );
    let text = fs::read_to_string(recorded.path()).unwrap();
    for secret in ["alice", "Alice", "secret"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    // HMAC-SHA256 of `alice` under that key, as any other program computes it.
    assert_eq!(id, "hash:fdbf8b1cacd3d578e062d0e41104357d");
}

#[tokio::test]
async fn only_plain_allows_are_left_out_by_sampling() {
    let store = stores::acme_as(
        "acme",
        r#"@id("noted") @obligation("tell") permit (principal == Acme::User::"olga", action, resource);"#,
    );
    let recorded = Recorded::with(store, |options| options.sample_allows = 0).await;
    assert!(recorded.server.allows(edit()).await);
    assert!(recorded.server.allows(ask("User::olga", "site.view", "Site::1")).await);
    assert!(!recorded.server.allows(ask("User::bob", "site.view", "Site::1")).await);
    let records = recorded.records().await;
    let who: Vec<_> = records.iter().map(|record| &record["principal"]["id"]).collect();
    assert_eq!(who, ["olga", "bob"]);
    let counts = recorded.log.counts().unwrap();
    assert_eq!((counts.written, counts.sampled_out), (2, 1));
}

/// The page of the vendor asks for: who changed what, when, for whom, from which level to which,
/// why, and who approved it.
#[tokio::test]
async fn the_record_of_a_permission_change_is_a_whole_audit_record() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/kissmetrics");
    let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let files: Vec<_> = names
        .iter()
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .filter(|(name, _)| name.ends_with(".cedar") || name.ends_with(".cedarschema"))
        .collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let store = stores::store("kissmetrics", &files);
    // Plain allows are not even recorded here.
    let recorded = Recorded::with(store, |options| {
        options.mode = LogMode::Required;
        options.sample_allows = 0;
    })
    .await;
    let change = |reason: &str| {
        ask("User::amy", "users.change-role.user-to-admin", "Account::acme")
            .role("admin", "Account::acme")
            .assignment(crate::support::ask::assignment_of("User::uma", "user", "Account::acme"))
            .assignment(crate::support::ask::assignment_of("User::olga", "owner", "Account::acme"))
            .entity(entity("User::uma").attribute(
                "managed_by_sso",
                crate::support::ask::value(humbaba::proto::value::Kind::Boolean(false)),
            ))
            .fact("now", crate::support::ask::datetime(1_710_493_200_000))
            .fact("user_affected", reference("User::uma"))
            .fact("new_level", reference("Level::admin"))
            .fact("reason", text(reason))
            .fact("approver", reference("User::olga"))
            .fact(
                "record",
                crate::support::ask::record([
                    ("date", crate::support::ask::datetime(1_710_493_200_000)),
                    ("changed_by", reference("User::amy")),
                    ("previous_level", reference("Level::user")),
                ]),
            )
    };
    assert!(recorded.server.allows(change("Promoted to Analytics Team Lead")).await);
    assert!(!recorded.server.allows(change("")).await);

    let records = recorded.records().await;
    assert_eq!(records.len(), 2);
    let of = |ty: &str, id: &str| json!({"__entity": {"type": ty, "id": id}});
    for (record, reason) in records.iter().zip(["Promoted to Analytics Team Lead", ""]) {
        for (what, field, expected) in [
            ("who", "/record/changed_by", of("User", "amy")),
            (
                "when",
                "/record/date",
                json!({"__extn": {"fn": "datetime", "arg": "2024-03-15T09:00:00Z"}}),
            ),
            ("whom", "/user_affected", of("User", "uma")),
            ("previous", "/record/previous_level", of("Level", "user")),
            ("new", "/new_level", of("Level", "admin")),
            ("why", "/reason", json!(reason)),
            ("approver", "/approver", of("User", "olga")),
        ] {
            let found = record["context"].pointer(field);
            assert_eq!(found, Some(&expected), "{what}: {record:#}");
        }
        assert_eq!(record["principal"], json!({"type": "User", "id": "amy"}));
        assert_eq!(record["now"], json!("2024-03-15T09:00:00Z"));
    }
    assert_eq!(records[0]["decision"], json!("allow"));
    let duties = &records[0]["determining_policies"][0]["annotations"]["obligation"];
    assert_eq!(duties, &json!("write-change-record, drop-cached-decisions"));
    assert_eq!(records[1]["decision"], json!("deny"));
    assert_eq!(records[1]["determining_policies"][0]["policy_id"], json!("record-reason"));
}
