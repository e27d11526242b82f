//! A review of who holds what, and what a reviewer should look at.

mod reviewer;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use self::reviewer::Reviewer;
use super::MatrixError;
use crate::{
    directory::{Assignment, Directory},
    model::Timestamp,
    store::PolicyStore,
};

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

/// An assignment under review. Types have no namespace where it may be left out.
#[derive(Debug)]
pub struct ReviewRow {
    /// The assignment.
    pub assignment: Assignment,
    /// The state in which it is: whether it grants anything.
    pub state: RowState,
}

/// The state of an assignment: whether it grants anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowState {
    /// It is in force.
    InForce,
    /// It has expired.
    Expired,
    /// It does not fit the schema of the store, and grants nothing.
    Unfit,
}

impl RowState {
    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::InForce => "in force",
            Self::Expired => "expired",
            Self::Unfit => "does not fit",
        }
    }
}

/// Something that a reviewer should look at.
#[derive(Debug)]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// Whom or what it is about; empty: the whole directory.
    pub about: String,
    /// The finding in words.
    pub message: String,
    /// The places of its rows in [`Review::rows`].
    pub rows: Vec<usize>,
}

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// Several hold roles on a scope, and all of them its strongest.
    AllStrongest,
    /// One principal holds roles on more than half of all scopes.
    HoldsMost,
    /// A scope on which nobody holds the strongest role.
    NoStrongest,
    /// A role that makes no difference for any action.
    Unused,
    /// Assignments that have expired.
    Expired,
    /// Assignments that expire soon.
    ExpiresSoon,
    /// A row that cannot be read or does not fit.
    BadRow,
}

impl FindingKind {
    /// Returns the word for it, as programs read it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AllStrongest => "all-strongest",
            Self::HoldsMost => "holds-most",
            Self::NoStrongest => "no-strongest",
            Self::Unused => "unused",
            Self::Expired => "expired",
            Self::ExpiresSoon => "expires-soon",
            Self::BadRow => "bad-row",
        }
    }
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

    /// Leaves only the rows of findings.
    #[must_use]
    pub fn of_findings_only(mut self) -> Self {
        let kept: BTreeSet<usize> =
            self.findings.iter().flat_map(|finding| finding.rows.iter().copied()).collect();
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
