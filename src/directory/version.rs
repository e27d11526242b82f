//! Versions of a directory: which state decided, and whether a state is as new as a caller needs.

use std::fmt;

/// The version of a directory's state. Its text is opaque to callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryVersion {
    /// Which history it belongs to: versions of different ones cannot be compared.
    pub generation: String,
    /// The place in that history.
    pub position: Position,
}

/// A place in the history of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// The number of changes so far.
    Count(u64),
}

/// A version that was asked for cannot be compared with that of the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The text is no version.
    #[error("`{0}` is not a directory version: send one that an answer carried")]
    Unreadable(String),
    /// It is of another history: the database was replaced, or the sidecar started anew.
    #[error(
        "the directory version `{0}` is of another history than the directory's own: ask again \
         without it, or for a version that this directory gave"
    )]
    OtherGeneration(String),
}

impl DirectoryVersion {
    /// Returns whether this state holds all that the version of the text does.
    ///
    /// # Errors
    /// The text is no version, or one of another history.
    pub fn has_reached(&self, at_least: &str) -> Result<bool, VersionError> {
        let shown = || at_least.chars().take(80).collect();
        let unreadable = || VersionError::Unreadable(shown());
        let (generation, place) = at_least.rsplit_once('.').ok_or_else(unreadable)?;
        let place: u64 = place.parse().map_err(|_| unreadable())?;
        if generation != self.generation {
            return Err(VersionError::OtherGeneration(shown()));
        }
        match &self.position {
            Position::Count(count) => Ok(*count >= place),
        }
    }
}

impl fmt::Display for DirectoryVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.position {
            Position::Count(count) => write!(f, "{}.{count}", self.generation),
        }
    }
}
