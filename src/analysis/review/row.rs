//! The rows of a review.

use crate::directory::Assignment;

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
