//! The pages in which a directory is listed: their size, and the names that narrow them.

use crate::{
    directory::Directory,
    request::{FilterNames, Known, RequestLimits, Violation, check_filter},
};

/// Returns the size of a page: `asked`, up to the limit; 0 asks for the limit.
pub(super) fn size(asked: u32, limit: usize) -> usize {
    match usize::try_from(asked).unwrap_or(usize::MAX) {
        0 => limit,
        size => size.min(limit),
    }
}

/// Refuses names that narrow a list and that the schema does not have. Where rows that do not fit it are
/// wanted too, those that such rows have are taken.
pub(super) fn check_names(
    known: Known<'_>,
    directory: &Directory,
    mut names: FilterNames<'_>,
    takes_ineffective: bool,
    limits: &RequestLimits,
) -> Result<(), Vec<Violation>> {
    if takes_ineffective {
        names.types.retain(|(_, name)| !directory.names_type(name));
        names.role = names.role.filter(|role| !directory.names_role(role));
    }
    check_filter(known, &names, limits)
}
