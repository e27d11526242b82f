//! The stores in force, and their directories.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use super::{
    History, LoadStatus,
    change_log::{DirectoryFollower, FollowError, KeptChanges},
    live_directory::{DirectoryState, LiveDirectory, RowReport},
};
use crate::{
    directory::{Change, Directory, DirectoryVersion, Fault},
    model::StoreName,
    request::RequestLimits,
    store::Stores,
};

/// The stores that decide now, their directories, and the state of loading them. Reading never waits.
/// A store and its directory are replaced in one step, so that no question meets a directory that was
/// checked against another schema.
#[derive(Debug)]
pub struct Live {
    state: ArcSwap<LiveState>,
    status: ArcSwap<LoadStatus>,
    /// Held while the state is replaced.
    changing: Mutex<()>,
    changed: watch::Sender<()>,
    history: History,
}

/// The stores and directories that decide at one moment.
#[derive(Debug, Default)]
pub struct LiveState {
    /// The stores.
    pub stores: Arc<Stores>,
    /// The directories of those stores that have one.
    pub directories: BTreeMap<StoreName, LiveDirectory>,
}

impl LiveState {
    /// Returns whether every store that has a directory can decide with it.
    #[must_use]
    pub fn directories_decide(&self) -> bool {
        self.directories.values().all(|directory| directory.deciding().is_ok())
    }

    /// Returns whether some store has a good state: it has no directory, or one that was loaded once,
    /// however old that is by now. Without one nothing can be decided.
    #[must_use]
    pub fn has_good_state(&self) -> bool {
        let mut stores = self.stores.iter();
        stores.any(|store| {
            let directory = self.directories.get(store.name());
            directory.is_none_or(|directory| directory.state.is_some())
        })
    }
}

impl Default for Live {
    fn default() -> Self {
        Self {
            state: ArcSwap::default(),
            status: ArcSwap::default(),
            changing: Mutex::new(()),
            changed: watch::Sender::new(()),
            history: History::default(),
        }
    }
}

impl Live {
    /// Creates an empty `Live` that keeps `revisions` revisions of each store.
    #[must_use]
    pub fn remembering(revisions: usize) -> Self {
        Self { history: History::new(revisions), ..Self::default() }
    }

    /// Returns the revisions that were in force.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Returns the stores.
    #[must_use]
    pub fn stores(&self) -> Arc<Stores> {
        Arc::clone(&self.state.load().stores)
    }

    /// Returns stores and directories as they are together at this moment.
    #[must_use]
    pub fn state(&self) -> Guard<Arc<LiveState>> {
        self.state.load()
    }

    /// Returns a receiver that is notified after every change of stores or directories.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Returns whether everything that was found is in force, and every directory decides.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.status().is_clean() && self.state().directories_decide()
    }

    /// The state of loading.
    #[must_use]
    pub fn status(&self) -> Arc<LoadStatus> {
        self.status.load_full()
    }

    /// Puts stores in force. Returns the replaced ones, which calls may still use.
    pub fn publish(&self, stores: Stores, status: LoadStatus) -> Arc<Stores> {
        self.history.record(&stores);
        let old = self.change(|state| {
            for (name, directory) in &mut state.directories {
                if let (Ok(store), Some(of)) = (stores.get(name.as_str()), &directory.state)
                    && !of.directory.is_of(store.schema_arc(), store.stored_arc())
                {
                    let (schema, stored) = (store.schema_arc(), store.stored_arc());
                    let next = of.directory.with_schema(Arc::clone(schema), Arc::clone(stored));
                    let version = of.version.clone();
                    let facts = store.request_facts();
                    directory.state = Some(DirectoryState::new(next, version, facts));
                }
            }
            std::mem::replace(&mut state.stores, Arc::new(stores))
        });
        self.status.store(Arc::new(status));
        old
    }

    /// Records the state of loading where nothing new came in force.
    pub fn publish_status(&self, status: LoadStatus) {
        self.status.store(Arc::new(status));
    }

    /// Announces that a store has a directory, which keeps a number of changes for those who follow
    /// it. Until its first state the store decides nothing.
    pub fn add_directory(
        &self,
        name: &StoreName,
        source: &str,
        max_age: Duration,
        kept_changes: usize,
    ) {
        let directory = LiveDirectory::new(source, max_age, kept_changes);
        self.change(|state| state.directories.insert(name.clone(), directory));
    }

    /// Makes an empty directory for a store as it is now; nothing while no such store is loaded.
    #[must_use]
    pub fn empty_directory(&self, name: &StoreName, limits: &RequestLimits) -> Option<Directory> {
        let state = self.state.load();
        let store = state.stores.get(name.as_str()).ok()?;
        let (schema, stored) = (store.schema_arc(), store.stored_arc());
        Some(Directory::new(Arc::clone(schema), Arc::clone(stored), limits.clone()))
    }

    /// Returns the directory of a store, to which changes can be applied.
    #[must_use]
    pub fn directory(&self, name: &StoreName) -> Option<Arc<Directory>> {
        let state = self.state.load();
        let directory = state.directories.get(name)?.state.as_ref()?;
        Some(Arc::clone(&directory.directory))
    }

    /// Puts a state of a store's directory in force, and records what is wrong with single rows. Who
    /// followed it cannot go on.
    pub fn replace_directory(
        &self,
        name: &StoreName,
        directory: Directory,
        version: DirectoryVersion,
        rows: RowReport,
    ) {
        let kept = KeptChanges { after: version.clone(), versions: Vec::new() };
        self.restore_directory(name, directory, version, rows, kept);
    }

    /// Puts a state in force, with the changes that followers can still get.
    pub fn restore_directory(
        &self,
        name: &StoreName,
        directory: Directory,
        version: DirectoryVersion,
        rows: RowReport,
        kept: KeptChanges,
    ) {
        let put = |state: &mut LiveState| {
            let store = state.stores.get(name.as_str()).ok()?;
            let (schema, stored) = (store.schema_arc(), store.stored_arc());
            let directory = if directory.is_of(schema, stored) {
                directory
            } else {
                directory.with_schema(Arc::clone(schema), Arc::clone(stored))
            };
            let live = state.directories.get_mut(name)?;
            let facts = store.request_facts();
            live.state = Some(DirectoryState::new(directory, version, facts));
            live.problem = None;
            live.rows = rows;
            live.confirm();
            Some(Arc::clone(&live.log))
        };
        self.change_then(put, |log| {
            if let Some(log) = log {
                log.restart(kept);
            }
        });
    }

    /// Makes changes of a store's directory, and tells which of them do not fit its schema. Nothing
    /// happens where the directory has no state yet.
    pub fn change_directory(
        &self,
        name: &StoreName,
        changes: Vec<Change>,
        version: DirectoryVersion,
    ) -> Vec<Fault> {
        self.make_changes(name, changes, version, true)
    }

    /// Makes changes of a store's directory of which nobody knows that it is as its source has it.
    pub fn change_unconfirmed_directory(
        &self,
        name: &StoreName,
        changes: Vec<Change>,
        version: DirectoryVersion,
    ) -> Vec<Fault> {
        self.make_changes(name, changes, version, false)
    }

    fn make_changes(
        &self,
        name: &StoreName,
        mut changes: Vec<Change>,
        version: DirectoryVersion,
        is_confirmed: bool,
    ) -> Vec<Fault> {
        let apply = |state: &mut LiveState| {
            let live = state.directories.get_mut(name)?;
            let of = live.state.as_ref()?;
            let (directory, faults) = of.directory.apply(&changes);
            let facts = of.held.request_facts;
            if let Ok(store) = state.stores.get(name.as_str()) {
                changes.iter_mut().for_each(|change| change.qualify(store.schema()));
            }
            live.state = Some(DirectoryState::new(directory, version.clone(), facts));
            if is_confirmed {
                live.problem = None;
                live.confirm();
            }
            Some((faults, changes, Arc::clone(&live.log)))
        };
        self.change_then(apply, |applied| {
            let Some((faults, changes, log)) = applied else { return Vec::new() };
            log.add(changes, &version);
            faults
        })
    }

    /// Records what is wrong with single rows of a store's directory, instead of what was.
    pub fn report_directory_rows(&self, name: &StoreName, rows: RowReport) {
        let state = self.state.load();
        if state.directories.get(name).is_some_and(|live| live.rows == rows) {
            return;
        }
        self.change(|state| {
            if let Some(live) = state.directories.get_mut(name) {
                live.rows = rows;
            }
        });
    }

    /// Follows the changes of a store's directory after a version, or from now on where that is
    /// empty. Also returns the version of now. Waits while a change is made.
    ///
    /// # Errors
    /// The version is not one of this directory, or changes after it are not kept.
    pub fn follow_directory(
        &self,
        name: &StoreName,
        after: &str,
    ) -> Result<(DirectoryVersion, DirectoryFollower), FollowError> {
        // Nothing comes in force between looking at the state and at the changes.
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.load();
        let live = state.directories.get(name).ok_or(FollowError::Unavailable)?;
        let now = &live.state.as_ref().ok_or(FollowError::Unavailable)?.version;
        let after = (!after.is_empty()).then_some(after);
        if let Some(after) = after
            && !now.has_reached(after)?
        {
            return Err(FollowError::NotReached(after.chars().take(80).collect()));
        }
        let follower = live.log.follow(after, self.changed.subscribe())?;
        drop(changing);
        Ok((now.clone(), follower))
    }

    /// Records that a store's directory is as its source has it.
    pub fn confirm_directory(&self, name: &StoreName) {
        let state = self.state.load();
        let Some(live) = state.directories.get(name) else { return };
        live.confirm();
        if live.problem.is_some() {
            self.set_directory_problem(name, None);
        }
    }

    /// Records that a store's directory is as its source has it, at a version that holds the same
    /// rows.
    pub fn confirm_directory_at(&self, name: &StoreName, version: DirectoryVersion) {
        self.change(|state| {
            let Some(live) = state.directories.get_mut(name) else { return };
            let Some(of) = &live.state else { return };
            live.state = Some(of.at(version));
            live.problem = None;
            live.confirm();
        });
    }

    /// Records what is wrong with the source of a store's directory, of which the state stays.
    pub fn directory_failed(&self, name: &StoreName, problem: &str) {
        self.set_directory_problem(name, Some(problem.into()));
    }

    /// Records that a store's directory cannot be loaded, whatever time passes: its store decides
    /// nothing.
    pub fn refuse_directory(&self, name: &StoreName, problem: &str) {
        self.change(|state| {
            if let Some(live) = state.directories.get_mut(name) {
                live.problem = Some(problem.into());
                live.is_refused = true;
            }
        });
    }

    fn set_directory_problem(&self, name: &StoreName, problem: Option<Arc<str>>) {
        self.change(|state| {
            if let Some(live) = state.directories.get_mut(name) {
                live.problem = problem;
            }
        });
    }

    /// Replaces the state, then notifies.
    fn change<T>(&self, change: impl FnOnce(&mut LiveState) -> T) -> T {
        self.change_then(change, |result| result)
    }

    /// Replaces the state, then runs `then` under the lock, then notifies.
    fn change_then<T, U>(
        &self,
        change: impl FnOnce(&mut LiveState) -> T,
        then: impl FnOnce(T) -> U,
    ) -> U {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.load();
        let mut next =
            LiveState { stores: Arc::clone(&state.stores), directories: state.directories.clone() };
        drop(state);
        let result = change(&mut next);
        self.state.store(Arc::new(next));
        let result = then(result);
        drop(changing);
        self.changed.send_replace(());
        result
    }
}
