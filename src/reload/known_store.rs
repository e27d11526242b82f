//! A store as the loader knows it: found, being loaded or proved, in force or refused.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{StoreStatus, proving::Proving, tree::Flaw};
use crate::{
    model::{Problem, StoreName},
    store::{PolicyStore, StoreFiles},
};

/// Time after which a store that is still being loaded is reported.
pub(super) const LONG_LOAD: Duration = Duration::from_secs(10);

/// The state of a store in the folder.
#[derive(Debug)]
pub(super) enum StoreState {
    /// Its files.
    Files(StoreFiles),
    /// Its files, and those that may be on their way back. The state in force stays, unless these
    /// together only take rights away.
    Meanwhile(StoreFiles),
    /// It cannot be read as a whole.
    Flawed(Vec<Flaw>),
    /// It is being written to. The state in force stays.
    Unsettled,
    /// It has been written to for so long that it is reported.
    NeverSettles,
}

/// One store, in force or refused.
#[derive(Debug, Default)]
pub(super) struct KnownStore {
    pub in_force: Option<Arc<PolicyStore>>,
    pub loaded_at: Option<SystemTime>,
    /// The state that was last found of it: while that stays the same there is nothing to do.
    pub seen: Option<Seen>,
    /// The newest state of it that is being loaded.
    pub loading: Option<Loading>,
    pub problems: Vec<Problem>,
    /// The proof that decides about the state that was last found.
    pub proving: Option<Proving>,
}

/// A state of a store that is being loaded.
#[derive(Debug)]
pub(super) struct Loading {
    pub seen: Seen,
    since: Instant,
    /// It was reported that it takes long.
    told: bool,
}

/// A state of a store in the folder, by which it is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Digest(String),
    Meanwhile(String),
    Flaws(Vec<Flaw>),
    Unsettled,
    /// One of which a newer state ended the proof or replaced the report. It equals none that is
    /// found, so that it is looked at again where it comes back.
    Superseded,
}

impl KnownStore {
    /// Returns when the load of its newest state will have taken so long that it is reported.
    pub fn look_at(&self) -> Option<Instant> {
        let loading = self.loading.as_ref().filter(|loading| !loading.told)?;
        Some(loading.since + LONG_LOAD)
    }

    /// Notes that the load of its newest state takes long; returns whether it did not before.
    pub fn note_long(&mut self) -> bool {
        let Some(loading) = &mut self.loading else { return false };
        let is_new = !loading.told && loading.since.elapsed() >= LONG_LOAD;
        loading.told |= is_new;
        is_new
    }

    /// Reports its state.
    pub fn status(&self, name: &StoreName) -> StoreStatus {
        StoreStatus {
            name: name.clone(),
            revision: self.in_force.as_ref().map(|store| *store.revision()),
            loaded_at: self.loaded_at,
            policies: self.in_force.as_ref().map_or(0, |store| store.policies().num_of_policies()),
            warnings: self
                .in_force
                .as_ref()
                .map_or_else(Vec::new, |store| store.warnings().to_vec()),
            proving_since: self.proving.as_ref().map(Proving::since),
            problems: self.problems.clone(),
            refused: match &self.seen {
                Some(Seen::Digest(digest)) if !self.problems.is_empty() => Some(digest.clone()),
                _ => None,
            },
        }
    }
}

impl Loading {
    /// A load that begins now.
    pub fn begin(seen: Seen) -> Self {
        Self { seen, since: Instant::now(), told: false }
    }
}

impl Seen {
    /// Returns what was found; nothing while a store is being written to.
    pub fn new(found: &StoreState) -> Option<Self> {
        match found {
            StoreState::Files(files) => Some(Self::Digest(files.digest())),
            StoreState::Meanwhile(files) => Some(Self::Meanwhile(files.digest())),
            StoreState::Flawed(flaws) => Some(Self::Flaws(flaws.clone())),
            StoreState::NeverSettles => Some(Self::Unsettled),
            StoreState::Unsettled => None,
        }
    }

    /// Returns whether files that are taken meanwhile are those in force.
    pub fn is_in_force(&self, in_force: Option<&PolicyStore>) -> bool {
        match self {
            Self::Meanwhile(digest) => {
                in_force.is_some_and(|store| store.files().digest() == *digest)
            }
            Self::Digest(_) | Self::Flaws(_) | Self::Unsettled | Self::Superseded => false,
        }
    }
}
