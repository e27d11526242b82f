//! The findings of a review.

/// Something that a reviewer should look at.
#[derive(Debug)]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// Whom or what it is about; empty: the whole directory.
    pub about: String,
    /// The finding in words.
    pub message: String,
    /// The places of its rows in [`Review::rows`](super::Review::rows).
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
    /// A role that no policy asks for.
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
