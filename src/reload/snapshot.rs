//! The content of a policies folder at one moment.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    folder::FolderError,
    paths::Places,
    tree::{FileAt, Flaw, Layout, Stamp, StoreTree, Tree, look},
};
use crate::{
    name::{StoreName, StoreNameError},
    store::{Bounds, StoreFiles},
};

/// The content of a policies folder, or why there is none.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub folder: Result<FolderContent, FolderError>,
    /// The folder as a whole changed while it was read: nothing of it can be relied on.
    pub moved: bool,
    /// When the reading began.
    pub begun: Instant,
}

/// The content of a policies folder.
#[derive(Debug)]
pub(super) struct FolderContent {
    pub layout: Layout,
    pub stores: BTreeMap<StoreName, StoreContent>,
    pub misnamed: Vec<(PathBuf, StoreNameError)>,
}

/// The content of one store's folder.
#[derive(Debug)]
pub(super) struct StoreContent {
    pub read: Read,
    /// Where its files really are.
    pub paths: Vec<PathBuf>,
    /// When a file last changed.
    pub changed: Option<SystemTime>,
}

/// What reading a store gave.
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
    /// Whether a file changed less than that long ago. A moment in the future, as a skewed clock
    /// of a file server gives, is not recent.
    pub fn changed_within(&self, span: Duration) -> bool {
        self.changed
            .and_then(|changed| SystemTime::now().duration_since(changed).ok())
            .is_some_and(|age| age < span)
    }
}

/// Reads a policies folder and checks that nothing changed meanwhile. `between` is called after
/// reading and before checking with the places that matter: what it begins to watch is thereby
/// watched from the moment that the snapshot shows.
pub(super) fn take(
    path: &Path,
    bounds: &Bounds,
    layout: Option<Layout>,
    between: impl FnOnce(&Places),
) -> Snapshot {
    let begun = Instant::now();
    let mut places = Places::default();
    let before = look(path, bounds, layout, &mut places);
    let contents: Option<BTreeMap<_, _>> = before.as_ref().ok().map(|tree| {
        tree.stores.iter().map(|(name, store)| (name.clone(), read(name, store, bounds))).collect()
    });
    between(&places);
    let after = look(path, bounds, layout, &mut Places::default());
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
            (name, StoreContent { read, paths, changed })
        })
        .collect();
    for name in after.stores.keys() {
        let moved = StoreContent { read: Read::Moved, paths: Vec::new(), changed: None };
        stores.entry(name.clone()).or_insert(moved);
    }
    FolderContent { layout: before.layout, stores, misnamed: before.misnamed }
}

fn read(name: &StoreName, tree: &StoreTree, bounds: &Bounds) -> Read {
    let mut flaws = tree.flaws.clone();
    let mut files = Vec::new();
    for (relative, file) in &tree.files {
        match read_file(file, bounds) {
            Ok(Some(bytes)) => files.push((relative.clone(), Arc::from(bytes))),
            Ok(None) => return Read::Moved,
            Err(error) => flaws.push(Flaw {
                file: format!("{name}/{relative}"),
                message: format!("cannot be read: {error}"),
                help: "make it readable, or remove it",
            }),
        }
    }
    if flaws.is_empty() {
        Read::Files(StoreFiles::new(name.clone(), files))
    } else {
        Read::Flawed(flaws)
    }
}

/// The bytes of a file; none where it is not the file that was seen.
fn read_file(file: &FileAt, bounds: &Bounds) -> io::Result<Option<Vec<u8>>> {
    // Opening a pipe would wait for a writer, should one have taken the file's place.
    let mut handle =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&file.path)?;
    let is_same = |metadata: &fs::Metadata| Stamp::of(metadata) == file.stamp;
    if !is_same(&handle.metadata()?) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let most = (bounds.file_bytes as u64).saturating_add(1);
    handle.by_ref().take(most).read_to_end(&mut bytes)?;
    let is_whole = bytes.len() as u64 == file.stamp.size;
    Ok((is_whole && is_same(&handle.metadata()?)).then_some(bytes))
}
