//! The changes since a state was read.
//!
//! A cursor is the snapshot of the last statement and the highest number of a change so far. Of the
//! changes that a later statement sees, those that were not there are exactly those with a higher
//! number and those of transactions that had not ended in the cursor's snapshot. They are applied in
//! the order of their numbers: whoever changes a row waits for whoever changed it before, so that a row
//! goes with a higher number than it came with. In which order changes of several rows come, also of
//! one assignment, makes no difference to what is held after them.

use std::time::Duration;

use tokio_postgres::Client;

use super::{
    read::{Head, Statements, rows_of, within},
    rows::{self, Row},
};
use crate::directory::PostgresSnapshot;

/// Time that the server may take to say what changed.
const POLL_TIMEOUT: Duration = Duration::from_secs(10);

/// Changes that are applied one by one; where there are more, everything is read anew.
const MOST_CHANGES: usize = 10_000;

/// The answer of a statement.
#[derive(Debug)]
pub(super) enum Poll {
    /// The rows that changed, in order, and the head that they lead to.
    Changes(Head, Vec<Row>),
    /// The changes do not lead from the cursor to the state of the server.
    Anew(&'static str),
    /// The server does not have any more what the cursor has seen.
    Rewound(&'static str),
}

/// Asks what changed since the head was read, and for the triggers if so told.
///
/// # Errors
/// The server fails or does not answer.
pub(super) async fn poll(
    client: &Client,
    statements: &Statements,
    cursor: &Head,
    with_triggers: bool,
) -> Result<Poll, String> {
    let Head { snapshot, seq, .. } = cursor;
    let statement = statements.changes_since(snapshot, *seq, MOST_CHANGES + 1, with_triggers);
    let answer = within(POLL_TIMEOUT, client.simple_query(&statement)).await?;
    let mut head = Head::of(&answer)?;
    head.triggers = head.triggers.or_else(|| cursor.triggers.clone());
    if head.generation == cursor.generation && head.seq < cursor.seq {
        return Ok(Poll::Rewound("the table of changes is older than it was"));
    }
    if let Some(reason) = broken(cursor, &head) {
        return Ok(Poll::Anew(reason));
    }
    let mut rows = Vec::new();
    let first = Head::COLUMNS + 1;
    let changed = rows_of(&answer).filter(|row| row.try_get(first).ok().flatten().is_some());
    for (index, row) in changed.enumerate() {
        match rows::read(row, first) {
            _ if index == MOST_CHANGES => return Ok(Poll::Anew("too many changes at once")),
            Row::Reload => return Ok(Poll::Anew("a table was emptied or made anew")),
            Row::Nothing => {}
            row => rows.push(row),
        }
    }
    Ok(Poll::Changes(head, rows))
}

/// Returns why changes do not lead from the cursor to the head, if they do not.
fn broken(cursor: &Head, head: &Head) -> Option<&'static str> {
    let (trimmed, trimmed_seq): &(PostgresSnapshot, u64) = &head.trimmed;
    if head.generation != cursor.generation {
        return Some("the server, its history or the table of changes is another one");
    }
    if !cursor.snapshot.covers(trimmed) || cursor.seq < *trimmed_seq {
        return Some("changes were trimmed that were not seen yet");
    }
    if head.triggers != cursor.triggers {
        return Some("a trigger, a table, a view or an enumeration was altered");
    }
    None
}
