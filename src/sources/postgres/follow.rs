//! Following a directory: connect, read everything, then every change; begin again when it fails.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    task,
    time::{Instant, sleep, sleep_until},
};

use super::{
    connect::{self, Connection},
    poll::{Poll, poll},
    read::{Everything, Faults, Head, Statements},
};
use crate::{
    directory::{AssignmentKey, Change, Fault},
    model::StoreName,
    reload::Live,
    request::RequestLimits,
};

/// The first and the longest pause before connecting again.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// Keeps the directory of a store as PostgreSQL has it.
pub(super) struct Follower {
    pub store: StoreName,
    pub url_file: PathBuf,
    pub statements: Statements,
    pub limits: RequestLimits,
    pub poll: Duration,
    pub live: Arc<Live>,
}

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

    /// Returns whether there is a state that changes can be applied to.
    fn is_in_force(&self) -> bool {
        let state = self.live.state();
        state.directories.get(&self.store).is_some_and(|directory| directory.state.is_some())
    }

    /// Follows on one connection until it fails, and returns why. What is in force stays.
    async fn session(self: Arc<Self>, cursor: &mut Option<Head>) -> String {
        let connection = match connect::connect(&self.url_file).await {
            Ok(connection) => connection,
            Err(problem) => return problem,
        };
        loop {
            let next = Instant::now() + self.poll;
            if let Err(problem) = self.step(&connection, cursor).await {
                return problem;
            }
            sleep_until(next).await;
        }
    }

    async fn step(
        self: &Arc<Self>,
        connection: &Connection,
        cursor: &mut Option<Head>,
    ) -> Result<(), String> {
        let client = &connection.client;
        if !self.is_in_force() {
            *cursor = None;
        }
        let Some(at) = cursor else {
            *cursor = Some(self.replace(self.statements.read_all(client).await?).await?);
            return Ok(());
        };
        match poll(client, &self.statements, at).await? {
            Poll::Same(head) => {
                if head.snapshot == at.snapshot {
                    self.live.confirm_directory(&self.store);
                } else {
                    self.live.confirm_directory_at(&self.store, head.version());
                }
                *cursor = Some(head);
            }
            Poll::Changed(head, changes, faults) => {
                self.change(&head, changes, faults).await?;
                *cursor = Some(head);
            }
            Poll::Anew(reason) => {
                tracing::info!(store = %self.store, reason, "the directory is read anew");
                *cursor = None;
                *cursor = Some(self.replace(self.statements.read_all(client).await?).await?);
            }
        }
        Ok(())
    }

    /// Puts all rows in force.
    async fn replace(self: &Arc<Self>, all: Everything) -> Result<Head, String> {
        let Everything { head, changes, mut faults } = all;
        let (follower, version) = (Arc::clone(self), head.version());
        let replacing = task::spawn_blocking(move || {
            let Follower { live, store, limits, .. } = &*follower;
            let empty = live.empty_directory(store, limits).ok_or("the store is not loaded")?;
            let (directory, unfit) = empty.apply(changes);
            unfit.into_iter().for_each(|fault| faults.add(words(fault, None)));
            let counts = directory.counts();
            tracing::info!(
                %store,
                assignments = counts.assignments,
                entities = counts.entities,
                ignored = faults.count,
                "the directory was read"
            );
            live.replace_directory(store, directory, version, faults.shown);
            Ok::<_, &str>(())
        });
        replacing.await.map_err(|error| error.to_string())??;
        Ok(head)
    }

    /// Puts changes in force, as a whole.
    async fn change(
        self: &Arc<Self>,
        head: &Head,
        changes: Vec<Change>,
        mut faults: Faults,
    ) -> Result<(), String> {
        let (follower, version) = (Arc::clone(self), head.version());
        let changing = task::spawn_blocking(move || {
            let Follower { live, store, .. } = &*follower;
            let unfit = live.change_directory(store, changes.clone(), version);
            for fault in unfit {
                let change = changes.get(fault.index);
                faults.add(words(fault, change));
            }
            for fault in &faults.shown {
                tracing::warn!(%store, "a row of the directory grants nothing: {fault}");
            }
        });
        changing.await.map_err(|error| error.to_string())
    }
}

/// Words for a row that does not fit the schema of the store.
fn words(fault: Fault, change: Option<&Change>) -> String {
    let Fault { field, description, .. } = fault;
    match change {
        Some(Change::Put(row)) => {
            let AssignmentKey { principal, role, scope } = &row.key;
            format!("{principal}, {role} of {scope}: `{field}`: {description}")
        }
        Some(Change::PutEntity(row)) => format!("{}: `{field}`: {description}", row.uid),
        _ => format!("`{field}`: {description}"),
    }
}
