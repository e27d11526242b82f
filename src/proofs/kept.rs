//! The stores in force, kept on disk, so that after a restart the gate `no-gains` knows what a store
//! is to be compared with.
//!
//! A store is kept before it comes in force, once it has passed its gates: were it the other way round, a
//! process that dies in between would forget a right that has been taken away, and the next start would let
//! it in again. A process that dies between the two keeps a state that never decided. The next start compares
//! with that one, which passed the gates and is what the folder holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    model::StoreName,
    regular_file,
    store::{Bounds, PolicyStore, SETTINGS_FILE, StoreFiles},
};

/// Pause before a state that could not be written is written again.
const RETRY: Duration = Duration::from_secs(5);
/// Time that stores wait to be written before they come in force: a disk that does not answer must not hold up
/// a revocation.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of a kept store beside those of its files.
const MORE_BYTES: u64 = 16 * 1024 * 1024;

/// A folder with one file for each store that is, or was last, in force. One thread writes them, in the order
/// in which they come in force.
#[derive(Debug)]
pub struct KeptStores {
    folder: PathBuf,
    writer: Sender<Coming>,
}

/// A store that is about to come in force.
#[derive(Debug)]
struct Coming {
    store: Arc<PolicyStore>,
    /// Is told once the store has been written, or could not be.
    done: Sender<()>,
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
        let folder = data.join("in-force");
        let (writer, coming) = mpsc::channel();
        let of_writer = folder.clone();
        let thread = thread::Builder::new().name("keep".to_owned());
        if let Err(error) = thread.spawn(move || write_all(&of_writer, &coming)) {
            tracing::error!(%error, "the state in force will not be kept: no thread can be started");
        }
        Self { folder, writer }
    }

    /// Loads a store as it was last in force. `None`: it never was.
    ///
    /// # Errors
    /// The file cannot be read, or is not as it was written.
    pub fn read(&self, name: &StoreName, bounds: &Bounds) -> Result<Option<PolicyStore>, String> {
        let path = path(&self.folder, name);
        let failed = |error: &dyn std::fmt::Display| format!("`{}`: {error}", path.display());
        // A byte becomes six where JSON escapes it.
        let most = (bounds.store_bytes as u64).saturating_mul(6).saturating_add(MORE_BYTES);
        let text = match regular_file::read_within(&path, most) {
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

    /// Keeps stores that come in force next. Returns once all are written, or cannot be, or a second is over:
    /// what is not written then is tried again every few seconds. Until that succeeds a restart compares with
    /// the state that was written last.
    pub fn keep(&self, stores: &[Arc<PolicyStore>]) {
        let (done, written) = mpsc::channel();
        for store in stores {
            let coming = Coming { store: Arc::clone(store), done: done.clone() };
            if self.writer.send(coming).is_err() {
                tracing::error!(store = %store.name(), "the state in force is not kept");
            }
        }
        drop(done);
        let deadline = Instant::now() + PATIENCE;
        let left = || deadline.saturating_duration_since(Instant::now());
        // Ends once no store is waiting.
        while written.recv_timeout(left()).is_ok() {}
    }
}

/// Writes stores as they come, and those that cannot be written again, until nobody keeps any more.
fn write_all(folder: &Path, coming: &Receiver<Coming>) {
    let mut unwritten: BTreeMap<StoreName, Arc<PolicyStore>> = BTreeMap::new();
    let mut failing: BTreeSet<StoreName> = BTreeSet::new();
    loop {
        let next = if unwritten.is_empty() {
            coming.recv().map_err(RecvTimeoutError::from)
        } else {
            coming.recv_timeout(RETRY)
        };
        let done = match next {
            Ok(Coming { store, done }) => {
                unwritten.insert(store.name().clone(), store);
                Some(done)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        unwritten.retain(|name, store| {
            let written = write(folder, store);
            let (store, folder) = (name.as_str(), folder.display());
            if let Err(error) = &written {
                tracing::error!(store, %folder, %error, "the state in force is not kept");
                failing.insert(name.clone());
            } else if failing.remove(name) {
                tracing::info!(store, %folder, "the state in force is kept again");
            }
            written.is_err()
        });
        // Nobody may wait any more.
        let _ = done.map(|done| done.send(()));
    }
}

/// Writes a store in one step: a crash leaves the older state or this one.
fn write(folder: &Path, store: &PolicyStore) -> io::Result<()> {
    let files = store.files();
    let settings = files.get(SETTINGS_FILE).map(|bytes| (SETTINGS_FILE, bytes));
    let files = files.deciding().chain(settings);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let kept = KeptStore {
        policy_store: store.name().to_string(),
        revision: store.revision().to_string(),
        files: files.map(|(path, bytes)| (path.to_owned(), text(bytes))).collect(),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = path(folder, store.name());
    let beside = path.with_extension("json.new");
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
    file.write_all(&serde_json::to_vec(&kept)?)?;
    file.sync_all()?;
    fs::rename(&beside, &path)?;
    File::open(folder)?.sync_all()
}

fn path(folder: &Path, name: &StoreName) -> PathBuf {
    folder.join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{os::unix::fs::PermissionsExt as _, process::Command};

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn nobody_else_reads_what_is_kept() {
        let data = TempDir::new().unwrap();
        let schema = "entity User; action see appliesTo { principal: User, resource: User };";
        let files = [("s.cedarschema".to_owned(), Arc::from(schema.as_bytes()))];
        let files = StoreFiles::new("main".parse().unwrap(), files);
        let store = PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap();
        let folder = data.path().join("data/in-force");
        write(&folder, &store).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data.path().join("data")), 0o700);
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("main.json")), 0o600);
    }

    #[test]
    fn a_pipe_in_the_place_of_a_kept_store_does_not_hold_up_the_start() {
        let data = TempDir::new().unwrap();
        let folder = data.path().join("in-force");
        fs::create_dir(&folder).unwrap();
        let made = Command::new("mkfifo").arg(folder.join("main.json")).status().unwrap();
        assert!(made.success());
        let kept = KeptStores::below(data.path());
        let (name, other) = ("main".parse().unwrap(), "other".parse().unwrap());
        let error = kept.read(&name, &Bounds::default()).unwrap_err();
        assert!(error.ends_with("it is not a regular file"), "{error}");
        assert!(kept.read(&other, &Bounds::default()).unwrap().is_none());
    }
}
