//! Rows of PostgreSQL that are of one assignment or entity: each counts for itself.

use std::{collections::BTreeSet, fs, sync::Arc};

use humbaba::store::PolicyStore;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tokio_postgres::Client;

use crate::{
    cli,
    support::{
        followed::Followed,
        postgres::{Postgres, WRITER, column, value},
        random::Random,
        stores,
        wait::until,
    },
};

fn store() -> Arc<PolicyStore> {
    let files = [("schema.cedarschema", cli::SCHEMA), ("policies.cedar", cli::POLICIES)];
    stores::store("main", &files)
}

/// The assignments that the rows say together, in the words of `Followed::assignments`.
const TOGETHER: &str = "
    SELECT concat_ws(' ', 'User', principal_id, role, 'Site', scope_id,
        'until ' || to_char(CASE WHEN bool_and(expires_at IS NOT NULL) THEN max(expires_at) END,
            'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'))
    FROM humbaba.assignments GROUP BY principal_id, role, scope_id";

struct Lab {
    postgres: Postgres,
    app: Client,
    followed: Followed,
}

impl Lab {
    async fn new(tables: &str, more: &[&str]) -> Option<Self> {
        let postgres = Postgres::start().await?;
        let admin = postgres.client("postgres").await;
        admin.batch_execute(tables).await.unwrap();
        let mapping = postgres.folder().join("mapping.toml");
        fs::write(&mapping, MAPPING).unwrap();
        let mapping = mapping.to_str().unwrap();
        let args: Vec<_> =
            more.iter().map(|arg| if *arg == "MAPPING" { mapping } else { arg }).collect();
        postgres.install(&args).await;
        let app = postgres.client(WRITER).await;
        app.batch_execute("SET timezone = 'UTC'").await.unwrap();
        let followed = Followed::postgres(&store(), postgres.url_file());
        Some(Self { postgres, app, followed })
    }

    async fn version(&self) -> String {
        value(&self.app, "SELECT humbaba.version()").await
    }

    /// Returns the rows in force after statements of the application.
    async fn after(&self, statements: &str) -> BTreeSet<String> {
        self.app.batch_execute(statements).await.unwrap();
        self.followed.at(&self.version().await).await
    }

    /// Returns the rows in words.
    async fn together(&self) -> BTreeSet<String> {
        let admin = self.postgres.client("postgres").await;
        admin.batch_execute("SET timezone = 'UTC'").await.unwrap();
        column(&admin, TOGETHER).await.into_iter().collect()
    }

    /// The rows of entities that are in force.
    fn entities(&self) -> Vec<String> {
        let state = self.followed.live.state();
        let directory =
            &state.directories.values().next().unwrap().state.as_ref().unwrap().directory;
        directory.entities().map(|row| format!("{} {}", row.uid, row.json)).collect()
    }
}

fn set(rows: &[&str]) -> BTreeSet<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

fn grant(user_type: &str, site_type: &str, end: &str) -> String {
    format!(
        "INSERT INTO humbaba.assignments (principal_type, principal_id, role, scope_type, scope_id, \
         expires_at) VALUES ('{user_type}', '7', 'editor', '{site_type}', '1', {end});"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_held_until_the_last_of_its_rows_is_gone() {
    let Some(lab) = Lab::new("", &[]).await else { return };
    let (short, full) = (grant("User", "Site", "NULL"), grant("User", "Guard::Site", "NULL"));
    let both = format!("{short}{full}");
    let held = set(&["User 7 editor Site 1"]);
    let delete =
        |name: &str| format!("DELETE FROM humbaba.assignments WHERE scope_type = '{name}'");
    let names = ["Site", "Guard::Site"];
    for [first, second] in [names, [names[1], names[0]]] {
        assert_eq!(lab.after(&both).await, held);
        assert_eq!(lab.after(&delete(first)).await, held, "{first} is gone");
        assert_eq!(lab.after(&delete(second)).await, set(&[]), "{second} is gone");
    }

    // The same after all rows were read at once, and where both go at once.
    lab.after(&both).await;
    let lab = Lab { followed: Followed::postgres(&store(), lab.postgres.url_file()), ..lab };
    assert_eq!(lab.followed.at(&lab.version().await).await, held);
    assert_eq!(lab.after(&delete("Site")).await, held);
    lab.after(&short).await;
    assert_eq!(lab.after("DELETE FROM humbaba.assignments").await, set(&[]));
    // A row that is written otherwise by one statement.
    lab.after(&short).await;
    let rename = "UPDATE humbaba.assignments SET scope_type = 'Guard::Site'";
    assert_eq!(lab.after(rename).await, held);
    assert_eq!(lab.after(&delete("Guard::Site")).await, set(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_rows_of_a_role_the_one_counts_that_ends_last() {
    let Some(lab) = Lab::new("", &[]).await else { return };
    let rows = format!(
        "{}{}",
        grant("User", "Site", "'2500-01-01'"),
        grant("Guard::User", "Site", "'2600-01-01'")
    );
    let until = |year: usize| set(&[&format!("User 7 editor Site 1 until {year}-01-01T00:00:00Z")]);
    assert_eq!(lab.after(&rows).await, until(2600));
    let shorten = "UPDATE humbaba.assignments SET expires_at = '2400-01-01'
        WHERE principal_type = 'Guard::User'";
    assert_eq!(lab.after(shorten).await, until(2500));
    let delete = "DELETE FROM humbaba.assignments WHERE principal_type = 'User'";
    assert_eq!(lab.after(delete).await, until(2400));
    assert_eq!(lab.after("DELETE FROM humbaba.assignments").await, set(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_each_take_one_row_away_leave_none() {
    let Some(lab) = Lab::new("", &[]).await else { return };
    lab.after(&format!(
        "{}{}",
        grant("User", "Site", "NULL"),
        grant("User", "Guard::Site", "NULL")
    ))
    .await;
    let other = lab.postgres.client(WRITER).await;
    let delete =
        |name: &str| format!("BEGIN; DELETE FROM humbaba.assignments WHERE scope_type = '{name}'");
    other.batch_execute(&delete("Site")).await.unwrap();
    lab.app.batch_execute(&delete("Guard::Site")).await.unwrap();
    assert_eq!(lab.after("COMMIT").await, set(&["User 7 editor Site 1"]));
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(lab.followed.at(&lab.version().await).await, set(&[]));

    // The row that comes has the lower number, and is seen after the one that goes.
    lab.after(&grant("User", "Site", "NULL")).await;
    other.batch_execute(&format!("BEGIN; {}", grant("User", "Guard::Site", "NULL"))).await.unwrap();
    assert_eq!(lab.after("DELETE FROM humbaba.assignments").await, set(&[]));
    other.batch_execute("COMMIT").await.unwrap();
    let held = lab.followed.at(&lab.version().await).await;
    assert_eq!(held, set(&["User 7 editor Site 1"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_takes_nothing_away_from_the_other() {
    let Some(lab) = Lab::new("", &[]).await else { return };
    let bad = grant("User", "Guard::Site", "'20000-01-01'");
    let rows = format!("{}{bad}", grant("User", "Site", "NULL"));
    let held = set(&["User 7 editor Site 1"]);
    assert_eq!(lab.after(&rows).await, held);
    until("the row is reported", async || lab.followed.row_problems().len() == 1).await;
    let delete = "DELETE FROM humbaba.assignments WHERE scope_type = 'Guard::Site'";
    assert_eq!(lab.after(delete).await, held);
    until("nothing is reported", async || lab.followed.row_problems().is_empty()).await;
    assert_eq!(lab.after(&bad).await, held);
    let delete = "DELETE FROM humbaba.assignments WHERE scope_type = 'Site'";
    assert_eq!(lab.after(delete).await, set(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_of_which_rows_differ_cannot_be_read() {
    let Some(lab) = Lab::new("", &[]).await else { return };
    let team = |name: &str, active: bool| {
        format!(
            "INSERT INTO humbaba.entities VALUES ('{name}', 'core', '{{\"attrs\": {{\"active\": {active}}}}}');"
        )
    };
    lab.after(&format!("{}{}", team("Team", true), team("Guard::Team", true))).await;
    let active = "Guard::Team::\"core\" {\"attrs\": {\"active\": true}}";
    assert_eq!(lab.entities(), [active]);
    lab.after("DELETE FROM humbaba.entities WHERE type = 'Team'").await;
    assert_eq!(lab.entities(), [active]);
    lab.after(&team("Team", false)).await;
    assert_eq!(lab.entities(), ["Guard::Team::\"core\" "]);
    until("they are reported", async || lab.followed.row_problems().len() == 1).await;
    let told = lab.followed.row_problems();
    assert!(told[0].starts_with("Guard::Team::\"core\": several rows"), "{told:?}");

    let lab = Lab { followed: Followed::postgres(&store(), lab.postgres.url_file()), ..lab };
    lab.followed.at(&lab.version().await).await;
    assert_eq!(lab.entities(), ["Guard::Team::\"core\" "]);
    assert_eq!(lab.followed.row_problems(), told);
    lab.after("DELETE FROM humbaba.entities WHERE type = 'Team'").await;
    assert_eq!(lab.entities(), [active]);
    until("nothing is reported", async || lab.followed.row_problems().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_without_a_value_cannot_be_read() {
    let Some(lab) = Lab::new("", &[]).await else { return };
    let admin = lab.postgres.client("postgres").await;
    let nullable = "ALTER TABLE humbaba.entities ALTER COLUMN entity DROP NOT NULL";
    admin.batch_execute(nullable).await.unwrap();
    let value = "'{\"attrs\": {\"active\": true}}'";
    let (active, unreadable) =
        ("Guard::Team::\"core\" {\"attrs\": {\"active\": true}}", "Guard::Team::\"core\" ");
    lab.after(&format!("INSERT INTO humbaba.entities VALUES ('Team', 'core', {value})")).await;
    assert_eq!(lab.entities(), [active]);
    lab.after("UPDATE humbaba.entities SET entity = NULL").await;
    assert_eq!(lab.entities(), [unreadable]);
    until("it is reported", async || lab.followed.row_problems().len() == 1).await;
    let told = lab.followed.row_problems();
    assert!(told[0].contains("a column is NULL"), "{told:?}");

    let lab = Lab { followed: Followed::postgres(&store(), lab.postgres.url_file()), ..lab };
    lab.followed.at(&lab.version().await).await;
    assert_eq!(lab.entities(), [unreadable]);
    assert_eq!(lab.followed.row_problems(), told);
    lab.after(&format!("UPDATE humbaba.entities SET entity = {value}")).await;
    assert_eq!(lab.entities(), [active]);
    until("nothing is reported", async || lab.followed.row_problems().is_empty()).await;
    lab.after("UPDATE humbaba.entities SET entity = NULL").await;
    lab.after("DELETE FROM humbaba.entities").await;
    assert_eq!(lab.entities(), [""; 0]);
    until("nothing is reported", async || lab.followed.row_problems().is_empty()).await;
}

/// Tables without a key, one of which writes types with their namespace.
const TABLES: &str = "
    CREATE TABLE members (who int, role text, site int, leaves timestamptz);
    CREATE TABLE guests (who int, role text, site int, leaves timestamptz);
    GRANT ALL ON members, guests TO app;";

const MAPPING: &str = r#"
[[assignments]]
table = "members"
principal_type = "'User'"
principal_id = "who"
role = "role"
scope_type = "'Site'"
scope_id = "site"
expires_at = "leaves"

[[assignments]]
table = "guests"
principal_type = "'Guard::User'"
principal_id = "who"
role = "role"
scope_type = "'Site'"
scope_id = "site"
expires_at = "leaves"
"#;

/// Some statement about the rows of two tables, which takes no row that another transaction holds.
fn statement(random: &mut Random) -> String {
    let table = random.pick(&["members", "guests"]);
    let end = random.pick(&["NULL", "'2500-01-01'::timestamptz", "'2600-01-01'::timestamptz"]);
    let (who, site) = (random.below(2), random.below(2));
    let role = random.pick(&["editor", "viewer"]);
    let (offset, count) = (random.below(4), 1 + random.below(3));
    let some = format!(
        "WHERE ctid IN (SELECT ctid FROM {table} ORDER BY ctid OFFSET {offset} LIMIT {count}
            FOR UPDATE SKIP LOCKED)"
    );
    match random.below(6) {
        0 | 1 => format!("INSERT INTO {table} VALUES ({who}, '{role}', {site}, {end})"),
        2 => format!(
            "INSERT INTO {table} SELECT {who}, '{role}', {site}, {end} FROM generate_series(1, 2)"
        ),
        3 => format!("UPDATE {table} SET leaves = {end} {some}"),
        4 => format!("UPDATE {table} SET who = 1 - who, role = '{role}' {some}"),
        _ => format!("DELETE FROM {table} {some}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_rows_there_are_in_two_tables_what_they_say_together_is_held() {
    let Some(mut lab) = Lab::new(TABLES, &["--from", "MAPPING"]).await else { return };
    let mut random = Random::new(TestRng::from_seed(RngAlgorithm::ChaCha, &[15; 32]));
    let other = lab.postgres.client(WRITER).await;
    let mut most = 0;
    for round in 0..150 {
        match round % 5 {
            0 => other.batch_execute("BEGIN").await.unwrap(),
            4 => {
                let end = random.pick(&["COMMIT", "COMMIT", "ROLLBACK"]);
                other.batch_execute(end).await.unwrap();
            }
            _ => other.batch_execute(&statement(&mut random)).await.unwrap(),
        }
        let held = lab.after(&statement(&mut random)).await;
        assert_eq!(held, lab.together().await, "round {round}");
        most = most.max(held.len());
        if round % 40 == 39 {
            lab.followed = Followed::postgres(&store(), lab.postgres.url_file());
            let held = lab.followed.at(&lab.version().await).await;
            assert_eq!(held, lab.together().await, "read anew in round {round}");
        }
    }
    assert!(most > 3, "the statements made no more than {most} assignments");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_beyond_the_first_thousand_that_do_not_fit_are_counted_too() {
    let Some(lab) = Lab::new(TABLES, &["--from", "MAPPING"]).await else { return };
    lab.followed.at(&lab.version().await).await;
    lab.after("INSERT INTO members SELECT n, 'pope', 1, NULL FROM generate_series(1, 3000) AS n")
        .await;
    let told = async || lab.followed.row_problems().last().cloned().unwrap_or_default();
    until("all are counted", async || told().await == "2900 more rows have a problem").await;
    lab.after("UPDATE members SET role = 'editor' WHERE who <= 2500").await;
    until("those are fine", async || told().await == "400 more rows have a problem").await;
}
