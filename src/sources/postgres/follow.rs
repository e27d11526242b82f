//! Following a directory: connect, read everything, then every change; begin again when it fails.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    connect::{self, Connection},
    follower::{Comparison, Cursor, Follower},
    poll::{Poll, poll},
};

/// The first and the longest pause before connecting again.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// The interval at which the triggers are looked at.
const LOOK: Duration = Duration::from_secs(2);

impl Follower {
    /// Follows for as long as it is polled.
    pub(super) async fn run(self) {
        let follower = Arc::new(self);
        let (mut cursor, mut pause, mut last_problem) = (None, PAUSES[0], String::new());
        follower.store_is_loaded().await;
        loop {
            let begun = Instant::now();
            let problem = Arc::clone(&follower).session(&mut cursor).await;
            let Follower { store, live, .. } = &*follower;
            if problem != last_problem {
                tracing::warn!(%store, "the directory cannot be followed: {problem}");
            }
            live.directory_failed(store, &problem);
            last_problem = problem;
            // A session that lasted shows that the server is there.
            pause = if begun.elapsed() > PAUSES[1] { PAUSES[0] } else { PAUSES[1].min(2 * pause) };
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        }
    }

    async fn store_is_loaded(&self) {
        let mut changes = self.live.changes();
        while self.live.empty_directory(&self.store, &self.limits).is_none() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
    /// Follows on one connection until it fails, and returns why. What is in force stays.
    async fn session(self: Arc<Self>, cursor: &mut Option<Cursor>) -> String {
        let connection = match connect::connect(&self.url_file).await {
            Ok(connection) => connection,
            Err(problem) => return problem,
        };
        loop {
            let next = Instant::now() + self.poll;
            if let Err(problem) = self.step(&connection, cursor).await {
                return problem;
            }
            if cursor.is_some() {
                sleep_until(next).await;
            }
        }
    }

    /// Goes from one state of the server to the next. Without a cursor everything is read.
    async fn step(
        self: &Arc<Self>,
        connection: &Connection,
        cursor: &mut Option<Cursor>,
    ) -> Result<(), String> {
        if self.directory().is_none() {
            *cursor = None;
        }
        let Some(at) = cursor else {
            *cursor = Some(self.read_all(connection).await?);
            return Ok(());
        };
        if self.fits_otherwise(at) {
            self.read_anew("the schema of the store changed", cursor);
            return Ok(());
        }
        self.go_on_comparing(connection, cursor).await?;
        self.follow(connection, cursor).await
    }

    /// Asks what changed, and puts that in force.
    async fn follow(
        self: &Arc<Self>,
        connection: &Connection,
        cursor: &mut Option<Cursor>,
    ) -> Result<(), String> {
        let Some(at) = cursor else { return Ok(()) };
        let is_due = at.looked.elapsed() >= LOOK;
        let polled = poll(&connection.client, &self.statements, &at.head, is_due).await?;
        if is_due {
            at.looked = Instant::now();
        }
        match polled {
            Poll::Changes(head, _) if head.started != at.head.started => {
                // Its data folder may have been put back as it was before. Then the changes do not
                // lead on from what was seen, though no number says so.
                tracing::info!(store = %self.store, "the server was started again: all rows are compared");
                at.comparison = Comparison::First;
            }
            Poll::Changes(head, rows) => self.advance(head, rows, cursor).await?,
            Poll::Anew(reason) => self.read_anew(reason, cursor),
            Poll::Rewound(reason) => {
                self.renew(connection).await;
                self.read_anew(reason, cursor);
            }
        }
        Ok(())
    }
}
