//! The directory of a store as PostgreSQL has it: all rows read, and changes put in force.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{sync::mpsc, task, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use super::{
    connect::Connection,
    known_rows::{KnownRows, Loading},
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

/// The next comparison. Dropping it ends what runs of it.
pub(super) enum Comparison {
    /// It begins at that time.
    Due(Instant),
    /// It is made before any further change.
    First,
    /// A connection is being made for it, and a transaction begun on it.
    Connecting(AbortOnDropHandle<Result<Connection, String>>),
    /// Rows are being read. The result is true where they are as in force.
    Reading(AbortOnDropHandle<Result<bool, String>>),
}

impl Cursor {
    /// Returns why nobody can say that the state is the server's, if so.
    pub(super) fn fault(&self) -> Option<&str> {
        self.head.triggers.as_ref().and_then(Triggers::fault)
    }
}

impl Follower {
    /// Returns the comparison that follows one of now. Sidecars that are started together do not make
    /// them together.
    pub(super) fn next_comparison(&self) -> Comparison {
        Comparison::Due(Instant::now() + self.compare.mul_f64(0.5 + fastrand::f64() / 2.0))
    }

    /// Returns the state that changes can be applied to.
    pub(super) fn directory(&self) -> Option<Arc<Directory>> {
        self.live.directory(&self.store)
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
    pub(super) fn fits_otherwise(&self, at: &mut Cursor) -> bool {
        let state = self.live.state();
        let Ok(store) = state.stores.get(self.store.as_str()) else { return false };
        let KnownRows { read_for, problems, .. } = &mut at.known;
        fits_otherwise(read_for, store, self.directory().as_deref(), !problems.is_empty())
    }

    /// Reads all rows into a directory of their own, and puts it in force.
    pub(super) async fn read_all(
        self: &Arc<Self>,
        connection: &Connection,
    ) -> Result<Cursor, String> {
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
