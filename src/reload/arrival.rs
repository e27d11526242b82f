//! The moment at which a folder was put where it is: by a link, a swap of `..data`, or a move.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use super::{listing::SWAPPED_LINK, stamp::Stamp};

/// The time that may lie between what one call of the system does to a folder and to the one above it.
const ONE_CALL: Duration = Duration::from_millis(10);

/// Returns the latest moment at which a link or folder on the way to the files of a folder was put where
/// it is: the link of its path, the kubelet's `..data`, or the folder itself, where it was moved. A
/// folder that was made in place has none, for it is filled where it lies.
pub(super) fn arrival(path: &Path, real: &Path) -> Option<SystemTime> {
    let data = real.join(SWAPPED_LINK);
    [of_link(path), of_link(&data), of_folder(real)].into_iter().max().flatten()
}

fn of_link(path: &Path) -> Option<SystemTime> {
    let metadata = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_symlink)?;
    Some(Stamp::of(&metadata).changed())
}

/// Returns the moment at which a folder was moved to its place, or made there. Both change it and
/// the folder above it at the same moment; in a folder that was made there the files come later.
fn of_folder(folder: &Path) -> Option<SystemTime> {
    let changed = Stamp::of(&fs::symlink_metadata(folder).ok()?).changed();
    let above = fs::symlink_metadata(folder.parent()?).ok()?.modified().ok()?;
    let apart = match changed.duration_since(above) {
        Ok(apart) => apart,
        Err(before) => before.duration(),
    };
    (apart <= ONE_CALL).then_some(changed)
}
