//! The changes between two revisions, as the page shows them.

use std::sync::Arc;

use super::words::{describe, word};
use crate::{
    analysis::{CellChange, Diff, Direction, OtherChange, PolicyChangeKind, Witness, diff},
    model::{OnForbidError, Problem},
    reload::PastRevision,
    store::{Bounds, PolicyStore},
};

/// Changes of one kind on the page.
const CHANGES: usize = 500;

/// The changes between two revisions.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub policies: Vec<(&'static str, &'static str, String)>,
    pub cells: Vec<CellLine>,
    pub others: Vec<OtherLine>,
    pub unknown: Vec<String>,
    pub not_comparable: Vec<String>,
    pub gains: usize,
    pub losses: usize,
    /// Changes that are not on the page.
    pub more: usize,
}

/// A cell of the matrix that changes.
#[derive(Debug)]
pub(super) struct CellLine {
    pub column: String,
    pub action: String,
    pub scope: String,
    pub before: &'static str,
    pub after: &'static str,
    pub gains: bool,
    pub loses: bool,
    pub witnesses: Vec<String>,
}

/// A change that no cell shows.
#[derive(Debug)]
pub(super) struct OtherLine {
    pub principal: String,
    pub action: String,
    pub resource: String,
    pub gains: bool,
    pub witness: String,
}

impl Changed {
    pub fn between(
        from: &PastRevision,
        to: &PastRevision,
        bounds: &Bounds,
        on_forbid_error: OnForbidError,
    ) -> Result<Self, String> {
        let load = |past: &PastRevision| {
            PolicyStore::load(Arc::new(past.files.clone()), bounds).map_err(|problems| {
                let problems = problems.iter().take(CHANGES).map(Problem::render);
                problems.collect::<Vec<_>>().join("\n")
            })
        };
        let diff = diff(&load(from)?, &load(to)?, on_forbid_error);
        let diff = diff.map_err(|error| describe(&error))?;
        Ok(Self::of(diff))
    }

    fn of(diff: Diff) -> Self {
        let all = diff.policies.len() + diff.cells.len() + diff.others.len();
        let directions = || {
            let cells = diff.cells.iter().map(|cell| cell.direction);
            cells.chain(diff.others.iter().map(|other| other.direction))
        };
        let (gains, losses) = (
            directions().filter(|direction| direction.is_gain()).count(),
            directions().filter(|direction| *direction != Direction::Gain).count(),
        );
        let kind = |kind| match kind {
            PolicyChangeKind::Added => ("+", "added"),
            PolicyChangeKind::Removed => ("−", "removed"),
            PolicyChangeKind::Changed => ("~", "changed"),
            PolicyChangeKind::Annotations => ("~", "annotations changed"),
        };
        let policies = diff.policies.into_iter().take(CHANGES).map(|change| {
            let (sign, what) = kind(change.kind);
            (sign, what, change.id)
        });
        let policies: Vec<_> = policies.collect();
        let cells: Vec<_> = diff.cells.into_iter().take(CHANGES).map(CellLine::from).collect();
        let others: Vec<_> = diff.others.into_iter().take(CHANGES).map(OtherLine::from).collect();
        let short = |mut texts: Vec<String>| {
            texts.truncate(CHANGES);
            texts
        };
        Self {
            more: all - policies.len() - cells.len() - others.len(),
            policies,
            cells,
            others,
            unknown: short(diff.unknown.iter().map(ToString::to_string).collect()),
            not_comparable: short(diff.not_comparable),
            gains,
            losses,
        }
    }

    /// Returns whether nobody gains or loses anything, for all that is known.
    pub fn is_quiet(&self) -> bool {
        self.gains + self.losses + self.unknown.len() + self.not_comparable.len() == 0
    }
}

impl From<CellChange> for CellLine {
    fn from(cell: CellChange) -> Self {
        let witnesses = [cell.gain, cell.loss].into_iter().flatten();
        Self {
            column: cell.column,
            action: cell.action,
            scope: cell.scope,
            before: word(cell.before),
            after: word(cell.after),
            gains: cell.direction.is_gain(),
            loses: cell.direction != Direction::Gain,
            witnesses: witnesses.map(|witness: Witness| witness.to_string()).collect(),
        }
    }
}

impl From<OtherChange> for OtherLine {
    fn from(other: OtherChange) -> Self {
        Self {
            principal: other.principal,
            action: other.action,
            resource: other.resource,
            gains: other.direction.is_gain(),
            witness: other.witness.to_string(),
        }
    }
}
