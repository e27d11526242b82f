//! Directories that change meanwhile: one of files, and one that is written over gRPC. Each change is
//! asked about until it is in force.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use humbaba::proto::{
    Decision, DirectoryChange, EntityUid, IsAuthorizedRequest, RoleAssignment, WriteRequest,
    authorization_service_client::AuthorizationServiceClient, directory_change::Change,
    directory_service_client::DirectoryServiceClient,
};
use tokio::time::{interval, sleep};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use crate::{Counts, sidecar::Sidecar};

/// The stores that have a directory.
pub const FILES: &str = "files";
pub const KEPT: &str = "kept";

/// Time between two changes of each.
const PAUSE: Duration = Duration::from_millis(200);
/// Time within which a change of a file must be in force.
const PATIENCE: Duration = Duration::from_secs(10);
/// Rows that no change touches, so that a directory is no toy.
const ROWS: usize = 10_000;
/// Users who get and lose roles.
const USERS: u64 = 100;

/// Writes the folder of the directory of files as it is at the start.
pub fn prepare(home: &Path) {
    let folder = home.join("directory");
    fs::create_dir_all(&folder).unwrap();
    let mut rows = String::from(HEADER);
    for number in 0..ROWS {
        rows.push_str(&format!("User,other-{number},viewer,Site,s{}\n", number % 1_000));
    }
    fs::write(folder.join("others.assignments.csv"), rows).unwrap();
    write_editor(home, 0);
}

const HEADER: &str = "principal_type,principal_id,role,scope_type,scope_id\n";

/// Makes the user of a round the only editor.
fn write_editor(home: &Path, round: u64) {
    let next = home.join("directory/next");
    fs::write(&next, format!("{HEADER}User,u{round},editor,Site,s1\n")).unwrap();
    fs::rename(next, home.join("directory/editor.assignments.csv")).unwrap();
}

/// Changes the directory of files, and asks until the change is in force as a whole.
pub async fn change_files(sidecar: Arc<Sidecar>, counts: Arc<Counts>, over: Arc<AtomicBool>) {
    let channel = plain(&sidecar);
    let mut tick = interval(PAUSE);
    for round in 1_u64.. {
        tick.tick().await;
        if over.load(Relaxed) {
            return;
        }
        write_editor(&sidecar.home, round);
        let written = Instant::now();
        loop {
            match edits(&channel, FILES, round, "").await {
                Ok(true) => break,
                Ok(false) if written.elapsed() < PATIENCE => sleep(Duration::from_millis(1)).await,
                other => {
                    counts.fail(format!("a change of a file is not in force: {other:?}"));
                    break;
                }
            }
        }
        let took = u64::try_from(written.elapsed().as_micros()).unwrap();
        counts.file_changes.lock().unwrap().record(took).unwrap();
        match edits(&channel, FILES, round - 1, "").await {
            Ok(false) => {}
            other => counts.fail(format!("half of a change of a file is in force: {other:?}")),
        }
    }
}

/// Gives and takes roles in the directory that the sidecar keeps, and asks for what each write says.
pub async fn write_kept(sidecar: Arc<Sidecar>, counts: Arc<Counts>, over: Arc<AtomicBool>) {
    let decisions = plain(&sidecar);
    let address = format!("unix:{}", sidecar.home.join("directory.sock").display());
    let mut client =
        DirectoryServiceClient::new(Endpoint::from_shared(address).unwrap().connect_lazy());
    let mut tick = interval(PAUSE);
    for round in 1_u64.. {
        tick.tick().await;
        if over.load(Relaxed) {
            return;
        }
        let (gets, loses) = (round % USERS, (round + USERS / 2) % USERS);
        let changes =
            [Change::PutAssignment(editor(gets)), Change::DeleteAssignment(editor(loses))];
        let changes = changes.map(|change| DirectoryChange { change: Some(change) });
        let request = WriteRequest {
            policy_store: KEPT.into(),
            changes: changes.into(),
            ..WriteRequest::default()
        };
        let written = match client.write(request).await {
            Ok(written) => written.into_inner().directory_version,
            Err(status) => {
                counts.fail(format!("a write failed: {status:?}"));
                continue;
            }
        };
        for (user, allowed) in [(gets, true), (loses, false)] {
            match edits(&decisions, KEPT, user, &written).await {
                Ok(edits) if edits == allowed => {}
                other => counts.fail(format!("a write is not honoured: {other:?}")),
            }
        }
        counts.writes.fetch_add(1, Relaxed);
    }
}

fn plain(sidecar: &Sidecar) -> Channel {
    Channel::from_shared(format!("http://{}", sidecar.plain)).unwrap().connect_lazy()
}

fn uid(r#type: &str, id: &str) -> Option<EntityUid> {
    Some(EntityUid { r#type: r#type.into(), id: id.into() })
}

fn editor(user: u64) -> RoleAssignment {
    RoleAssignment {
        principal: uid("User", &format!("u{user}")),
        role: "editor".into(),
        scope: uid("Site", "s1"),
        ..RoleAssignment::default()
    }
}

/// Asks whether a user may edit the site, by facts at least as new as that version.
async fn edits(channel: &Channel, store: &str, user: u64, version: &str) -> Result<bool, Status> {
    let question = IsAuthorizedRequest {
        policy_store: store.into(),
        principal: uid("User", &format!("u{user}")),
        action: uid("", "edit"),
        resource: uid("Site", "s1"),
        at_least_version: version.into(),
        ..IsAuthorizedRequest::default()
    };
    let answer = AuthorizationServiceClient::new(channel.clone()).is_authorized(question).await?;
    Ok(answer.into_inner().decision() == Decision::Allow)
}
