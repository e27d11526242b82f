//! Sorted lists that are never changed in place.

use std::sync::Arc;

/// Makes a list of another and of changes to it: what takes the place of each key, or nothing. Both
/// are sorted by key. No key is there twice, but that one may be removed and then put. `each_old` is
/// called with what a change replaces or removes.
pub(super) fn changed<T: Clone, K: Ord>(
    list: &[T],
    changes: impl IntoIterator<Item = (K, Option<T>)>,
    key_of: impl Fn(&T) -> K,
    mut each_old: impl FnMut(&T),
) -> Arc<[T]> {
    let changes = changes.into_iter();
    let mut made = Vec::with_capacity(list.len() + changes.size_hint().0);
    let mut rest = list;
    for (key, new) in changes {
        let (before, after) = rest.split_at(rest.partition_point(|item| key_of(item) < key));
        made.extend_from_slice(before);
        rest = match after.split_first() {
            Some((old, after)) if key_of(old) == key => {
                each_old(old);
                after
            }
            _ => after,
        };
        made.extend(new);
    }
    made.extend_from_slice(rest);
    // The default is one list for all, which takes no memory.
    if made.is_empty() { Arc::default() } else { made.into() }
}

/// Keeps the last of equal neighbouring keys; passes the others to `each_other`.
pub(super) fn keep_last<T, K: PartialEq>(
    sorted: &mut Vec<T>,
    key_of: impl Fn(&T) -> K,
    mut each_other: impl FnMut(&T),
) {
    sorted.dedup_by(|next, last| {
        let is_same = key_of(next) == key_of(last);
        if is_same {
            std::mem::swap(next, last);
            each_other(next);
        }
        is_same
    });
}
