//! The state of loading, as the status page tells it.

use std::{collections::BTreeMap, time::SystemTime};

use super::Gate;
use crate::model::{Problem, Revision, StoreName};

/// The source of stores that the binary carries, as [`LoadStatus::source`] names it. They are loaded
/// once and never looked at again.
pub const EMBEDDED: &str = "embedded";

/// The state of loading.
#[derive(Debug, Clone, Default)]
pub struct LoadStatus {
    /// The source of policies: a folder, or [`EMBEDDED`].
    pub source: String,
    /// When loading was last tried, whether or not anything had changed.
    pub last_attempt: Option<SystemTime>,
    /// When what decides last changed.
    pub last_change: Option<SystemTime>,
    /// Attempts that put something new in force.
    pub reloads: u64,
    /// Attempts in which a store or the folder was refused. What is refused and does not change
    /// counts once.
    pub failures: u64,
    /// The number of valid stores that each gate refused.
    pub gate_refusals: BTreeMap<Gate, u64>,
    /// The fault of the folder as a whole, if there is one. Where no store can be read the last good
    /// state of all stays.
    pub folder_problem: Option<String>,
    /// Files beside the stores' folders that look as if they belonged to a store, and are not read.
    pub unread: Vec<String>,
    /// The fault of watching the folder, if there is one: changes are found by the periodic re-hash.
    pub watch_problem: Option<String>,
    /// Every store that is loaded or was refused, in the order of their names.
    pub stores: Vec<StoreStatus>,
}

/// The state of one store.
#[derive(Debug, Clone)]
pub struct StoreStatus {
    /// The store.
    pub name: StoreName,
    /// The revision that decides; none where the store was never valid.
    pub revision: Option<Revision>,
    /// When that revision came into force.
    pub loaded_at: Option<SystemTime>,
    /// Policies that decide, links included.
    pub policies: usize,
    /// The warnings of the revision that decides.
    pub warnings: Vec<Problem>,
    /// The moment at which a solver began to judge the files as they are now; until it has, the revision
    /// stays in force.
    pub proving_since: Option<SystemTime>,
    /// The problems of the files as they are now, if they were refused; the revision stays in force.
    pub problems: Vec<Problem>,
    /// The digest of those files, if they were read ([`StoreFiles::digest`]).
    ///
    /// [`StoreFiles::digest`]: crate::store::StoreFiles::digest
    pub refused: Option<String>,
}

impl LoadStatus {
    /// Returns the stores that a solver judges, with since when.
    pub fn proving(&self) -> impl Iterator<Item = (&StoreName, SystemTime)> {
        self.stores.iter().filter_map(|store| Some((&store.name, store.proving_since?)))
    }

    /// Returns whether everything that was found is in force.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.folder_problem.is_none() && self.stores.iter().all(|store| store.problems.is_empty())
    }
}
