//! The stores in force, kept on disk, so that after a restart the gate `no-gains` knows what a store
//! is to be compared with.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    model::StoreName,
    reload::Live,
    store::{Bounds, PolicyStore, SETTINGS_FILE, StoreFiles},
};

/// Pause before a state that could not be written is written again.
const RETRY: Duration = Duration::from_secs(5);

/// A folder with one file for each store that is, or was last, in force.
#[derive(Debug, Clone)]
pub struct KeptStores {
    folder: PathBuf,
}

/// The content of such a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptStore {
    policy_store: String,
    revision: String,
    /// The files that decide, by path.
    files: BTreeMap<String, String>,
}

impl KeptStores {
    /// Keeps stores below the folder for what outlives the process.
    #[must_use]
    pub fn below(data: &Path) -> Self {
        Self { folder: data.join("in-force") }
    }

    /// Loads a store as it was last in force. `None`: it never was.
    ///
    /// # Errors
    /// The file cannot be read, or is not as it was written.
    pub fn read(&self, name: &StoreName, bounds: &Bounds) -> Result<Option<PolicyStore>, String> {
        let path = self.path(name);
        let failed = |error: &dyn std::fmt::Display| format!("`{}`: {error}", path.display());
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let kept: KeptStore = serde_json::from_slice(&text).map_err(|error| failed(&error))?;
        let files = kept.files.into_iter().map(|(path, text)| (path, Arc::from(text.into_bytes())));
        let files = StoreFiles::new(name.clone(), files);
        let store = PolicyStore::load(Arc::new(files), bounds).map_err(|problems| {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            failed(&first)
        })?;
        // The revision is a digest of name and files: a file that was changed has another.
        if kept.policy_store == name.as_str() && kept.revision == store.revision().as_str() {
            Ok(Some(store))
        } else {
            Err(failed(&"it is not as it was written"))
        }
    }

    /// Keeps what is in force, now and after each change, until the task is dropped. A state that
    /// cannot be written is logged, and tried again every few seconds. After a restart the store is
    /// compared with the state that was written last, so that what was taken away since then counts as
    /// no gain.
    pub async fn follow(self, live: Arc<Live>) {
        let mut changes = live.changes();
        // The digest tells a change of `store.toml`, too, which the revision does not.
        let mut written = BTreeMap::<StoreName, String>::new();
        loop {
            changes.mark_unchanged();
            let mut is_kept = true;
            for store in live.stores().iter() {
                if written.get(store.name()).is_some_and(|digest| digest == store.digest()) {
                    continue;
                }
                let (kept, store) = (self.clone(), Arc::clone(store));
                let writing = tokio::task::spawn_blocking(move || {
                    let result = kept.write(&store);
                    (store, result)
                });
                match writing.await {
                    Ok((store, Ok(()))) => {
                        written.insert(store.name().clone(), store.digest().to_owned());
                        continue;
                    }
                    Ok((store, Err(error))) => {
                        let (store, folder) = (store.name().as_str(), self.folder.display());
                        tracing::error!(store, %folder, %error, "the state in force is not kept");
                    }
                    Err(error) => tracing::error!(%error, "the state in force is not kept"),
                }
                is_kept = false;
            }
            let is_over = tokio::select! {
                changed = changes.changed() => changed.is_err(),
                () = tokio::time::sleep(RETRY), if !is_kept => false,
            };
            if is_over {
                return;
            }
        }
    }

    /// Writes a store in one step: a crash leaves the older state or this one.
    fn write(&self, store: &PolicyStore) -> io::Result<()> {
        let files = store.files();
        let settings = files.get(SETTINGS_FILE).map(|bytes| (SETTINGS_FILE, bytes));
        let files = files.deciding().chain(settings);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let kept = KeptStore {
            policy_store: store.name().to_string(),
            revision: store.revision().to_string(),
            files: files.map(|(path, bytes)| (path.to_owned(), text(bytes))).collect(),
        };
        fs::create_dir_all(&self.folder)?;
        let path = self.path(store.name());
        let beside = path.with_extension("json.new");
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(&kept)?)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(&self.folder)?.sync_all()
    }

    fn path(&self, name: &StoreName) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}
