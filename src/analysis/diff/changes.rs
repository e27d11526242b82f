//! The differences between two states of a store, as they are told.

use crate::{analysis::Witness, testing::Expected};

/// The differences between two states of a store.
#[derive(Debug, Clone, Default)]
pub struct Diff {
    /// The policies that were added, removed or changed, by id.
    pub policies: Vec<PolicyChange>,
    /// The cells of the matrix that change, those that gain first.
    pub cells: Vec<CellChange>,
    /// Gains and losses that no cell shows, gains first.
    pub others: Vec<OtherChange>,
    /// Searches that were given up, as `action, principal type, resource type`.
    pub unknown: Vec<String>,
    /// Why the two states cannot be compared, where they cannot.
    pub not_comparable: Vec<String>,
}

/// A policy that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyChange {
    /// Its id.
    pub id: String,
    /// The way in which it changed.
    pub kind: PolicyChangeKind,
}

/// The way in which a policy changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its effect, scope or conditions are others.
    Changed,
    /// Only its annotations are others.
    Annotations,
}

/// A gain, a loss, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Something is allowed that was denied.
    Gain,
    /// Something is denied that was allowed.
    Loss,
    /// Both.
    Both,
}

impl Direction {
    pub(super) fn of(gain: bool, loss: bool) -> Option<Self> {
        match (gain, loss) {
            (true, true) => Some(Self::Both),
            (true, false) => Some(Self::Gain),
            (false, true) => Some(Self::Loss),
            (false, false) => None,
        }
    }

    /// Returns whether something is allowed that was denied.
    #[must_use]
    pub fn is_gain(self) -> bool {
        self != Self::Loss
    }
}

/// A cell that changes.
#[derive(Debug, Clone)]
pub struct CellChange {
    /// The scope of the row.
    pub scope: String,
    /// The action.
    pub action: String,
    /// The column.
    pub column: String,
    /// The answer before.
    pub before: Expected,
    /// The answer now.
    pub after: Expected,
    /// A gain, a loss, or both.
    pub direction: Direction,
    /// A request that was denied and is allowed.
    pub gain: Option<Witness>,
    /// A request that was allowed and is denied.
    pub loss: Option<Witness>,
}

/// A change that no cell shows.
#[derive(Debug, Clone)]
pub struct OtherChange {
    /// The action.
    pub action: String,
    /// The principal's type.
    pub principal: String,
    /// The resource's type.
    pub resource: String,
    /// A gain or a loss.
    pub direction: Direction,
    /// A request that shows it.
    pub witness: Witness,
}

impl Diff {
    /// Returns whether anybody gains, or may gain for all that is known.
    #[must_use]
    pub fn has_gains(&self) -> bool {
        self.cells.iter().any(|cell| cell.direction.is_gain())
            || self.others.iter().any(|other| other.direction.is_gain())
            || !self.not_comparable.is_empty()
            || !self.unknown.is_empty()
    }

    /// Returns whether anybody loses.
    #[must_use]
    pub fn has_losses(&self) -> bool {
        self.cells.iter().any(|cell| cell.direction != Direction::Gain)
            || self.others.iter().any(|other| other.direction != Direction::Gain)
    }
}
