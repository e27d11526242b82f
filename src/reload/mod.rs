//! Loading policy stores and keeping them up to date.

mod folder;

pub use folder::{FolderError, read_folder};

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{live::Live, name::StoreName, store::Bounds};

/// Where policy stores come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder with one folder for each store.
    Folder(PathBuf),
    /// The stores that the binary carries.
    Embedded,
}

/// How stores are loaded.
#[derive(Debug, Clone)]
pub struct Options {
    /// The store that decides requests which name none.
    pub default_store: Option<StoreName>,
    /// How large a store may be.
    pub bounds: Bounds,
    /// Refuse a store of which a test fails.
    pub require_tests: bool,
    /// How long the folder must be quiet before it is read.
    pub settle: Duration,
    /// How often the folder is read even if nothing was heard of it.
    pub rehash_interval: Duration,
}

/// Why there is nothing to decide with.
#[derive(Debug, thiserror::Error)]
pub enum FirstLoadError {
    /// The folder could not be read or holds no store.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// No store is valid; the problems are in the status.
    #[error("no policy store is valid")]
    NoValidStore,
}

/// A running reload. Dropping it ends it.
#[derive(Debug)]
pub struct Reloader {}

/// Loads once and publishes the result.
///
/// # Errors
/// There is nothing to decide with.
pub fn load(source: &Source, options: &Options, live: &Live) -> Result<(), FirstLoadError> {
    let _ = (source, options, live);
    todo!()
}

/// Watches the source, after a first [`load`], until the reloader is dropped. For embedded stores
/// there is nothing to watch.
pub fn watch(source: Source, options: Options, live: Arc<Live>) -> Reloader {
    let _ = (source, options, live);
    todo!()
}

impl Reloader {
    /// Says that something may have changed, as SIGHUP does.
    pub fn hint(&self) {
        todo!()
    }
}
