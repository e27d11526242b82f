//! The entries of one folder.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::paths::{FolderId, Places};

/// The link that the kubelet swaps when a ConfigMap or Secret changes. The files lie in a hidden
/// folder beside it, and every name that is shown is a link that leads through it.
pub(super) const SWAPPED_LINK: &str = "..data";

/// One entry of a folder.
#[derive(Debug)]
pub(super) struct Listed {
    pub name: OsString,
    pub path: PathBuf,
    pub is_link: bool,
    pub is_folder: bool,
}

/// The entries of a folder in the order of their names, without hidden ones. In a folder of the
/// kubelet's these are the files to which `..data` leads at this moment: the links that are shown
/// lag behind it, and following each by itself could mix two generations.
///
/// # Errors
/// The file system's error; `FileTooLarge` where there are more than `most` entries.
pub(super) fn list(folder: &Path, most: usize, places: &mut Places) -> io::Result<Vec<Listed>> {
    places.note_folder(folder)?;
    let swapped = folder.join(SWAPPED_LINK);
    let is_swapped =
        fs::symlink_metadata(&swapped).is_ok_and(|metadata| metadata.file_type().is_symlink());
    let mut entries = BTreeMap::new();
    if is_swapped {
        let data = places.resolve(&swapped)?;
        places.note_folder(&data)?;
        add(&data, most, &mut entries, |_| true)?;
        add(folder, most, &mut entries, |entry| {
            let target = if entry.is_link { fs::read_link(&entry.path).ok() } else { None };
            target.is_none_or(|target| !target.starts_with(SWAPPED_LINK))
        })?;
    } else {
        add(folder, most, &mut entries, |_| true)?;
    }
    Ok(entries.into_values().collect())
}

/// Returns the folder in which the entries of a folder really lie: another one after each swap.
///
/// # Errors
/// The file system's error.
pub(super) fn root(folder: &Path) -> io::Result<FolderId> {
    let metadata = fs::metadata(folder.join(SWAPPED_LINK)).or_else(|_| fs::metadata(folder))?;
    Ok(FolderId::of(&metadata))
}

fn add(
    folder: &Path,
    most: usize,
    entries: &mut BTreeMap<OsString, Listed>,
    wanted: impl Fn(&Listed) -> bool,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        if entries.len() >= most {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too many entries"));
        }
        let file_type = entry.file_type()?;
        let (is_link, is_folder) = (file_type.is_symlink(), file_type.is_dir());
        let listed = Listed { name: name.clone(), path: entry.path(), is_link, is_folder };
        if wanted(&listed) {
            entries.entry(name).or_insert(listed);
        }
    }
    Ok(())
}
