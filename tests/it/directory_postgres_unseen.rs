//! Changes of PostgreSQL that the triggers do not record as statements: each is noticed.

use std::{collections::BTreeSet, fs, process::Command, sync::Arc, time::Duration};

use humbaba::store::PolicyStore;
use tokio_postgres::Client;

use crate::{
    cli,
    support::{
        followed::Followed,
        postgres::{Postgres, value},
        skip::skip,
        stores,
        wait::{DEADLINE, until},
    },
};

fn store() -> Arc<PolicyStore> {
    let files = [("schema.cedarschema", cli::SCHEMA), ("policies.cedar", cli::POLICIES)];
    stores::store("main", &files)
}

const MAPPING: &str = r#"
[[assignments]]
table = "public.members"
principal_type = "'User'"
principal_id = "user_id"
role = "role"
scope_type = "'Site'"
scope_id = "site_id"
"#;

fn grant(user: &str) -> String {
    format!("INSERT INTO humbaba.assignments VALUES ('User', '{user}', 'owner', 'Site', '1')")
}

fn owners(users: &[&str]) -> BTreeSet<String> {
    users.iter().map(|user| format!("User {user} owner Site 1")).collect()
}

/// A server, its administrator, and a sidecar that follows it.
struct Lab {
    postgres: Postgres,
    admin: Client,
    followed: Followed,
}

impl Lab {
    /// With the directory's own tables, in which Alice is an owner.
    async fn new() -> Option<Self> {
        let lab = Self::with(&[], "").await?;
        assert_eq!(lab.after(&grant("alice")).await, owners(&["alice"]));
        Some(lab)
    }

    /// With a table of the product's that statements make.
    async fn mapped(tables: &str) -> Option<Self> {
        Self::with(&["--from", "MAPPING"], tables).await
    }

    async fn with(args: &[&str], tables: &str) -> Option<Self> {
        let postgres = Postgres::start().await?;
        let admin = postgres.client("postgres").await;
        if let Err(error) = admin.batch_execute(tables).await {
            skip(&format!("PostgreSQL cannot do that: {error:?}"));
            return None;
        }
        install(&postgres, args).await;
        let followed = Followed::postgres(&store(), postgres.url_file());
        Some(Self { postgres, admin, followed })
    }

    async fn execute(&self, statements: &str) {
        self.admin.batch_execute(statements).await.unwrap();
    }

    async fn version(&self) -> String {
        value(&self.admin, "SELECT humbaba.version()").await
    }

    /// Returns what is in force after statements.
    async fn after(&self, statements: &str) -> BTreeSet<String> {
        self.execute(statements).await;
        self.followed.at(&self.version().await).await
    }

    async fn until_problem(&self, part: &str) {
        until(part, async || self.followed.problem().contains(part)).await;
    }

    async fn until_no_problem(&self) {
        until("no problem", async || self.followed.problem().is_empty()).await;
    }

    async fn until_assignments(&self, expected: &BTreeSet<String>) {
        until("the rows", async || self.followed.assignments() == *expected).await;
    }
}

/// Runs what `humbaba directory schema` prints; `MAPPING` stands for a file with it.
async fn install(postgres: &Postgres, args: &[&str]) {
    let mapping = postgres.folder().join("mapping.toml");
    fs::write(&mapping, MAPPING).unwrap();
    let file = mapping.to_str().unwrap();
    let args: Vec<_> = args.iter().map(|arg| if *arg == "MAPPING" { file } else { *arg }).collect();
    postgres.install(&args).await;
}

const NOT_READ: &str = "missing, disabled or not ALWAYS on the table that is read";

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_took_the_place_of_the_one_with_triggers_is_noticed() {
    let Some(lab) = Lab::new().await else { return };
    let swap = "BEGIN;
        CREATE TABLE humbaba.other (LIKE humbaba.assignments INCLUDING ALL);
        INSERT INTO humbaba.other SELECT * FROM humbaba.assignments;
        ALTER TABLE humbaba.assignments RENAME TO before;
        ALTER TABLE humbaba.other RENAME TO assignments;
        GRANT SELECT ON humbaba.assignments TO humbaba_reader;
        COMMIT";
    lab.execute(swap).await;
    lab.until_problem("`humbaba.assignments` is read and has no triggers").await;
    install(&lab.postgres, &[]).await;
    lab.until_no_problem().await;
    assert_eq!(lab.after("DELETE FROM humbaba.assignments").await, owners(&[]));
}

const MEMBERS: &str = "CREATE TABLE members (site_id text, user_id text, role text);
    INSERT INTO members VALUES ('1', 'alice', 'owner');";

/// A view goes on reading a table that is called otherwise now.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_the_product_that_took_the_place_of_another_is_noticed() {
    let Some(lab) = Lab::mapped(MEMBERS).await else { return };
    lab.execute("ALTER TABLE members RENAME TO before").await;
    assert_eq!(lab.after("UPDATE before SET user_id = 'bob'").await, owners(&["bob"]));
    lab.execute("CREATE TABLE members (LIKE before)").await;
    lab.until_problem(NOT_READ).await;
    install(&lab.postgres, &["--from", "MAPPING"]).await;
    lab.until_no_problem().await;
    assert_eq!(lab.followed.at(&lab.version().await).await, owners(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_rows_are_changed_through_others_is_noticed() {
    let Some(lab) = Lab::new().await else { return };
    let plain = "`humbaba.assignments` is no plain table";
    lab.execute("CREATE TABLE humbaba.child () INHERITS (humbaba.assignments)").await;
    lab.until_problem(plain).await;
    lab.execute("DROP TABLE humbaba.child").await;
    lab.until_no_problem().await;
    let parent = "CREATE TABLE humbaba.parent (LIKE humbaba.assignments INCLUDING ALL);
        ALTER TABLE humbaba.assignments INHERIT humbaba.parent";
    lab.execute(parent).await;
    lab.until_problem(plain).await;
    let roles = ["directory", "schema", "--reader", "humbaba_reader"];
    let refused = lab.admin.batch_execute(&cli::run(&roles).out).await.unwrap_err();
    let message = refused.as_db_error().unwrap().message().to_owned();
    assert!(message.contains("children or a parent"), "{message}");
    lab.execute("ROLLBACK; ALTER TABLE humbaba.assignments NO INHERIT humbaba.parent").await;
    lab.until_no_problem().await;
    lab.execute("ALTER TABLE humbaba.assignments SET UNLOGGED").await;
    lab.until_problem(plain).await;
    lab.execute("ALTER TABLE humbaba.assignments SET LOGGED").await;
    lab.until_no_problem().await;
    // What a subscription brings fires no trigger of a statement.
    let subscribe = "SET allow_system_table_mods = on;
        INSERT INTO pg_subscription_rel VALUES (1, 'humbaba.assignments'::regclass, 'r', NULL)";
    lab.execute(subscribe).await;
    lab.execute("SELECT humbaba.reload()").await;
    lab.until_problem(plain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_over_a_table_without_triggers_is_noticed() {
    let Some(lab) = Lab::mapped(MEMBERS).await else { return };
    lab.followed.at(&lab.version().await).await;
    let wider = "CREATE TABLE guests (LIKE members);
        CREATE OR REPLACE VIEW humbaba.assignments AS SELECT 'User'::text AS principal_type,
            user_id AS principal_id, role, 'Site'::text AS scope_type, site_id AS scope_id,
            NULL::timestamptz AS expires_at, NULL::timestamptz AS granted_at,
            NULL::text AS granted_by, NULL::text AS reason
        FROM (TABLE members UNION ALL TABLE guests) AS everybody";
    lab.execute(wider).await;
    lab.until_problem("`public.guests` is read and has no triggers").await;
}

/// `session_replication_role = replica` goes around all other modes.
#[tokio::test(flavor = "multi_thread")]
async fn triggers_that_do_not_fire_for_replicas_are_a_fault() {
    let Some(lab) = Lab::new().await else { return };
    let again = "ALTER TABLE humbaba.assignments DISABLE TRIGGER ALL;
        ALTER TABLE humbaba.assignments ENABLE TRIGGER ALL";
    lab.execute(again).await;
    lab.until_problem(NOT_READ).await;
    install(&lab.postgres, &[]).await;
    lab.until_no_problem().await;
    let revoke = "SET session_replication_role = replica; DELETE FROM humbaba.assignments";
    assert_eq!(lab.after(revoke).await, owners(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_a_collation_takes_for_none_arrives() {
    let tables = "CREATE COLLATION any_case
            (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE members (site_id text, user_id text COLLATE any_case, role text,
            PRIMARY KEY (site_id, user_id));
        INSERT INTO members VALUES ('1', 'Alice', 'owner');";
    let Some(lab) = Lab::mapped(tables).await else { return };
    assert_eq!(lab.followed.at(&lab.version().await).await, owners(&["Alice"]));
    assert_eq!(lab.after("UPDATE members SET user_id = 'alice'").await, owners(&["alice"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_written_otherwise_arrives_in_every_sidecar() {
    let Some(lab) = Lab::new().await else { return };
    let held = |followed: &Followed| {
        let state = followed.live.state();
        let state = state.directories.values().next().unwrap().state.as_ref().unwrap();
        let rows: Vec<_> = state.directory.entities().map(|row| row.json).collect();
        rows.concat()
    };
    let put = r#"INSERT INTO humbaba.entities VALUES ('User', 'alice', '{"attrs": {"level": 1}}')"#;
    lab.after(put).await;
    assert!(held(&lab.followed).contains(": 1}"), "{}", held(&lab.followed));
    let update = r#"UPDATE humbaba.entities SET entity = '{"attrs": {"level": 1.0}}'"#;
    lab.after(update).await;
    assert!(held(&lab.followed).contains(": 1.0}"), "{}", held(&lab.followed));
    let other = Followed::postgres(&store(), lab.postgres.url_file());
    other.at(&lab.version().await).await;
    assert_eq!(held(&other), held(&lab.followed));
    let unchanged = r#"UPDATE humbaba.entities SET entity = '{ "attrs": {"level":1.0} }'"#;
    let count = "SELECT count(*) FROM humbaba.changes WHERE kind LIKE '%_entity'";
    let before = value(&lab.admin, count).await;
    lab.execute(unchanged).await;
    assert_eq!(value(&lab.admin, count).await, before);
}

/// A session of the application may write dates and numbers otherwise than that of a sidecar.
#[tokio::test(flavor = "multi_thread")]
async fn values_are_recorded_as_sidecars_read_them() {
    let tables = "CREATE TABLE members (site_id text, user_id date, role text);";
    let Some(lab) = Lab::mapped(tables).await else { return };
    let german = "SET datestyle = 'German';
        INSERT INTO members VALUES ('1', '31.01.2026', 'owner')";
    assert_eq!(lab.after(german).await, owners(&["2026-01-31"]));
    assert_eq!(lab.after("DELETE FROM members").await, owners(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_an_enumeration_that_is_renamed_is_noticed() {
    let tables = "CREATE TYPE level AS ENUM ('owner', 'editor');
        CREATE TABLE members (site_id text, user_id text, role level);
        INSERT INTO members VALUES ('1', 'alice', 'owner');";
    let Some(lab) = Lab::mapped(tables).await else { return };
    assert_eq!(lab.followed.at(&lab.version().await).await, owners(&["alice"]));
    let rename = "ALTER TYPE level RENAME VALUE 'editor' TO 'guest';
        ALTER TYPE level RENAME VALUE 'owner' TO 'editor'";
    lab.execute(rename).await;
    lab.until_assignments(&["User alice editor Site 1".to_owned()].into()).await;
    assert_eq!(lab.followed.problem(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_row_security_hides_are_not_taken_for_gone() {
    let Some(lab) = Lab::new().await else { return };
    for table in ["changes", "history"] {
        lab.execute(&format!("ALTER TABLE humbaba.{table} ENABLE ROW LEVEL SECURITY")).await;
        until("a problem", async || !lab.followed.problem().is_empty()).await;
        lab.execute(&format!("ALTER TABLE humbaba.{table} DISABLE ROW LEVEL SECURITY")).await;
        lab.until_no_problem().await;
    }
    lab.execute("ALTER TABLE humbaba.assignments ENABLE ROW LEVEL SECURITY").await;
    lab.until_problem("row-level security").await;
    assert_eq!(lab.followed.assignments(), owners(&["alice"]));
    lab.execute("ALTER TABLE humbaba.assignments DISABLE ROW LEVEL SECURITY").await;
    lab.until_no_problem().await;
}

/// Whatever did it: here a function that records nothing.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_changed_unrecorded_are_found_by_comparing_all() {
    let Some(lab) = Lab::new().await else { return };
    let often = Duration::from_millis(200);
    let followed = Followed::postgres_comparing(&store(), lab.postgres.url_file(), often);
    assert_eq!(followed.at(&lab.version().await).await, owners(&["alice"]));
    // Who follows the directory goes on where the rows are the same.
    let name = store().name().clone();
    let (_, mut changes) = followed.live.follow_directory(&name, "").unwrap();
    lab.execute("SELECT pg_sleep(0.5)").await;
    lab.execute(&grant("bob")).await;
    followed.at(&lab.version().await).await;
    assert_eq!(changes.next().await.unwrap().changes.len(), 1);

    let silent = "CREATE OR REPLACE FUNCTION humbaba.record_assignments() RETURNS trigger
            LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        DELETE FROM humbaba.assignments WHERE principal_id = 'alice'";
    lab.execute(silent).await;
    until("it is found", async || followed.assignments() == owners(&["bob"])).await;
}

/// The rows are read while another session holds a table of theirs.
#[tokio::test(flavor = "multi_thread")]
async fn changes_do_not_wait_while_all_rows_are_compared() {
    let Some(lab) = Lab::new().await else { return };
    let often = Duration::from_millis(500);
    let followed = Followed::postgres_comparing(&store(), lab.postgres.url_file(), often);
    followed.at(&lab.version().await).await;
    let (_, mut changes) = followed.live.follow_directory(store().name(), "").unwrap();
    let holder = lab.postgres.client("postgres").await;
    holder.batch_execute("BEGIN; LOCK humbaba.entities IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted
        AND relation = 'humbaba.entities'::regclass";
    until("the rows are being read", async || value(&lab.admin, waiting).await != "0").await;

    lab.execute(&grant("bob")).await;
    assert_eq!(followed.at(&lab.version().await).await, owners(&["alice", "bob"]));
    lab.execute("DELETE FROM humbaba.assignments WHERE principal_id = 'alice'").await;
    assert_eq!(followed.at(&lab.version().await).await, owners(&["bob"]));
    assert_ne!(value(&lab.admin, waiting).await, "0");

    // What came meanwhile is no difference: who follows the directory goes on.
    holder.batch_execute("COMMIT").await.unwrap();
    until("both sidecars only follow", async || value(&lab.admin, CONNECTIONS).await == "2").await;
    lab.execute(&grant("carol")).await;
    followed.at(&lab.version().await).await;
    for _ in 0..3 {
        assert_eq!(changes.next().await.unwrap().changes.len(), 1);
    }
}

/// The role is held either way, until the other row goes too.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_rows_of_a_role_that_went_unrecorded_is_found_by_comparing_all() {
    let Some(lab) = Lab::new().await else { return };
    lab.after(&grant("alice").replace("'User'", "'Guard::User'")).await;
    let often = Duration::from_millis(200);
    let followed = Followed::postgres_comparing(&store(), lab.postgres.url_file(), often);
    assert_eq!(followed.at(&lab.version().await).await, owners(&["alice"]));
    let (_, mut changes) = followed.live.follow_directory(store().name(), "").unwrap();
    let record = "SELECT pg_get_functiondef('humbaba.record_assignments'::regproc)";
    let unrecorded = format!(
        "CREATE OR REPLACE FUNCTION humbaba.record_assignments() RETURNS trigger
            LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        DELETE FROM humbaba.assignments WHERE principal_type = 'Guard::User';
        {}",
        value(&lab.admin, record).await
    );
    lab.execute(&unrecorded).await;
    // Who follows the directory cannot go on once its rows are read anew.
    let next = tokio::time::timeout(DEADLINE, changes.next()).await;
    assert!(next.expect("rows are compared").is_err());
    lab.execute("DELETE FROM humbaba.assignments").await;
    assert_eq!(followed.at(&lab.version().await).await, owners(&[]));
}

/// Connections of sidecars.
const CONNECTIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'humbaba_reader'";

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_that_gets_no_connection_is_tried_again_and_holds_nothing_up() {
    let Some(lab) = Lab::new().await else { return };
    lab.execute("ALTER ROLE humbaba_reader CONNECTION LIMIT 2").await;
    let often = Duration::from_millis(200);
    let followed = Followed::postgres_comparing(&store(), lab.postgres.url_file(), often);
    assert_eq!(followed.at(&lab.version().await).await, owners(&["alice"]));
    lab.execute("SELECT pg_sleep(0.5)").await;
    let replaced = "UPDATE humbaba.assignments SET principal_id = ";
    lab.execute(&format!("{replaced}'bob'")).await;
    assert_eq!(followed.at(&lab.version().await).await, owners(&["bob"]));
    let silent = format!(
        "CREATE OR REPLACE FUNCTION humbaba.record_assignments() RETURNS trigger
            LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        {replaced}'carol'"
    );
    lab.execute(&silent).await;
    assert_eq!(followed.problem(), "");
    lab.execute("ALTER ROLE humbaba_reader CONNECTION LIMIT -1").await;
    until("it is found", async || followed.assignments() == owners(&["carol"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_an_older_version_is_followed_and_named() {
    let Some(lab) = Lab::new().await else { return };
    let older = "COMMENT ON FUNCTION humbaba.record_assignments() IS NULL;
        DROP FUNCTION humbaba.renew(); SELECT humbaba.reload()";
    lab.execute(older).await;
    lab.until_problem("another version of `humbaba directory schema`").await;
    assert_eq!(lab.after("DELETE FROM humbaba.assignments").await, owners(&[]));
    // The table of changes goes back, which has a new history begun where the schema can.
    lab.execute("DELETE FROM humbaba.changes").await;
    assert_eq!(lab.after(&grant("bob")).await, owners(&["bob"]));
    install(&lab.postgres, &[]).await;
    lab.until_no_problem().await;
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

/// As a snapshot of the volume does that is put back: neither the server nor its timeline is another.
#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_that_was_put_back_is_read_anew_and_is_another_history() {
    let Some(mut lab) = Lab::new().await else { return };
    let data = lab.postgres.folder().join("data");
    let snapshot = lab.postgres.folder().join("snapshot");
    let restart = async |lab: &mut Lab| {
        lab.postgres.up().await;
        lab.admin = lab.postgres.client("postgres").await;
    };
    lab.postgres.kill();
    copy(&data, &snapshot);
    restart(&mut lab).await;
    assert_eq!(lab.after(&grant("bob")).await, owners(&["alice", "bob"]));
    let lost = lab.version().await;

    lab.postgres.kill();
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&snapshot, &data).unwrap();
    restart(&mut lab).await;
    lab.execute(&grant("carol")).await;
    lab.until_assignments(&owners(&["alice", "carol"])).await;
    until("another history", async || {
        lab.version().await.split('.').next() != lost.split('.').next()
    })
    .await;
    assert_eq!(lab.followed.at(&lab.version().await).await, owners(&["alice", "carol"]));
    let state = lab.followed.live.state();
    let state = state.directories.values().next().unwrap().state.as_ref().unwrap();
    assert!(state.version.has_reached(&lost).is_err(), "{lost} was before");
    let other = Followed::postgres(&store(), lab.postgres.url_file());
    assert_eq!(other.at(&lab.version().await).await, owners(&["alice", "carol"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_started_again_with_all_that_it_had_stays_the_same_history() {
    let Some(mut lab) = Lab::new().await else { return };
    let before = lab.version().await;
    lab.postgres.kill();
    lab.postgres.up().await;
    lab.admin = lab.postgres.client("postgres").await;
    assert_eq!(lab.after(&grant("bob")).await, owners(&["alice", "bob"]));
    let state = lab.followed.live.state();
    let state = state.directories.values().next().unwrap().state.as_ref().unwrap();
    assert_eq!(state.version.has_reached(&before), Ok(true));
}
