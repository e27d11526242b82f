//! Killing the process while a directory is written: what was acknowledged is there, and no batch in
//! part.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use humbaba::proto::DirectoryChange;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{
    cli::policies,
    support::{
        directory_client::{DirectoryClient, changes, delete, directory, names, put, sidecar},
        wait,
    },
};

/// Rounds of an ordinary run. `HUMBABA_KILLS` asks for another number.
const ROUNDS: usize = 20;
const WRITERS: usize = 4;
/// Rows of one batch.
const ROWS: usize = 5;

/// The changes of one batch: new rows, and the end of those of the batch before the last.
fn batch(writer: usize, number: usize) -> Vec<DirectoryChange> {
    let user = |number: usize| format!("User::w{writer}b{number}");
    let mut changes: Vec<_> =
        (0..ROWS).map(|row| put(&user(number), "editor", &format!("Site::s{row}"))).collect();
    if let Some(old) = number.checked_sub(2) {
        changes.extend((0..ROWS).map(|row| delete(&user(old), "editor", &format!("Site::s{row}"))));
    }
    changes
}

/// The rows of a writer once it has made that many batches.
fn rows_after(writer: usize, batches: usize) -> BTreeSet<String> {
    let batches = batches.saturating_sub(2)..batches;
    batches
        .flat_map(|number| (0..ROWS).map(move |row| format!("w{writer}b{number} editor s{row}")))
        .collect()
}

/// Writes batch after batch until the server is gone. Returns how many were acknowledged in all.
fn write(
    mut client: DirectoryClient,
    writer: usize,
    mut made: usize,
    acknowledged: Arc<AtomicUsize>,
) -> JoinHandle<usize> {
    tokio::spawn(async move {
        while client.write(changes(batch(writer, made))).await.is_ok() {
            made += 1;
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        made
    })
}

/// Returns the number of batches whose rows are there: all that were acknowledged, and perhaps one
/// that was on its way.
fn made(rows: &[String], writer: usize, acknowledged: usize) -> usize {
    let own = format!("w{writer}b");
    let there: BTreeSet<_> = rows.iter().filter(|row| row.starts_with(&own)).cloned().collect();
    let possible = [acknowledged, acknowledged + 1];
    let made = possible.into_iter().find(|batches| rows_after(writer, *batches) == there);
    made.unwrap_or_else(|| {
        panic!("{acknowledged} batches were acknowledged, and there is {there:?}")
    })
}

/// Lets a server take some batches, kills it, and returns how many were acknowledged in all.
async fn round(policies: &Path, data: &Path, before: [usize; WRITERS]) -> [usize; WRITERS] {
    let mut running = sidecar(policies, data, &[]);
    let client = directory(&running);
    let rows = names(&mut client.clone()).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let writing: Vec<_> = (0..)
        .zip(before)
        .map(|(writer, before)| {
            let made = made(&rows, writer, before);
            write(client.clone(), writer, made, Arc::clone(&acknowledged))
        })
        .collect();
    let enough = fastrand::usize(1..40);
    wait::until("some batches are acknowledged", async || {
        acknowledged.load(Ordering::Relaxed) >= enough
    })
    .await;
    tokio::time::sleep(Duration::from_micros(fastrand::u64(..5_000))).await;
    // SIGKILL.
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    let mut made = before;
    for (writing, made) in writing.into_iter().zip(&mut made) {
        *made = writing.await.unwrap();
    }
    made
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_and_nothing_is_there_in_part() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let rounds = std::env::var("HUMBABA_KILLS").ok().map_or(ROUNDS, |text| text.parse().unwrap());
    let mut acknowledged = [0; WRITERS];
    for _ in 0..rounds {
        acknowledged = round(folder.path(), data.path(), acknowledged).await;
    }
    let running = sidecar(folder.path(), data.path(), &[]);
    let rows = names(&mut directory(&running)).await;
    for (writer, acknowledged) in acknowledged.into_iter().enumerate() {
        made(&rows, writer, acknowledged);
    }
    let batches: usize = acknowledged.iter().sum();
    println!("{rounds} kills, {batches} batches");
    assert!(batches >= rounds, "{batches} batches");
}
