//! A review of who holds what, and what a reviewer should look at.

mod finding;
mod reviewer;
mod row;

pub use finding::{Finding, FindingKind};
pub use row::{ReviewRow, RowState};

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use self::reviewer::Reviewer;
use super::MatrixError;
use crate::{directory::Directory, model::Timestamp, store::PolicyStore};

/// Everybody who holds a role, and what a reviewer should look at.
#[derive(Debug)]
pub struct Review {
    /// The moment at which the ends of assignments are judged.
    pub as_of: Timestamp,
    /// The assignments, by scope, role and principal.
    pub rows: Vec<ReviewRow>,
    /// The findings that a reviewer should look at.
    pub findings: Vec<Finding>,
}

impl Review {
    /// Reviews a directory of a store as it is, with the ends of assignments judged at `as_of`. What
    /// ends within `soon` after that is a finding, and so is each of `bad_rows`.
    ///
    /// # Errors
    /// A question about a role does not fit the schema.
    pub fn of(
        store: &PolicyStore,
        directory: &Directory,
        as_of: Timestamp,
        soon: Duration,
        bad_rows: &[String],
    ) -> Result<Self, MatrixError> {
        let (rows, mut findings) = Reviewer::new(store, directory, as_of)?.review(soon);
        findings.extend(bad_rows.iter().map(|problem| Finding {
            kind: FindingKind::BadRow,
            about: String::new(),
            message: problem.clone(),
            rows: Vec::new(),
        }));
        Ok(Self { as_of, rows, findings })
    }

    /// Returns the findings of which a row is one.
    pub fn findings_of(&self, row: usize) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.rows.contains(&row))
    }

    /// Leaves only the rows of findings, and those that do not fit.
    #[must_use]
    pub fn of_findings_only(mut self) -> Self {
        let of_findings = self.findings.iter().flat_map(|finding| finding.rows.iter().copied());
        let rows = self.rows.iter().enumerate();
        let unfit = rows.filter(|(_, row)| row.state == RowState::Unfit).map(|(at, _)| at);
        let kept: BTreeSet<usize> = of_findings.chain(unfit).collect();
        let places: BTreeMap<usize, usize> =
            kept.iter().enumerate().map(|(now, before)| (*before, now)).collect();
        for finding in &mut self.findings {
            finding.rows.iter_mut().for_each(|row| {
                *row = places.get(row).copied().unwrap_or_default();
            });
        }
        let rows = std::mem::take(&mut self.rows).into_iter().enumerate();
        self.rows = rows.filter(|(at, _)| kept.contains(at)).map(|(_, row)| row).collect();
        self
    }
}
