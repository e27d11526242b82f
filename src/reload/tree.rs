//! The entries of a policies folder, without reading the files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    arrival::arrival,
    folder_error::FolderError,
    listing::{self, Listed, list},
    paths::{FolderId, Places},
    stamp::Stamp,
};
use crate::{
    model::{Problem, StoreName, StoreNameError},
    store::{Bounds, FileKind, is_misplaced, looks_like_policies, may_hold_policies},
};

/// The folder that some file systems have at their root, and that only root can read.
const LOST_AND_FOUND: &str = "lost+found";

/// Levels to which the folders of a store may nest.
const MAX_DEPTH: usize = 16;

/// Texts of a store that are looked through for policies.
const MAX_TEXTS: usize = 100;

/// The layout of a policies folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// It is itself a store.
    OneStore,
    /// Each folder in it is a store.
    ManyStores,
}

/// The entries of a policies folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tree {
    /// The folder's real path.
    pub real: PathBuf,
    /// The folder in which its entries really lie.
    pub root: Option<FolderId>,
    pub layout: Layout,
    pub stores: BTreeMap<StoreName, StoreTree>,
    /// When a link or a folder that leads to the files of a store was put where it is.
    pub arrived: BTreeMap<StoreName, SystemTime>,
    /// Folders that hold a schema but cannot be a store under their name.
    pub misnamed: Vec<(PathBuf, StoreNameError)>,
    /// Files beside the stores' folders that look as if they belonged to a store.
    pub unread: Vec<String>,
}

/// The entries of the folder of a store.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StoreTree {
    /// The folder in which the files really lie, behind every link and the kubelet's `..data`.
    pub root: Option<FolderId>,
    /// The files that are part of the store, by their path in it.
    pub files: BTreeMap<String, FileAt>,
    /// The files that look as if they were, by their path in it.
    pub unread: BTreeSet<String>,
    /// The texts that are no part of the store, unless they hold policies: their real paths by their path in it.
    pub texts: BTreeMap<String, PathBuf>,
    /// The reasons why it cannot be read as a whole.
    pub flaws: Vec<Flaw>,
    /// Files and folders without a part in decisions that cannot be read, by their path in it.
    pub unreadable: BTreeMap<String, String>,
}

/// A file and the state that it was seen in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileAt {
    /// The file's real path.
    pub path: PathBuf,
    pub stamp: Stamp,
}

/// A file or folder that a store cannot be read with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    pub file: String,
    pub message: String,
    pub help: &'static str,
}

impl Flaw {
    pub fn of_problem(problem: Problem) -> Self {
        Self {
            file: problem.file().to_owned(),
            message: format!("{}, and files of the state in force lie there", problem.message()),
            help: "make it readable, or remove it",
        }
    }

    pub fn problem(&self) -> Problem {
        Problem::of_file(&self.file, &self.message).with_help(self.help)
    }
}

/// Lists a policies folder, or the folder of a single store. `before` is the layout that it had.
pub(super) fn list_tree(
    path: &Path,
    bounds: &Bounds,
    before: Option<Layout>,
    places: &mut Places,
) -> Result<Tree, FolderError> {
    let io_error = |error| FolderError::Io { path: path.to_owned(), error };
    let absolute = std::path::absolute(path).map_err(io_error)?;
    let real = places.resolve(&absolute).map_err(io_error)?;
    let entries = list(&real, bounds.files, places).map_err(io_error)?;
    let layout = layout(&entries, bounds, before)
        .map_err(|(file, store)| FolderError::Ambiguous { path: path.to_owned(), file, store })?;
    let arrived = arrival(&absolute, &real);
    let mut tree = Tree {
        real: real.clone(),
        root: listing::root(&real).ok(),
        layout,
        stores: BTreeMap::new(),
        arrived: BTreeMap::new(),
        misnamed: Vec::new(),
        unread: Vec::new(),
    };
    if layout == Layout::OneStore {
        let name = absolute.file_name().or(real.file_name()).unwrap_or_default();
        match name.to_string_lossy().parse::<StoreName>() {
            Ok(name) => {
                let store = StoreWalk::of(&name, &real, bounds, places);
                tree.arrived.extend(arrived.map(|arrived| (name.clone(), arrived)));
                tree.stores.insert(name, store);
            }
            Err(error) => tree.misnamed.push((absolute, error)),
        }
        return Ok(tree);
    }
    for entry in entries {
        let real = if entry.is_link { places.resolve(&entry.path) } else { Ok(entry.path.clone()) };
        let is_folder = real.as_deref().is_ok_and(Path::is_dir);
        match (entry.name.to_string_lossy().parse::<StoreName>(), real) {
            (Ok(name), Ok(real)) if is_folder => {
                let store = StoreWalk::of(&name, &real, bounds, places);
                let arrived = arrival(&entry.path, &real).max(arrived);
                tree.arrived.extend(arrived.map(|arrived| (name.clone(), arrived)));
                tree.stores.insert(name, store);
            }
            // A link to nowhere was a link to a store, and must not look like a deleted store.
            (Ok(name), Err(error)) => {
                let flaws = vec![unreadable(name.to_string(), &error)];
                tree.stores.insert(name, StoreTree { flaws, ..StoreTree::default() });
            }
            (Err(error), Ok(real)) if is_folder && holds_schema(&real, bounds) => {
                tree.misnamed.push((path.join(&entry.name), error));
            }
            _ => {
                let name = entry.name.to_string_lossy().into_owned();
                let is_kind = FileKind::of(&name).is_some_and(FileKind::decides);
                if !is_folder && (is_kind || looks_like_policies(&name).is_some()) {
                    tree.unread.push(name);
                }
            }
        }
    }
    Ok(tree)
}

/// Returns the layout, or the schema file and store folder that conflict.
fn layout(
    entries: &[Listed],
    bounds: &Bounds,
    before: Option<Layout>,
) -> Result<Layout, (String, String)> {
    let name = |entry: &Listed| entry.name.to_string_lossy().into_owned();
    let schema = entries.iter().find(|entry| is_schema(entry));
    // The tests of a single store may have schemas of their own.
    let store = entries.iter().find(|entry| {
        entry.name != "tests"
            && (holds_schema(&entry.path, bounds)
                // Stores stay stores while their schema is moved to the folder above.
                || before == Some(Layout::ManyStores) && holds(&entry.path, bounds, is_deciding))
    });
    let is_one_store = match (schema, store) {
        (Some(schema), Some(store)) => return Err((name(schema), name(store))),
        (Some(_), None) => true,
        (None, Some(_)) => false,
        // A single store whose schema is being replaced.
        (None, None) => {
            before == Some(Layout::OneStore) && entries.iter().any(|entry| kind(entry).is_some())
        }
    };
    Ok(if is_one_store { Layout::OneStore } else { Layout::ManyStores })
}

fn kind(entry: &Listed) -> Option<FileKind> {
    FileKind::of(entry.name.to_str()?)
}

fn is_schema(entry: &Listed) -> bool {
    matches!(kind(entry), Some(FileKind::Schema | FileKind::SchemaJson))
}

fn is_deciding(entry: &Listed) -> bool {
    kind(entry).is_some_and(FileKind::decides)
}

fn holds_schema(folder: &Path, bounds: &Bounds) -> bool {
    holds(folder, bounds, is_schema)
}

fn holds(folder: &Path, bounds: &Bounds, is_wanted: impl Fn(&Listed) -> bool) -> bool {
    list(folder, bounds.files, &mut Places::default())
        .is_ok_and(|entries| entries.iter().any(is_wanted))
}

fn unreadable(file: String, error: &io::Error) -> Flaw {
    Flaw {
        file,
        message: format!("cannot be read: {error}"),
        help: "make it readable, or remove it",
    }
}

/// A walk through the folder of one store.
struct StoreWalk<'a> {
    name: &'a StoreName,
    bounds: &'a Bounds,
    places: &'a mut Places,
    /// The folders between the store's folder and the one that is being walked.
    above: Vec<FolderId>,
    /// Entries that may still be met.
    left: usize,
    tree: StoreTree,
}

impl<'a> StoreWalk<'a> {
    fn of(
        name: &'a StoreName,
        folder: &Path,
        bounds: &'a Bounds,
        places: &'a mut Places,
    ) -> StoreTree {
        let (above, left) = (Vec::new(), bounds.files);
        let mut walk = Self { name, bounds, places, above, left, tree: StoreTree::default() };
        walk.tree.root = listing::root(folder).ok();
        walk.folder(folder, "");
        walk.tree
    }

    fn folder(&mut self, folder: &Path, relative: &str) {
        let shown = format!("{}/{relative}", self.name);
        let shown = shown.trim_end_matches('/');
        let id = match self.places.note_folder(folder) {
            Ok(id) => id,
            Err(error) => return self.unreadable_folder(relative, &error),
        };
        if self.above.contains(&id) {
            let message = "a symbolic link leads back to a folder that it lies in";
            self.ignore(relative, message);
            return;
        }
        if self.above.len() >= MAX_DEPTH {
            return self.flaw(
                shown,
                format!("the folders nest deeper than {MAX_DEPTH} levels"),
                "lay the store's files out more flatly",
            );
        }
        match list(folder, self.left, self.places) {
            Ok(entries) => {
                self.left = self.left.saturating_sub(entries.len());
                self.above.push(id);
                for entry in entries {
                    self.entry(&entry, relative);
                }
                self.above.pop();
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => self.flaw(
                self.name.as_str(),
                format!("the store has more files than the bound of {}", self.bounds.files),
                "move what is no part of the store out of its folder",
            ),
            Err(error) => self.unreadable_folder(relative, &error),
        }
    }

    /// Records a folder that cannot be read: the store's own, or one of which nobody knows what is in it.
    fn unreadable_folder(&mut self, relative: &str, error: &io::Error) {
        if relative.is_empty() {
            self.tree.flaws.push(unreadable(self.name.to_string(), error));
        } else {
            self.ignore(relative, format!("cannot be read: {error}; nothing in it counts"));
        }
    }

    /// Records an entry without a part in decisions that cannot be read.
    fn ignore(&mut self, relative: &str, message: impl Into<String>) {
        let path = relative.trim_end_matches('/').to_owned();
        self.tree.unreadable.insert(path, message.into());
    }

    fn entry(&mut self, entry: &Listed, folder: &str) {
        let name = entry.name.to_string_lossy();
        if name == LOST_AND_FOUND {
            return;
        }
        let relative = format!("{folder}{name}");
        let shown = format!("{}/{relative}", self.name);
        let kind = FileKind::of(&relative);
        let is_needed = kind.is_some_and(FileKind::is_needed);
        if kind.is_none() && !entry.is_link && !entry.is_folder {
            if looks_like_policies(&relative).is_some() || is_misplaced(&relative) {
                self.tree.unread.insert(relative);
            } else if may_hold_policies(&relative) && self.tree.texts.len() < MAX_TEXTS {
                self.tree.texts.insert(relative, entry.path.clone());
            }
            return;
        }
        let real =
            if entry.is_link { self.places.resolve(&entry.path) } else { Ok(entry.path.clone()) };
        let (real, metadata) =
            match real.and_then(|real| fs::metadata(&real).map(|meta| (real, meta))) {
                Ok(found) => found,
                // By its ending a dangling link led to a document, or to what has no part in decisions.
                Err(error) if !is_needed && name.contains('.') => {
                    return self.ignore(&relative, format!("cannot be read: {error}"));
                }
                Err(error) => return self.tree.flaws.push(unreadable(shown, &error)),
            };
        if entry.name.to_str().is_none() && is_needed {
            self.flaw(shown, "the name is not UTF-8 text", "give it another name");
        } else if entry.name.to_str().is_none() && metadata.is_dir() {
            self.ignore(&relative, "the name is not UTF-8 text; nothing in it counts");
        } else if metadata.is_dir() && is_needed {
            // Mounting a file that is missing makes a folder of its name: nobody knows what it would forbid.
            self.flaw(
                shown,
                "is a folder and not a file",
                "put the file there, or rename the folder",
            );
        } else if metadata.is_dir() && kind.is_some() {
            self.ignore(&relative, "is a folder and not a file; nothing in it counts");
        } else if metadata.is_dir() {
            self.folder(&real, &format!("{relative}/"));
        } else if kind.is_some() {
            self.file(relative, shown, real, &metadata, entry.is_link);
        }
    }

    fn file(
        &mut self,
        relative: String,
        shown: String,
        path: PathBuf,
        metadata: &fs::Metadata,
        is_linked: bool,
    ) {
        let is_needed = FileKind::of(&relative).is_some_and(FileKind::is_needed);
        let bound = self.bounds.file_bytes;
        let flaw = if !metadata.is_file() {
            Some(("is not a regular file".to_owned(), "replace it with one, or remove it"))
        } else if metadata.len() > bound as u64 {
            let size = metadata.len();
            let message = format!("the file has {size} bytes, more than the bound of {bound}");
            Some((message, "split the file, or raise the bound"))
        } else {
            None
        };
        match flaw {
            Some((message, help)) if is_needed => return self.flaw(shown, message, help),
            Some((message, _)) => return self.ignore(&relative, message),
            None => {}
        }
        // A linked file may be edited where it really is.
        if is_linked && let Some(folder) = path.parent() {
            let _ = self.places.note_folder(folder);
        }
        self.tree.files.insert(relative, FileAt { path, stamp: Stamp::of(metadata) });
    }

    fn flaw(&mut self, file: impl Into<String>, message: impl Into<String>, help: &'static str) {
        self.tree.flaws.push(Flaw { file: file.into(), message: message.into(), help });
    }
}
