//! Sidecars that follow a real PostgreSQL.

use std::{
    fs,
    time::{Duration, Instant},
};

use humbaba::proto::{
    IsAuthorizedRequest, IsAuthorizedResponse,
    authorization_service_client::AuthorizationServiceClient,
};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio_postgres::Client;
use tonic::{Code, Request, Status};

use crate::{
    cli::policies,
    cli_sidecar::Sidecar,
    support::{
        ask::{ask, is_allow},
        http::get,
        postgres::{Postgres, READER, WRITER, value},
        wait::{DEADLINE, until},
    },
};

/// A sidecar that follows the server.
fn follow(postgres: &Postgres, policies: &TempDir, more: &[&str]) -> Sidecar {
    let url_file = postgres.url_file().to_str().unwrap().to_owned();
    let variables = [("HUMBABA_DIRECTORY__POSTGRES_URL_FILE", url_file)];
    let args = [&["--directory", "main=postgres"], more].concat();
    Sidecar::start_with(policies.path(), &args, &variables)
}

/// Puts a question to a sidecar.
async fn put(
    sidecar: &Sidecar,
    question: IsAuthorizedRequest,
) -> Result<IsAuthorizedResponse, Status> {
    let mut client = AuthorizationServiceClient::connect(sidecar.tcp()).await.unwrap();
    let mut request = Request::new(question);
    request.set_timeout(DEADLINE);
    client.is_authorized(request).await.map(tonic::Response::into_inner)
}

/// May Alice do that on site 42, by facts at least that new?
fn alice(action: &str, at_least: &str) -> IsAuthorizedRequest {
    let question = ask("User::alice", action, "Site::42");
    IsAuthorizedRequest { at_least_version: at_least.to_owned(), ..question }
}

async fn allows(sidecar: &Sidecar, question: IsAuthorizedRequest) -> bool {
    is_allow(&put(sidecar, question).await.unwrap())
}

async fn execute(client: &Client, statement: &str) {
    client.batch_execute(statement).await.unwrap();
}

const GRANT: &str = "INSERT INTO humbaba.assignments (principal_type, principal_id, role, scope_type, \
                     scope_id) VALUES ('User', 'alice', 'editor', 'Site', '42')";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_commits_is_in_force_and_its_token_waits_for_it() {
    let Some(postgres) = Postgres::start().await else { return };
    postgres.install(&[]).await;
    // Running it again changes nothing.
    postgres.install(&[]).await;
    let policies = policies(&["main"]);
    let (first, second) = (follow(&postgres, &policies, &[]), follow(&postgres, &policies, &[]));
    let app = postgres.client(WRITER).await;
    assert!(!allows(&first, alice("edit", "")).await);

    execute(&app, &format!("BEGIN; {GRANT}")).await;
    let token = value(&app, "SELECT humbaba.token()").await;
    let waiting = tokio::spawn({
        let (server, question) = (first.tcp(), alice("edit", &token));
        async move {
            let mut client = AuthorizationServiceClient::connect(server).await.unwrap();
            client.is_authorized(question).await.unwrap().into_inner()
        }
    });
    until("the sidecar has polled", async || {
        // Whatever it polls meanwhile, it does not see what is not committed.
        tokio::time::sleep(Duration::from_millis(300)).await;
        true
    })
    .await;
    assert!(!waiting.is_finished(), "answered before the transaction committed");
    execute(&app, "COMMIT").await;
    let committed = Instant::now();
    let answer = waiting.await.unwrap();
    assert!(is_allow(&answer));
    assert!(committed.elapsed() < Duration::from_secs(5), "{:?}", committed.elapsed());
    // The version of one sidecar's answer is good for another.
    assert!(allows(&second, alice("edit", &answer.directory_version)).await);

    execute(&app, "BEGIN; DELETE FROM humbaba.assignments; ROLLBACK").await;
    let now = value(&app, "SELECT humbaba.version()").await;
    assert!(allows(&first, alice("edit", &now)).await, "what is rolled back has not been");

    execute(&app, "BEGIN; DELETE FROM humbaba.assignments").await;
    let token = value(&app, "SELECT humbaba.token()").await;
    execute(&app, "COMMIT").await;
    assert!(!allows(&second, alice("edit", &token)).await);

    let entity = r#"INSERT INTO humbaba.entities VALUES
        ('User', 'alice', '{"parents": [{"type": "Group", "id": "staff"}]}');
        INSERT INTO humbaba.assignments (principal_type, principal_id, role, scope_type, scope_id)
            VALUES ('Group', 'staff', 'viewer', 'Site', '42')"#;
    execute(&app, entity).await;
    let now = value(&app, "SELECT humbaba.version()").await;
    assert!(allows(&first, alice("view", &now)).await, "by the group of the entity");
    assert!(!allows(&first, alice("edit", &now)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_cannot_be_compared_are_refused() {
    let Some(postgres) = Postgres::start().await else { return };
    postgres.install(&[]).await;
    let policies = policies(&["main"]);
    let sidecar = follow(&postgres, &policies, &[]);
    let app = postgres.client(WRITER).await;
    let token = value(&app, "SELECT humbaba.version()").await;
    let (generation, place) = token.split_once('.').unwrap();

    let other = format!("{}.{place}", generation.chars().rev().collect::<String>());
    let status = put(&sidecar, alice("view", &other)).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    for text in ["nonsense", &format!("{generation}.x1"), &format!("{generation}.7")] {
        let status = put(&sidecar, alice("view", text)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{text}: {status:?}");
    }

    // The schema is made anew, as a dump does that is restored: another history.
    let admin = postgres.client("postgres").await;
    execute(&admin, GRANT).await;
    execute(&admin, "DROP SCHEMA humbaba CASCADE").await;
    postgres.install(&[]).await;
    let renewed = value(&app, "SELECT humbaba.version()").await;
    until("the new history", async || put(&sidecar, alice("view", &renewed)).await.is_ok()).await;
    assert!(!allows(&sidecar, alice("edit", &renewed)).await, "the row went with the schema");
    let status = put(&sidecar, alice("view", &token)).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_a_sidecar_decides_with_what_it_has_until_that_is_too_old() {
    let Some(mut postgres) = Postgres::start().await else { return };
    postgres.install(&[]).await;
    let policies = policies(&["main"]);
    let patient = follow(&postgres, &policies, &[]);
    let strict = follow(&postgres, &policies, &["--set", "directory.max_age_s=1"]);
    let app = postgres.client(WRITER).await;
    execute(&app, GRANT).await;
    let now = value(&app, "SELECT humbaba.version()").await;
    assert!(allows(&patient, alice("edit", &now)).await);
    assert!(allows(&strict, alice("edit", &now)).await);

    postgres.kill();
    until("what is too old decides nothing", async || {
        let answer = put(&strict, alice("edit", "")).await;
        answer.is_err_and(|status| status.code() == Code::Unavailable)
    })
    .await;
    assert!(allows(&patient, alice("edit", "")).await);

    postgres.up().await;
    let app = postgres.client(WRITER).await;
    execute(&app, "DELETE FROM humbaba.assignments").await;
    let now = value(&app, "SELECT humbaba.version()").await;
    assert!(!allows(&patient, alice("edit", &now)).await);
    until("it is heard again", async || put(&strict, alice("edit", "")).await.is_ok()).await;
    assert!(!allows(&strict, alice("edit", &now)).await);
    // It went on from where it was.
    assert_eq!(patient.log().matches("the directory was read").count(), 1);
}

/// Cuts a sidecar's connection and lets it make no other.
async fn cut_off(admin: &Client) {
    let cut = format!(
        "ALTER ROLE {READER} NOLOGIN; SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
         WHERE usename = '{READER}'"
    );
    execute(admin, &cut).await;
}

async fn let_in(admin: &Client) {
    execute(admin, &format!("ALTER ROLE {READER} LOGIN")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_was_away_reads_anew_only_if_what_it_missed_was_trimmed() {
    let Some(postgres) = Postgres::start().await else { return };
    postgres.install(&[]).await;
    let policies = policies(&["main"]);
    let sidecar = follow(&postgres, &policies, &[]);
    let (app, admin) = (postgres.client(WRITER).await, postgres.client("postgres").await);
    let read_anew = || sidecar.log().matches("the directory is read anew").count();

    execute(&app, GRANT).await;
    assert!(allows(&sidecar, alice("edit", &value(&app, "SELECT humbaba.version()").await)).await);
    // The changes that it has seen may go.
    for _ in 0..2 {
        execute(&admin, "SELECT humbaba.trim('0')").await;
    }
    assert_eq!(value(&admin, "SELECT count(*) FROM humbaba.changes").await, "0");
    let now = value(&app, "SELECT humbaba.version()").await;
    assert!(allows(&sidecar, alice("edit", &now)).await);
    assert_eq!(read_anew(), 0);

    cut_off(&admin).await;
    execute(&app, "DELETE FROM humbaba.assignments").await;
    let_in(&admin).await;
    assert!(!allows(&sidecar, alice("edit", &value(&app, "SELECT humbaba.version()").await)).await);
    assert_eq!(read_anew(), 0, "the changes were still there");

    cut_off(&admin).await;
    execute(&app, GRANT).await;
    for _ in 0..2 {
        execute(&admin, "SELECT humbaba.trim('0')").await;
    }
    let_in(&admin).await;
    assert!(allows(&sidecar, alice("edit", &value(&app, "SELECT humbaba.version()").await)).await);
    assert_eq!(read_anew(), 1, "{}", sidecar.log());

    // Trimming keeps what is younger.
    execute(&app, "DELETE FROM humbaba.assignments").await;
    execute(&admin, "SELECT humbaba.trim('1 hour'), humbaba.trim('1 hour')").await;
    assert_eq!(value(&admin, "SELECT count(*) FROM humbaba.changes").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_table_and_lost_changes_are_noticed() {
    let Some(postgres) = Postgres::start().await else { return };
    postgres.install(&[]).await;
    let policies = policies(&["main"]);
    let sidecar = follow(&postgres, &policies, &[]);
    let admin = postgres.client("postgres").await;
    let version = async || value(&admin, "SELECT humbaba.version()").await;

    execute(&admin, GRANT).await;
    assert!(allows(&sidecar, alice("edit", &version().await)).await);
    execute(&admin, "TRUNCATE humbaba.assignments").await;
    assert!(!allows(&sidecar, alice("edit", &version().await)).await);

    // Writes without triggers, after which somebody says so.
    execute(&admin, "ALTER TABLE humbaba.assignments DISABLE TRIGGER ALL").await;
    execute(&admin, GRANT).await;
    execute(&admin, "ALTER TABLE humbaba.assignments ENABLE TRIGGER ALL").await;
    execute(&admin, "SELECT humbaba.reload()").await;
    assert!(allows(&sidecar, alice("edit", &version().await)).await);

    // The changes go back behind what the sidecar has seen.
    execute(&admin, "ALTER TABLE humbaba.assignments DISABLE TRIGGER ALL").await;
    execute(&admin, "TRUNCATE humbaba.assignments").await;
    execute(&admin, "DELETE FROM humbaba.changes").await;
    until("the older table is noticed", async || !allows(&sidecar, alice("edit", "")).await).await;
    assert!(sidecar.log().contains("older than it was"), "{}", sidecar.log());
}

/// The fault of the directory's source, as `/status` tells it.
async fn problem(sidecar: &Sidecar) -> String {
    let address = sidecar.addresses["http"].as_str().unwrap().parse().unwrap();
    let status: Json = serde_json::from_str(&get(address, "/status").await.body).unwrap();
    status["directories"][0]["problem"].as_str().unwrap_or_default().to_owned()
}

/// Nobody can say what changed unseen.
#[tokio::test(flavor = "multi_thread")]
async fn triggers_that_do_not_fire_are_noticed_and_nothing_is_confirmed_any_more() {
    let Some(postgres) = Postgres::start().await else { return };
    postgres.install(&[]).await;
    let policies = policies(&["main"]);
    let patient = follow(&postgres, &policies, &[]);
    let strict = follow(&postgres, &policies, &["--set", "directory.max_age_s=1"]);
    let (app, admin) = (postgres.client(WRITER).await, postgres.client("postgres").await);
    let version = async || value(&app, "SELECT humbaba.version()").await;
    execute(&app, GRANT).await;
    assert!(allows(&patient, alice("edit", &version().await)).await);

    let unseen = "ALTER TABLE humbaba.assignments DISABLE TRIGGER humbaba_assignments_delete; \
                  DELETE FROM humbaba.assignments";
    execute(&admin, unseen).await;
    until("the revocation is in force", async || !allows(&patient, alice("edit", "")).await).await;
    let said = problem(&patient).await;
    assert!(said.contains("`record_assignments` for DELETE are missing, disabled"), "{said}");
    assert!(patient.log().contains("the directory is not confirmed"), "{}", patient.log());
    let entity = "INSERT INTO humbaba.entities VALUES ('User', gen_random_uuid(), '{}')";
    until("what is not confirmed is too old", async || {
        // Changes that are seen confirm nothing either.
        execute(&app, entity).await;
        let answer = put(&strict, alice("edit", "")).await;
        answer.is_err_and(|status| status.code() == Code::Unavailable)
    })
    .await;

    let enable = "ALTER TABLE humbaba.assignments ENABLE ALWAYS TRIGGER humbaba_assignments_delete";
    execute(&admin, enable).await;
    until("it is confirmed again", async || problem(&patient).await.is_empty()).await;
    until("it decides again", async || put(&strict, alice("edit", "")).await.is_ok()).await;
    execute(&app, GRANT).await;
    assert!(allows(&patient, alice("edit", &version().await)).await);
    execute(&admin, "DROP TRIGGER humbaba_assignments_truncate ON humbaba.assignments").await;
    until("one is gone", async || problem(&patient).await.contains("for TRUNCATE are")).await;
    postgres.install(&[]).await;
    until("it is there again", async || problem(&patient).await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_written_anew_is_read_anew() {
    let Some(postgres) = Postgres::start().await else { return };
    postgres.install(&[]).await;
    let policies = policies(&["main"]);
    let sidecar = follow(&postgres, &policies, &[]);
    let admin = postgres.client("postgres").await;
    execute(&admin, GRANT).await;
    let now = value(&admin, "SELECT humbaba.version()").await;
    assert!(allows(&sidecar, alice("edit", &now)).await);
    let rewrite = "ALTER TABLE humbaba.assignments ALTER COLUMN principal_id TYPE text USING 'bob'";
    execute(&admin, rewrite).await;
    until("nothing is left to Alice", async || !allows(&sidecar, alice("edit", "")).await).await;
    assert!(allows(&sidecar, ask("User::bob", "edit", "Site::42")).await);
    // A trigger that was off for a moment may have missed a change.
    let unseen = "ALTER TABLE humbaba.assignments DISABLE TRIGGER ALL; \
                  DELETE FROM humbaba.assignments; \
                  ALTER TABLE humbaba.assignments ENABLE TRIGGER ALL";
    execute(&admin, unseen).await;
    let bob = || ask("User::bob", "edit", "Site::42");
    until("nothing is left to Bob", async || !allows(&sidecar, bob()).await).await;
    // That does not make it fire always, as it did.
    assert!(problem(&sidecar).await.contains("not ALWAYS"), "{}", problem(&sidecar).await);
    postgres.install(&[]).await;
    until("no problem", async || problem(&sidecar).await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_is_restored_is_followed() {
    let Some(postgres) = Postgres::start().await else { return };
    postgres.install(&[]).await;
    let policies = policies(&["main"]);
    let sidecar = follow(&postgres, &policies, &[]);
    let (app, admin) = (postgres.client(WRITER).await, postgres.client("postgres").await);
    execute(&app, GRANT).await;
    let dump = postgres.folder().join("dump.sql");
    let (folder, dump) = (postgres.folder().to_str().unwrap(), dump.to_str().unwrap());
    postgres
        .run("pg_dump", &["-h", folder, "-U", "postgres", "-n", "humbaba", "-f", dump, "postgres"]);
    execute(&app, "DELETE FROM humbaba.assignments").await;
    let later = value(&app, "SELECT humbaba.version()").await;
    assert!(!allows(&sidecar, alice("edit", &later)).await);

    execute(&admin, "DROP SCHEMA humbaba CASCADE").await;
    let to = [
        "-h",
        folder,
        "-U",
        "postgres",
        "-1",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-f",
        dump,
        "postgres",
    ];
    postgres.run("psql", &to);
    until("the rows of the dump", async || allows(&sidecar, alice("edit", "")).await).await;
    let status = put(&sidecar, alice("edit", &later)).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    execute(&app, "DELETE FROM humbaba.assignments").await;
    let now = value(&app, "SELECT humbaba.version()").await;
    assert!(!allows(&sidecar, alice("edit", &now)).await, "the triggers came with the dump");
}

#[test]
fn a_bad_mapping_is_refused_with_its_place() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("mapping.toml");
    let row = "principal_type = \"'User'\"\nprincipal_id = 'id'\nrole = 'role'\n\
               scope_type = \"'Site'\"\nscope_id = 'site'\n";
    for (text, part) in [
        ("[[assignments]\n", "mapping.toml"),
        (&format!("[[assignments]]\n{row}"), "table"),
        (&format!("[[assignments]]\ntable = 'a.b.c'\n{row}"), "assignments[0].table"),
        (&format!("[[assignments]]\ntable = 'm'\n{row}reason = '  '"), "assignments[0].reason"),
        (&format!("[[assignments]]\ntable = 'm'\n{row}where = 'a; DROP'"), "assignments[0].where"),
        (&format!("[[assignments]]\ntable = 'm'\n{row}expires = 'x'"), "expires"),
    ] {
        fs::write(&file, text).unwrap();
        let ended = crate::cli::run(&["directory", "schema", "--from", file.to_str().unwrap()]);
        assert_eq!(ended.code, 64, "{ended:?}");
        assert!(
            ended.err.contains(part) && ended.err.contains("mapping.toml"),
            "{part}: {ended:?}"
        );
    }
    assert_eq!(crate::cli::run(&["directory", "schema", "--from", "/nowhere"]).code, 64);
    assert_eq!(crate::cli::run(&["directory", "schema", "--reader", ""]).code, 64);
}
