//! The problems of rows, for those who look at the status.

use std::collections::BTreeMap;

use super::row_key::RowKey;
use crate::{
    directory::{Change, ChangeFault},
    reload::RowReport,
    request::shorten_to,
};

/// Characters of a problem that are kept: a row may hold long texts.
const MESSAGE: usize = 1_000;

/// Problems that are kept, by the keys of their rows.
const KEPT: usize = 10_000;
/// Problems that are shown.
const SHOWN: usize = 100;

/// The problems of rows, of which none grants anything. A problem ends when its row changes or goes.
#[derive(Debug, Default)]
pub(super) struct RowProblems {
    /// The problems by the keys of their rows; several rows may share a key.
    by_row: BTreeMap<(RowKey, ProblemKind), RowProblem>,
    /// Problems of rows without a key, and those beyond [`KEPT`]: they stay until all rows are read
    /// anew.
    others: Vec<RowProblem>,
    /// Others that are counted only.
    more: usize,
    /// The number of rows that the directory does not hold.
    left_out: usize,
}

/// The problem of a row.
#[derive(Debug)]
pub(super) struct RowProblem {
    /// The problem in words.
    pub message: String,
    /// The kind.
    pub kind: ProblemKind,
}

/// The kind of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ProblemKind {
    /// The row cannot be read, or is too large: the directory does not hold it; of an entity it knows
    /// that there is one.
    LeftOut,
    /// Rows of one entity differ: the directory holds none of them.
    Contradiction,
    /// The directory holds the row, and it does not fit the schema.
    Unfit,
}

impl RowProblem {
    /// Returns the problem of a row that the directory holds and that does not fit.
    pub(super) fn unfit(row: &Change, fault: ChangeFault) -> Self {
        Self { message: words(row, fault), kind: ProblemKind::Unfit }
    }

    fn is_left_out(&self) -> bool {
        self.kind != ProblemKind::Unfit
    }
}

impl RowProblems {
    /// Returns whether no row has a problem.
    pub(super) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Returns whether the row of a key is known to have a problem of a kind.
    pub(super) fn has(&self, key: &RowKey, kind: ProblemKind) -> bool {
        !self.by_row.is_empty() && self.by_row.contains_key(&(key.clone(), kind))
    }

    /// Records that the row of a key has no problem of a kind any more.
    pub(super) fn remove(&mut self, key: &RowKey, kind: ProblemKind) {
        if self.by_row.is_empty() {
            return;
        }
        if let Some(problem) = self.by_row.remove(&(key.clone(), kind)) {
            self.left_out -= usize::from(problem.is_left_out());
        }
    }

    /// Records the problem of a row, under its key where that is known.
    pub(super) fn add(&mut self, key: Option<RowKey>, problem: RowProblem) {
        self.left_out += usize::from(problem.is_left_out());
        match key.map(|key| (key, problem.kind)) {
            Some(key) if self.by_row.len() < KEPT || self.by_row.contains_key(&key) => {
                if let Some(old) = self.by_row.insert(key, problem) {
                    self.left_out -= usize::from(old.is_left_out());
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

/// Returns words for a row that does not fit the schema of the store.
pub(super) fn words(row: &Change, ChangeFault { field, description }: ChangeFault) -> String {
    let name = match RowKey::of(row) {
        RowKey::Assignment(key) => {
            format!("{}, {} of {}", key.principal.as_entity(), key.role, key.scope.as_entity())
        }
        RowKey::Entity(uid) => uid.as_entity(),
    };
    let words = if field.is_empty() {
        format!("{name}: it does not fit the schema of the policy store")
    } else {
        format!("{name}: `{field}`: {description}")
    };
    shorten_to(MESSAGE, &words)
}

#[cfg(test)]
mod tests {
    use super::{ProblemKind::*, *};
    use crate::model::Uid;

    fn row(number: usize) -> RowKey {
        RowKey::Entity(Uid::new("User", number.to_string()))
    }

    fn problem(kind: ProblemKind) -> RowProblem {
        RowProblem { message: "wrong".to_owned(), kind }
    }

    #[test]
    fn a_problem_ends_when_its_row_changes() {
        let mut problems = RowProblems::default();
        problems.add(Some(row(1)), problem(LeftOut));
        problems.add(Some(row(1)), problem(LeftOut));
        problems.add(Some(row(2)), problem(Unfit));
        assert_eq!((problems.count(), problems.report().left_out), (2, 1));
        problems.remove(&row(1), LeftOut);
        problems.remove(&row(3), LeftOut);
        problems.remove(&row(2), LeftOut);
        assert_eq!((problems.count(), problems.report().left_out), (1, 0));
        problems.remove(&row(2), Unfit);
        assert_eq!(problems.report(), RowReport::default());
    }

    #[test]
    fn many_problems_are_counted_and_the_first_are_shown() {
        let mut problems = RowProblems::default();
        for number in 0..KEPT + 2 * SHOWN {
            problems.add(Some(row(number)), problem(LeftOut));
        }
        problems.add(None, problem(LeftOut));
        let report = problems.report();
        assert_eq!(report.left_out, KEPT + 2 * SHOWN + 1);
        assert_eq!(report.problems.len(), SHOWN + 1);
        assert_eq!(problems.count(), report.left_out);
    }
}
