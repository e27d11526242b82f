//! Reading a policies folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{name::StoreName, store::StoreFiles};

/// Why a folder could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system says no.
    #[error("cannot read `{path}`: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the file system says.
        error: io::Error,
    },
    /// There is no store in it.
    #[error("`{0}` holds no policy store: a store is a folder in it with a `*.cedarschema`")]
    Empty(PathBuf),
}

/// Reads a policies folder, or the folder of a single store.
///
/// # Errors
/// The folder cannot be read or holds no store.
pub fn read_folder(path: &Path) -> Result<Vec<StoreFiles>, FolderError> {
    if is_store(path) {
        let name = path.canonicalize().ok().and_then(|path| store_name(&path));
        let name = name.ok_or_else(|| FolderError::Empty(path.to_owned()))?;
        return Ok(vec![read_store(name, path)?]);
    }
    let mut stores = Vec::new();
    for entry in entries(path)? {
        if entry.is_dir()
            && let Some(name) = store_name(&entry)
        {
            stores.push(read_store(name, &entry)?);
        }
    }
    if stores.is_empty() { Err(FolderError::Empty(path.to_owned())) } else { Ok(stores) }
}

fn is_store(path: &Path) -> bool {
    entries(path).is_ok_and(|entries| {
        entries.iter().any(|entry| entry.extension().is_some_and(|e| e == "cedarschema"))
    })
}

fn store_name(path: &Path) -> Option<StoreName> {
    path.file_name()?.to_str()?.parse().ok()
}

fn read_store(name: StoreName, root: &Path) -> Result<StoreFiles, FolderError> {
    let mut files = Vec::new();
    collect(root, root, &mut files)?;
    Ok(StoreFiles::new(name, files))
}

fn collect(
    root: &Path,
    folder: &Path,
    files: &mut Vec<(String, Arc<[u8]>)>,
) -> Result<(), FolderError> {
    for entry in entries(folder)? {
        if entry.is_dir() {
            collect(root, &entry, files)?;
        } else if let Some(relative) = entry.strip_prefix(root).ok().and_then(Path::to_str) {
            let bytes =
                fs::read(&entry).map_err(|error| FolderError::Io { path: entry.clone(), error })?;
            files.push((relative.to_owned(), bytes.into()));
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let io_error = |error| FolderError::Io { path: folder.to_owned(), error };
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error)? {
        let path = entry.map_err(io_error)?.path();
        let hidden = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_none_or(|name| name.starts_with('.'));
        if !hidden {
            entries.push(path);
        }
    }
    entries.sort();
    Ok(entries)
}
