//! Embedded directories: other processes, other programs, and rows that do not fit.

use std::path::Path;

use humbaba::proto::IsAuthorizedRequest;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{
    cli::policies,
    cli_sidecar::Sidecar,
    support::{
        ask::{ask, is_allow},
        directory_client::{decisions, directory, put, sidecar, write},
        http::{HttpAnswer, get},
        wait::until,
    },
};

/// May Alice edit site 42, by facts at least that new?
fn edit(version: &str) -> IsAuthorizedRequest {
    IsAuthorizedRequest {
        at_least_version: version.to_owned(),
        ..ask("User::alice", "edit", "Site::42")
    }
}

async fn page(sidecar: &Sidecar, path: &str) -> HttpAnswer {
    get(sidecar.addresses["http"].as_str().unwrap().parse().unwrap(), path).await
}

/// The state of the directory as `/status` tells it.
async fn told(sidecar: &Sidecar) -> Json {
    let status: Json = serde_json::from_str(&page(sidecar, "/status").await.body).unwrap();
    status["directories"][0].clone()
}

async fn until_problem(sidecar: &Sidecar, said: &str) {
    until(said, async || {
        told(sidecar).await["problem"].as_str().is_some_and(|problem| problem.contains(said))
    })
    .await;
}

/// A sidecar that keeps its directory in a folder and does not serve it for writing.
fn follower(folder: &Path, data: &Path) -> Sidecar {
    let data = data.to_str().unwrap();
    Sidecar::begin(folder, &["--directory", "guard=embedded", "--data", data])
}

/// It waits as long as the other runs, and goes on with what that has written.
#[tokio::test]
async fn a_second_process_takes_over_once_the_first_has_ended() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let first = sidecar(folder.path(), data.path(), &[]);
    let second = follower(folder.path(), data.path());
    until_problem(&second, "another process uses").await;
    let ready = page(&second, "/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("a directory is not loaded"), "{ready:?}");
    let version = write(&mut directory(&first), [put("User::alice", "editor", "Site::42")]).await;
    drop(first);
    until("the second is ready", async || page(&second, "/readyz").await.status == 200).await;
    let answer = decisions(&second).is_authorized(edit(&version)).await.unwrap().into_inner();
    assert!(is_allow(&answer));
    assert_eq!(answer.directory_version, version);
}
