//! The rows of several files together.

use std::{
    collections::hash_map::Entry,
    mem::{replace, take},
    sync::Arc,
};

use super::{FileRow, FileRows, LineProblems, RowHasher};
use crate::{
    directory::{Assignment, Change},
    model::{
        Timestamp,
        hash::{HashMap, HashSet},
        json,
    },
};

/// The rows of several files together. Of each key one counts, or none.
#[derive(Debug, Default)]
pub struct MergedRows {
    /// The files, in the order in which they were given.
    pub files: Vec<MergedFile>,
}

/// A file whose rows were merged with those of others.
#[derive(Debug)]
pub struct MergedFile {
    /// Its name.
    pub name: Arc<str>,
    /// The fingerprints of the keys of all its rows that could be read, those included that do not
    /// count.
    pub keys: Vec<u64>,
    /// The problems of its rows.
    pub problems: LineProblems,
    /// A row for each key, until they are taken.
    rows: Vec<FileRow>,
    /// The places of the rows that do not count.
    left_out: HashSet<usize>,
    /// The keys of entities of which two rows differ.
    contradictory: HashSet<u64>,
}

/// The place of a row: its file, and its number among the rows of that.
#[derive(Debug, Clone, Copy)]
struct RowPlace {
    file: usize,
    row: usize,
}

/// Merges the rows of files. A row that is there twice and alike counts once. Where two rows of an
/// assignment differ the second is reported, and the one counts that expires first; where two of an
/// entity differ the entity cannot be read, for neither is the narrower.
#[must_use]
pub fn merge(files: Vec<(Arc<str>, FileRows)>, hasher: &RowHasher) -> MergedRows {
    let files = files.into_iter().map(|(name, read)| MergedFile::new(name, read, hasher));
    let mut merged = MergedRows { files: files.collect() };
    let count = merged.files.iter().map(|file| file.keys.len()).sum();
    let mut counting: HashMap<u64, RowPlace> = HashMap::default();
    counting.reserve(count);
    for file in 0..merged.files.len() {
        for row in 0..merged.files.get(file).map_or(0, |file| file.keys.len()) {
            merged.add(RowPlace { file, row }, &mut counting);
        }
    }
    merged
}

impl MergedRows {
    /// Adds a row to those before it, of which `counting` has the place of one for each key.
    fn add(&mut self, here: RowPlace, counting: &mut HashMap<u64, RowPlace>) {
        let Some((_, key, row)) = self.at(here) else { return };
        let before = match counting.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(here);
                return;
            }
            Entry::Occupied(entry) => entry.into_mut(),
        };
        let Some((file, _, first)) = self.at(*before) else { return };
        if file.is_contradictory(key) {
            self.leave_out(here);
            return;
        }
        if says_the_same(&first.change, &row.change) {
            self.leave_out(here);
            return;
        }
        let (line, place) = (row.line, format!("{}:{}", file.name, first.line));
        let message = match (&first.change, &row.change) {
            (Change::Put(one), Change::Put(other)) => {
                let message = differs(other, &place);
                let later = if end(other) < end(one) { replace(before, here) } else { here };
                self.leave_out(later);
                message
            }
            _ => {
                let message = format!(
                    "the entity is there twice and differs from {place}: nothing that it may do is \
                     allowed; keep one"
                );
                self.make_unreadable(*before);
                self.leave_out(here);
                message
            }
        };
        if let Some(file) = self.files.get_mut(here.file) {
            file.problems.add(line, message);
        }
    }

    fn at(&self, place: RowPlace) -> Option<(&MergedFile, u64, &FileRow)> {
        let file = self.files.get(place.file)?;
        Some((file, *file.keys.get(place.row)?, file.rows.get(place.row)?))
    }

    /// Takes from the row of an entity what it says, so that the directory knows that there is one.
    fn make_unreadable(&mut self, place: RowPlace) {
        let Some(file) = self.files.get_mut(place.file) else { return };
        file.contradictory.extend(file.keys.get(place.row));
        if let Some(FileRow { change: Change::PutEntity(row), .. }) = file.rows.get_mut(place.row) {
            row.json.clear();
        }
    }

    fn leave_out(&mut self, place: RowPlace) {
        if let Some(file) = self.files.get_mut(place.file) {
            file.left_out.insert(place.row);
        }
    }
}

impl MergedFile {
    fn new(name: Arc<str>, read: FileRows, hasher: &RowHasher) -> Self {
        let FileRows { rows, problems } = read;
        let keys = rows.iter().map(|row| hasher.key(&row.change)).collect();
        let (left_out, contradictory) = (HashSet::default(), HashSet::default());
        Self { name, keys, problems, rows, left_out, contradictory }
    }

    /// Returns whether two rows of the entity of a key differ, which has been reported.
    #[must_use]
    pub fn is_contradictory(&self, key: u64) -> bool {
        self.contradictory.contains(&key)
    }

    /// Takes the rows that count, each with the fingerprint of its key.
    pub fn take_rows(&mut self) -> impl Iterator<Item = (u64, FileRow)> {
        let (rows, left_out) = (take(&mut self.rows), take(&mut self.left_out));
        let keys = self.keys.iter().copied().enumerate();
        let rows = keys.zip(rows);
        rows.filter(move |((place, _), _)| !left_out.contains(place))
            .map(|((_, key), row)| (key, row))
    }
}

fn differs(row: &Assignment, place: &str) -> String {
    let key = &row.key;
    format!(
        "`{}` on {} for {} is there twice and differs from {place}: the one that expires first \
         counts; keep one",
        key.role, key.scope, key.principal
    )
}

/// Returns the end of an assignment, that of one without an end being the last.
fn end(row: &Assignment) -> (bool, Option<Timestamp>) {
    (row.expires_at.is_none(), row.expires_at)
}

fn says_the_same(one: &Change, other: &Change) -> bool {
    match (one, other) {
        (Change::PutEntity(one), Change::PutEntity(other)) => {
            one.json == other.json
                || json::parse(&one.json)
                    .ok()
                    .zip(json::parse(&other.json).ok())
                    .is_some_and(|(one, other)| one == other)
        }
        (one, other) => one == other,
    }
}
