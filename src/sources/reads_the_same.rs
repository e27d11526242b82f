//! States of a store under which the same rows fit alike.

use std::sync::Arc;

use crate::{
    directory::Directory,
    store::{FileKind, PolicyStore},
};

/// Returns whether rows that were read for one state of a store are in force as they would be read for
/// another. States between the two, of which the source may not know, can have renamed them.
pub(super) fn reads_the_same(
    one: &Arc<PolicyStore>,
    other: &Arc<PolicyStore>,
    in_force: Option<&Directory>,
) -> bool {
    !in_force.is_some_and(Directory::was_renamed)
        && (Arc::ptr_eq(one, other)
            || [FileKind::Schema, FileKind::SchemaJson, FileKind::Entities]
                .iter()
                .all(|kind| one.files().same(*kind, other.files())))
}

/// Returns whether rows may fit a store otherwise than the one that they were read for, which is the same
/// from now on where they do not. Which rows do not fit is only said when they are read.
pub(super) fn fits_otherwise(
    read_for: &mut Arc<PolicyStore>,
    store: &Arc<PolicyStore>,
    in_force: Option<&Directory>,
    has_problems: bool,
) -> bool {
    // Names without a namespace were read as names of the one that the schema had then.
    let has_same_names = read_for.schema().namespace() == store.schema().namespace()
        && !in_force.is_some_and(Directory::was_renamed);
    let ignored = in_force.map_or(0, |directory| directory.counts().ignored);
    let all_fit = has_same_names && ignored == 0 && !has_problems;
    if all_fit || reads_the_same(read_for, store, in_force) {
        *read_for = Arc::clone(store);
        return false;
    }
    true
}
