//! The store and its directory that decide one call.

use std::sync::Arc;

use super::live_directory::{DirectoryState, DirectoryUnavailable};
use crate::{
    directory::VersionError,
    model::StoreName,
    reload::Live,
    request::Held,
    store::{PolicyStore, StoreLookupError},
};

/// A store and its directory at one moment.
#[derive(Debug, Clone)]
pub struct InForce {
    /// The store.
    pub store: Arc<PolicyStore>,
    /// Its directory, where it has one.
    pub directory: Option<Arc<DirectoryState>>,
}

impl InForce {
    /// Returns what the directory holds.
    #[must_use]
    pub fn held(&self) -> Option<&Held> {
        self.directory.as_ref().map(|directory| &directory.held)
    }

    /// Returns the version of the directory as answers carry it; empty without a directory.
    #[must_use]
    pub fn directory_version(&self) -> String {
        self.directory.as_ref().map(|directory| directory.version_text.clone()).unwrap_or_default()
    }

    /// Returns whether the directory has reached the version `at_least`; true where that is empty.
    ///
    /// # Errors
    /// The store has no directory, or the version is not one of it.
    fn has_reached(&self, at_least: &str) -> Result<bool, NotInForce> {
        match &self.directory {
            _ if at_least.is_empty() => Ok(true),
            Some(state) => Ok(state.version.has_reached(at_least)?),
            None => Err(NotInForce::NoDirectory(self.store.name().clone())),
        }
    }
}

/// The store that was asked for cannot decide.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotInForce {
    /// There is no such store.
    #[error(transparent)]
    Store(#[from] StoreLookupError),
    /// Its directory cannot decide.
    #[error(transparent)]
    Directory(#[from] DirectoryUnavailable),
    /// A version of its directory is asked for, and it has none.
    #[error("the policy store `{0}` has no directory")]
    NoDirectory(StoreName),
    /// The version that is asked for is not one of its directory.
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl Live {
    /// Returns the store of a name, and its directory, to decide one call with.
    ///
    /// # Errors
    /// There is no such store, or its directory cannot decide.
    pub fn in_force(&self, name: &str) -> Result<InForce, NotInForce> {
        let state = self.state();
        let store = state.stores.get(name)?;
        let directory = match state.directories.get(store.name()) {
            Some(directory) => Some(Arc::clone(directory.deciding()?)),
            None => None,
        };
        Ok(InForce { store: Arc::clone(store), directory })
    }

    /// Returns the store of a name and its directory, or nothing where the directory has not reached
    /// the version yet. An empty text asks for no version.
    ///
    /// # Errors
    /// There is no such store, its directory cannot decide, or the version is not one of it.
    pub fn in_force_at_least(
        &self,
        name: &str,
        at_least: &str,
    ) -> Result<Option<InForce>, NotInForce> {
        let in_force = self.in_force(name)?;
        Ok(in_force.has_reached(at_least)?.then_some(in_force))
    }

    /// Waits until the directory of a store has reached a version. Never ends where it does not: the
    /// caller has the deadline.
    ///
    /// # Errors
    /// Those of [`Self::in_force_at_least`].
    pub async fn wait_until_in_force(
        &self,
        name: &str,
        at_least: &str,
    ) -> Result<InForce, NotInForce> {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            if let Some(in_force) = self.in_force_at_least(name, at_least)? {
                return Ok(in_force);
            }
            // Fails only once the sender is gone, which is a part of `self`.
            let _is_there = changes.changed().await;
        }
    }
}
