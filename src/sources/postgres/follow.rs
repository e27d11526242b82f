//! Following a directory: connect, read everything, then every change; begin again when it fails.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task,
    time::{Instant, sleep, sleep_until},
};

use super::{
    compare::Comparison,
    connect::{self, Connection},
    known_rows::{KnownRows, Loading},
    poll::{Poll, poll},
    read::{Head, Part, Statements},
    rows::Row,
    shared_keys::UnknownRow,
    triggers::Triggers,
};
use crate::{
    directory::{Change, Directory},
    model::StoreName,
    reload::Live,
    request::RequestLimits,
    sources::{error::NOT_LOADED, reads_the_same::fits_otherwise},
};

/// Parts of a snapshot that wait to be put into the tables; the server waits beyond that.
const WAITING: usize = 4;

/// The first and the longest pause before connecting again.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// The interval at which the triggers are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Keeps the directory of a store as PostgreSQL has it.
pub(super) struct Follower {
    pub store: StoreName,
    pub url_file: PathBuf,
    pub statements: Statements,
    pub limits: RequestLimits,
    pub poll: Duration,
    /// The longest time between two comparisons of all rows. Sidecars that are started together do not
    /// make them together.
    pub compare: Duration,
    pub live: Arc<Live>,
}

/// A state that was read, from which on changes are asked for.
pub(super) struct Cursor {
    pub head: Head,
    pub known: KnownRows,
    /// When the triggers were last looked at.
    pub looked: Instant,
    pub comparison: Comparison,
}

/// All rows of one snapshot, read into a directory of their own.
pub(super) struct AllRows {
    head: Head,
    pub directory: Directory,
    pub known: KnownRows,
}

impl Cursor {
    /// Returns why nobody can say that the state is the server's, if so.
    pub(super) fn fault(&self) -> Option<&str> {
        self.head.triggers.as_ref().and_then(Triggers::fault)
    }
}

impl Follower {
    /// Follows for as long as it is polled.
    pub(super) async fn run(self) {
        let follower = Arc::new(self);
        let (mut cursor, mut pause, mut last_problem) = (None, PAUSES[0], String::new());
        follower.store_is_loaded().await;
        loop {
            let begun = Instant::now();
            let problem = Arc::clone(&follower).session(&mut cursor).await;
            let Follower { store, live, .. } = &*follower;
            if problem != last_problem {
                tracing::warn!(%store, "the directory cannot be followed: {problem}");
            }
            live.directory_failed(store, &problem);
            last_problem = problem;
            // A session that lasted shows that the server is there.
            pause = if begun.elapsed() > PAUSES[1] { PAUSES[0] } else { PAUSES[1].min(2 * pause) };
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        }
    }

    async fn store_is_loaded(&self) {
        let mut changes = self.live.changes();
        while self.live.empty_directory(&self.store, &self.limits).is_none() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Returns the state that changes can be applied to.
    pub(super) fn directory(&self) -> Option<Arc<Directory>> {
        self.live.directory(&self.store)
    }

    /// Follows on one connection until it fails, and returns why. What is in force stays.
    async fn session(self: Arc<Self>, cursor: &mut Option<Cursor>) -> String {
        let connection = match connect::connect(&self.url_file).await {
            Ok(connection) => connection,
            Err(problem) => return problem,
        };
        loop {
            let next = Instant::now() + self.poll;
            if let Err(problem) = self.step(&connection, cursor).await {
                return problem;
            }
            if cursor.is_some() {
                sleep_until(next).await;
            }
        }
    }

    /// Goes from one state of the server to the next. Without a cursor everything is read.
    async fn step(
        self: &Arc<Self>,
        connection: &Connection,
        cursor: &mut Option<Cursor>,
    ) -> Result<(), String> {
        if self.directory().is_none() {
            *cursor = None;
        }
        let Some(at) = cursor else {
            *cursor = Some(self.read_all(connection).await?);
            return Ok(());
        };
        if self.fits_otherwise(at) {
            self.read_anew("the schema of the store changed", cursor);
            return Ok(());
        }
        self.go_on_comparing(connection, cursor).await?;
        self.follow(connection, cursor).await
    }

    /// Asks what changed, and puts that in force.
    async fn follow(
        self: &Arc<Self>,
        connection: &Connection,
        cursor: &mut Option<Cursor>,
    ) -> Result<(), String> {
        let Some(at) = cursor else { return Ok(()) };
        let is_due = at.looked.elapsed() >= LOOK;
        let polled = poll(&connection.client, &self.statements, &at.head, is_due).await?;
        if is_due {
            at.looked = Instant::now();
        }
        match polled {
            Poll::Changes(head, _) if head.started != at.head.started => {
                // Its data folder may have been put back as it was before. Then the changes do not
                // lead on from what was seen, though no number says so.
                tracing::info!(store = %self.store, "the server was started again: all rows are compared");
                at.comparison = Comparison::First;
            }
            Poll::Changes(head, rows) => self.advance(head, rows, cursor).await?,
            Poll::Anew(reason) => self.read_anew(reason, cursor),
            Poll::Rewound(reason) => {
                self.renew(connection).await;
                self.read_anew(reason, cursor);
            }
        }
        Ok(())
    }

    /// Puts changed rows in force, as a whole. Where they do not lead on, there is no cursor afterwards.
    pub(super) async fn advance(
        self: &Arc<Self>,
        head: Head,
        rows: Vec<Row>,
        cursor: &mut Option<Cursor>,
    ) -> Result<(), String> {
        let Some(mut at) = cursor.take() else { return Ok(()) };
        if rows.is_empty() {
            self.confirm(&at, &head);
            *cursor = Some(Cursor { head, ..at });
            return Ok(());
        }
        at.head = head;
        let follower = Arc::clone(self);
        let changing =
            task::spawn_blocking(move || follower.change_rows(&mut at, rows).map(|()| at));
        match changing.await.map_err(|error| error.to_string())? {
            Ok(at) => *cursor = Some(at),
            Err(UnknownRow) => self.read_anew("a row went that was not there", cursor),
        }
        Ok(())
    }

    /// Has everything read anew.
    pub(super) fn read_anew(&self, reason: &str, cursor: &mut Option<Cursor>) {
        tracing::info!(store = %self.store, reason, "the directory is read anew");
        *cursor = None;
    }

    /// Has versions refused that were given before the data folder was put back as it was.
    pub(super) async fn renew(&self, connection: &Connection) {
        if let Err(problem) = self.statements.renew(&connection.client).await {
            tracing::warn!(
                store = %self.store,
                "versions of rows that are gone are not refused: {problem}. Run what `humbaba directory \
                 schema` prints"
            );
        }
    }

    /// Confirms the state, where all changes are recorded.
    fn confirm(&self, at: &Cursor, head: &Head) {
        if let Some(fault) = at.fault() {
            self.failed(fault);
        } else if head.snapshot == at.head.snapshot {
            self.live.confirm_directory(&self.store);
        } else {
            self.live.confirm_directory_at(&self.store, head.version());
        }
    }

    /// Shows a fault, unless it is shown already.
    pub(super) fn failed(&self, fault: &str) {
        let state = self.live.state();
        let shown = state.directories.get(&self.store).and_then(|live| live.problem.as_deref());
        if shown != Some(fault) {
            self.live.directory_failed(&self.store, fault);
        }
    }

    /// Returns whether rows read for the store as it is now could fit otherwise than those that were
    /// read.
    fn fits_otherwise(&self, at: &mut Cursor) -> bool {
        let state = self.live.state();
        let Ok(store) = state.stores.get(self.store.as_str()) else { return false };
        let KnownRows { read_for, problems, .. } = &mut at.known;
        fits_otherwise(read_for, store, self.directory().as_deref(), !problems.is_empty())
    }

    /// Reads all rows into a directory of their own, and puts it in force.
    async fn read_all(self: &Arc<Self>, connection: &Connection) -> Result<Cursor, String> {
        self.statements.adopt(&connection.client).await?;
        self.statements.begin(&connection.client).await?;
        let AllRows { head, directory, known } = self.read_rows(connection).await?;
        let (store, counts, version) = (&self.store, directory.counts(), head.version());
        tracing::info!(
            %store,
            assignments = counts.assignments,
            entities = counts.entities,
            ignored = known.problems.count(),
            "the directory was read"
        );
        self.live.replace_directory(store, directory, version, known.problems.report());
        let comparison = self.next_comparison();
        let cursor = Cursor { head, known, looked: Instant::now(), comparison };
        if let Some(fault) = cursor.fault() {
            tracing::error!(%store, "the directory is not confirmed: {fault}");
            self.failed(fault);
        }
        Ok(cursor)
    }

    /// Reads all rows in the transaction that was begun, and ends it.
    pub(super) async fn read_rows(
        self: &Arc<Self>,
        connection: &Connection,
    ) -> Result<AllRows, String> {
        let (parts, received) = mpsc::channel(WAITING);
        let follower = Arc::clone(self);
        let loading = task::spawn_blocking(move || follower.load(received));
        let read = self.statements.read_all(&connection.client, parts).await;
        let loaded = loading.await.map_err(|error| error.to_string())?;
        match (read, loaded) {
            (_, Ok(Some(rows))) => Ok(rows),
            (_, Err(problem)) | (Err(problem), Ok(None)) => Err(problem),
            (Ok(()), Ok(None)) => Err("the rows are not complete".to_owned()),
        }
    }

    /// Makes a directory of the parts of a snapshot; nothing where the end does not come.
    fn load(&self, mut parts: mpsc::Receiver<Part>) -> Result<Option<AllRows>, String> {
        let Self { live, store, limits, .. } = self;
        let stores = live.stores();
        let read_for = Arc::clone(stores.get(store.as_str()).map_err(|_| NOT_LOADED)?);
        let empty = live.empty_directory(store, limits).ok_or(NOT_LOADED)?;
        let mut loading = Loading::begin(empty, read_for, limits.text_bytes);
        while let Some(part) = parts.blocking_recv() {
            match part {
                Part::Rows(rows) => rows.into_iter().for_each(|row| loading.add(row)),
                Part::End(head) => {
                    let (directory, known) = loading.finish();
                    return Ok(Some(AllRows { head, directory, known }));
                }
            }
        }
        Ok(None)
    }

    fn change_rows(&self, cursor: &mut Cursor, rows: Vec<Row>) -> Result<(), UnknownRow> {
        let directory = self.directory().ok_or(UnknownRow)?;
        let changes = cursor.known.change(rows, &directory)?;
        self.make(cursor, changes);
        Ok(())
    }

    /// Makes changes that lead to the head of the cursor.
    pub(super) fn make(&self, cursor: &mut Cursor, changes: Vec<Change>) {
        let is_confirmed = cursor.fault().is_none();
        let Cursor { head, known, .. } = cursor;
        let (made, version) = (changes.clone(), head.version());
        let faults = if is_confirmed {
            self.live.change_directory(&self.store, made, version)
        } else {
            self.live.change_unconfirmed_directory(&self.store, made, version)
        };
        if let Some(directory) = self.directory() {
            known.note_circles(&directory);
        }
        known.note_faults(&changes, faults);
        self.live.report_directory_rows(&self.store, known.problems.report());
    }
}
