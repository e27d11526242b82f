//! Following a directory: connect, read everything, then every change; begin again when it fails.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task,
    time::{Instant, sleep, sleep_until},
};

use super::{
    connect::{self, Connection},
    known_rows::{KnownRows, Loading},
    poll::{Poll, poll},
    read::{Head, Part, Statements},
    rows::Row,
    shared_keys::UnknownRow,
    triggers::Triggers,
};
use crate::{
    directory::Directory,
    model::StoreName,
    reload::Live,
    request::RequestLimits,
    sources::{error::NOT_LOADED, reads_the_same},
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
    head: Head,
    known: KnownRows,
    /// When the triggers were last looked at.
    looked: Instant,
    /// When all rows are to be compared.
    next_compare: Instant,
}

impl Cursor {
    /// Returns why nobody can say that the state is the server's, if so.
    fn fault(&self) -> Option<&str> {
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
    fn directory(&self) -> Option<Arc<Directory>> {
        let state = self.live.state();
        let state = state.directories.get(&self.store)?.state.as_ref()?;
        Some(Arc::clone(&state.directory))
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
            sleep_until(next).await;
        }
    }

    async fn step(
        self: &Arc<Self>,
        connection: &Connection,
        cursor: &mut Option<Cursor>,
    ) -> Result<(), String> {
        if self.directory().is_none() {
            *cursor = None;
        }
        let Some(mut at) = cursor.take() else {
            *cursor = Some(self.read_all(connection).await?);
            return Ok(());
        };
        if self.fits_otherwise(&mut at) {
            tracing::info!(store = %self.store, "rows are read anew: the schema of the store changed");
            *cursor = Some(self.read_all(connection).await?);
            return Ok(());
        }
        let compares = Instant::now() >= at.next_compare;
        let (head, rows) = match self.poll(connection, &mut at, compares).await {
            Ok(Poll::Changes(head, rows)) => (head, rows),
            Ok(Poll::Anew(reason)) => {
                *cursor = Some(self.read_anew(connection, reason, compares).await?);
                return Ok(());
            }
            Ok(Poll::Rewound(reason)) => {
                self.renew(connection, compares).await?;
                *cursor = Some(self.read_anew(connection, reason, false).await?);
                return Ok(());
            }
            Err(problem) => {
                *cursor = Some(at);
                return Err(problem);
            }
        };
        let is_restarted = head.started != at.head.started;
        if is_restarted && !compares {
            // Its data folder may have been put back as it was before. Then the changes do not lead on
            // from what was seen, though no number says so.
            tracing::info!(store = %self.store, "the server was started again: all rows are compared");
            at.next_compare = Instant::now();
            *cursor = Some(at);
            return Ok(());
        }
        let started = at.head.started.clone();
        let changed = if rows.is_empty() {
            if !compares {
                self.confirm(&at, &head);
            }
            Ok(Cursor { head, ..at })
        } else {
            self.change(Cursor { head, ..at }, rows).await?
        };
        *cursor = Some(match changed {
            Ok(mut at) if compares => match self.compare(connection, is_restarted).await {
                Ok(compared) => compared,
                Err(problem) => {
                    // It is still to be compared with what the server had before it was started.
                    at.head.started = started;
                    *cursor = Some(at);
                    return Err(problem);
                }
            },
            Ok(at) => at,
            Err(UnknownRow) => {
                self.read_anew(connection, "a row went that was not there", compares).await?
            }
        });
        Ok(())
    }

    /// Asks what changed. Where all rows are to be compared, that is the begin of a transaction in which
    /// they can be read as they are after these changes.
    async fn poll(
        &self,
        connection: &Connection,
        at: &mut Cursor,
        compares: bool,
    ) -> Result<Poll, String> {
        let client = &connection.client;
        if compares {
            self.statements.begin(client).await?;
        }
        let is_due = compares || at.looked.elapsed() >= LOOK;
        let polled = poll(client, &self.statements, &at.head, is_due).await?;
        if is_due {
            at.looked = Instant::now();
        }
        Ok(polled)
    }

    /// Reads everything anew, after the end of the transaction if one was begun.
    async fn read_anew(
        self: &Arc<Self>,
        connection: &Connection,
        reason: &str,
        in_transaction: bool,
    ) -> Result<Cursor, String> {
        tracing::info!(store = %self.store, reason, "the directory is read anew");
        if in_transaction {
            self.statements.commit(&connection.client).await?;
        }
        self.read_all(connection).await
    }

    /// Reads all rows in the transaction that was begun, and holds what is in force against them: what
    /// no trigger saw is found so, whatever wrote it.
    async fn compare(
        self: &Arc<Self>,
        connection: &Connection,
        is_restarted: bool,
    ) -> Result<Cursor, String> {
        let (cursor, is_same) = self.read_rows(connection, true).await?;
        if !is_same {
            tracing::warn!(
                store = %self.store,
                "rows were other than their recorded changes say, and are read anew: something writes \
                 past the triggers, or the data folder was put back as it was before"
            );
            if is_restarted {
                self.renew(connection, false).await?;
            }
        }
        Ok(cursor)
    }

    /// Has versions refused that were given before the data folder was put back as it was.
    async fn renew(&self, connection: &Connection, in_transaction: bool) -> Result<(), String> {
        let client = &connection.client;
        if in_transaction {
            self.statements.commit(client).await?;
        }
        if let Err(problem) = self.statements.renew(client).await {
            tracing::warn!(
                store = %self.store,
                "versions of rows that are gone are not refused: {problem}. Run what `humbaba directory \
                 schema` prints"
            );
        }
        Ok(())
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
    fn failed(&self, fault: &str) {
        let state = self.live.state();
        let shown = state.directories.get(&self.store).and_then(|live| live.problem.as_deref());
        if shown != Some(fault) {
            self.live.directory_failed(&self.store, fault);
        }
    }

    /// Returns whether rows read for the store as it is now could fit otherwise than those that were
    /// read. Which they are is only said when they are read.
    fn fits_otherwise(&self, at: &mut Cursor) -> bool {
        let state = self.live.state();
        let Ok(store) = state.stores.get(self.store.as_str()) else { return false };
        let ignored = self.directory().map_or(0, |directory| directory.counts().ignored);
        let known = &mut at.known;
        // Names without a namespace were read as names of the one that the schema had then.
        let has_same_names = known.read_for.schema().namespace() == store.schema().namespace();
        let all_fit = has_same_names && ignored == 0 && known.problems.count() == 0;
        if all_fit || reads_the_same(&known.read_for, store) {
            known.read_for = Arc::clone(store);
            return false;
        }
        true
    }

    /// Reads all rows into a directory of their own, and puts it in force.
    async fn read_all(self: &Arc<Self>, connection: &Connection) -> Result<Cursor, String> {
        self.statements.adopt(&connection.client).await?;
        self.statements.begin(&connection.client).await?;
        self.read_rows(connection, false).await.map(|(cursor, _)| cursor)
    }

    /// Reads all rows in the transaction that was begun. What is in force stays only where it is to be
    /// compared and has the same rows, which is told.
    async fn read_rows(
        self: &Arc<Self>,
        connection: &Connection,
        compares: bool,
    ) -> Result<(Cursor, bool), String> {
        let (parts, received) = mpsc::channel(WAITING);
        let follower = Arc::clone(self);
        let loading = task::spawn_blocking(move || follower.load(received, compares));
        let read = self.statements.read_all(&connection.client, parts).await;
        let loaded = loading.await.map_err(|error| error.to_string())?;
        match (read, loaded) {
            (_, Ok(Some(loaded))) => Ok(loaded),
            (_, Err(problem)) | (Err(problem), Ok(None)) => Err(problem),
            (Ok(()), Ok(None)) => Err("the rows are not complete".to_owned()),
        }
    }

    /// Makes a directory of the parts of a snapshot; nothing where the end does not come.
    fn load(
        &self,
        mut parts: mpsc::Receiver<Part>,
        compares: bool,
    ) -> Result<Option<(Cursor, bool)>, String> {
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
                    return Ok(Some(self.loaded(head, directory, known, compares)));
                }
            }
        }
        Ok(None)
    }

    /// Puts a directory that was read in force, unless it is compared and the same.
    fn loaded(
        &self,
        head: Head,
        directory: Directory,
        known: KnownRows,
        compares: bool,
    ) -> (Cursor, bool) {
        let Self { live, store, .. } = self;
        let (counts, version) = (directory.counts(), head.version());
        let in_force = self.directory().filter(|_| compares);
        let is_same = in_force.is_some_and(|in_force| in_force.has_same_rows(&directory));
        if is_same {
            live.confirm_directory_at(store, version);
            live.report_directory_rows(store, known.problems.report());
        } else {
            tracing::info!(
                %store,
                assignments = counts.assignments,
                entities = counts.entities,
                ignored = known.problems.count(),
                "the directory was read"
            );
            live.replace_directory(store, directory, version, known.problems.report());
        }
        let pause = self.compare.mul_f64(0.5 + fastrand::f64() / 2.0);
        let now = Instant::now();
        let cursor = Cursor { head, known, looked: now, next_compare: now + pause };
        if let Some(fault) = cursor.fault() {
            tracing::error!(%store, "the directory is not confirmed: {fault}");
            self.failed(fault);
        }
        (cursor, is_same)
    }

    /// Puts changed rows in force, as a whole.
    async fn change(
        self: &Arc<Self>,
        mut cursor: Cursor,
        rows: Vec<Row>,
    ) -> Result<Result<Cursor, UnknownRow>, String> {
        let follower = Arc::clone(self);
        let changing =
            task::spawn_blocking(move || follower.change_rows(&mut cursor, rows).map(|()| cursor));
        changing.await.map_err(|error| error.to_string())
    }

    fn change_rows(&self, cursor: &mut Cursor, rows: Vec<Row>) -> Result<(), UnknownRow> {
        let is_confirmed = cursor.fault().is_none();
        let Cursor { head, known, .. } = cursor;
        let directory = self.directory().ok_or(UnknownRow)?;
        let changes = known.change(rows, &directory)?;
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
        Ok(())
    }
}
