//! Following a table that the product has already, under every kind of write and of transaction.

use std::{collections::BTreeSet, fs, sync::Arc, time::Duration};

use humbaba::store::PolicyStore;
use tokio_postgres::Client;

use crate::{
    cli,
    support::{
        followed::Followed,
        postgres::{Postgres, column, value},
        stores,
        wait::until,
    },
};

/// The product's own tables, as HitKeep has them.
const TABLES: &str = "
    CREATE TABLE sites (id bigint PRIMARY KEY, name text);
    CREATE TABLE members (
        site_id bigint NOT NULL REFERENCES sites ON DELETE CASCADE,
        user_id bigint NOT NULL,
        role text NOT NULL,
        invited_by text,
        leaves_at timestamptz,
        last_seen timestamptz,
        PRIMARY KEY (site_id, user_id)
    );
    GRANT ALL ON sites, members TO app;
    INSERT INTO sites SELECT n, 'site ' || n FROM generate_series(1, 9) AS n;
    INSERT INTO members VALUES (1, 7, 'owner'), (2, 7, 'pending');";

const MAPPING: &str = r#"
[[assignments]]
table = "members"
principal_type = "'User'"
principal_id = "user_id"
role = "role"   # as it is
scope_type = "'Site'"
scope_id = "site_id -- a number"
expires_at = "leaves_at"
granted_by = "invited_by"
where = "role <> 'pending'"
"#;

/// The view's rows, in the words of `Followed::assignments`.
const ROWS: &str = "
    SELECT concat_ws(' ', principal_type, principal_id, role, scope_type, scope_id,
        'until ' || to_char(expires_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), 'by ' || granted_by)
    FROM humbaba.assignments";

fn store() -> Arc<PolicyStore> {
    let files = [("schema.cedarschema", cli::SCHEMA), ("policies.cedar", cli::POLICIES)];
    stores::store("main", &files)
}

struct Lab {
    postgres: Postgres,
    app: Client,
    followed: Followed,
}

impl Lab {
    async fn new() -> Option<Self> {
        let postgres = Postgres::start().await?;
        let admin = postgres.client("postgres").await;
        admin.batch_execute(TABLES).await.unwrap();
        let mapping = postgres.folder().join("mapping.toml");
        fs::write(&mapping, MAPPING).unwrap();
        postgres.install(&["--from", mapping.to_str().unwrap()]).await;
        let app = postgres.client("app").await;
        app.batch_execute("SET timezone = 'UTC'").await.unwrap();
        let followed = Followed::postgres(&store(), postgres.url_file());
        Some(Self { postgres, app, followed })
    }

    /// Runs statements of the application, and returns what is in force after them.
    async fn after(&self, statements: &str) -> BTreeSet<String> {
        self.app.batch_execute(statements).await.unwrap();
        self.now().await
    }

    /// The rows in force, which must be those of the tables.
    async fn now(&self) -> BTreeSet<String> {
        let version = value(&self.app, "SELECT humbaba.version()").await;
        let in_force = self.followed.at(&version).await;
        let admin = self.postgres.client("postgres").await;
        admin.batch_execute("SET timezone = 'UTC'").await.unwrap();
        let held: BTreeSet<_> = column(&admin, ROWS).await.into_iter().collect();
        assert_eq!(in_force, held);
        in_force
    }

    async fn changes(&self) -> usize {
        let admin = self.postgres.client("postgres").await;
        value(&admin, "SELECT count(*) FROM humbaba.changes").await.parse().unwrap()
    }
}

fn set(rows: &[&str]) -> BTreeSet<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_write_arrives() {
    let Some(lab) = Lab::new().await else { return };
    assert_eq!(lab.now().await, set(&["User 7 owner Site 1"]));

    let rows = lab
        .after(
            "INSERT INTO members VALUES (1, 8, 'viewer', 'bob', '2999-01-01'),
                (3, 8, 'pending', NULL, NULL)",
        )
        .await;
    let bob = "User 8 viewer Site 1 until 2999-01-01T00:00:00Z by bob";
    assert_eq!(rows, set(&["User 7 owner Site 1", bob]));

    // A change of a column that no assignment depends on is no change.
    let before = lab.changes().await;
    lab.after("UPDATE members SET last_seen = now()").await;
    assert_eq!(lab.changes().await, before);

    lab.after("UPDATE members SET role = 'editor' WHERE site_id = 1").await;
    lab.after("UPDATE members SET role = CASE user_id WHEN 7 THEN 'viewer' ELSE 'owner' END").await;
    let rows = lab.after("UPDATE members SET role = 'pending' WHERE user_id = 8").await;
    assert_eq!(rows, set(&["User 7 viewer Site 1", "User 7 viewer Site 2"]));

    lab.after(
        "INSERT INTO members VALUES (1, 8, 'owner'), (4, 4, 'owner')
            ON CONFLICT (site_id, user_id) DO UPDATE SET role = excluded.role",
    )
    .await;
    // A key goes and comes in one statement.
    lab.after(
        "WITH gone AS (DELETE FROM members WHERE site_id = 4 RETURNING user_id)
            INSERT INTO members SELECT 5, user_id, 'owner' FROM gone",
    )
    .await;
    lab.after(
        "BEGIN; DELETE FROM members WHERE site_id = 5; INSERT INTO members VALUES (5, 4, 'owner');
            UPDATE members SET user_id = 9 WHERE user_id = 4; UPDATE members SET user_id = 4 WHERE
            user_id = 9; COMMIT",
    )
    .await;
    let fifteen =
        value(&lab.app, "SELECT current_setting('server_version_num')::int >= 150000").await;
    if fifteen == "t" {
        lab.after(
            "MERGE INTO members AS m USING (VALUES (5, 4), (6, 6)) AS s (site, who)
                ON m.site_id = s.site AND m.user_id = s.who
                WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (site, who, 'viewer')",
        )
        .await;
    }
    // Rows that go with the row that they refer to.
    let rows = lab.after("DELETE FROM sites WHERE id IN (1, 2, 4, 5)").await;
    assert_eq!(rows, set(&["User 6 viewer Site 6"]));
    lab.after("INSERT INTO members SELECT 7, n, 'editor' FROM generate_series(1, 500) AS n").await;
    // More changes than are applied one by one.
    let many = "INSERT INTO members SELECT 8, n, 'editor' FROM generate_series(1, 10001) AS n";
    assert_eq!(lab.after(many).await.len(), 10_502);
    assert_eq!(lab.after("TRUNCATE members").await, set(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_commit_in_another_order_than_they_began_arrive_as_they_committed() {
    let Some(lab) = Lab::new().await else { return };
    let other = lab.postgres.client("app").await;

    // The lower number of a change, and of a transaction, commits later.
    lab.app.batch_execute("BEGIN; INSERT INTO members VALUES (3, 1, 'viewer')").await.unwrap();
    other.batch_execute("INSERT INTO members VALUES (3, 2, 'viewer')").await.unwrap();
    let now = value(&other, "SELECT humbaba.version()").await;
    let two = "User 2 viewer Site 3";
    assert_eq!(lab.followed.at(&now).await, set(&["User 7 owner Site 1", two]));
    let one = "User 1 viewer Site 3";
    assert_eq!(lab.after("COMMIT").await, set(&["User 7 owner Site 1", one, two]));

    // The transaction with the lower number waits for the row of the other, and comes after it.
    lab.app.batch_execute("BEGIN; INSERT INTO members VALUES (3, 3, 'viewer')").await.unwrap();
    other
        .batch_execute("BEGIN; UPDATE members SET role = 'owner' WHERE site_id = 3 AND user_id = 1")
        .await
        .unwrap();
    let blocked = lab.app.batch_execute(
        "UPDATE members SET role = 'editor' WHERE site_id = 3 AND user_id = 1; COMMIT",
    );
    let unblock = async {
        let admin = lab.postgres.client("postgres").await;
        until("it waits for the lock", async || {
            let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
            value(&admin, waits).await == "1"
        })
        .await;
        other.batch_execute("COMMIT").await
    };
    let (blocked, unblocked) = tokio::join!(blocked, unblock);
    blocked.unwrap();
    unblocked.unwrap();
    assert!(lab.now().await.contains("User 1 editor Site 3"));

    // Changes that are rolled back to a savepoint have not been.
    let rows = lab
        .after(
            "BEGIN; DELETE FROM members WHERE site_id = 1; SAVEPOINT s; DELETE FROM members;
                ROLLBACK TO s; INSERT INTO members VALUES (9, 9, 'owner'); COMMIT",
        )
        .await;
    assert!(rows.contains("User 9 owner Site 9") && rows.contains(two), "{rows:?}");
    assert!(!rows.contains("User 7 owner Site 1"), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_does_not_wait_for_the_disk_does_for_what_sidecars_act_on() {
    let Some(lab) = Lab::new().await else { return };
    lab.app.batch_execute("SET synchronous_commit = off; BEGIN").await.unwrap();
    lab.app.batch_execute("INSERT INTO members VALUES (3, 1, 'viewer')").await.unwrap();
    assert_eq!(value(&lab.app, "SHOW synchronous_commit").await, "on");
    lab.app.batch_execute("COMMIT").await.unwrap();
    assert_eq!(value(&lab.app, "SHOW synchronous_commit").await, "off");
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_cannot_be_gone_around_and_changes_cannot_be_written() {
    let Some(lab) = Lab::new().await else { return };
    let admin = lab.postgres.client("postgres").await;
    admin.batch_execute("SET session_replication_role = replica").await.unwrap();
    admin.batch_execute("INSERT INTO members VALUES (3, 1, 'viewer')").await.unwrap();
    assert!(lab.now().await.contains("User 1 viewer Site 3"));
    for statement in [
        "INSERT INTO humbaba.changes (kind) VALUES ('reload')",
        "DELETE FROM humbaba.changes",
        "SELECT humbaba.reload()",
        "SELECT humbaba.trim('0')",
        "DELETE FROM humbaba.history",
    ] {
        let refused = lab.app.batch_execute(statement).await.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "42501", "{statement}");
    }
    let reader = lab.postgres.client("humbaba_reader").await;
    for table in ["members", "humbaba.horizons"] {
        let refused = reader.batch_execute(&format!("SELECT FROM {table}")).await.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "42501", "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_grants_nothing_and_is_reported() {
    let Some(lab) = Lab::new().await else { return };
    lab.now().await;
    let rows = "INSERT INTO members VALUES (3, 1, 'viewer', NULL, '2500-01-01'),
        (3, 2, 'pope', NULL, NULL)";
    lab.after(rows).await;
    // Out of range: what it held is gone, and so is the row.
    lab.app
        .batch_execute("UPDATE members SET leaves_at = '294276-12-31' WHERE user_id = 1")
        .await
        .unwrap();
    let now = value(&lab.app, "SELECT humbaba.version()").await;
    let rows = lab.followed.at(&now).await;
    assert!(!rows.iter().any(|row| row.starts_with("User 1 ")), "{rows:?}");

    // The problems are told at once, and after all has been read anew.
    until("the problems of rows", async || lab.followed.row_problems().len() == 2).await;
    let told = lab.followed.row_problems();
    assert!(told.iter().any(|problem| problem.contains("pope")), "{told:?}");
    lab.postgres.client("postgres").await.batch_execute("SELECT humbaba.reload()").await.unwrap();
    let now = value(&lab.app, "SELECT humbaba.version()").await;
    lab.followed.at(&now).await;
    let problems = lab.followed.row_problems();
    assert_eq!(problems, told);
    assert!(
        problems.iter().any(|problem| problem.contains("User 1 viewer Site 3")),
        "{problems:?}"
    );
    assert!(problems.iter().any(|problem| problem.contains("pope")), "{problems:?}");
    // Before all moments, and after all.
    let rows =
        "DELETE FROM members; INSERT INTO members VALUES (3, 3, 'viewer', NULL, '-infinity'),
        (3, 4, 'viewer', NULL, 'infinity')";
    lab.app.batch_execute(rows).await.unwrap();
    let now = value(&lab.app, "SELECT humbaba.version()").await;
    let rows = lab.followed.at(&now).await;
    let ends = set(&["User 3 viewer Site 3 until 0001-01-01T00:00:00Z", "User 4 viewer Site 3"]);
    assert_eq!(rows, ends);
    // The rows with problems are gone, and so are these.
    until("no problems", async || lab.followed.row_problems().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_and_a_table_with_partitions_are_refused() {
    let Some(lab) = Lab::new().await else { return };
    let standby = lab.postgres.standby().await;
    let followed = Followed::postgres(&store(), standby.url_file());
    until("the standby is refused", async || followed.problem().contains("standby")).await;

    let admin = lab.postgres.client("postgres").await;
    let parted = "CREATE TABLE parted (site_id int, user_id int, role text, leaves_at timestamptz,
        invited_by text) PARTITION BY LIST (site_id)";
    admin.batch_execute(parted).await.unwrap();
    let mapping = lab.postgres.folder().join("parted.toml");
    fs::write(&mapping, MAPPING.replace("\"members\"", "\"parted\"")).unwrap();
    let printed = cli::run(&["directory", "schema", "--from", mapping.to_str().unwrap()]);
    let error = admin.batch_execute(&printed.out).await.unwrap_err();
    let message = error.as_db_error().unwrap().message().to_owned();
    assert!(message.contains("has partitions"), "{message}");
    admin.batch_execute("ROLLBACK").await.unwrap();
    // Nothing has changed for who follows.
    assert_eq!(lab.now().await, set(&["User 7 owner Site 1"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_connected_to_is_told_without_the_password() {
    let Some(lab) = Lab::new().await else { return };
    let file = lab.postgres.folder().join("other");
    let url = lab.postgres.url("nobody").replace("user=", "password=hush user=");
    for (text, part) in [
        (url.as_str(), "does not exist"),
        ("host=/nowhere user=x password=hush", "cannot connect"),
        ("host=127.0.0.1 port=1 user=x password=hush", "cannot connect"),
        ("postgres://x:hush@:x", "cannot be read"),
        ("host=db sslmode=verify-ca password=hush", "sslmode"),
    ] {
        fs::write(&file, text).unwrap();
        let followed = Followed::postgres(&store(), file.clone());
        until("the problem", async || followed.problem().contains(part)).await;
        assert!(!followed.problem().contains("hush"), "{}", followed.problem());
    }
    // The file is read again each time.
    let followed = Followed::postgres(&store(), file.clone());
    until("the problem", async || !followed.problem().is_empty()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    fs::write(&file, lab.postgres.url("humbaba_reader")).unwrap();
    let now = value(&lab.app, "SELECT humbaba.version()").await;
    assert_eq!(followed.at(&now).await, set(&["User 7 owner Site 1"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_another_server_brings_none_of_its_changes() {
    let Some(old) = Postgres::start().await else { return };
    let Some(new) = Postgres::start().await else { return };
    old.install(&[]).await;
    let app = old.client("app").await;
    let grant = |user: &str| {
        format!("INSERT INTO humbaba.assignments VALUES ('User', '{user}', 'editor', 'Site', '1')")
    };
    let revoke = "DELETE FROM humbaba.assignments";
    for _ in 0..60 {
        app.batch_execute(&grant("7")).await.unwrap();
        app.batch_execute(revoke).await.unwrap();
    }
    app.batch_execute(&grant("8")).await.unwrap();
    let (dump, folder) = (old.folder().join("dump.sql"), old.folder().to_str().unwrap());
    let dump = dump.to_str().unwrap();
    old.run("pg_dump", &["-h", folder, "-U", "postgres", "-n", "humbaba", "-f", dump, "postgres"]);
    let text = fs::read(dump).unwrap();
    let (dump, folder) = (new.folder().join("dump.sql"), new.folder().to_str().unwrap());
    fs::write(&dump, text).unwrap();
    let dump = dump.to_str().unwrap();
    new.run(
        "psql",
        &["-h", folder, "-U", "postgres", "-1", "-q", "-v", "ON_ERROR_STOP=1", "-f", dump],
    );

    let followed = Followed::postgres(&store(), new.url_file());
    let app = new.client("app").await;
    let version = async || value(&app, "SELECT humbaba.version()").await;
    assert_eq!(followed.at(&version().await).await, set(&["User 8 editor Site 1"]));
    // The numbers of its transactions pass those of the other server, whose changes must stay away.
    for _ in 0..100 {
        app.batch_execute(revoke).await.unwrap();
        assert_eq!(followed.at(&version().await).await, set(&[]));
        app.batch_execute(&grant("9")).await.unwrap();
        assert_eq!(followed.at(&version().await).await, set(&["User 9 editor Site 1"]));
    }
}
