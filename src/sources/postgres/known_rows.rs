//! Rows as they were read, made changes of the directory, and what is known of them beside it.

use std::sync::Arc;

use super::{
    rows::{self, Content, Row, Unreadable},
    shared_keys::{KeyChanges, SharedKeys, UnknownRow},
};
use crate::{
    directory::{Applying, Change, ChangeFault, Directory, EntityRow, Fault},
    model::Uid,
    sources::{
        row_key::RowKey,
        row_problems::{ProblemKind, RowProblem, RowProblems, words},
    },
    store::PolicyStore,
};

/// Problems of rows that are logged at once.
const LOGGED: usize = 10;

/// The facts about rows of a directory that it does not hold itself.
#[derive(Debug)]
pub(super) struct KnownRows {
    /// The problems of rows.
    pub problems: RowProblems,
    /// The state of the store that the rows were read for.
    pub read_for: Arc<PolicyStore>,
    /// The rows that share a key.
    pub shared: Arc<SharedKeys>,
    text_bytes: usize,
    /// The entities that are in themselves, which has been noted.
    in_circles: Vec<Uid>,
}

/// All rows, which come one after the other.
pub(super) struct Loading {
    empty: Directory,
    applying: Applying,
    known: KnownRows,
}

impl Loading {
    /// Begins with an empty directory of a store.
    pub(super) fn begin(empty: Directory, read_for: Arc<PolicyStore>, text_bytes: usize) -> Self {
        let (problems, shared) = (RowProblems::default(), Arc::default());
        let in_circles = Vec::new();
        let known = KnownRows { problems, read_for, shared, text_bytes, in_circles };
        Self { applying: empty.begin(), empty, known }
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: Row) {
        let Row::Added(content) = row else { return };
        match self.known.kept(content, &self.empty) {
            Ok(row) => {
                if let Err(fault) = self.applying.make(&row) {
                    self.known.problems.add(Some(RowKey::of(&row)), RowProblem::unfit(&row, fault));
                }
            }
            Err(left_out) => {
                if let Some(row) = self.known.stand_in(&left_out) {
                    // Its fault is that of the row.
                    let _ = self.applying.make(&row);
                }
                self.known.leave_out(*left_out);
            }
        }
    }

    /// Returns the directory of all rows.
    pub(super) fn finish(self) -> (Directory, KnownRows) {
        let Self { applying, mut known, .. } = self;
        let (directory, replaced) = applying.finish_with_replaced();
        let mut keys = Arc::make_mut(&mut known.shared).change(&directory);
        replaced.into_iter().for_each(|row| keys.add(row));
        let changes = keys.finish();
        let (directory, _) = directory.apply(&changes);
        for change in &changes {
            known.note_contradiction(RowKey::of(change));
        }
        known.note_circles(&directory);
        (directory, known)
    }
}

impl KnownRows {
    /// Returns the changes of a directory that rows make which came and went, in order.
    ///
    /// # Errors
    /// A row went that was not there.
    pub(super) fn change(
        &mut self,
        rows: Vec<Row>,
        directory: &Directory,
    ) -> Result<Vec<Change>, UnknownRow> {
        let mut shared = std::mem::take(&mut self.shared);
        let mut keys = Arc::make_mut(&mut shared).change(directory);
        let mut log = ProblemLog::default();
        for row in rows {
            self.change_row(row, &mut keys, directory, &mut log)?;
        }
        let changes = keys.finish();
        self.shared = shared;
        Ok(changes)
    }

    fn change_row(
        &mut self,
        row: Row,
        keys: &mut KeyChanges<'_>,
        directory: &Directory,
        log: &mut ProblemLog,
    ) -> Result<(), UnknownRow> {
        match row {
            Row::Added(content) => match self.kept(content, directory) {
                Ok(row) => keys.add(row),
                Err(left_out) => {
                    log.tell(self, &left_out.message);
                    if let Some(row) = self.stand_in(&left_out) {
                        keys.add(row);
                    }
                    self.leave_out(*left_out);
                }
            },
            Row::Removed(content) => match self.kept(content, directory) {
                Ok(row) => keys.remove(&row)?,
                Err(left_out) => {
                    if let Some(row) = self.stand_in(&left_out) {
                        keys.remove(&row)?;
                    }
                    if let Some(key) = left_out.key {
                        self.problems.remove(&key, ProblemKind::LeftOut);
                    }
                }
            },
            Row::Reload | Row::Nothing => {}
        }
        Ok(())
    }

    /// Notes the problems of the rows of changes that were made.
    pub(super) fn note_faults(&mut self, changes: &[Change], faults: Vec<Fault>) {
        let mut faults = faults.into_iter().peekable();
        let mut log = ProblemLog::default();
        for (index, change) in changes.iter().enumerate() {
            let key = RowKey::of(change);
            self.problems.remove(&key, ProblemKind::Unfit);
            let fault = faults.next_if(|fault| fault.index == index);
            let is_told =
                self.problems.has(&key, ProblemKind::LeftOut) || self.shared.is_contradictory(&key);
            if let Some(fault) = fault.filter(|_| !is_told) {
                let Fault { field, description, .. } = fault;
                let problem = RowProblem::unfit(change, ChangeFault { field, description });
                log.tell(self, &problem.message);
                self.problems.add(Some(key.clone()), problem);
            }
            self.note_contradiction(key);
        }
    }

    /// Notes the entities that are in themselves now. A change may break a circle of which it changes
    /// but one row.
    pub(super) fn note_circles(&mut self, directory: &Directory) {
        for uid in std::mem::take(&mut self.in_circles) {
            self.problems.remove(&RowKey::Entity(uid), ProblemKind::Unfit);
        }
        for (uid, fault) in directory.in_circles() {
            let (key, row) = (RowKey::Entity(uid.clone()), Change::DeleteEntity(uid.clone()));
            self.problems.remove(&key, ProblemKind::Unfit);
            self.problems.add(Some(key), RowProblem::unfit(&row, fault));
            self.in_circles.push(uid);
        }
    }

    /// Notes a row that the directory does not hold.
    fn leave_out(&mut self, Unreadable { key, message }: Unreadable) {
        self.problems.add(key, RowProblem { message, kind: ProblemKind::LeftOut });
    }

    /// Returns what stands for the row of an entity, so that the directory knows that there is one which
    /// cannot be read.
    fn stand_in(&self, left_out: &Unreadable) -> Option<Change> {
        let Some(RowKey::Entity(uid)) = &left_out.key else { return None };
        let row = Change::PutEntity(EntityRow { uid: uid.clone(), json: String::new() });
        row.can_be_kept(self.text_bytes).then_some(row)
    }

    fn note_contradiction(&mut self, key: RowKey) {
        self.problems.remove(&key, ProblemKind::Contradiction);
        let RowKey::Entity(uid) = &key else { return };
        if self.shared.is_contradictory(&key) {
            let message = format!(
                "{uid}: several rows are of this entity and differ: nothing that it may do is allowed; keep one"
            );
            let problem = RowProblem { message, kind: ProblemKind::Contradiction };
            self.problems.add(Some(key), problem);
        }
    }

    /// Returns the row if a directory can keep it, with full names of types.
    fn kept(&self, mut content: Content, directory: &Directory) -> Content {
        rows::qualify(&mut content, self.read_for.schema());
        let row = content?;
        if row.can_be_kept(self.text_bytes) {
            return Ok(row);
        }
        let message = words(&row, directory.fault_of(&row).unwrap_or_default());
        Err(Box::new(Unreadable { key: Some(RowKey::of(&row)), message }))
    }
}

/// Logs the first problems of many.
#[derive(Default)]
struct ProblemLog {
    logged: usize,
}

impl ProblemLog {
    fn tell(&mut self, of: &KnownRows, problem: &str) {
        self.logged += 1;
        if self.logged <= LOGGED {
            let store = of.read_for.name();
            tracing::warn!(%store, "a row of the directory grants nothing: {problem}");
        }
    }
}
