//! Versions of a directory: which state decided, and whether a state is as new as a caller needs.
//!
//! The text of a version is its generation, a dot and a place: a number for a count of changes; with
//! PostgreSQL `s` for a state, `w` for what one transaction wrote.
//!
//! | place | reached by a state with snapshot S and highest change M if |
//! |---|---|
//! | `wXID-SEQ` | the transaction XID has ended in S, and M ≥ SEQ |
//! | `sXMAX-SEQ-D-D…` | all that had ended in the snapshot with that `xmax`, in which XMAX − D were still in progress, has ended in S, and M ≥ SEQ |
//!
//! A state holds exactly the changes of the transactions that had ended in its snapshot and committed,
//! so the first half says that nothing is missing. The second half is for a server that was killed: it
//! uses ids of rolled back transactions again, which an older snapshot counts as ended, but it never
//! uses a `seq` again that a committed change has.

use std::fmt;

use super::PostgresSnapshot;

/// The version of a directory's state. Its text is opaque to callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryVersion {
    /// The history that it belongs to: versions of different histories cannot be compared.
    pub generation: String,
    /// The place in that history.
    pub position: Position,
}

/// A place in the history of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// The number of changes so far.
    Count(u64),
    /// A state of PostgreSQL.
    Postgres {
        /// The transactions that had ended.
        snapshot: PostgresSnapshot,
        /// The highest number of a change so far.
        seq: u64,
    },
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

/// The place that a caller asks for.
enum AskedPosition {
    State(Position),
    /// The writes of one transaction of PostgreSQL.
    Written {
        xid: u64,
        seq: u64,
    },
}

/// Transactions in progress of a version that are looked at: more than PostgreSQL has connections.
const IN_PROGRESS: usize = 65_536;

impl DirectoryVersion {
    /// Reads the text of a state's version; nothing for any other text, such as the token of a
    /// transaction.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (generation, place) = text.rsplit_once('.')?;
        match AskedPosition::read(place)? {
            AskedPosition::State(position) => {
                Some(Self { generation: generation.to_owned(), position })
            }
            AskedPosition::Written { .. } => None,
        }
    }

    /// Returns whether this state holds all that the version of the text does.
    ///
    /// # Errors
    /// The text is no version, or one of another history.
    pub fn has_reached(&self, at_least: &str) -> Result<bool, VersionError> {
        let shown = || at_least.chars().take(80).collect();
        let unreadable = || VersionError::Unreadable(shown());
        let (generation, place) = at_least.rsplit_once('.').ok_or_else(unreadable)?;
        let place = AskedPosition::read(place).ok_or_else(unreadable)?;
        if generation != self.generation {
            return Err(VersionError::OtherGeneration(shown()));
        }
        self.position.has_reached(&place).ok_or_else(unreadable)
    }
}

impl AskedPosition {
    fn read(text: &str) -> Option<Self> {
        if let Ok(count) = text.parse() {
            return Some(Self::State(Position::Count(count)));
        }
        let (kind, numbers) = (text.get(..1)?, text.get(1..)?);
        let mut numbers = numbers.split('-').map(str::parse::<u64>);
        let mut number = || numbers.next()?.ok();
        match kind {
            "w" => {
                let (xid, seq) = (number()?, number()?);
                numbers.next().is_none().then_some(Self::Written { xid, seq })
            }
            "s" => {
                let (xmax, seq) = (number()?, number()?);
                let before = numbers.take(IN_PROGRESS + 1);
                let in_progress = before.map(|before| xmax.checked_sub(before.ok()?));
                let in_progress: Vec<_> = in_progress.collect::<Option<_>>()?;
                let fits = in_progress.len() <= IN_PROGRESS;
                let snapshot = PostgresSnapshot::new(xmax, in_progress);
                fits.then_some(Self::State(Position::Postgres { snapshot, seq }))
            }
            _ => None,
        }
    }
}

impl Position {
    /// Returns whether a state at this position holds all of the place; nothing for a place of
    /// another kind.
    fn has_reached(&self, place: &AskedPosition) -> Option<bool> {
        match (self, place) {
            (Self::Count(count), AskedPosition::State(Self::Count(least))) => Some(count >= least),
            (Self::Postgres { snapshot, seq }, AskedPosition::Written { xid, seq: least }) => {
                Some(snapshot.sees(*xid) && seq >= least)
            }
            (
                Self::Postgres { snapshot, seq },
                AskedPosition::State(Self::Postgres { snapshot: asked, seq: least }),
            ) => Some(snapshot.covers(asked) && seq >= least),
            _ => None,
        }
    }
}

impl fmt::Display for DirectoryVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.position {
            Position::Count(count) => write!(f, "{}.{count}", self.generation),
            Position::Postgres { snapshot, seq } => {
                write!(f, "{}.s{}-{seq}", self.generation, snapshot.xmax())?;
                let in_progress = snapshot.in_progress().iter();
                in_progress
                    .map(|xid| snapshot.xmax().saturating_sub(*xid))
                    .try_for_each(|before| write!(f, "-{before}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn state(snapshot: &str, seq: u64) -> DirectoryVersion {
        let position = Position::Postgres { snapshot: snapshot.parse().unwrap(), seq };
        DirectoryVersion { generation: "g".to_owned(), position }
    }

    #[test]
    fn a_transaction_is_reached_once_it_has_ended_and_its_changes_are_there() {
        let here = state("10:20:10,15", 7);
        for (token, reached) in
            [("g.w9-7", true), ("g.w12-7", true), ("g.w15-7", false), ("g.w20-7", false)]
        {
            assert_eq!(here.has_reached(token), Ok(reached), "{token}");
        }
        // Its id was used before the server was killed, and again after.
        assert_eq!(here.has_reached("g.w12-8"), Ok(false));
    }

    #[test]
    fn a_state_reaches_another_when_it_has_all_that_had_ended_there() {
        for (here, there, reached) in [
            (("10:20:10,15", 7), ("10:20:10,15", 7), true),
            (("15:20:15", 7), ("10:20:10,15", 7), true),
            (("10:20:10,15", 7), ("15:20:15", 7), false),
            (("10:21:10,15", 7), ("10:20:10,15", 7), true),
            (("10:20:10,15", 7), ("10:21:10,15", 7), false),
            (("25:30:25", 7), ("10:20:10,15", 7), true),
            (("25:30:25", 6), ("10:20:10,15", 7), false),
        ] {
            let token = state(there.0, there.1).to_string();
            assert_eq!(state(here.0, here.1).has_reached(&token), Ok(reached), "{here:?} {token}");
        }
        assert_eq!(state("10:20:10,15", 7).to_string(), "g.s20-7-10-5");
    }

    #[test]
    fn versions_of_another_history_or_kind_are_told_apart_from_no_version() {
        let count = DirectoryVersion { generation: "g".to_owned(), position: Position::Count(3) };
        assert_eq!(count.has_reached("g.3"), Ok(true));
        assert_eq!(count.has_reached("g.4"), Ok(false));
        for (version, token) in
            [(&state("1:1:", 1), "other.w1-1"), (&state("1:1:", 1), "uuid.5"), (&count, "h.s1-1")]
        {
            let error = version.has_reached(token).unwrap_err();
            assert_eq!(error, VersionError::OtherGeneration(token.to_owned()));
        }
        for token in [
            "", "g", "g.", "g.w", "g.w1", "g.w1-", "g.w1-2-3", "g.x1-1", "g.s5-1-6", "g.s5--1",
            "g.é1", "g.s5-1-", "g.7", "g.w-1-1",
        ] {
            let error = state("1:1:", 1).has_reached(token).unwrap_err();
            assert_eq!(error, VersionError::Unreadable(token.to_owned()));
        }
    }
}
