//! The differences between two states of a store, as they are told.

use std::fmt;

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
    /// Kinds of requests of which the search does not settle that they are decided as before.
    pub unknown: Vec<NotSettled>,
    /// Questions of the gate `no-gains` that the solver does not prove, where the search finds no gain.
    pub not_proved: Vec<String>,
    /// Why the two states cannot be compared as a whole, where they cannot. What can be is compared.
    pub not_comparable: Vec<String>,
    /// Columns of the old matrix that the new schema knows no more.
    pub gone: Vec<String>,
    /// True where the entities that the store itself holds are others.
    pub entities_differ: bool,
}

/// Kinds of requests of which the search does not settle that they are decided as before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotSettled {
    /// Those who ask: a column of the matrix, or a type.
    pub who: String,
    /// The action.
    pub action: String,
    /// The type of the principal, in full.
    pub principal: String,
    /// The type of the resource, in full.
    pub resource: String,
    /// A gain or a loss.
    pub direction: Direction,
    /// Why it is not settled.
    pub reason: String,
}

impl fmt::Display for NotSettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, action, resource, reason, .. } = self;
        let verb = if self.direction.is_gain() { "gains" } else { "loses" };
        write!(f, "whether {who} {verb} {action} on a {resource}: {reason}")
    }
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
    /// True where the request is of the old schema, and the new state is asked it without the facts that
    /// its own schema does not know.
    pub without_dropped_facts: bool,
}

impl Diff {
    /// Returns whether anybody gains, or may gain for all that is known.
    #[must_use]
    pub fn has_gains(&self) -> bool {
        self.cells.iter().any(|cell| cell.direction.is_gain())
            || self.others.iter().any(|other| other.direction.is_gain())
            || !self.not_comparable.is_empty()
            || !self.not_proved.is_empty()
            || self.unknown.iter().any(|unknown| unknown.direction.is_gain())
    }

    /// Returns whether anybody loses, or may lose for all that is known.
    #[must_use]
    pub fn has_losses(&self) -> bool {
        self.cells.iter().any(|cell| cell.direction != Direction::Gain)
            || self.others.iter().any(|other| other.direction != Direction::Gain)
            || self.unknown.iter().any(|unknown| unknown.direction != Direction::Gain)
    }
}
