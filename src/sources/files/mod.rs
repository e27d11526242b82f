//! A folder of `*.assignments.csv`, `*.assignments.jsonl` and `*.cedarentities.json`.

mod follower;
mod known;
mod problems;
mod read;

pub use read::{FolderRows, read_folder};

use std::{path::Path, sync::Arc};

use tokio::{runtime::Handle, task::JoinHandle};

use self::follower::Follower;
use super::{SourceOptions, SourceStartError};
use crate::{
    model::StoreName,
    reload::{Live, Reloader},
};

/// A folder that is followed. Dropping it ends that.
#[derive(Debug)]
pub struct FilesSource {
    follower: Arc<Reloader>,
    stores: Option<JoinHandle<()>>,
}

/// Begins to follow a folder.
///
/// # Errors
/// Its thread cannot be started.
pub(super) fn start(
    store: &StoreName,
    folder: &Path,
    options: &SourceOptions,
    live: &Arc<Live>,
) -> Result<FilesSource, SourceStartError> {
    let folder = read::follow_folder(folder, options);
    let mut follower =
        Follower::new(store.clone(), folder.clone(), options.clone(), Arc::clone(live));
    let follower = folder.start(move |seen| follower.look(seen));
    let follower = Arc::new(follower.map_err(SourceStartError::Thread)?);
    // Without a runtime a change of the store is found when the folder is looked at next.
    let runtime = Handle::try_current().ok();
    let stores = runtime.map(|runtime| {
        let follower = Arc::clone(&follower);
        runtime.spawn(hint_when_stores_change(store.clone(), Arc::clone(live), follower))
    });
    Ok(FilesSource { follower, stores })
}

impl FilesSource {
    /// Has the files read again, as if one had changed.
    pub(super) fn hint(&self) {
        self.follower.hint();
    }
}

impl Drop for FilesSource {
    fn drop(&mut self) {
        self.stores.iter().for_each(JoinHandle::abort);
    }
}

/// Has the folder looked at when the store is loaded, or loaded anew: rows may fit now that did not.
async fn hint_when_stores_change(store: StoreName, live: Arc<Live>, follower: Arc<Reloader>) {
    let mut changes = live.changes();
    let mut last = None;
    loop {
        changes.mark_unchanged();
        let now = live.stores().get(store.as_str()).ok().map(|store| *store.revision());
        if now != last {
            last = now;
            follower.hint();
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}
