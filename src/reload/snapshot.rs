//! The content of a policies folder at one moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use super::{
    folder_error::FolderError,
    paths::{FolderId, Places},
    tree::{Flaw, Layout, StoreTree, Tree, list_tree},
};
use crate::{
    model::{StoreName, StoreNameError},
    regular_file,
    store::{Bounds, FileKind, StoreFiles, holds_policies},
};

/// The content of a policies folder, or why there is none.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub folder: Result<FolderContent, FolderError>,
    /// True where the folder as a whole changed while it was read: nothing of it can be relied on.
    pub moved: bool,
    /// When the reading began.
    pub begun: Instant,
}

/// The content of a policies folder.
#[derive(Debug)]
pub(super) struct FolderContent {
    pub layout: Layout,
    /// The folder in which its entries really lie.
    pub root: Option<FolderId>,
    pub stores: BTreeMap<StoreName, StoreContent>,
    pub misnamed: Vec<(PathBuf, StoreNameError)>,
    pub unread: Vec<String>,
}

/// The content of one store's folder.
#[derive(Debug)]
pub(super) struct StoreContent {
    pub read: Read,
    /// The folder in which its files really lie.
    pub root: Option<FolderId>,
    /// The real paths of its files.
    pub paths: Vec<PathBuf>,
    /// When a file last changed.
    pub changed: Option<SystemTime>,
    /// When a link or a folder that leads to the files was put where it is.
    pub arrived: Option<SystemTime>,
}

/// The result of reading a store.
#[derive(Debug)]
pub(super) enum Read {
    /// All its files, as they were together at one moment.
    Files(StoreFiles),
    /// It cannot be read as a whole.
    Flawed(Vec<Flaw>),
    /// It changed while it was read.
    Moved,
}

impl StoreContent {
    /// Returns whether no file has changed since the files were put where they are: then a whole
    /// state was published at once. False where both happened at the same moment.
    pub fn arrived_whole(&self) -> bool {
        self.changed.zip(self.arrived).is_some_and(|(changed, arrived)| changed < arrived)
    }

    /// Returns whether a file changed less than that long ago. A moment in the future, as a skewed clock
    /// of a file server gives, is not recent.
    pub fn changed_within(&self, span: Duration) -> bool {
        self.changed
            .and_then(|changed| SystemTime::now().duration_since(changed).ok())
            .is_some_and(|age| age < span)
    }
}

/// Reads a policies folder and checks that nothing changed meanwhile. `between` runs after reading and
/// before the check, with the places that matter, so watches armed in it miss no change.
pub(super) fn take(
    path: &Path,
    bounds: &Bounds,
    layout: Option<Layout>,
    between: impl FnOnce(&Places),
) -> Snapshot {
    let begun = Instant::now();
    let mut places = Places::default();
    let before = list_tree(path, bounds, layout, &mut places);
    let contents: Option<BTreeMap<_, _>> = before.as_ref().ok().map(|tree| {
        let OversizedStores { mut flaws, needed_only } = OversizedStores::of(tree, bounds);
        let read = |(name, store): (&StoreName, &StoreTree)| {
            let flawed = flaws.remove(name).map(|flaw| Read::Flawed(vec![flaw]));
            let read = || read(name, store, bounds, needed_only.contains(name));
            (name.clone(), flawed.unwrap_or_else(read))
        };
        tree.stores.iter().map(read).collect()
    });
    between(&places);
    let after = list_tree(path, bounds, layout, &mut Places::default());
    match (before, after) {
        (Ok(before), Ok(after)) => {
            let moved = before.real != after.real || before.layout != after.layout;
            let contents = contents.unwrap_or_default();
            Snapshot { folder: Ok(unmoved(before, &after, contents)), moved, begun }
        }
        (Err(error), after) => {
            let moved = after.err().is_none_or(|after| after.to_string() != error.to_string());
            Snapshot { folder: Err(error), moved, begun }
        }
        (Ok(_), Err(error)) => Snapshot { folder: Err(error), moved: true, begun },
    }
}

fn unmoved(before: Tree, after: &Tree, mut contents: BTreeMap<StoreName, Read>) -> FolderContent {
    let mut stores: BTreeMap<_, _> = before
        .stores
        .into_iter()
        .map(|(name, tree)| {
            let is_same = after.stores.get(&name) == Some(&tree);
            let read = contents.remove(&name).filter(|_| is_same).unwrap_or(Read::Moved);
            let changed = tree.files.values().map(|file| file.stamp.changed()).max();
            let paths = tree.files.into_values().map(|file| file.path).collect();
            let (root, arrived) = (tree.root, before.arrived.get(&name).copied());
            (name, StoreContent { read, root, paths, changed, arrived })
        })
        .collect();
    for name in after.stores.keys() {
        let moved = StoreContent {
            read: Read::Moved,
            root: None,
            paths: Vec::new(),
            changed: None,
            arrived: None,
        };
        stores.entry(name.clone()).or_insert(moved);
    }
    FolderContent {
        layout: before.layout,
        root: before.root,
        stores,
        misnamed: before.misnamed,
        unread: before.unread,
    }
}

/// The stores that are not read in full, because their files are too large together.
#[derive(Debug, Default)]
struct OversizedStores {
    /// Stores of which nothing is read.
    flaws: BTreeMap<StoreName, Flaw>,
    /// Stores of which only the files are read that they cannot do without.
    needed_only: BTreeSet<StoreName>,
}

impl OversizedStores {
    /// Compares the sizes of files with the bounds. Of all stores the largest give way.
    fn of(tree: &Tree, bounds: &Bounds) -> Self {
        let mut sizes: Vec<_> =
            tree.stores.iter().map(|(name, store)| (sizes(store), name)).collect();
        sizes.sort();
        let (of_store, of_folder) = (bounds.store_bytes as u64, bounds.folder_bytes as u64);
        let (mut all, mut too_large) = (0_u64, Self::default());
        for ((size, needed), name) in sizes {
            let left = of_folder.saturating_sub(all).min(of_store);
            if size <= left {
                all += size;
            } else if needed <= left {
                all += needed;
                too_large.needed_only.insert(name.clone());
            } else {
                let message = if needed > of_store {
                    format!(
                        "all files of the store together have {needed} bytes, more than the bound of \
                         {of_store} (`bounds.store_bytes`)"
                    )
                } else {
                    format!(
                        "this store and all smaller ones together have {} bytes, more than the bound \
                         of {of_folder} (`bounds.folder_bytes`)",
                        all + needed
                    )
                };
                let help = "make the files smaller, or raise the bound";
                let flaw = Flaw { file: name.to_string(), message, help };
                too_large.flaws.insert(name.clone(), flaw);
            }
        }
        too_large
    }
}

/// Returns the bytes of all files of a store, and of those that it cannot do without.
fn sizes(store: &StoreTree) -> (u64, u64) {
    let size = |is_counted: fn(&str) -> bool| {
        let counted = store.files.iter().filter(|(path, _)| is_counted(path));
        counted.map(|(_, file)| file.stamp.size).sum()
    };
    (size(|_| true), size(is_needed))
}

fn is_needed(path: &str) -> bool {
    FileKind::of(path).is_some_and(FileKind::is_needed)
}

fn read(name: &StoreName, tree: &StoreTree, bounds: &Bounds, needed_only: bool) -> Read {
    let mut flaws = tree.flaws.clone();
    let mut files = StoreFiles::new(name.clone(), []);
    let mut bytes = Vec::new();
    for (relative, file) in &tree.files {
        if needed_only && !is_needed(relative) {
            let reason = "is not read: with it, all files together have too many bytes \
                          (`bounds.store_bytes`, `bounds.folder_bytes`)";
            files = files.with_unreadable(relative, reason);
            continue;
        }
        match file.stamp.read(&file.path, bounds.file_bytes as u64, &mut bytes) {
            Ok(true) => files = files.with_file(relative, bytes.as_slice()),
            Ok(false) => return Read::Moved,
            Err(error) if is_needed(relative) => {
                flaws.push(Flaw {
                    file: format!("{name}/{relative}"),
                    message: format!("cannot be read: {error}"),
                    help: "make it readable, or remove it",
                });
            }
            Err(error) => {
                files = files.with_unreadable(relative, format!("cannot be read: {error}"));
            }
        }
    }
    for (relative, reason) in &tree.unreadable {
        files = files.with_unreadable(relative, reason);
    }
    if !files.is_empty() {
        // Their names are enough for a warning.
        for relative in &tree.unread {
            files = files.with_file(relative, &[][..]);
        }
        for (relative, path) in &tree.texts {
            // That it holds policies is enough, so that the words around them make no other store.
            if regular_file::read(path).is_ok_and(|text| holds_policies(&text)) {
                files = files.with_file(relative, &b"permit ()"[..]);
            }
        }
    }
    if flaws.is_empty() { Read::Files(files) } else { Read::Flawed(flaws) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{fs, os::unix::fs::symlink};

    use super::*;

    /// Reads a folder of two stores while something happens to it.
    fn read_while(happens: impl FnOnce(&Path)) -> (Snapshot, [Option<String>; 2]) {
        let home = tempfile::tempdir().unwrap();
        for store in ["main", "other"] {
            let folder = home.path().join(store);
            fs::create_dir_all(folder.join("..one")).unwrap();
            fs::create_dir(folder.join("..two")).unwrap();
            symlink("..one", folder.join("..data")).unwrap();
            for hidden in ["..one", "..two"] {
                fs::write(folder.join(hidden).join("a.cedar"), "a").unwrap();
                fs::write(folder.join(hidden).join("b.cedar"), "b").unwrap();
            }
        }
        let bounds = Bounds::default();
        let snapshot = take(home.path(), &bounds, None, |_| happens(&home.path().join("main")));
        let shown = ["main", "other"].map(|name| {
            let store = snapshot.folder.as_ref().ok()?.stores.get(name)?;
            Some(match &store.read {
                Read::Files(files) => files.iter().map(|(path, _)| path).collect(),
                Read::Flawed(flaws) => format!("{flaws:?}"),
                Read::Moved => "moved".to_owned(),
            })
        });
        (snapshot, shown)
    }

    fn shown(main: &str, other: &str) -> [Option<String>; 2] {
        [Some(main.to_owned()), Some(other.to_owned())]
    }

    const WHOLE: &str = "a.cedarb.cedar";

    #[test]
    fn a_folder_that_holds_still() {
        let (snapshot, stores) = read_while(|_| ());
        assert_eq!(stores, shown(WHOLE, WHOLE));
        assert!(!snapshot.moved);
    }

    #[test]
    fn a_store_that_changes_meanwhile_is_not_relied_on() {
        type Change = fn(&Path);
        let changes: [(&str, Change); 6] = [
            ("same size", |main| fs::write(main.join("..one/a.cedar"), "x").unwrap()),
            ("grown", |main| fs::write(main.join("..one/a.cedar"), "aa").unwrap()),
            ("replaced", |main| {
                fs::write(main.join("..one/draft"), "a").unwrap();
                fs::rename(main.join("..one/draft"), main.join("..one/a.cedar")).unwrap();
            }),
            ("added", |main| fs::write(main.join("..one/c.cedar"), "c").unwrap()),
            ("deleted", |main| fs::remove_file(main.join("..one/a.cedar")).unwrap()),
            ("swapped", |main| {
                symlink("..two", main.join("..data_tmp")).unwrap();
                fs::rename(main.join("..data_tmp"), main.join("..data")).unwrap();
            }),
        ];
        for (what, change) in changes {
            let (snapshot, stores) = read_while(change);
            assert_eq!(stores, shown("moved", WHOLE), "{what}");
            assert!(!snapshot.moved, "{what}");
        }
    }

    #[test]
    fn what_is_no_part_of_a_store_may_change() {
        let (_, stores) = read_while(|main| {
            fs::write(main.join("..one/README.md"), "words").unwrap();
            fs::write(main.join("..hidden.cedar"), "words").unwrap();
        });
        assert_eq!(stores, shown(WHOLE, WHOLE));
    }

    #[test]
    fn a_store_that_comes_or_goes_meanwhile_is_not_relied_on() {
        let (_, stores) = read_while(|main| fs::remove_dir_all(main).unwrap());
        assert_eq!(stores, shown("moved", WHOLE));
        let (snapshot, _) = read_while(|main| fs::create_dir(main.join("../new")).unwrap());
        let content = snapshot.folder.unwrap();
        let new = content.stores.get("new").unwrap();
        assert!(matches!(new.read, Read::Moved));
    }

    #[test]
    fn a_folder_that_goes_meanwhile_is_not_relied_on() {
        let (snapshot, _) = read_while(|main| fs::remove_dir_all(main.parent().unwrap()).unwrap());
        assert!(snapshot.moved);
    }
}
