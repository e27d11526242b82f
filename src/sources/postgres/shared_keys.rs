//! Rows that share a key: the same assignment in two tables, or a type written with its namespace and
//! without.
//!
//! Each row grants for itself: an assignment is held until the last of its rows is gone, or has expired.
//! Rows of an entity cannot be put together so: where they differ it cannot be read, for none is the
//! narrower.

use std::collections::{BTreeMap, HashMap};

use crate::{
    directory::{Assignment, Change, Directory, EntityRow, rows::RowHasher},
    sources::row_key::RowKey,
};

/// All rows of those keys that have more than one. The only row of a key is in the directory.
#[derive(Debug, Default, Clone)]
pub(super) struct SharedKeys(HashMap<RowKey, Vec<Change>>);

/// A row is gone that was not there: only all rows together say what is held.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownRow;

/// The keys that changes touch, with the rows of each.
#[derive(Debug)]
pub(super) struct KeyChanges<'a> {
    shared: &'a mut SharedKeys,
    directory: &'a Directory,
    touched: BTreeMap<RowKey, Vec<Change>>,
}

impl SharedKeys {
    /// Returns whether the rows of an entity differ.
    pub(super) fn is_contradictory(&self, key: &RowKey) -> bool {
        matches!(key, RowKey::Entity(_)) && self.0.get(key).is_some_and(|rows| !are_same(rows))
    }

    /// Returns whether the same rows share keys.
    pub(super) fn has_same_rows(&self, other: &Self) -> bool {
        let hasher = RowHasher::default();
        let hashes = |rows: &[Change]| {
            let mut hashes: Vec<_> = rows.iter().map(|row| hasher.row(row)).collect();
            hashes.sort_unstable();
            hashes
        };
        let is_same = |key: &RowKey, rows: &[Change]| {
            other.0.get(key).is_some_and(|others| hashes(rows) == hashes(others))
        };
        self.0.len() == other.0.len() && self.0.iter().all(|(key, rows)| is_same(key, rows))
    }

    /// Begins to change the rows of a directory.
    pub(super) fn change<'a>(&'a mut self, directory: &'a Directory) -> KeyChanges<'a> {
        KeyChanges { shared: self, directory, touched: BTreeMap::new() }
    }
}

impl KeyChanges<'_> {
    /// Adds a row. Its types have full names.
    pub(super) fn add(&mut self, row: Change) {
        self.rows_of(RowKey::of(&row)).push(row);
    }

    /// Removes a row. Its types have full names.
    ///
    /// # Errors
    /// There is no such row.
    pub(super) fn remove(&mut self, row: &Change) -> Result<(), UnknownRow> {
        let rows = self.rows_of(RowKey::of(row));
        let place = rows.iter().position(|other| other == row).ok_or(UnknownRow)?;
        rows.swap_remove(place);
        Ok(())
    }

    /// Returns what is to be changed in the directory: one change for each key.
    pub(super) fn finish(self) -> Vec<Change> {
        let changes = self.touched.into_iter().map(|(key, rows)| {
            let change = together(&rows).unwrap_or_else(|| key.clone().deletion());
            if rows.len() > 1 {
                self.shared.0.insert(key, rows);
            }
            change
        });
        changes.collect()
    }

    fn rows_of(&mut self, key: RowKey) -> &mut Vec<Change> {
        let Self { shared, directory, touched } = self;
        touched.entry(key).or_insert_with_key(|key| {
            shared.0.remove(key).unwrap_or_else(|| held(directory, key).into_iter().collect())
        })
    }
}

fn held(directory: &Directory, key: &RowKey) -> Option<Change> {
    match key {
        RowKey::Assignment(key) => directory.find_assignment(key).map(Change::Put),
        RowKey::Entity(uid) => directory.find_entity_row(uid).map(Change::PutEntity),
    }
}

/// Returns the row that stands for all rows of a key, if there are any.
fn together(rows: &[Change]) -> Option<Change> {
    let first = rows.first()?;
    match first {
        Change::PutEntity(row) if !are_same(rows) => {
            // The directory then knows that there is one which cannot be read.
            Some(Change::PutEntity(EntityRow { uid: row.uid.clone(), json: String::new() }))
        }
        Change::PutEntity(_) => Some(first.clone()),
        _ => rows.iter().max_by(|one, other| rank(one).cmp(&rank(other))).cloned(),
    }
}

/// Returns what rows of one assignment are compared by: the last to expire counts. The rest is for every
/// sidecar to tell the same.
fn rank(row: &Change) -> impl Ord + '_ {
    let Change::Put(Assignment { expires_at, grant, .. }) = row else { return None };
    let end = (expires_at.is_none(), *expires_at);
    Some((end, grant.granted_at, &grant.granted_by, &grant.reason))
}

fn are_same(rows: &[Change]) -> bool {
    rows.windows(2).all(|pair| matches!(pair, [one, other] if one == other))
}
