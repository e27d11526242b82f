//! Reading all rows of one snapshot.

use std::{pin::pin, time::Duration};

use tokio::{sync::mpsc, time::timeout};
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use tokio_stream::StreamExt as _;

use super::{
    connect::problem,
    rows::{self, COLUMNS, Row},
    schema::quoted,
    triggers::Triggers,
};
use crate::directory::{
    DirectoryVersion, Position, PostgresSnapshot, rows::COLUMNS as ASSIGNMENT_COLUMNS,
};

/// Time that the next rows may take. Some servers answer only once all rows are found.
const ROWS_TIMEOUT: Duration = Duration::from_secs(60);

/// Rows that are handed on together.
const ROWS: usize = 1_000;

/// The statements that a directory is read with. Answers are text and statements are not prepared, so
/// that poolers of connections may stand between.
#[derive(Debug)]
pub(super) struct Statements {
    schema: String,
    /// Characters of one value that are read; a longer one is refused by the limits of requests.
    value_chars: usize,
    /// Characters of an entity that are read; of a longer one the JSON is not complete.
    entity_chars: usize,
}

/// The state of the server at one snapshot.
#[derive(Debug)]
pub(super) struct Head {
    pub snapshot: PostgresSnapshot,
    pub generation: String,
    /// When the server was started.
    pub started: String,
    /// The number of the last change.
    pub seq: u64,
    /// The last state of which changes were trimmed.
    pub trimmed: (PostgresSnapshot, u64),
    /// The triggers, where they were asked for.
    pub triggers: Option<Triggers>,
}

/// A part of one snapshot. Rows come first, a number at a time, and the head at the end.
#[derive(Debug)]
pub(super) enum Part {
    Rows(Vec<Row>),
    End(Head),
}

impl Head {
    /// The columns of [`Head::read`].
    pub(super) const COLUMNS: usize = 9;

    /// Reads the head that the first row of an answer begins with.
    ///
    /// # Errors
    /// There is none, or the changes beside it may not be all.
    pub(super) fn of(answer: &[SimpleQueryMessage]) -> Result<Self, String> {
        let row = rows_of(answer).next().ok_or(NO_HEAD)?;
        if row.try_get(8).ok().flatten() != Some("f") {
            return Err(HIDDEN_CHANGES.to_owned());
        }
        Ok(Self::read(row).ok_or(NO_HEAD)?)
    }

    fn read(row: &SimpleQueryRow) -> Option<Self> {
        let get = |column: usize| row.try_get(column).ok().flatten();
        Some(Self {
            snapshot: get(0)?.parse().ok()?,
            generation: get(1)?.to_owned(),
            seq: get(2)?.parse().ok()?,
            trimmed: (get(3)?.parse().ok()?, get(4)?.parse().ok()?),
            started: get(5)?.to_owned(),
            triggers: (get(6)? == "t").then(|| Triggers::read(get(7))),
        })
    }

    pub(super) fn version(&self) -> DirectoryVersion {
        let position = Position::Postgres { snapshot: self.snapshot.clone(), seq: self.seq };
        DirectoryVersion { generation: self.generation.clone(), position }
    }
}

impl Statements {
    pub(super) fn new(schema: &str, text_bytes: usize) -> Self {
        let value_chars = text_bytes.saturating_add(1).min(1 << 30);
        Self { schema: quoted(schema), value_chars, entity_chars: 1 << 20 }
    }

    fn head(&self, with_triggers: bool) -> String {
        let schema = &self.schema;
        let triggers = if with_triggers { Triggers::sql(schema) } else { "NULL".to_owned() };
        let changes = format!("{schema}.changes").replace('\'', "''");
        format!(
            "pg_current_snapshot()::text, {schema}.generation(), {schema}.last_seq(), \
             h.trimmed_snapshot::text, h.trimmed_seq, \
             (date_part('epoch', pg_postmaster_start_time()) * 1000000)::bigint, {with_triggers}, \
             {triggers}, \
             row_security_active('{changes}')"
        )
    }

    fn assignments(&self) -> String {
        let columns = ASSIGNMENT_COLUMNS.map(|name| self.column(name));
        format!("SELECT 'add', {}, NULL FROM {}.assignments", columns.join(", "), self.schema)
    }

    fn entities(&self) -> String {
        let entity = self.entity();
        let (entity_type, id) = (self.text("type"), self.text("id"));
        let nulls = "NULL, ".repeat(COLUMNS.len() - 4);
        format!(
            "SELECT 'add_entity', {entity_type}, {id}, {nulls}{entity} FROM {}.entities",
            self.schema
        )
    }

    /// One statement, so that its rows and its snapshot are of one moment: what changed since a state
    /// was read. Each row begins with the columns of the head and the number of the change. `most`
    /// rows say that there may be more.
    ///
    /// Each condition has an index, an order and a limit of its own: in one `WHERE` with `OR` a server
    /// without statistics reads the whole table, which takes a second where a million rows were just
    /// written.
    pub(super) fn changes_since(
        &self,
        snapshot: &PostgresSnapshot,
        seq: u64,
        most: usize,
        with_triggers: bool,
    ) -> String {
        let columns = COLUMNS.map(|name| self.column(name));
        let in_progress: Vec<_> = snapshot.in_progress().iter().map(u64::to_string).collect();
        let conditions = [
            format!("seq > {seq} ORDER BY seq"),
            format!("xid >= '{}'::xid8 ORDER BY xid", snapshot.xmax()),
            format!("xid = ANY ('{{{}}}'::xid8[])", in_progress.join(",")),
        ];
        let (schema, columns) = (&self.schema, columns.join(", "));
        let changes = conditions.map(|condition| {
            format!("(SELECT seq, {columns} FROM {schema}.changes WHERE {condition} LIMIT {most})")
        });
        format!(
            "SELECT * FROM (SELECT {head} FROM {schema}.history AS h LIMIT 1) AS h \
             LEFT JOIN ({changes}) AS c ON true ORDER BY c.seq LIMIT {most}",
            head = self.head(with_triggers),
            changes = changes.join(" UNION "),
        )
    }

    fn column(&self, name: &str) -> String {
        match name {
            "kind" => name.to_owned(),
            "expires_at" | "granted_at" => millis(name),
            "entity" => self.entity(),
            _ => self.text(name),
        }
    }

    fn text(&self, name: &str) -> String {
        format!("left({name}, {})", self.value_chars)
    }

    fn entity(&self) -> String {
        format!("left(entity::text, {})", self.entity_chars)
    }

    /// Deletes recorded changes that came with a dump: their transactions are those of another
    /// server.
    ///
    /// # Errors
    /// The server fails or does not answer.
    pub(super) async fn adopt(&self, client: &Client) -> Result<(), String> {
        let adopt = format!("SELECT {}.adopt()", self.schema);
        within(ROWS_TIMEOUT, client.batch_execute(&adopt)).await
    }

    /// Begins a history of its own, after which older versions are refused.
    ///
    /// # Errors
    /// The server fails or does not answer, or the schema is of an older version.
    pub(super) async fn renew(&self, client: &Client) -> Result<(), String> {
        let renew = format!("SELECT {}.renew()", self.schema);
        within(ROWS_TIMEOUT, client.batch_execute(&renew)).await
    }

    /// Begins a transaction that only reads, all of the same moment.
    ///
    /// # Errors
    /// The server fails or does not answer.
    pub(super) async fn begin(&self, client: &Client) -> Result<(), String> {
        within(ROWS_TIMEOUT, client.batch_execute(BEGIN)).await
    }

    /// Ends the transaction.
    ///
    /// # Errors
    /// The server fails or does not answer.
    pub(super) async fn commit(&self, client: &Client) -> Result<(), String> {
        within(ROWS_TIMEOUT, client.batch_execute("COMMIT")).await
    }

    /// Returns what the transaction sees.
    async fn read_head(&self, client: &Client) -> Result<Head, String> {
        let head = format!("SELECT {} FROM {}.history AS h", self.head(true), self.schema);
        let head = within(ROWS_TIMEOUT, client.simple_query(&head)).await?;
        Head::of(&head)
    }

    /// Asks for all that a sidecar asks for, but for one row of each table at most, and returns whether
    /// there is one.
    ///
    /// # Errors
    /// The server fails or does not answer, or does not let it.
    pub(super) async fn look(&self, client: &Client) -> Result<bool, String> {
        self.begin(client).await?;
        let Head { snapshot, seq, triggers, .. } = self.read_head(client).await?;
        let mut has_rows = false;
        for rows in [self.assignments(), self.entities()] {
            let one = format!("{rows} LIMIT 1");
            let answer = within(ROWS_TIMEOUT, client.simple_query(&one)).await?;
            has_rows |= rows_of(&answer).next().is_some();
        }
        let changes = self.changes_since(&snapshot, seq, 1, false);
        within(ROWS_TIMEOUT, client.simple_query(&changes)).await?;
        // Calling it could write.
        let adopt = format!("{}.adopt()", self.schema);
        let name = adopt.replace('\'', "''");
        let may = format!("SELECT has_function_privilege('{name}', 'EXECUTE')");
        let answer = within(ROWS_TIMEOUT, client.simple_query(&may)).await?;
        if rows_of(&answer).next().and_then(|row| row.try_get(0).ok().flatten()) != Some("t") {
            return Err(format!("PostgreSQL: permission denied for function {adopt}"));
        }
        self.commit(client).await?;
        if let Some(fault) = triggers.as_ref().and_then(Triggers::fault) {
            return Err(format!("PostgreSQL: {fault}"));
        }
        Ok(has_rows)
    }

    /// Reads all rows in the transaction that was begun, hands them on as they come, and ends it.
    ///
    /// # Errors
    /// The server fails or does not answer.
    pub(super) async fn read_all(
        &self,
        client: &Client,
        parts: mpsc::Sender<Part>,
    ) -> Result<(), String> {
        let head = self.read_head(client).await?;
        for statement in [self.assignments(), self.entities()] {
            let answer = within(ROWS_TIMEOUT, client.simple_query_raw(&statement)).await?;
            let mut answer = pin!(answer);
            let mut rows = Vec::with_capacity(ROWS);
            while let Some(message) = within(ROWS_TIMEOUT, answer.try_next()).await? {
                let SimpleQueryMessage::Row(row) = message else { continue };
                rows.push(rows::read(&row, 0));
                if rows.len() == ROWS {
                    let part = Part::Rows(std::mem::replace(&mut rows, Vec::with_capacity(ROWS)));
                    parts.send(part).await.map_err(|_| NOT_TAKEN)?;
                }
            }
            parts.send(Part::Rows(rows)).await.map_err(|_| NOT_TAKEN)?;
        }
        self.commit(client).await?;
        parts.send(Part::End(head)).await.map_err(|_| NOT_TAKEN.to_owned())
    }
}

/// Begins the transaction that reads all rows. Expressions of a mapping may depend on its settings, so the
/// triggers have the same. Rows that row security would hide are an error.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL timezone = 'UTC'; \
     SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; \
     SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; SET LOCAL row_security = off";

/// The receiver is gone; it reports the reason.
const NOT_TAKEN: &str = "the rows are not taken";

/// The fault when a statement answers without its head.
const NO_HEAD: &str =
    "the tables are not as `humbaba directory schema` makes them: run what it prints";

const HIDDEN_CHANGES: &str = "row security hides changes from the role of the sidecar: disable it for the \
     tables of the directory's schema, for they are for that role to read";

/// Writes the SQL of a moment in milliseconds since 1970. `-infinity` is the first of the year 1, and
/// `infinity` is NULL. A year that microseconds in 64 bits do not reach is taken for 290000, which is as
/// unreadable.
fn millis(name: &str) -> String {
    let within = format!("least({name}, '290000-01-01 00:00:00+00')");
    format!(
        "CASE WHEN isfinite({name}) THEN round(date_part('epoch', {within}) * 1000000)::bigint / 1000 \
         WHEN {name} = '-infinity' THEN -62135596800000 END"
    )
}

/// The rows of an answer.
pub(super) fn rows_of(answer: &[SimpleQueryMessage]) -> impl Iterator<Item = &SimpleQueryRow> {
    answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
}

/// Waits for the server, but not for ever.
pub(super) async fn within<T>(
    most: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, String> {
    match timeout(most, answer).await {
        Ok(answer) => answer.map_err(|error| problem("PostgreSQL", &error)),
        Err(_) => Err(format!("PostgreSQL did not answer within {most:?}")),
    }
}
