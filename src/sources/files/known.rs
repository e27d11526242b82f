//! The state of files that were read, so that only changed ones are read again.

use std::collections::HashMap;

use super::problems;
use crate::{
    directory::{
        Change, EntityRow, Fault,
        rows::{FileRow, LineProblems, MergedFile, RowHasher},
    },
    model::Uid,
    reload::SeenFile,
};

/// The fingerprint of a row that is to be put in force again when its file is read next, since it
/// does not fit or another of the same key stands against it.
pub(super) const UNKNOWN: u64 = 0;

/// A file as it was last read: not its rows, which the directory holds, but how to know them again.
#[derive(Debug)]
pub(super) struct KnownFile {
    /// The state that was read; none where its last line did not count yet.
    pub seen: Option<SeenFile>,
    /// The fingerprint of each row's key, in order, and that of the row that is in force.
    rows: Box<[(u64, u64)]>,
    /// The entities among the rows, by the fingerprints of their uids.
    pub entities: HashMap<u64, Uid>,
    /// The problems of rows.
    pub problems: LineProblems,
    /// The number of its rows that the directory does not hold.
    pub left_out: usize,
}

impl KnownFile {
    /// Creates the state of a read file. `unfit`: rows that do not fit the schema.
    pub fn new(seen: Option<SeenFile>, file: MergedFile, rows: &NewRows, unfit: usize) -> Self {
        let keys = file.keys.iter();
        let entities =
            keys.filter_map(|key| Some((*key, rows.entities.get(key)?.clone()))).collect();
        let row = |key: u64| (key, rows.in_force.get(&key).copied().unwrap_or(UNKNOWN));
        let mut rows: Vec<_> = file.keys.into_iter().map(row).collect();
        rows.sort_unstable();
        rows.dedup();
        let left_out = file.problems.count.saturating_sub(unfit);
        let rows = rows.into_boxed_slice();
        Self { seen, rows, entities, problems: file.problems, left_out }
    }

    /// Returns how many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the fingerprints of each row's key and of the row.
    pub fn rows(&self) -> impl Iterator<Item = (u64, u64)> {
        self.rows.iter().copied()
    }

    /// Returns whether a row has one of those keys, which are in order.
    pub fn has_any(&self, keys: &[u64]) -> bool {
        if self.rows.len() <= keys.len() {
            self.rows.iter().any(|(key, _)| keys.binary_search(key).is_ok())
        } else {
            keys.iter().any(|key| self.rows.binary_search_by_key(key, |(key, _)| *key).is_ok())
        }
    }
}

/// The facts about rows that are needed while they are put in force.
#[derive(Default)]
pub(super) struct NewRows {
    /// The fingerprints of the rows that count by those of their keys.
    pub in_force: HashMap<u64, u64>,
    entities: HashMap<u64, Uid>,
    /// The file, line and key of each change.
    origins: Vec<(usize, usize, u64)>,
    /// The number of rows of each file that do not fit the schema.
    unfit: HashMap<usize, usize>,
}

impl NewRows {
    /// Makes changes of rows, one after the other, without those of which the fingerprints of key and
    /// row say that they are in force already.
    pub fn changes<'a>(
        &'a mut self,
        files: &'a mut [MergedFile],
        hasher: &'a RowHasher,
        is_in_force: impl Fn(u64, u64) -> bool + 'a,
    ) -> impl Iterator<Item = Change> + 'a {
        let rows = files
            .iter_mut()
            .enumerate()
            .flat_map(|(place, file)| file.take_rows().map(move |(key, row)| (place, key, row)));
        rows.filter_map(move |(file, key, FileRow { line, change })| {
            let fingerprint = hasher.row(&change);
            self.in_force.insert(key, fingerprint);
            if let Change::PutEntity(EntityRow { uid, .. }) = &change {
                self.entities.insert(key, uid.clone());
            }
            if is_in_force(key, fingerprint) {
                return None;
            }
            self.origins.push((file, line, key));
            Some(change)
        })
    }

    /// Returns how many rows of a file do not fit the schema.
    pub fn unfit(&self, file: usize) -> usize {
        self.unfit.get(&file).copied().unwrap_or_default()
    }

    /// Reports faults of the changes, before which `deletions` others were made.
    pub fn report(&mut self, faults: &[Fault], deletions: usize, files: &mut [MergedFile]) {
        for fault in faults {
            let place = fault.index.checked_sub(deletions);
            let origin = place.and_then(|place| self.origins.get(place));
            let Some((file, line, key)) = origin else { continue };
            self.in_force.insert(*key, UNKNOWN);
            *self.unfit.entry(*file).or_default() += 1;
            if let Some(file) = files.get_mut(*file)
                && !file.is_contradictory(*key)
            {
                file.problems.add(*line, problems::of_fault(fault, self.entities.get(key)));
            }
        }
    }
}
