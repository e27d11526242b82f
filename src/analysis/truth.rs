//! Truth with three values.

use std::sync::Arc;

use super::fact::Fact;

/// A truth value, or the fact for which it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    /// Neither: the fact that decides it, or none where no choice of a fact would.
    Open(Option<Arc<Fact>>),
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl Truth {
    pub(super) fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            open @ Self::Open(_) => open,
        }
    }

    /// Returns whether all hold; asks no further after one that does not.
    pub(super) fn all(truths: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::True;
        for truth in truths {
            match truth {
                Self::False => return Self::False,
                open @ Self::Open(_) if all == Self::True => all = open,
                Self::True | Self::Open(_) => {}
            }
        }
        all
    }

    /// Returns whether one holds; asks no further after it.
    pub(super) fn any(truths: impl IntoIterator<Item = Self>) -> Self {
        Self::all(truths.into_iter().map(Self::not)).not()
    }
}
