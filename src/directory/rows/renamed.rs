//! Rows whose names of types have come to mean others.

use super::{FileRow, FileRows, LineProblems, RowHasher, merge};
use crate::{
    directory::{Assignment, Change},
    schema::Schema,
};

/// Returns rows under the full names that types have in a schema. Rows that turn out to be about the same
/// count as two rows of files do: of an assignment the one that expires first, and of an entity neither, for
/// nobody knows which is the narrower. What such an entity says is taken out, so that it cannot be read.
#[must_use]
pub fn renamed(rows: impl IntoIterator<Item = Change>, schema: &Schema) -> Vec<Change> {
    let qualified = rows.into_iter().map(|mut change| {
        change.qualify(schema);
        FileRow { line: 0, change }
    });
    let mut rows: Vec<_> = qualified.collect();
    // Of two that end together every sidecar tells the same.
    rows.sort_by(|one, other| grant(&one.change).cmp(&grant(&other.change)));
    let read = FileRows { rows, problems: LineProblems::default() };
    let mut merged = merge(vec![("".into(), read)], &RowHasher::default());
    let files = merged.files.iter_mut();
    files.flat_map(|file| file.take_rows().map(|(_, row)| row.change).collect::<Vec<_>>()).collect()
}

fn grant(change: &Change) -> impl Ord + '_ {
    let Change::Put(Assignment { grant, .. }) = change else { return None };
    Some((grant.granted_at, &grant.granted_by, &grant.reason))
}
