use std::sync::Arc;

use super::{FileRows, RowHasher, RowProblems};
use crate::{
    directory::{Assignment, Change},
    model::{
        Timestamp,
        hash::{HashMap, HashSet},
        json,
    },
};

/// The rows of several files together, of each key one.
#[derive(Debug, Default)]
pub struct MergedRows {
    /// The files, in the order in which they were given.
    pub files: Vec<MergedFile>,
    /// The rows that count.
    pub rows: Vec<MergedRow>,
}

/// A file whose rows were merged.
#[derive(Debug)]
pub struct MergedFile {
    /// Its name.
    pub name: Arc<str>,
    /// The keys of all its rows that could be read, those included that do not count.
    pub keys: Vec<u64>,
    /// The problems of its rows.
    pub problems: RowProblems,
}

/// A row with its origin.
#[derive(Debug)]
pub struct MergedRow {
    /// The place of its file in [`MergedRows::files`].
    pub file: usize,
    /// Its line in the file, from 1.
    pub line: usize,
    /// The fingerprint of its key.
    pub key: u64,
    /// The assignment or entity.
    pub change: Change,
}

/// Merges the rows of files. A row that is there twice and alike counts once. Where two rows of an
/// assignment differ the second is reported, and the one counts that expires first; where two of an
/// entity differ none counts, for neither is the narrower.
#[must_use]
pub fn merge(files: Vec<(Arc<str>, FileRows)>, hasher: &RowHasher) -> MergedRows {
    let count = files.iter().map(|(_, read)| read.rows.len()).sum();
    let mut merged = MergedRows { files: Vec::new(), rows: Vec::with_capacity(count) };
    let mut places: HashMap<u64, usize> = HashMap::default();
    places.reserve(count);
    let mut refused: HashSet<u64> = HashSet::default();
    for (file, (name, read)) in files.into_iter().enumerate() {
        let mut keys = Vec::with_capacity(read.rows.len());
        let mut problems = read.problems;
        for row in read.rows {
            let key = hasher.key(&row.change);
            keys.push(key);
            let row = MergedRow { file, line: row.line, key, change: row.change };
            let first = places.get(&key).and_then(|place| merged.rows.get_mut(*place));
            let Some(first) = first else {
                places.insert(key, merged.rows.len());
                merged.rows.push(row);
                continue;
            };
            if says_the_same(&first.change, &row.change) {
                continue;
            }
            let of_first = merged.files.get(first.file).map_or(&name, |file| &file.name);
            let place = format!("{of_first}:{}", first.line);
            match (&first.change, &row.change) {
                (Change::Put(one), Change::Put(other)) => {
                    problems.add(row.line, differs(other, &place));
                    if end(other) < end(one) {
                        *first = row;
                    }
                }
                _ => {
                    let message = format!(
                        "the entity is there twice and differs from {place}: neither counts; keep one"
                    );
                    problems.add(row.line, message);
                    refused.insert(key);
                }
            }
        }
        merged.files.push(MergedFile { name, keys, problems });
    }
    if !refused.is_empty() {
        merged.rows.retain(|row| !refused.contains(&row.key));
    }
    merged
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
