//! Resolves paths through symbolic links, and notes the folders that decide where they lead.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

/// Symbolic links that one path may lead through, as in Linux itself.
const MAX_LINKS: usize = 40;

/// The places in the file system on which the content of a policies folder depends. All paths are
/// absolute and lead through no symbolic link.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// Folders in which every change matters.
    pub folders: BTreeMap<PathBuf, FolderId>,
    /// Single names on the way to those folders: a link that may be re-pointed, a folder that may
    /// be moved away or come back. Other names beside them do not matter.
    pub names: BTreeSet<PathBuf>,
}

/// The identity of the folder that a path led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FolderId {
    device: u64,
    inode: u64,
}

impl FolderId {
    pub fn of(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl Places {
    /// Follows an absolute path through all its symbolic links and notes every name on the way.
    pub fn resolve(&mut self, path: &Path) -> io::Result<PathBuf> {
        let mut real = PathBuf::from("/");
        let mut ahead: VecDeque<OsString> = steps(path).collect();
        let mut links = 0;
        while let Some(step) = ahead.pop_front() {
            if step == ".." {
                real.pop();
                continue;
            }
            let next = real.join(&step);
            self.names.insert(next.clone());
            if !fs::symlink_metadata(&next)?.is_symlink() {
                real = next;
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(io::Error::other("its symbolic links lead in a circle"));
            }
            let target = fs::read_link(&next)?;
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            for step in steps(&target).collect::<Vec<_>>().into_iter().rev() {
                ahead.push_front(step);
            }
        }
        Ok(real)
    }

    /// Notes a folder in which every change matters.
    pub fn note_folder(&mut self, folder: &Path) -> io::Result<FolderId> {
        let id = FolderId::of(&fs::metadata(folder)?);
        self.folders.insert(folder.to_owned(), id);
        Ok(id)
    }

    /// Every folder to watch.
    pub fn to_watch(&self) -> BTreeSet<&Path> {
        let parents = self.names.iter().filter_map(|name| name.parent());
        self.folders.keys().map(PathBuf::as_path).chain(parents).collect()
    }

    /// Returns whether a change of a path can matter.
    pub fn concern(&self, path: &Path) -> bool {
        self.names.contains(path)
            || self.folders.contains_key(path)
            || path.parent().is_some_and(|folder| self.folders.contains_key(folder))
    }
}

/// The steps of a path without its root: names and `..`.
fn steps(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}
