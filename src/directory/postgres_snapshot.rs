//! Snapshots of PostgreSQL: which transactions had ended at one moment.

use std::{fmt, str::FromStr};

/// The transactions that had ended when a snapshot was taken, as `pg_current_snapshot()` tells. Ids
/// are those of top-level transactions, with their epoch (`xid8`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSnapshot {
    /// No transaction of this id or a later one had ended.
    xmax: u64,
    /// Those before it that had not, in ascending order.
    in_progress: Vec<u64>,
}

/// The text is no snapshot of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no snapshot of PostgreSQL")]
pub struct PostgresSnapshotError;

impl PostgresSnapshot {
    /// Makes a snapshot of its parts.
    #[must_use]
    pub fn new(xmax: u64, mut in_progress: Vec<u64>) -> Self {
        in_progress.retain(|xid| *xid < xmax);
        in_progress.sort_unstable();
        in_progress.dedup();
        Self { xmax, in_progress }
    }

    /// Returns the first id of which nothing had ended.
    #[must_use]
    pub fn xmax(&self) -> u64 {
        self.xmax
    }

    /// Returns the ids before [`Self::xmax`] of transactions that had not ended.
    #[must_use]
    pub fn in_progress(&self) -> &[u64] {
        &self.in_progress
    }

    /// Returns whether a transaction had ended.
    #[must_use]
    pub fn sees(&self, xid: u64) -> bool {
        xid < self.xmax && self.in_progress.binary_search(&xid).is_err()
    }

    /// Returns whether every transaction that had ended in the other snapshot had in this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let hidden = self.in_progress.iter().take_while(|xid| **xid < other.xmax);
        other.xmax <= self.xmax && hidden.into_iter().all(|xid| !other.sees(*xid))
    }
}

impl FromStr for PostgresSnapshot {
    type Err = PostgresSnapshotError;

    /// Reads `xmin:xmax:xip,xip,…`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, ':');
        let mut part = || parts.next().ok_or(PostgresSnapshotError);
        let number = |text: &str| text.parse::<u64>().map_err(|_| PostgresSnapshotError);
        number(part()?)?;
        let xmax = number(part()?)?;
        let listed = part()?.split(',').filter(|xid| !xid.is_empty());
        Ok(Self::new(xmax, listed.map(number).collect::<Result<_, _>>()?))
    }
}

impl fmt::Display for PostgresSnapshot {
    /// Writes the form that PostgreSQL reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let xmin = self.in_progress.first().unwrap_or(&self.xmax);
        write!(f, "{xmin}:{}:", self.xmax)?;
        for (index, xid) in self.in_progress.iter().enumerate() {
            write!(f, "{}{xid}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn a_snapshot_is_read_and_written_as_postgresql_does() {
        for text in ["10:10:", "10:20:10,14,15"] {
            assert_eq!(text.parse::<PostgresSnapshot>().unwrap().to_string(), text);
        }
        for text in
            ["", "10", "10:20", "a:20:", "10:b:", "10:20:c", "10:20:-1", "1:99999999999999999999:"]
        {
            assert_eq!(text.parse::<PostgresSnapshot>(), Err(PostgresSnapshotError), "{text}");
        }
    }

    fn snapshots() -> impl Strategy<Value = PostgresSnapshot> {
        (1..30_u64, vec(0..30_u64, 0..8)).prop_map(|(xmax, xip)| PostgresSnapshot::new(xmax, xip))
    }

    proptest! {
        /// A snapshot that covers another sees all that it sees. It says no too often only where
        /// nothing between its own end and that of the other had ended.
        #[test]
        fn a_covering_snapshot_sees_all_that_the_other_sees(a in snapshots(), b in snapshots()) {
            let sees_all = (0..40).all(|xid| a.sees(xid) || !b.sees(xid));
            if a.xmax() >= b.xmax() {
                prop_assert_eq!(a.covers(&b), sees_all);
            } else {
                prop_assert!(!a.covers(&b));
            }
        }
    }
}
