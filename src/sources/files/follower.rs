//! Keeps the directory of one store as the files of a folder have it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    super::SourceOptions,
    known::{KnownFile, NewRows, UNKNOWN},
    problems,
    read::{AT_REST, ReadFile, ReadFolderError, read_files, refuse_not_files},
};
use crate::{
    directory::{
        Change, DirectoryVersion, Position,
        rows::{MergedFile, MergedRows, RowHasher, RowReader, merge},
    },
    model::{StoreName, Uid},
    reload::{FollowFolder, Live, RowReport, SeenFiles},
    sources::{error::NOT_LOADED, reads_the_same},
    store::PolicyStore,
};

/// Pause before a folder that changed while it was read is read again.
const RETRY: Duration = Duration::from_millis(20);

/// Keeps the directory of one store as the files of a folder have it.
pub(super) struct Follower {
    store: StoreName,
    folder: FollowFolder,
    options: SourceOptions,
    live: Arc<Live>,
    hasher: RowHasher,
    /// The generation of this process's versions.
    generation: String,
    /// The number of states that it has put in force.
    count: u64,
    /// The state of the store for which the files were read.
    read_for: Option<Arc<PolicyStore>>,
    files: BTreeMap<String, KnownFile>,
    /// The entries that are named as files and are none.
    not_files: BTreeSet<String>,
    /// The problem that was reported last.
    problem: Option<String>,
    /// When the folder began to change while it was read.
    moving: Option<Instant>,
}

/// The rows of files that were read, and what became of them.
struct Applied {
    files: BTreeMap<String, ReadFile>,
    merged: MergedRows,
}

impl Follower {
    pub fn new(
        store: StoreName,
        folder: FollowFolder,
        options: SourceOptions,
        live: Arc<Live>,
    ) -> Self {
        Self {
            store,
            folder,
            options,
            live,
            hasher: RowHasher::default(),
            generation: uuid::Uuid::now_v7().to_string(),
            count: 0,
            read_for: None,
            files: BTreeMap::new(),
            not_files: BTreeSet::new(),
            problem: None,
            moving: None,
        }
    }

    /// Puts in force what is new among the files, and says when to look again at the latest.
    pub fn look(&mut self, seen: io::Result<SeenFiles>) -> Option<Duration> {
        let Ok(store) = self.live.stores().get(self.store.as_str()).cloned() else {
            // There is a hint once it is loaded.
            self.failed(NOT_LOADED.to_owned());
            return None;
        };
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                self.failed(format!("`{}`: {error}", self.folder.path.display()));
                return None;
            }
        };
        // After a panic nothing that is remembered can be relied on, and all is read anew.
        let last = self.read_for.take();
        let updated = self.update(&seen, &store, last.as_ref());
        self.read_for = if updated.is_ok() { Some(store) } else { last };
        match updated {
            Ok(()) => {
                self.moving = None;
                self.files.values().any(|file| file.seen.is_none()).then_some(AT_REST)
            }
            Err(ReadFolderError::Moved) => {
                let since = *self.moving.get_or_insert_with(Instant::now);
                if since.elapsed() > AT_REST {
                    self.failed(ReadFolderError::Moved.to_string());
                }
                Some(RETRY)
            }
            Err(ReadFolderError::Problem(problem)) => {
                self.moving = None;
                self.failed(problem);
                // Half of a file may be a whole one in a moment.
                seen.files.values().any(|file| file.changed_within(AT_REST)).then_some(AT_REST)
            }
        }
    }

    /// Reads what is new for a store, after it was last read for `last`.
    fn update(
        &mut self,
        seen: &SeenFiles,
        store: &Arc<PolicyStore>,
        last: Option<&Arc<PolicyStore>>,
    ) -> Result<(), ReadFolderError> {
        let begun = Instant::now();
        refuse_not_files(seen)?;
        let in_force = self.live.directory(&self.store);
        let is_same = last.is_some_and(|last| reads_the_same(last, store, in_force.as_deref()));
        let anew = !is_same || in_force.is_none();
        let is_known = |name: &str| {
            let known = self.files.get(name).and_then(|file| file.seen.as_ref());
            !anew && known == seen.files.get(name)
        };
        let changed: Vec<&str> =
            seen.files.keys().map(String::as_str).filter(|name| !is_known(name)).collect();
        let gone: Vec<String> =
            self.files.keys().filter(|name| !seen.files.contains_key(*name)).cloned().collect();
        let has_same_files = changed.is_empty() && gone.is_empty();
        if !anew && has_same_files && self.not_files == seen.not_files {
            self.confirmed();
            return Ok(());
        }
        let mut read = self.read(seen, store, &changed)?;
        if !anew && self.others_share_rows(&read, &gone) {
            let all: Vec<&str> = seen.files.keys().map(String::as_str).collect();
            read = self.read(seen, store, &all)?;
        }
        self.check_bound(&read, seen)?;
        if self.folder.list().ok().is_none_or(|now| !now.lie_where(seen)) {
            return Err(ReadFolderError::Moved);
        }
        let names: Vec<String> = read.files.keys().cloned().collect();
        self.note_not_files(seen);
        if anew {
            self.replace(seen, read)?;
        } else {
            self.change(seen, read, &gone);
        }
        self.problem = None;
        self.log(anew, &names, begun);
        Ok(())
    }

    /// Notes the entries that are named as files and are none, and logs those that are new.
    fn note_not_files(&mut self, seen: &SeenFiles) {
        for name in seen.not_files.difference(&self.not_files) {
            let problem = problems::of_not_a_file(name);
            tracing::warn!(store = %self.store, problem, "an entry of the directory grants nothing");
        }
        self.not_files = seen.not_files.clone();
    }

    fn read(
        &self,
        seen: &SeenFiles,
        store: &PolicyStore,
        names: &[&str],
    ) -> Result<Applied, ReadFolderError> {
        let (limits, bounds) = (&self.options.limits, &self.options.bounds);
        let mut reader = RowReader::new(store.schema(), limits.text_bytes, bounds.rows);
        let mut files = read_files(seen, names.iter().copied(), &mut reader, bounds)?;
        let rows = files
            .iter_mut()
            .map(|(name, file)| (Arc::from(name.as_str()), std::mem::take(&mut file.rows)));
        let merged = merge(rows.collect(), &self.hasher);
        Ok(Applied { files, merged })
    }

    /// Returns whether a file that was not read has a row of a key that the others have or had: which
    /// of the two counts can only be told with both at hand.
    fn others_share_rows(&self, read: &Applied, gone: &[String]) -> bool {
        let now = read.merged.files.iter().flat_map(|file| file.keys.iter().copied());
        let read_or_gone = read.files.keys().chain(gone);
        let before = read_or_gone.filter_map(|name| self.files.get(name));
        let before = before.flat_map(|file| file.rows().map(|(key, _)| key));
        let mut keys: Vec<u64> = now.chain(before).collect();
        keys.sort_unstable();
        let others = self.files.iter();
        let mut others =
            others.filter(|(name, _)| !read.files.contains_key(*name) && !gone.contains(name));
        others.any(|(_, file)| file.has_any(&keys))
    }

    fn check_bound(&self, read: &Applied, seen: &SeenFiles) -> Result<(), ReadFolderError> {
        let others = self
            .files
            .iter()
            .filter(|(name, _)| seen.files.contains_key(*name) && !read.files.contains_key(*name));
        let others: usize = others.map(|(_, file)| file.len()).sum();
        let count = others + read.merged.files.iter().map(|file| file.keys.len()).sum::<usize>();
        let bound = self.options.bounds.rows;
        if count > bound {
            return Err(ReadFolderError::Problem(format!(
                "the directory has {count} rows, more than the bound of {bound} \
                 (`bounds.directory_rows`)"
            )));
        }
        Ok(())
    }

    /// Makes the directory of all rows.
    fn replace(&mut self, seen: &SeenFiles, read: Applied) -> Result<(), ReadFolderError> {
        let empty = self.live.empty_directory(&self.store, &self.options.limits);
        let empty = empty.ok_or_else(|| ReadFolderError::Problem(NOT_LOADED.to_owned()))?;
        self.files.clear();
        let Applied { files, mut merged } = read;
        let mut rows = NewRows::default();
        // Each row goes once it is in the directory: a million of them take more memory than that.
        let changes = rows.changes(&mut merged.files, &self.hasher, |_, _| false);
        let (directory, faults) = empty.apply(changes);
        rows.report(&faults, 0, &mut merged.files);
        self.remember(seen, &files, merged.files, &rows);
        let rows = self.row_report();
        let version = self.next_version();
        self.live.replace_directory(&self.store, directory, version, rows);
        Ok(())
    }

    /// Makes the difference between the rows of the files that were read and those that they had.
    fn change(&mut self, seen: &SeenFiles, read: Applied, gone: &[String]) {
        let Applied { files, mut merged } = read;
        let mut before: HashMap<u64, u64> = HashMap::new();
        let mut entities: HashMap<u64, Uid> = HashMap::new();
        for name in files.keys().chain(gone) {
            let Some(file) = self.files.remove(name) else { continue };
            before.extend(file.rows());
            entities.extend(file.entities);
        }
        let is_as_before = |key: u64, row: u64| row != UNKNOWN && before.get(&key) == Some(&row);
        let mut rows = NewRows::default();
        let puts: Vec<_> = rows.changes(&mut merged.files, &self.hasher, is_as_before).collect();
        let removed = before.into_keys().filter(|key| !rows.in_force.contains_key(key));
        let mut changes = self.deletions(removed.collect(), &entities);
        let deletions = changes.len();
        changes.extend(puts);
        let faults = if changes.is_empty() {
            self.live.confirm_directory(&self.store);
            Vec::new()
        } else {
            let version = self.next_version();
            self.live.change_directory(&self.store, changes, version)
        };
        rows.report(&faults, deletions, &mut merged.files);
        self.remember(seen, &files, merged.files, &rows);
        self.live.report_directory_rows(&self.store, self.row_report());
    }

    /// Returns the deletions of rows of those keys. Only the directory knows the assignments in full.
    fn deletions(&self, mut keys: HashSet<u64>, entities: &HashMap<u64, Uid>) -> Vec<Change> {
        let mut deletions = Vec::new();
        keys.retain(|key| match entities.get(key) {
            Some(uid) => {
                deletions.push(Change::DeleteEntity(uid.clone()));
                false
            }
            None => true,
        });
        let directory = self.live.directory(&self.store);
        let assignments = directory.iter().flat_map(|directory| directory.assignments());
        for assignment in assignments {
            if keys.is_empty() {
                break;
            }
            if keys.remove(&self.hasher.assignment_key(&assignment.key)) {
                deletions.push(Change::Delete(assignment.key));
            }
        }
        deletions
    }

    /// Remembers the files that were read.
    fn remember(
        &mut self,
        seen: &SeenFiles,
        read: &BTreeMap<String, ReadFile>,
        files: Vec<MergedFile>,
        rows: &NewRows,
    ) {
        for (place, file) in files.into_iter().enumerate() {
            let name = file.name.to_string();
            let is_whole = read.get(&name).is_some_and(|file| file.is_whole);
            let seen = seen.files.get(&name).filter(|_| is_whole).cloned();
            self.files.insert(name, KnownFile::new(seen, file, rows, rows.unfit(place)));
        }
    }

    fn next_version(&mut self) -> DirectoryVersion {
        self.count += 1;
        DirectoryVersion {
            generation: self.generation.clone(),
            position: Position::Count(self.count),
        }
    }

    fn row_report(&self) -> RowReport {
        let files = self.files.iter().map(|(name, file)| (name.as_str(), &file.problems));
        let left_out: usize = self.files.values().map(|file| file.left_out).sum();
        let mut problems: Vec<_> =
            self.not_files.iter().map(|name| problems::of_not_a_file(name)).collect();
        problems.extend(problems::first(files));
        RowReport { left_out: left_out + self.not_files.len(), problems: problems.into() }
    }

    fn confirmed(&mut self) {
        if self.problem.take().is_some() {
            tracing::info!(store = %self.store, "the directory can be read again");
        }
        self.live.confirm_directory(&self.store);
    }

    fn failed(&mut self, problem: String) {
        if self.problem.as_ref() == Some(&problem) {
            return;
        }
        tracing::error!(
            store = %self.store,
            folder = %self.folder.path.display(),
            problem,
            "the directory cannot be read; its last state stays"
        );
        self.live.directory_failed(&self.store, &problem);
        self.problem = Some(problem);
    }

    /// Logs what became of the files that were read.
    fn log(&self, anew: bool, read: &[String], begun: Instant) {
        let state = self.live.state();
        let Some(directory) = state.directories.get(&self.store) else { return };
        let Some(counts) = directory.state.as_ref().map(|state| state.directory.counts()) else {
            return;
        };
        let unread: usize = self.files.values().map(|file| file.problems.count).sum();
        tracing::info!(
            store = %self.store,
            folder = %self.folder.path.display(),
            files = self.files.len(),
            assignments = counts.assignments,
            entities = counts.entities,
            problems = unread,
            took = format!("{:.1?}", begun.elapsed()),
            "{}",
            if anew { "directory loaded" } else { "directory changed" }
        );
        let files = read.iter().filter_map(|name| self.files.get_key_value(name));
        let files = files.map(|(name, file)| (name.as_str(), &file.problems));
        problems::log(self.store.as_str(), files);
    }
}
