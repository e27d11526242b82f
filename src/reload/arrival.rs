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

/// Returns the moment at which a folder was moved to its place. That changes it and the folder above it
/// at the same moment, but not its list of entries, and it was made before. A folder of which that is
/// not certain was not moved: it is filled where it lies.
fn of_folder(folder: &Path) -> Option<SystemTime> {
    let metadata = fs::symlink_metadata(folder).ok()?;
    let above = fs::symlink_metadata(folder.parent()?).ok()?.modified().ok()?;
    let changed = Stamp::of(&metadata).changed();
    let apart = match changed.duration_since(above) {
        Ok(apart) => apart,
        Err(before) => before.duration(),
    };
    // Not every file system knows when a folder was made.
    let is_older = |made: SystemTime| above.duration_since(made).is_ok_and(|age| age > ONE_CALL);
    let was_moved = apart <= ONE_CALL
        && metadata.modified().is_ok_and(|filled| filled < changed)
        && metadata.created().map_or(true, is_older);
    was_moved.then_some(changed)
}
