//! Directories whose store loses the namespace under which rows are written.

use std::{fs, net::SocketAddr, path::Path};

use humbaba::proto::{
    DirectoryChange, IsAuthorizedResponse,
    authorization_service_client::AuthorizationServiceClient, directory_change::Change,
    value::Kind,
};
use tempfile::TempDir;

use crate::{
    cli_sidecar::Sidecar,
    support::{
        ask::{Knowing as _, ask, entity, is_allow, uid, value},
        directory_client::{change, directory, sidecar, write},
        http::get,
        postgres::{Postgres, WRITER},
        wait::until,
    },
};

const SCHEMA: &str = r#"namespace App {
    @role entity Role;
    entity User in [Role] { suspended?: Bool };
    entity Site { viewer: Role };
    action view appliesTo { principal: User, resource: Site };
}
"#;
const RULES: &str = r#"
    permit (principal, action == App::Action::"view", resource);
    forbid (principal, action, resource)
    when { principal is App::User && principal has suspended && principal.suspended };
"#;

/// Writes the store, with its namespace or without.
fn write_store(folder: &Path, has_namespace: bool) {
    let (mut schema, mut rules) = (SCHEMA.to_owned(), RULES.to_owned());
    if !has_namespace {
        let inner = schema.trim_end().strip_suffix('}').unwrap();
        schema = inner.strip_prefix("namespace App {").unwrap().to_owned();
        rules = rules.replace("App::", "");
    }
    let store = folder.join("guard");
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join("schema.cedarschema"), schema).unwrap();
    fs::write(store.join("policies.cedar"), rules).unwrap();
}

/// A folder with the store in its namespace.
fn policies() -> TempDir {
    let folder = TempDir::new().unwrap();
    write_store(folder.path(), true);
    folder
}

fn http(sidecar: &Sidecar) -> SocketAddr {
    sidecar.addresses["http"].as_str().unwrap().parse().unwrap()
}

async fn view(sidecar: &Sidecar, user: &str) -> IsAuthorizedResponse {
    let mut client = AuthorizationServiceClient::connect(sidecar.tcp()).await.unwrap();
    let question = ask(&format!("User::{user}"), "view", "Site::1");
    client.is_authorized(question).await.unwrap().into_inner()
}

/// Takes the namespace away from a running sidecar of which the directory holds `App::User::"bob"`, who
/// is suspended.
async fn assert_stays_suspended(sidecar: &Sidecar, policies: &TempDir) {
    until("the row is in force", async || !is_allow(&view(sidecar, "bob").await)).await;
    let before = view(sidecar, "carol").await;
    assert!(is_allow(&before));
    write_store(policies.path(), false);
    until("the namespace is gone", async || {
        let (bob, carol) = (view(sidecar, "bob").await, view(sidecar, "carol").await);
        assert!(!is_allow(&bob), "{bob:?}");
        assert!(is_allow(&carol), "{carol:?}");
        // The rows are read for the new schema somewhat later.
        let status = get(http(sidecar), "/status").await.body;
        bob.revision != before.revision && status.contains("no entity type `App::User`")
    })
    .await;
    let bob = view(sidecar, "bob").await;
    assert!(!is_allow(&bob));
    let said = "the row of `User::\"bob\"` in the directory";
    assert!(bob.errors[0].message.starts_with(said), "{bob:?}");
}

/// The row of bob. An embedded directory knows it by its full name, however it was written.
fn bob(suspended: bool) -> DirectoryChange {
    let bob = entity("User::bob").attribute("suspended", value(Kind::Boolean(suspended)));
    change(Change::PutEntity(bob))
}

async fn until_allowed(sidecar: &Sidecar) {
    until("a row says that bob may", async || is_allow(&view(sidecar, "bob").await)).await;
}

#[tokio::test]
async fn who_is_suspended_in_a_file_stays_so_without_the_namespace() {
    let (policies, rows) = (policies(), TempDir::new().unwrap());
    let file = rows.path().join("users.cedarentities.json");
    let row = |type_name: &str, suspended: bool| {
        format!(
            r#"[{{"uid": {{"type": "{type_name}", "id": "bob"}},
                "attrs": {{"suspended": {suspended}}}, "parents": []}}]"#
        )
    };
    fs::write(&file, row("App::User", true)).unwrap();
    let source = format!("guard=files:{}", rows.path().display());
    let running = Sidecar::start(policies.path(), &["--directory", &source]);
    assert_stays_suspended(&running, &policies).await;
    fs::write(&file, row("User", false)).unwrap();
    until_allowed(&running).await;
}

#[tokio::test]
async fn who_is_suspended_in_an_embedded_directory_stays_so_without_the_namespace() {
    let (policies, data) = (policies(), TempDir::new().unwrap());
    let running = sidecar(policies.path(), data.path(), &[]);
    let mut client = directory(&running);
    write(&mut client, [bob(true)]).await;
    assert_stays_suspended(&running, &policies).await;
    write(&mut client, [bob(false)]).await;
    until_allowed(&running).await;
    // Without a row of his own nobody knows what the old one restricts, until it is deleted.
    write(&mut client, [change(Change::DeleteEntity(uid("User::bob")))]).await;
    assert!(!is_allow(&view(&running, "bob").await));
    write(&mut client, [change(Change::DeleteEntity(uid("App::User::bob")))]).await;
    until_allowed(&running).await;
}

#[tokio::test]
async fn who_is_suspended_without_the_namespace_stays_so_when_it_comes_back() {
    let (policies, data) = (policies(), TempDir::new().unwrap());
    let running = sidecar(policies.path(), data.path(), &[]);
    let mut client = directory(&running);
    write(&mut client, [bob(false)]).await;
    until_allowed(&running).await;
    let revision = view(&running, "bob").await.revision;
    let restored = async |had: &str| {
        until("the policies are reloaded", async || view(&running, "bob").await.revision != had)
            .await;
        view(&running, "bob").await.revision
    };
    write_store(policies.path(), false);
    let without = restored(&revision).await;
    write(&mut client, [bob(true)]).await;
    write_store(policies.path(), true);
    restored(&without).await;
    until("the rows are read again", async || {
        assert!(!is_allow(&view(&running, "bob").await));
        get(http(&running), "/status").await.body.contains("two rows of it differ")
    })
    .await;
    assert!(!is_allow(&view(&running, "bob").await), "neither row is the narrower");
    write(&mut client, [bob(false)]).await;
    until_allowed(&running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_suspended_in_postgresql_stays_so_without_the_namespace() {
    let Some(postgres) = Postgres::start().await else { return };
    postgres.install(&[]).await;
    let app = postgres.client(WRITER).await;
    let row = |type_name: &str, suspended: bool| {
        format!(
            "INSERT INTO humbaba.entities VALUES \
             ('{type_name}', 'bob', '{{\"attrs\": {{\"suspended\": {suspended}}}}}')"
        )
    };
    app.batch_execute(&row("App::User", true)).await.unwrap();
    let policies = policies();
    let url_file = postgres.url_file().to_str().unwrap().to_owned();
    let variables = [("HUMBABA_DIRECTORY__POSTGRES_URL_FILE", url_file)];
    let args = ["--directory", "guard=postgres"];
    let running = Sidecar::start_with(policies.path(), &args, &variables);
    assert_stays_suspended(&running, &policies).await;
    app.batch_execute(&row("User", false)).await.unwrap();
    until_allowed(&running).await;
}

/// Writes the file of a row that says of bob that he is not suspended.
fn write_bob(rows: &TempDir) {
    let row =
        r#"[{"uid": {"type": "User", "id": "bob"}, "attrs": {"suspended": false}, "parents": []}]"#;
    fs::write(rows.path().join("users.cedarentities.json"), row).unwrap();
}

#[tokio::test]
async fn a_namespace_that_comes_and_goes_while_files_cannot_be_read_changes_no_row() {
    let (policies, rows) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write_store(policies.path(), false);
    write_bob(&rows);
    let source = format!("guard=files:{}", rows.path().display());
    let running = Sidecar::start(policies.path(), &["--directory", &source]);
    until_allowed(&running).await;
    let without = view(&running, "bob").await.revision;
    let bad = rows.path().join("bad.assignments.csv");
    fs::write(&bad, "principal\n").unwrap();
    let status = async || get(http(&running), "/status").await.body;
    until("the files cannot be read", async || status().await.contains("bad.assignments.csv"))
        .await;
    for has_namespace in [true, false] {
        write_store(policies.path(), has_namespace);
        until("the policies are reloaded", async || {
            (view(&running, "bob").await.revision == without) != has_namespace
        })
        .await;
    }
    fs::remove_file(&bad).unwrap();
    until_allowed(&running).await;
}

#[tokio::test]
async fn a_row_of_a_type_that_the_schema_does_not_have_goes_with_its_line() {
    let (policies, rows) = (policies(), TempDir::new().unwrap());
    let file = rows.path().join("staff.assignments.csv");
    let header = "principal_type,principal_id,role,scope_type,scope_id\n";
    fs::write(&file, format!("{header}Group,staff,viewer,Site,1\n")).unwrap();
    let source = format!("guard=files:{}", rows.path().display());
    let running = Sidecar::start(policies.path(), &["--directory", &source]);
    let held = async || {
        let status = get(http(&running), "/status").await.body;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        status["directories"][0]["assignments"].as_u64()
    };
    until("the row is held", async || held().await == Some(1)).await;
    fs::write(&file, header).unwrap();
    until("it is gone", async || held().await == Some(0)).await;
}
