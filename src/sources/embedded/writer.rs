//! The thread of a directory: it alone reads and writes the database.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    runtime,
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval, sleep},
};

use super::{WAITING, Write, WriteError, database::Database, error::DatabaseError};
use crate::{
    directory::{Change, ChangeFault, Directory, DirectoryVersion, Fault, rows::renamed},
    model::StoreName,
    reload::{KeptChanges, Live},
    request::RequestLimits,
    schema::Schema,
    sources::{
        SourceOptions,
        reads_the_same::fits_otherwise,
        row_key::RowKey,
        row_problems::{ProblemKind, RowProblem, RowProblems},
    },
    store::PolicyStore,
};

/// Rows that do not fit the schema are named in the log up to that many.
const NAMED_ROWS: usize = 10;

/// The longest time until the directory is confirmed again.
const CONFIRM: Duration = Duration::from_secs(60);

/// Pause before a database that another process uses is opened again.
const BETWEEN_OPENS: Duration = Duration::from_secs(1);

/// Reads and writes the database of a directory.
#[derive(Debug)]
pub(super) struct DatabaseWriter {
    store: StoreName,
    path: PathBuf,
    limits: RequestLimits,
    kept_changes: u64,
    confirm: Duration,
    live: Arc<Live>,
    /// The problems of the rows that are held.
    problems: RowProblems,
}

/// A write that fits the schema.
struct Accepted {
    write: Write,
    version: DirectoryVersion,
}

impl DatabaseWriter {
    pub fn new(store: StoreName, path: PathBuf, options: &SourceOptions, live: Arc<Live>) -> Self {
        Self {
            store,
            path,
            limits: options.limits.clone(),
            kept_changes: u64::try_from(options.kept_changes).unwrap_or(u64::MAX),
            confirm: (options.max_age / 4).clamp(Duration::from_millis(1), CONFIRM),
            live,
            problems: RowProblems::default(),
        }
    }

    /// Makes writes until nobody can send any more.
    pub fn run(self, writes: mpsc::Receiver<Write>) {
        match runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime.block_on(self.serve(writes)),
            Err(error) => self.refuse(&format!("its thread cannot wait: {error}")),
        }
    }

    async fn serve(mut self, mut writes: mpsc::Receiver<Write>) {
        let Some((mut database, rows)) = self.open(&mut writes).await else { return };
        let mut changes = self.live.changes();
        let mut read_for = self.put_in_force(&mut database, Some(rows), &mut changes).await;
        let mut confirm = interval(self.confirm);
        confirm.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = Vec::new();
        loop {
            tokio::select! {
                // Writes of the same moment are made durable together.
                received = writes.recv_many(&mut waiting, WAITING) => {
                    if received == 0 {
                        return;
                    }
                    // Nobody would learn of the version.
                    waiting.retain(|write| !write.reply.is_closed());
                    // A write that came before the news of another schema must not be made by it while
                    // the rows are known by the names of the one before.
                    if database.is_known() && self.fits_otherwise(&mut read_for) {
                        read_for = self.put_in_force(&mut database, None, &mut changes).await;
                    }
                    let writes = std::mem::take(&mut waiting);
                    self.write(&mut database, read_for.as_deref(), writes);
                }
                Ok(()) = changes.changed(), if database.is_known() => {
                    if self.fits_otherwise(&mut read_for) {
                        read_for = self.put_in_force(&mut database, None, &mut changes).await;
                    }
                }
                // The state in force is not confirmed where nobody knows what the file holds.
                _ = confirm.tick(), if database.is_known() => self.confirm(&mut database),
            }
        }
    }

    /// Records that the file holds what is in force, where that is so.
    fn confirm(&self, database: &mut Database) {
        match database.look() {
            Ok(()) => self.live.confirm_directory(&self.store),
            Err(error) => {
                tracing::error!(store = %self.store, "the directory is not confirmed: {error}");
                self.live.directory_failed(&self.store, &error.to_string());
            }
        }
    }

    /// Opens the database, once no other process uses it. Returns nothing where it cannot be used, or
    /// nobody can write any more.
    async fn open(&self, writes: &mut mpsc::Receiver<Write>) -> Option<(Database, Vec<Change>)> {
        let mut is_told = false;
        loop {
            match Database::open(&self.path, self.kept_changes) {
                Ok(opened) => return Some(opened),
                Err(error @ DatabaseError::Locked(_)) => {
                    let problem = format!("{error}; it is tried again every {BETWEEN_OPENS:?}");
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::warn!(store = %self.store, "the directory waits: {problem}");
                        self.live.directory_failed(&self.store, &problem);
                    }
                }
                Err(error) => {
                    let path = self.path.display();
                    self.refuse(&format!(
                        "the database `{path}` is not used: {error}. Nothing of it is in force. If \
                         it is damaged, stop the process, put a backup in its place with `humbaba \
                         directory restore`, and start again"
                    ));
                    return None;
                }
            }
            let again = sleep(BETWEEN_OPENS);
            tokio::pin!(again);
            loop {
                tokio::select! {
                    () = &mut again => break,
                    write = writes.recv() => {
                        let _ = write?.reply.send(Err(WriteError::Unavailable));
                    }
                }
            }
        }
    }

    /// Says that the rows could not be put in force. What was in force stays.
    fn not_read(&self, problem: &str) {
        if self.state().is_none() {
            self.refuse(problem);
        } else {
            tracing::error!(store = %self.store, "the directory is not read anew: {problem}");
            self.live.directory_failed(&self.store, problem);
        }
    }

    fn refuse(&self, problem: &str) {
        tracing::error!(store = %self.store, "the directory is not loaded: {problem}");
        self.live.refuse_directory(&self.store, problem);
    }

    /// Returns whether rows may fit the store as it is now otherwise than the one that they were read
    /// for.
    fn fits_otherwise(&self, read_for: &mut Option<Arc<PolicyStore>>) -> bool {
        let state = self.live.state();
        let Ok(store) = state.stores.get(self.store.as_str()) else { return false };
        let Some(last) = read_for else { return true };
        fits_otherwise(last, store, self.state().as_deref(), !self.problems.is_empty())
    }

    /// Puts the rows in force as soon as the store is loaded, and returns the store that they were read
    /// for.
    async fn put_in_force(
        &mut self,
        database: &mut Database,
        mut rows: Option<Vec<Change>>,
        changes: &mut watch::Receiver<()>,
    ) -> Option<Arc<PolicyStore>> {
        loop {
            changes.mark_unchanged();
            let store = self.live.stores().get(self.store.as_str()).ok().cloned();
            if let Some(store) = store {
                let rows = rows.take().map_or_else(|| database.rows(), Ok);
                let read = rows.and_then(|rows| Ok((rows, database.history()?)));
                match read {
                    Ok((rows, history)) => self.replace(database, &store, rows, history),
                    Err(error) => {
                        self.not_read(&error.to_string());
                        return None;
                    }
                }
                if self.state().is_some() {
                    return Some(store);
                }
            }
            if changes.changed().await.is_err() {
                return None;
            }
        }
    }

    fn replace(
        &mut self,
        database: &mut Database,
        store: &PolicyStore,
        mut rows: Vec<Change>,
        history: KeptChanges,
    ) {
        let (schema, stored) = (store.schema_arc(), store.stored_arc());
        let has_other_names = rows.iter().any(|row| !row.is_qualified(schema));
        database.set_names(has_other_names.then(|| Arc::clone(schema)));
        if has_other_names {
            rows = renamed(rows, schema);
        }
        let empty = Directory::new(Arc::clone(schema), Arc::clone(stored), self.limits.clone());
        let (directory, faults) = empty.apply(&rows);
        self.note_faults(rows, faults, schema);
        let counts = directory.counts();
        tracing::info!(
            store = %self.store,
            version = %database.version(),
            assignments = counts.assignments,
            entities = counts.entities,
            ignored = counts.ignored,
            "the directory is loaded"
        );
        let (version, rows) = (database.version(), self.problems.report());
        self.live.restore_directory(&self.store, directory, version, rows, history);
    }

    /// Notes the rows that do not fit the schema instead of those that did not, and logs the first.
    fn note_faults(&mut self, mut rows: Vec<Change>, faults: Vec<Fault>, schema: &Schema) {
        self.problems = RowProblems::default();
        let count = faults.len();
        for (place, Fault { index, field, description }) in faults.into_iter().enumerate() {
            let Some(row) = rows.get_mut(index) else { continue };
            row.qualify(schema);
            let problem = RowProblem::unfit(row, ChangeFault { field, description });
            if place < NAMED_ROWS {
                let (store, problem) = (&self.store, &problem.message);
                tracing::warn!(%store, "a row of the directory grants nothing: {problem}");
            }
            self.problems.add(Some(RowKey::of(row)), problem);
        }
        if let Some(more @ 1..) = count.checked_sub(NAMED_ROWS) {
            tracing::warn!(store = %self.store, "{more} more rows of the directory grant nothing");
        }
    }

    /// Ends the problems of rows that were written or deleted: what is written fits.
    fn end_problems(&mut self, keys: &[RowKey]) {
        for key in keys {
            self.problems.remove(key, ProblemKind::Unfit);
        }
        self.live.report_directory_rows(&self.store, self.problems.report());
    }

    /// Returns the rows in force.
    fn state(&self) -> Option<Arc<Directory>> {
        self.live.directory(&self.store)
    }

    /// Makes writes durable together, and puts one after the other in force. Their types get the names
    /// of the store that the rows were read for, by which the database knows them.
    fn write(
        &mut self,
        database: &mut Database,
        read_for: Option<&PolicyStore>,
        writes: Vec<Write>,
    ) {
        let accepted = self.accepted(database, read_for, writes);
        if accepted.is_empty() {
            return;
        }
        let changes = accepted.iter().map(|accepted| accepted.write.changes.as_slice());
        if let Err(error) = database.commit(changes) {
            tracing::error!(store = %self.store, "a directory was not written: {error}");
            let problem = error.to_string();
            let refusal: fn(String) -> WriteError = match error {
                DatabaseError::Unknown(_) => {
                    self.live.directory_failed(&self.store, &problem);
                    WriteError::Unknown
                }
                DatabaseError::Foreign(_) => {
                    self.live.directory_failed(&self.store, &problem);
                    WriteError::NotDurable
                }
                _ => WriteError::NotDurable,
            };
            for Accepted { write, .. } in accepted {
                let _ = write.reply.send(Err(refusal(problem.clone())));
            }
            return;
        }
        for Accepted { write: Write { changes, reply, .. }, version } in accepted {
            let is_fine = self.problems.is_empty();
            let keys: Vec<_> =
                if is_fine { Vec::new() } else { changes.iter().map(RowKey::of).collect() };
            self.live.change_directory(&self.store, changes, version.clone());
            if !is_fine {
                self.end_problems(&keys);
            }
            let _ = reply.send(Ok(version));
        }
    }

    /// Returns the writes that can be made one after the other; the others are answered.
    fn accepted(
        &self,
        database: &Database,
        read_for: Option<&PolicyStore>,
        writes: Vec<Write>,
    ) -> Vec<Accepted> {
        let mut accepted = Vec::new();
        let mut state = self.state();
        let mut counter = database.counter();
        for mut write in writes {
            let now = database.version_of(counter);
            match self.check(state.as_deref(), read_for, &now, &mut write) {
                Ok(_) if write.changes.is_empty() => {
                    let _ = write.reply.send(Ok(now));
                }
                Ok(next) => {
                    state = Some(Arc::new(next));
                    counter += 1;
                    accepted.push(Accepted { write, version: database.version_of(counter) });
                }
                Err(error) => {
                    let _ = write.reply.send(Err(error));
                }
            }
        }
        accepted
    }

    /// Returns the directory with a write, if it can be made.
    fn check(
        &self,
        state: Option<&Directory>,
        read_for: Option<&PolicyStore>,
        now: &DirectoryVersion,
        write: &mut Write,
    ) -> Result<Directory, WriteError> {
        let state = state.ok_or(WriteError::Unavailable)?;
        let stores = self.live.stores();
        stores.get(self.store.as_str()).map_err(|_| WriteError::Unavailable)?;
        let store = read_for.ok_or(WriteError::Unavailable)?;
        for change in &mut write.changes {
            change.qualify(store.schema());
        }
        let (next, faults) = state.apply(&write.changes);
        if !faults.is_empty() {
            return Err(WriteError::Invalid(faults));
        }
        if !write.if_version.is_empty() && write.if_version != now.to_string() {
            now.has_reached(&write.if_version)?;
            return Err(WriteError::OtherVersion { now: now.clone() });
        }
        Ok(next)
    }
}
