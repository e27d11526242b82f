//! The problems of rows, for those who look at the status.

use std::collections::BTreeMap;

use crate::{
    directory::{Assignment, AssignmentKey, Change, EntityRow},
    model::Uid,
    reload::RowReport,
};

/// Problems that are kept, by the keys of their rows.
const KEPT: usize = 10_000;
/// Problems that are shown.
const SHOWN: usize = 100;

/// The problems of rows, of which none grants anything. A problem ends when its row changes or goes.
#[derive(Debug, Default)]
pub(super) struct RowProblems {
    by_row: BTreeMap<RowKey, RowProblem>,
    /// Problems of rows without a key, and those beyond [`KEPT`]: they stay until all rows are read
    /// anew.
    others: Vec<RowProblem>,
    /// Others that are counted only.
    more: usize,
    /// The number of rows that the directory does not hold.
    left_out: usize,
}

/// The entity or assignment that a row is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RowKey {
    Assignment(AssignmentKey),
    Entity(Uid),
}

/// The problem of a row.
#[derive(Debug)]
pub(super) struct RowProblem {
    /// In words.
    pub message: String,
    /// True where the directory does not hold the row, and does not count it.
    pub is_left_out: bool,
}

impl RowKey {
    /// Returns what a change is about.
    pub(super) fn of(change: &Change) -> Self {
        match change {
            Change::Put(Assignment { key, .. }) | Change::Delete(key) => {
                Self::Assignment(key.clone())
            }
            Change::PutEntity(EntityRow { uid, .. }) | Change::DeleteEntity(uid) => {
                Self::Entity(uid.clone())
            }
        }
    }
}

impl RowProblems {
    /// Records that a row has no problem any more.
    pub(super) fn remove(&mut self, change: &Change) {
        if self.by_row.is_empty() {
            return;
        }
        if let Some(problem) = self.by_row.remove(&RowKey::of(change)) {
            self.left_out -= usize::from(problem.is_left_out);
        }
    }

    /// Records the problem of a row that a change was about, where its key is known.
    pub(super) fn add(&mut self, change: Option<&Change>, problem: RowProblem) {
        self.left_out += usize::from(problem.is_left_out);
        match change.map(RowKey::of) {
            Some(key) if self.by_row.len() < KEPT || self.by_row.contains_key(&key) => {
                if let Some(old) = self.by_row.insert(key, problem) {
                    self.left_out -= usize::from(old.is_left_out);
                }
            }
            _ if self.others.len() < SHOWN => self.others.push(problem),
            _ => self.more += 1,
        }
    }

    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
        self.by_row.len() + self.others.len() + self.more
    }

    /// Returns what the status shows.
    pub(super) fn report(&self) -> RowReport {
        let all = self.by_row.values().chain(&self.others);
        let mut problems: Vec<_> = all.take(SHOWN).map(|problem| problem.message.clone()).collect();
        if let Some(more @ 1..) = self.count().checked_sub(problems.len()) {
            problems.push(format!("{more} more rows have a problem"));
        }
        RowReport { left_out: self.left_out, problems: problems.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: usize) -> Change {
        Change::DeleteEntity(Uid::new("User", number.to_string()))
    }

    fn problem(is_left_out: bool) -> RowProblem {
        RowProblem { message: "wrong".to_owned(), is_left_out }
    }

    #[test]
    fn a_problem_ends_when_its_row_changes() {
        let mut problems = RowProblems::default();
        problems.add(Some(&row(1)), problem(true));
        problems.add(Some(&row(1)), problem(true));
        problems.add(Some(&row(2)), problem(false));
        assert_eq!((problems.count(), problems.report().left_out), (2, 1));
        problems.remove(&row(1));
        problems.remove(&row(3));
        assert_eq!((problems.count(), problems.report().left_out), (1, 0));
        problems.remove(&row(2));
        assert_eq!(problems.report(), RowReport::default());
    }

    #[test]
    fn many_problems_are_counted_and_the_first_are_shown() {
        let mut problems = RowProblems::default();
        for number in 0..KEPT + 2 * SHOWN {
            problems.add(Some(&row(number)), problem(true));
        }
        problems.add(None, problem(true));
        let report = problems.report();
        assert_eq!(report.left_out, KEPT + 2 * SHOWN + 1);
        assert_eq!(report.problems.len(), SHOWN + 1);
        assert_eq!(problems.count(), report.left_out);
    }
}
