//! Loading policy stores and keeping them up to date.
//!
//! A hint that something may have changed comes from the file system, from [`Reloader::hint`] or
//! from the clock. Once the folder is quiet, `snapshot` reads it as it was at one moment, and
//! `loader` loads the stores whose files changed and puts them in force. Whatever is wrong with a
//! store or with the folder, the last good state stays.
//!
//! Architecture Invariant: no event is relied on for what it says has changed, only for that
//! something has. A missed or misunderstood one costs time and never a wrong state.

mod announce;
mod arrival;
mod change_log;
mod files;
mod folder;
mod folder_error;
mod follow_folder;
mod gate;
mod history;
mod listing;
mod live;
mod live_directory;
mod load;
mod load_status;
mod loader;
mod options;
mod paths;
mod proving;
mod retired;
mod signal;
mod snapshot;
mod tree;
mod watch_folder;
mod watcher;
mod worker;

pub use change_log::{DirectoryFollower, FollowError, KeptChanges, VersionChanges};
pub use files::WatchFiles;
pub use folder::{FolderStores, StoresPlace, read_folder, read_folder_within, read_stores};
pub use folder_error::FolderError;
pub use follow_folder::{FollowFolder, ReadError, SeenFile, SeenFiles};
pub use gate::{Gate, GateError, GateRefusal, SlowGates, only_narrows};
pub use history::{History, PastRevision};
pub use live::{InForce, Live, LiveState, NotInForce};
pub use live_directory::{DirectoryState, DirectoryUnavailable, LiveDirectory, RowReport};
pub use load_status::{EMBEDDED, LoadStatus, StoreStatus};
pub use options::Options;
pub use watch_folder::WatchFolder;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, thread};

use crate::store::{STACK_BYTES, embedded_stores};
use loader::{Found, Loader};
use signal::Signal;
use snapshot::Read;
use worker::Worker;

/// The niceness of the reloading thread: it gets a third of the time of a busy thread that answers
/// calls. With less, a reload would hardly get on beside many busy threads, and a revoked right
/// would last.
const NICENESS: i32 = 5;

/// The source of policy stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder with one folder for each store.
    Folder(PathBuf),
    /// The stores that the binary carries.
    Embedded,
}

/// There is nothing to decide with.
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
pub struct Reloader {
    signal: Arc<Signal>,
}

/// Loads once and publishes the result.
///
/// # Errors
/// There is nothing to decide with.
pub fn load(source: &Source, options: &Options, live: &Live) -> Result<(), FirstLoadError> {
    let _in_span = options.span.enter();
    let mut loader = Loader::resume(source.to_string(), options.clone(), live);
    match source {
        Source::Embedded => {
            let stores = embedded_stores().into_iter();
            let found = stores.map(|files| (files.name().clone(), Found::Files(files))).collect();
            loader.apply(found, None, live);
        }
        Source::Folder(path) => load_folder(path, options, &mut loader, live)?,
    }
    if live.stores().is_empty() { Err(FirstLoadError::NoValidStore) } else { Ok(()) }
}

fn load_folder(
    path: &std::path::Path,
    options: &Options,
    loader: &mut Loader,
    live: &Live,
) -> Result<(), FolderError> {
    let snapshot = folder::take_settled(path, &options.bounds, |_| ());
    let refuse = |error: FolderError, loader: &mut Loader| {
        loader.keep(error.to_string(), live);
        Err(error)
    };
    let content = match snapshot.folder {
        Ok(content) if !snapshot.moved => content,
        Ok(_) => return refuse(FolderError::Unsettled(path.to_owned()), loader),
        Err(error) => return refuse(error, loader),
    };
    let problem = content.problem(path);
    if !content.holds_store() {
        return match content.errors(path).into_iter().next() {
            Some(error) => refuse(error, loader),
            None => Ok(()),
        };
    }
    let mut found = BTreeMap::new();
    for (name, store) in content.stores {
        let store = match store.read {
            Read::Files(files) if files.is_empty() => continue,
            Read::Files(files) => Found::Files(files),
            Read::Flawed(flaws) => Found::Flawed(flaws),
            Read::Moved => Found::NeverSettles,
        };
        found.insert(name, store);
    }
    loader.unread(content.unread);
    loader.apply(found, problem, live);
    Ok(())
}

/// Watches the source, after a first [`load`], until the reloader is dropped. For embedded stores
/// there is nothing to watch.
pub fn watch(source: Source, options: Options, live: Arc<Live>) -> Reloader {
    let signal = Arc::new(Signal::default());
    let name = source.to_string();
    if let Source::Folder(path) = source {
        let span = options.span.clone();
        let worker =
            Worker::new(path, name.clone(), options, Arc::clone(&live), Arc::clone(&signal));
        let thread = thread::Builder::new().name("reload".to_owned()).stack_size(STACK_BYTES);
        let run = move || {
            let _in_span = span.enter();
            yield_to_calls();
            worker.run();
        };
        if let Err(error) = thread.spawn(run) {
            let problem = format!("nothing is reloaded, for no thread can be started: {error}");
            announce::watching(&name, Some(&problem));
            let mut status = live.status().as_ref().clone();
            status.watch_problem = Some(problem);
            live.publish_status(status);
        }
    }
    Reloader { signal }
}

/// Lets the threads that answer calls go first where there are too few processors for all. The
/// threads that this one starts are as patient.
fn yield_to_calls() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "reloading has the same priority as calls");
    }
}

impl Reloader {
    /// Has the folder read again, as SIGHUP does.
    pub fn hint(&self) {
        self.signal.hint();
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        self.signal.stop();
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Embedded => f.write_str(EMBEDDED),
        }
    }
}
