//! Deciding on nothing older than a version that the caller knows.

use super::live::{InForce, Live, NotInForce};

impl InForce {
    /// Returns whether the directory holds all that the version of the text does. Every state does
    /// where no version is asked for.
    fn has_reached(&self, at_least: &str) -> Result<bool, NotInForce> {
        match &self.directory {
            _ if at_least.is_empty() => Ok(true),
            Some(state) => Ok(state.version.has_reached(at_least)?),
            None => Err(NotInForce::NoDirectory(self.store.name().clone())),
        }
    }
}

impl Live {
    /// Returns the store of a name and its directory, or nothing where the directory has not reached
    /// the version yet. An empty text asks for no version.
    ///
    /// # Errors
    /// There is no such store, its directory cannot decide, or the version is none of it.
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
