//! The stores in force, and the state of loading them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use super::{
    Gate, History,
    live_directory::{DirectoryState, DirectoryUnavailable, LiveDirectory},
};
use crate::{
    directory::{Change, Directory, DirectoryVersion, Fault},
    model::{Problem, Revision, StoreName},
    request::{Held, RequestLimits},
    store::{PolicyStore, StoreLookupError, Stores},
};

/// The stores that decide now, their directories, and the state of loading them. Reading never waits.
/// A store and its directory are replaced in one step, so that no question meets a directory that was
/// checked against another schema.
#[derive(Debug)]
pub struct Live {
    state: ArcSwap<LiveState>,
    status: ArcSwap<LoadStatus>,
    /// Held by whoever makes the next state of the one that is.
    changing: Mutex<()>,
    changed: watch::Sender<()>,
    history: History,
}

/// What decides at one moment.
#[derive(Debug, Default)]
pub struct LiveState {
    /// The stores.
    pub stores: Arc<Stores>,
    /// The directories of those stores that have one.
    pub directories: BTreeMap<StoreName, LiveDirectory>,
}

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
}

/// What was asked for cannot decide.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotInForce {
    /// There is no such store.
    #[error(transparent)]
    Store(#[from] StoreLookupError),
    /// Its directory cannot decide.
    #[error(transparent)]
    Directory(#[from] DirectoryUnavailable),
}

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
    /// How often each gate refused a valid store.
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
    /// True while a solver judges the files as they are now; until then the revision stays in force.
    pub proving: bool,
    /// The problems of the files as they are now, if they were refused; the revision stays in force.
    pub problems: Vec<Problem>,
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
    /// Creates the same as the default, with a history of so many revisions of each store.
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

    /// Returns the store of a name, and its directory, to decide one call with.
    ///
    /// # Errors
    /// There is no such store, or its directory cannot decide.
    pub fn in_force(&self, name: &str) -> Result<InForce, NotInForce> {
        let state = self.state.load();
        let store = state.stores.get(name)?;
        let directory = match state.directories.get(store.name()) {
            Some(directory) => Some(Arc::clone(directory.deciding()?)),
            None => None,
        };
        Ok(InForce { store: Arc::clone(store), directory })
    }

    /// Returns a receiver that is told after every change of stores or directories.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
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

    /// Announces that a store has a directory. Until its first state the store decides nothing.
    pub fn add_directory(&self, name: &StoreName, source: &str, max_age: Duration) {
        let directory = LiveDirectory::new(source, max_age);
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

    /// Puts a state of a store's directory in force, and records what is wrong with single rows.
    pub fn replace_directory(
        &self,
        name: &StoreName,
        directory: Directory,
        version: DirectoryVersion,
        row_problems: Vec<String>,
    ) {
        self.change(|state| {
            let Ok(store) = state.stores.get(name.as_str()) else { return };
            let (schema, stored) = (store.schema_arc(), store.stored_arc());
            let directory = if directory.is_of(schema, stored) {
                directory
            } else {
                directory.with_schema(Arc::clone(schema), Arc::clone(stored))
            };
            if let Some(live) = state.directories.get_mut(name) {
                let facts = store.request_facts();
                live.state = Some(DirectoryState::new(directory, version, facts));
                live.problem = None;
                live.row_problems = row_problems.into();
                live.confirm();
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
        self.change(|state| {
            let Some(live) = state.directories.get_mut(name) else { return Vec::new() };
            let Some(of) = &live.state else { return Vec::new() };
            let (directory, faults) = of.directory.apply(changes);
            let facts = of.held.request_facts;
            live.state = Some(DirectoryState::new(directory, version, facts));
            live.problem = None;
            live.confirm();
            faults
        })
    }

    /// Records what is wrong with single rows of a store's directory, instead of what was.
    pub fn report_directory_rows(&self, name: &StoreName, row_problems: Vec<String>) {
        let state = self.state.load();
        let last = state.directories.get(name).map(|live| Arc::clone(&live.row_problems));
        if last.is_some_and(|last| *last == *row_problems) {
            return;
        }
        self.change(|state| {
            if let Some(live) = state.directories.get_mut(name) {
                live.row_problems = row_problems.into();
            }
        });
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

    /// Makes the next state of the one that is.
    fn change<T>(&self, change: impl FnOnce(&mut LiveState) -> T) -> T {
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.load();
        let mut next =
            LiveState { stores: Arc::clone(&state.stores), directories: state.directories.clone() };
        drop(state);
        let result = change(&mut next);
        self.state.store(Arc::new(next));
        drop(changing);
        self.changed.send_replace(());
        result
    }
}

impl LoadStatus {
    /// Returns whether everything that was found is in force.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.folder_problem.is_none() && self.stores.iter().all(|store| store.problems.is_empty())
    }
}
