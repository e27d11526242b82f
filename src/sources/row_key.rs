//! The keys of rows.

use crate::{
    directory::{Assignment, AssignmentKey, Change, EntityRow},
    model::Uid,
};

/// The entity or assignment that a row is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum RowKey {
    Assignment(AssignmentKey),
    Entity(Uid),
}

impl RowKey {
    /// Returns what a change is about.
    pub(super) fn of(change: &Change) -> Self {
        match change {
            Change::Put(Assignment { key, .. }) | Change::Delete(key) => {
                Self::Assignment(key.clone())
            }
            Change::PutEntity(EntityRow { uid, .. }) | Change::DeleteEntity(uid) => {
                Self::Entity(uid.clone())
            }
        }
    }

    /// Returns the change after which nothing is held of it.
    pub(super) fn deletion(self) -> Change {
        match self {
            Self::Assignment(key) => Change::Delete(key),
            Self::Entity(uid) => Change::DeleteEntity(uid),
        }
    }
}
