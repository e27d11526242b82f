//! Comparing all rows with what is in force: what no trigger saw is found so, whatever wrote it.
//!
//! The rows are read on a connection of its own, in a transaction that sees exactly what is in force at
//! its begin, while changes are followed as ever. Only where nobody can say that further changes lead on
//! from what is in force do they wait for the comparison.

use std::{sync::Arc, time::Duration};

use tokio::{
    task,
    time::{Instant, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    connect::{self, Connection},
    follower::{AllRows, Comparison, Cursor, Follower},
    poll::{Poll, poll},
    rows::Row,
};

/// The longest time that changes wait for the second connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest pause after a comparison that failed.
const RETRY: Duration = Duration::from_secs(60);

impl Follower {
    /// Begins a comparison where it is time, and takes the result of one that has ended. Waits only for
    /// one that comes first. Where the rows differ, there is no cursor afterwards.
    ///
    /// # Errors
    /// A comparison that comes first failed.
    pub(super) async fn go_on_comparing(
        self: &Arc<Self>,
        connection: &Connection,
        cursor: &mut Option<Cursor>,
    ) -> Result<(), String> {
        let Some(at) = cursor else { return Ok(()) };
        let has_fault = at.fault().is_some();
        match &mut at.comparison {
            Comparison::First => return self.compare_first(connection, cursor).await,
            Comparison::Due(time) if Instant::now() < *time => {}
            // Not all changes are recorded, so that none leads on for certain.
            Comparison::Due(_) if has_fault => at.comparison = Comparison::First,
            Comparison::Due(_) => {
                let follower = Arc::clone(self);
                let connecting = tokio::spawn(async move {
                    let second = connect::connect(&follower.url_file).await?;
                    follower.statements.begin(&second.client).await?;
                    Ok(second)
                });
                at.comparison = Comparison::Connecting(AbortOnDropHandle::new(connecting));
            }
            Comparison::Connecting(task) if task.is_finished() => {
                let connected = task.await.map_err(|error| error.to_string()).flatten();
                if let Err(problem) = self.begin_comparing(connected, cursor).await {
                    self.put_off(&problem, cursor);
                }
            }
            Comparison::Reading(task) if task.is_finished() => {
                match task.await.map_err(|error| error.to_string()).flatten() {
                    Ok(true) => at.comparison = self.next_comparison(),
                    Ok(false) => self.rows_differ(cursor),
                    Err(problem) => self.put_off(&problem, cursor),
                }
            }
            Comparison::Connecting(_) | Comparison::Reading(_) => {}
        }
        Ok(())
    }

    /// Brings what is in force to the state that the transaction on the second connection sees, and has
    /// its rows read.
    async fn begin_comparing(
        self: &Arc<Self>,
        connected: Result<Connection, String>,
        cursor: &mut Option<Cursor>,
    ) -> Result<(), String> {
        let second = connected?;
        let Some(at) = cursor else { return Ok(()) };
        let polling = poll(&second.client, &self.statements, &at.head, false);
        let polled = timeout(PATIENCE, polling).await.map_err(|_| STALLED)??;
        let Poll::Changes(head, rows) = polled else { return Err(NOT_LED_ON.to_owned()) };
        if head.started != at.head.started {
            return Err(NOT_LED_ON.to_owned());
        }
        self.advance(head, rows, cursor).await?;
        let (Some(at), Some(in_force)) = (cursor, self.directory()) else { return Ok(()) };
        let (follower, shared) = (Arc::clone(self), Arc::clone(&at.known.shared));
        let reading = tokio::spawn(async move {
            let read = follower.read_rows(&second).await?;
            let compared = task::spawn_blocking(move || {
                read.known.shared.has_same_rows(&shared) && read.directory.has_same_rows(&in_force)
            });
            compared.await.map_err(|error| error.to_string())
        });
        at.comparison = Comparison::Reading(AbortOnDropHandle::new(reading));
        Ok(())
    }

    /// Reads all rows in the transaction that sees what changed, and puts that in force only where it
    /// leads to them.
    async fn compare_first(
        self: &Arc<Self>,
        connection: &Connection,
        cursor: &mut Option<Cursor>,
    ) -> Result<(), String> {
        let Some(at) = cursor else { return Ok(()) };
        let client = &connection.client;
        self.statements.begin(client).await?;
        let polled = poll(client, &self.statements, &at.head, true).await?;
        let Poll::Changes(head, rows) = polled else {
            // Without a transaction it is asked again, and everything read anew.
            at.comparison = self.next_comparison();
            return self.statements.commit(client).await;
        };
        let read = self.read_rows(connection).await?;
        let Some(mut at) = cursor.take() else { return Ok(()) };
        let is_restarted = head.started != at.head.started;
        (at.head, at.looked, at.comparison) = (head, Instant::now(), self.next_comparison());
        let follower = Arc::clone(self);
        let comparing = task::spawn_blocking(move || follower.leads_to(at, rows, read));
        *cursor = comparing.await.map_err(|error| error.to_string())?;
        if cursor.is_none() {
            self.rows_differ(cursor);
            if is_restarted {
                self.renew(connection).await;
            }
        }
        Ok(())
    }

    /// Makes changes where they lead to the rows that were read. There is no cursor afterwards where
    /// they do not.
    fn leads_to(&self, mut at: Cursor, rows: Vec<Row>, read: AllRows) -> Option<Cursor> {
        let directory = self.directory()?;
        let changes = at.known.change(rows, &directory).ok()?;
        let (expected, _) = directory.apply(&changes);
        let are_same = at.known.shared.has_same_rows(&read.known.shared)
            && expected.has_same_rows(&read.directory);
        if !are_same {
            return None;
        }
        if !changes.is_empty() {
            self.make(&mut at, changes);
        }
        at.known = read.known;
        self.live.report_directory_rows(&self.store, at.known.problems.report());
        self.live.confirm_directory_at(&self.store, at.head.version());
        if let Some(fault) = at.fault() {
            self.failed(fault);
        }
        Some(at)
    }

    fn rows_differ(&self, cursor: &mut Option<Cursor>) {
        tracing::warn!(
            store = %self.store,
            "rows were other than their recorded changes say, and are read anew: something writes past the \
             triggers, or the data folder was put back as it was before"
        );
        *cursor = None;
    }

    fn put_off(&self, problem: &str, cursor: &mut Option<Cursor>) {
        tracing::warn!(store = %self.store, "all rows are to be compared, which is tried again: {problem}");
        if let Some(at) = cursor {
            at.comparison = Comparison::Due(Instant::now() + self.compare.min(RETRY));
        }
    }
}

const STALLED: &str = "its connection does not answer within a second";

/// The second connection does not see the state that the first one follows.
const NOT_LED_ON: &str = "its connection sees another state of the server";
