//! Stores under which the same rows fit.

use std::sync::Arc;

use crate::store::{FileKind, PolicyStore};

/// Returns whether rows mean the same in both states of a store.
pub(super) fn reads_the_same(one: &Arc<PolicyStore>, other: &Arc<PolicyStore>) -> bool {
    Arc::ptr_eq(one, other)
        || [FileKind::Schema, FileKind::SchemaJson, FileKind::Entities]
            .iter()
            .all(|kind| one.files().same(*kind, other.files()))
}
