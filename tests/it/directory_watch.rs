//! Following directories that the sidecar does not keep itself.

use std::{fs, path::Path};

use humbaba::proto::{DirectoryChange, WatchRequest, WatchResponse, directory_change::Change};
use tempfile::TempDir;
use tonic::{Code, Status, Streaming};

use crate::{
    cli::policies,
    cli_sidecar::{DEADLINE, Sidecar},
    support::{
        directory_client::{DirectoryClient, directory, named},
        postgres::{Postgres, WRITER, value},
    },
};

const HEADER: &str = "principal_type,principal_id,role,scope_type,scope_id\n";

/// Follows what comes after a version.
async fn watch(
    client: &mut DirectoryClient,
    after: &str,
) -> Result<Streaming<WatchResponse>, Status> {
    let request = WatchRequest { after_version: after.to_owned(), ..WatchRequest::default() };
    client.watch(request).await.map(tonic::Response::into_inner)
}

async fn next(stream: &mut Streaming<WatchResponse>) -> Result<WatchResponse, Status> {
    let message = tokio::time::timeout(DEADLINE, stream.message());
    message.await.expect("in time").map(|message| message.expect("one more"))
}

/// The changes in few words: `+ alice editor 42`.
fn words(told: &WatchResponse) -> Vec<String> {
    let word = |change: &DirectoryChange| match change.change.as_ref().unwrap() {
        Change::PutAssignment(row) => format!("+ {}", named(row)),
        Change::DeleteAssignment(row) => format!("- {}", named(row)),
        Change::PutEntity(entity) => {
            let parents: Vec<_> = entity.parents.iter().map(|parent| parent.id.as_str()).collect();
            format!("+ {} in {}", entity.uid.clone().unwrap().id, parents.join(","))
        }
        Change::DeleteEntity(uid) => format!("- {}", uid.id),
    };
    let mut words: Vec<_> = told.changes.iter().map(word).collect();
    words.sort();
    words
}

fn write(folder: &Path, name: &str, text: &str) {
    let new = folder.join("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, folder.join(name)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_files_are_told_from_a_version_on() {
    let (folder, policies) = (TempDir::new().unwrap(), policies(&["main"]));
    let rows = |rows: &str| write(folder.path(), "a.assignments.csv", &format!("{HEADER}{rows}"));
    rows("User,alice,editor,Site,42\n");
    let source = format!("main=files:{}", folder.path().display());
    let listen = format!("unix:{}", folder.path().join("directory.sock").display());
    let serve = || {
        Sidecar::start(policies.path(), &["--directory", &source, "--directory-listen", &listen])
    };
    let sidecar = serve();
    let mut client = directory(&sidecar);
    let mut from_now = watch(&mut client, "").await.unwrap();
    let begin = next(&mut from_now).await.unwrap();
    assert!(begin.changes.is_empty());

    rows("User,bob,viewer,Site,42\n");
    let first = next(&mut from_now).await.unwrap();
    assert_eq!(words(&first), ["+ bob viewer 42", "- alice editor 42"]);
    let entity = r#"[{"uid": {"type": "User", "id": "bob"}, "attrs": {},
        "parents": [{"type": "Group", "id": "staff"}]}]"#;
    write(folder.path(), "b.cedarentities.json", entity);
    let second = next(&mut from_now).await.unwrap();
    assert_eq!(words(&second), ["+ bob in staff"]);

    let mut from_begin = watch(&mut client, &begin.directory_version).await.unwrap();
    assert_eq!(next(&mut from_begin).await.unwrap(), first);
    assert_eq!(next(&mut from_begin).await.unwrap(), second);
    let mut from_first = watch(&mut client, &first.directory_version).await.unwrap();
    assert_eq!(next(&mut from_first).await.unwrap(), second);

    // Another process has another history.
    drop(sidecar);
    let sidecar = serve();
    let mut client = directory(&sidecar);
    let status = watch(&mut client, &second.directory_version).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_postgresql_are_told_from_a_version_on() {
    let Some(postgres) = Postgres::start().await else { return };
    postgres.install(&[]).await;
    let policies = policies(&["main"]);
    let url_file = postgres.url_file().to_str().unwrap().to_owned();
    let variables = [("HUMBABA_DIRECTORY__POSTGRES_URL_FILE", url_file)];
    let folder = TempDir::new().unwrap();
    let listen = format!("unix:{}", folder.path().join("directory.sock").display());
    let args = ["--directory", "main=postgres", "--directory-listen", &listen];
    let sidecar = Sidecar::start_with(policies.path(), &args, &variables);
    let mut client = directory(&sidecar);
    let app = postgres.client(WRITER).await;
    let mut from_now = watch(&mut client, "").await.unwrap();
    let begin = next(&mut from_now).await.unwrap().directory_version;

    let grant = |user: &str| {
        format!(
            "INSERT INTO humbaba.assignments (principal_type, principal_id, role, scope_type, \
             scope_id) VALUES ('User', '{user}', 'editor', 'Site', '42')"
        )
    };
    app.batch_execute(&format!("BEGIN; {}; {}; COMMIT", grant("alice"), grant("bob")))
        .await
        .unwrap();
    let first = next(&mut from_now).await.unwrap();
    assert_eq!(words(&first), ["+ alice editor 42", "+ bob editor 42"]);
    app.batch_execute("DELETE FROM humbaba.assignments WHERE principal_id = 'bob'").await.unwrap();
    let second = next(&mut from_now).await.unwrap();
    assert_eq!(words(&second), ["- bob editor 42"]);
    for (after, told) in
        [(&begin, vec![&first, &second]), (&first.directory_version, vec![&second])]
    {
        let mut stream = watch(&mut client, after).await.unwrap();
        for told in told {
            assert_eq!(next(&mut stream).await.unwrap(), *told);
        }
    }

    // A version of the database that no change led to is one all the same.
    let now = value(&app, "SELECT humbaba.version()").await;
    let mut stream = loop {
        match watch(&mut client, &now).await {
            Err(status) if status.code() == Code::FailedPrecondition => {}
            stream => break stream.unwrap(),
        }
    };
    app.batch_execute(&grant("carol")).await.unwrap();
    assert_eq!(words(&next(&mut stream).await.unwrap()), ["+ carol editor 42"]);

    // Nobody is told the difference where all rows are read anew.
    postgres.client("postgres").await.batch_execute("SELECT humbaba.reload()").await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap_err().code(), Code::OutOfRange);
    let status = watch(&mut client, &begin).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
}
