//! Embedded directories: other processes, other programs, and rows that do not fit.

use std::{fs, path::Path};

use humbaba::proto::{IsAuthorizedRequest, directory_change::Change};
use serde_json::Value as Json;
use tempfile::TempDir;
use tonic::Code;

use crate::{
    cli::policies,
    cli_sidecar::Sidecar,
    support::{
        ask::{Knowing as _, ask, entity, is_allow, text as text_value, uid},
        directory_client::{change, changes, decisions, delete, directory, put, sidecar, write},
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
    let status = decisions(&second).is_authorized(edit("")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("another process uses"), "{status}");
    let version = write(&mut directory(&first), [put("User::alice", "editor", "Site::42")]).await;
    drop(first);
    until("the second is ready", async || page(&second, "/readyz").await.status == 200).await;
    let answer = decisions(&second).is_authorized(edit(&version)).await.unwrap().into_inner();
    assert!(is_allow(&answer));
    assert_eq!(answer.directory_version, version);
}

/// A change of the schema that rows do not fit names them; a write that mends or removes one ends its
/// problem.
#[tokio::test]
async fn rows_that_do_not_fit_any_more_are_named_until_they_are_mended_or_gone() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let sidecar = sidecar(folder.path(), data.path(), &[]);
    let mut client = directory(&sidecar);
    let people = ["User::alice", "User::bob"].map(|user| change(Change::PutEntity(entity(user))));
    write(&mut client, people).await;
    let schema = folder.path().join("guard/schema.cedarschema");
    let text = fs::read_to_string(&schema).unwrap();
    let stricter = text.replace("email?: String", "email?: String, dept: String");
    assert_ne!(stricter, text);
    fs::write(&schema, stricter).unwrap();
    let named = async || told(&sidecar).await["row_problems"].clone();
    let names = |problems: &Json, who: &str| problems.to_string().contains(who);
    until("both are named", async || {
        let problems = named().await;
        names(&problems, "alice") && names(&problems, "bob") && names(&problems, "dept")
    })
    .await;
    assert!(sidecar.log().contains("a row of the directory grants nothing"), "{}", sidecar.log());
    let mended = entity("User::alice").attribute("dept", text_value("sales"));
    write(&mut client, [change(Change::PutEntity(mended))]).await;
    let problems = named().await;
    assert!(!names(&problems, "alice") && names(&problems, "bob"), "{problems}");
    let bob = uid("User::bob");
    write(&mut client, [change(Change::DeleteEntity(bob))]).await;
    assert_eq!(named().await, Json::Array(Vec::new()));
}

/// A write that was acknowledged would be gone after a restart, and a role that was taken away be back.
#[tokio::test]
async fn a_file_that_another_program_replaced_is_not_written() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &["--set", "directory.max_age_s=2"]);
    let mut client = directory(&running);
    let version = write(&mut client, [put("User::alice", "editor", "Site::42")]).await;
    let file = data.path().join("directory/guard.sqlite");
    let copy = file.with_extension("copy");
    fs::copy(&file, &copy).unwrap();
    fs::rename(&copy, &file).unwrap();
    let gone = changes([delete("User::alice", "editor", "Site::42")]);
    let status = client.write(gone).await.unwrap_err();
    assert_eq!(status.code(), Code::Aborted, "{status:?}");
    assert!(status.message().contains("another file is in its place"), "{status:?}");
    until_problem(&running, "another file is in its place").await;
    let mut client = decisions(&running);
    until("the last state is too old", async || {
        let answer = client.is_authorized(edit(&version)).await;
        answer.is_err_and(|status| status.code() == Code::Unavailable)
    })
    .await;
    drop(running);
    let running = sidecar(folder.path(), data.path(), &[]);
    let answer = decisions(&running).is_authorized(edit(&version)).await.unwrap().into_inner();
    assert!(is_allow(&answer), "what was not acknowledged was not made");
}
