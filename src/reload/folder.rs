//! Reading a policies folder once.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{
    folder_error::FolderError,
    paths::Places,
    snapshot::{FolderContent, Read, Snapshot, take},
    tree::Layout,
};
use crate::store::{Bounds, StoreFiles};

/// Time that one reading waits for a folder that is being written to.
const PATIENCE: Duration = Duration::from_millis(500);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(10);
/// A file that changed more recently may not be complete.
const RECENT: Duration = Duration::from_millis(25);

/// Reads a policies folder, or the folder of a single store, within the default bounds.
///
/// Files that are no part of a store are left out, and so are hidden ones.
///
/// # Errors
/// The folder cannot be read or holds no store; a store in it cannot be read as a whole.
pub fn read_folder(path: &Path) -> Result<Vec<StoreFiles>, FolderError> {
    read_folder_within(path, &Bounds::default())
}

/// Reads a policies folder like [`read_folder`], within those bounds: a file that is larger is not
/// read into memory.
///
/// # Errors
/// The folder cannot be read or holds no store; a store in it cannot be read as a whole.
pub fn read_folder_within(path: &Path, bounds: &Bounds) -> Result<Vec<StoreFiles>, FolderError> {
    let mut read = read_stores(path, bounds)?;
    if read.errors.is_empty() { Ok(read.stores) } else { Err(read.errors.swap_remove(0)) }
}

/// The place of the files of a folder's stores.
#[derive(Debug, Clone, Default)]
pub struct StoresPlace {
    folder: PathBuf,
    is_one_store: bool,
}

impl StoresPlace {
    /// Returns the path of a file that problems call `store/file`, as a user at the command line
    /// would write it.
    #[must_use]
    pub fn path_of(&self, file: &str) -> PathBuf {
        let file = match file.split_once('/') {
            Some((_store, file)) if self.is_one_store => file,
            _ => file,
        };
        let path = self.folder.join(file);
        path.strip_prefix(".").map(Path::to_owned).unwrap_or(path)
    }
}

/// The stores of a folder, and the errors of what else is in it.
#[derive(Debug, Default)]
pub struct FolderStores {
    /// The place of their files.
    pub place: StoresPlace,
    /// The stores that could be read.
    pub stores: Vec<StoreFiles>,
    /// An error for each folder and store that could not.
    pub errors: Vec<FolderError>,
    /// Files beside the stores' folders that look as if they belonged to a store.
    pub unread: Vec<String>,
}

/// Reads every store of a policies folder that can be read.
///
/// # Errors
/// The folder as a whole cannot be read.
pub fn read_stores(path: &Path, bounds: &Bounds) -> Result<FolderStores, FolderError> {
    stores_of(path, take_settled(path, bounds, |_| ()))
}

/// Returns the stores that a snapshot of a folder shows.
pub(super) fn stores_of(path: &Path, snapshot: Snapshot) -> Result<FolderStores, FolderError> {
    let content = snapshot.folder?;
    let mut errors = content.errors(path);
    let mut stores = Vec::new();
    for store in content.stores.into_values() {
        match store.read {
            Read::Files(files) if !files.is_empty() => stores.push(files),
            Read::Files(_) => {}
            Read::Flawed(flaws) => {
                let problems = flaws.iter().map(super::tree::Flaw::problem);
                errors.push(FolderError::Unreadable(problems.collect()));
            }
            Read::Moved => return Err(FolderError::Unsettled(path.to_owned())),
        }
    }
    let is_one_store = content.layout == Layout::OneStore;
    let place = StoresPlace { folder: path.to_owned(), is_one_store };
    Ok(FolderStores { place, stores, errors, unread: content.unread })
}

/// Takes a snapshot of a folder once nobody writes to it, or after [`PATIENCE`] all the same.
/// `between` is called as by [`take`].
pub(super) fn take_settled(
    path: &Path,
    bounds: &Bounds,
    mut between: impl FnMut(&Places),
) -> Snapshot {
    let begun = Instant::now();
    loop {
        let snapshot = take(path, bounds, None, &mut between);
        if !snapshot.is_unsettled() || begun.elapsed() > PATIENCE {
            return snapshot;
        }
        thread::sleep(BETWEEN_ATTEMPTS);
    }
}

impl Snapshot {
    fn is_unsettled(&self) -> bool {
        let stores = self.folder.iter().flat_map(|folder| folder.stores.values());
        self.moved
            || stores
                .into_iter()
                .any(|store| matches!(store.read, Read::Moved) || store.changed_within(RECENT))
    }
}

impl FolderContent {
    /// Returns the errors of the folder as a whole.
    pub(super) fn errors(&self, path: &Path) -> Vec<FolderError> {
        let misnamed = self.misnamed.iter().map(|(path, error)| FolderError::Misnamed {
            path: path.clone(),
            error: error.clone(),
        });
        let mut errors: Vec<_> = misnamed.collect();
        if errors.is_empty() && !self.holds_store() {
            errors.push(FolderError::Empty(path.to_owned()));
        }
        errors
    }

    /// Returns all errors of the folder as a whole in one text; nothing where there are none.
    pub(super) fn problem(&self, path: &Path) -> Option<String> {
        let errors: Vec<_> = self.errors(path).iter().map(ToString::to_string).collect();
        (!errors.is_empty()).then(|| errors.join("; "))
    }

    /// Returns whether there is anything that is, or was meant to be, a store.
    pub(super) fn holds_store(&self) -> bool {
        self.stores.values().any(|store| match &store.read {
            Read::Files(files) => !files.is_empty(),
            Read::Flawed(_) | Read::Moved => true,
        })
    }
}
