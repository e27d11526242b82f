//! Following the files of a folder for somebody who reads them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::{
    Reloader, listing::list, paths::Places, reloader::yield_to_calls, signal::Signal, stamp::Stamp,
    watcher::FolderWatcher,
};
use crate::store::STACK_BYTES;

/// The most that reading waits for events to end, where reading takes long itself.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The least, so that a writer of many small pieces does not keep it listing the folder.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
/// Time that a file may be open for writing until it is read all the same.
const WRITER_PATIENCE: Duration = Duration::from_secs(2);

/// A folder whose files are followed. Folders in it are not looked into.
#[derive(Debug, Clone)]
pub struct FollowFolder {
    /// The folder.
    pub path: PathBuf,
    /// Returns whether a file of that name matters.
    pub wanted: fn(&str) -> bool,
    /// Entries that the folder may have.
    pub most: usize,
    /// Interval at which it is looked at even without an event.
    pub interval: Duration,
    /// Listen to the file system's events.
    pub use_events: bool,
}

/// The wanted files of a folder at one moment. In a folder of the kubelet's these are the files to
/// which `..data` led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenFiles {
    /// The files by their names.
    pub files: BTreeMap<String, SeenFile>,
    /// The names of wanted entries that are no regular files: folders, pipes, devices.
    pub not_files: BTreeSet<String>,
}

/// A file and the state in which it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenFile {
    path: PathBuf,
    stamp: Stamp,
}

/// A file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system says no.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file has more bytes than the bound.
    #[error("has {size} bytes, more than the bound of {bound}")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The bound.
        bound: u64,
    },
    /// The file has changed since it was seen.
    #[error("keeps changing while it is read")]
    Moved,
}

impl SeenFiles {
    /// Returns whether both have the same entries in the same places, whatever is in them.
    #[must_use]
    pub fn lie_where(&self, other: &Self) -> bool {
        let places = |seen: &Self| -> Vec<_> {
            seen.files.iter().map(|(name, file)| (name.clone(), file.path.clone())).collect()
        };
        places(self) == places(other) && self.not_files == other.not_files
    }
}

impl SeenFile {
    /// Reads the file as it was seen.
    ///
    /// # Errors
    /// It cannot be read, is too large, or has changed since.
    pub fn read(&self, bound: u64) -> Result<Vec<u8>, ReadError> {
        let size = self.stamp.size;
        if size > bound {
            return Err(ReadError::TooLarge { size, bound });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        let is_same = self.stamp.read(&self.path, size, &mut bytes)?;
        if is_same { Ok(bytes) } else { Err(ReadError::Moved) }
    }

    /// Returns whether the file changed less than that long ago. A moment in the future, as a skewed
    /// clock of a file server gives, is not recent.
    #[must_use]
    pub fn changed_within(&self, span: Duration) -> bool {
        let age = SystemTime::now().duration_since(self.stamp.changed());
        age.is_ok_and(|age| age < span)
    }
}

impl FollowFolder {
    /// Lists the wanted files.
    ///
    /// # Errors
    /// The folder, or a wanted entry, cannot be looked at.
    pub fn list(&self) -> io::Result<SeenFiles> {
        self.list_noting(&mut Places::default())
    }

    fn list_noting(&self, places: &mut Places) -> io::Result<SeenFiles> {
        let folder = places.resolve(&std::path::absolute(&self.path)?)?;
        let (mut files, mut not_files) = (BTreeMap::new(), BTreeSet::new());
        for entry in list(&folder, self.most, places)? {
            let name = entry.name.to_string_lossy().into_owned();
            if !(self.wanted)(&name) {
                continue;
            }
            let of_file =
                |error: io::Error| io::Error::new(error.kind(), format!("`{name}`: {error}"));
            let path = if entry.is_link { places.resolve(&entry.path) } else { Ok(entry.path) };
            let path = path.map_err(of_file)?;
            let metadata = fs::metadata(&path).map_err(of_file)?;
            if !metadata.is_file() {
                not_files.insert(name);
                continue;
            }
            // A linked file may be edited where it really is.
            if let Some(folder) = path.parent().filter(|_| entry.is_link) {
                let _ = places.note_folder(folder);
            }
            files.insert(name, SeenFile { path, stamp: Stamp::of(&metadata) });
        }
        Ok(SeenFiles { files, not_files })
    }

    /// Calls `look` with the files, on a thread of its own, at once and whenever something may have
    /// changed, until the reloader is dropped. It returns when it wants to be called again at the
    /// latest, if before the interval is over.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        self,
        look: impl FnMut(io::Result<SeenFiles>) -> Option<Duration> + Send + 'static,
    ) -> io::Result<Reloader> {
        let signal = Arc::new(Signal::default());
        let watched = Arc::clone(&signal);
        let thread = thread::Builder::new().name("follow-folder".to_owned());
        thread.stack_size(STACK_BYTES).spawn(move || {
            yield_to_calls();
            self.run(&watched, look);
        })?;
        Ok(Reloader { signal })
    }

    fn run(
        self,
        signal: &Arc<Signal>,
        mut look: impl FnMut(io::Result<SeenFiles>) -> Option<Duration>,
    ) {
        let mut watch = FolderWatcher::new(Arc::clone(signal), self.use_events);
        let mut problem = None;
        let mut written_since: Option<Instant> = None;
        loop {
            let begun = Instant::now();
            // A folder that is watched before it is listed cannot change unheard.
            let mut places = Places::default();
            let _ = self.list_noting(&mut places);
            watch.arm(&places);
            report(&watch, &self.path, &mut problem);
            let seen = self.list();
            let is_written = seen.as_ref().is_ok_and(|seen| is_written(signal, seen, begun));
            let since = *written_since.get_or_insert(begun);
            let again = if is_written && since.elapsed() < WRITER_PATIENCE {
                // The writer closes the file, which is heard of, or has forgotten to.
                Some(WRITER_PATIENCE)
            } else {
                written_since = None;
                catch_unwind(AssertUnwindSafe(|| look(seen))).unwrap_or_else(|_| {
                    tracing::error!("looking at a changed folder panicked");
                    None
                })
            };
            let next = again.unwrap_or(self.interval).min(self.interval);
            let next = begun.elapsed().checked_add(next).and_then(|next| begun.checked_add(next));
            // If reading takes long, a stream of changes must not keep it reading all the time.
            let pause = begun.elapsed().clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            if !watch.wait(next, pause, pause) {
                return;
            }
        }
    }
}

fn is_written(signal: &Signal, seen: &SeenFiles, begun: Instant) -> bool {
    let paths: Vec<_> = seen.files.values().map(|file| file.path.clone()).collect();
    signal.is_written(&paths, begun)
}

fn report(watch: &FolderWatcher, path: &Path, reported: &mut Option<String>) {
    if watch.problem() != reported.as_deref() {
        *reported = watch.problem().map(str::to_owned);
        if let Some(problem) = reported {
            let folder = path.display();
            tracing::warn!(%folder, problem, "the folder is looked at from time to time only");
        }
    }
}
