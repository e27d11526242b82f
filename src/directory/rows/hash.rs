//! Fingerprints of rows.

use std::hash::{BuildHasher as _, RandomState};

use crate::{
    directory::{Assignment, AssignmentKey, Change, EntityRow},
    model::Uid,
};

/// Makes fingerprints of rows, by which a row is known again without being kept: 64 bits with a seed
/// of the process, so that nobody can make two rows of one fingerprint.
#[derive(Debug, Clone, Default)]
pub struct RowHasher(RandomState);

impl RowHasher {
    /// Returns the fingerprint of what a row is about: the key of an assignment, the uid of an entity.
    #[must_use]
    pub fn key(&self, change: &Change) -> u64 {
        match change {
            Change::Put(Assignment { key, .. }) | Change::Delete(key) => self.assignment_key(key),
            Change::PutEntity(EntityRow { uid, .. }) | Change::DeleteEntity(uid) => {
                self.entity_key(uid)
            }
        }
    }

    /// Returns the fingerprint of the key of an assignment.
    #[must_use]
    pub fn assignment_key(&self, key: &AssignmentKey) -> u64 {
        self.0.hash_one((0_u8, key))
    }

    fn entity_key(&self, uid: &Uid) -> u64 {
        self.0.hash_one((1_u8, uid))
    }

    /// Returns the fingerprint of all that a row says.
    #[must_use]
    pub fn row(&self, change: &Change) -> u64 {
        match change {
            Change::Put(row) => self.0.hash_one((&row.key, row.expires_at, &row.grant)),
            Change::PutEntity(row) => self.0.hash_one((&row.uid, &row.json)),
            Change::Delete(_) | Change::DeleteEntity(_) => self.key(change),
        }
    }
}
