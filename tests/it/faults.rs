//! Faults of the machine: no room, no file handles, files that cannot be read, a clock that jumps.

use std::{
    fs,
    net::TcpStream,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime},
};

use humbaba::{
    engine::decide,
    model::{OnForbidError, Timestamp, Uid},
    proto::authorization_service_client::AuthorizationServiceClient,
    reload::LoadStatus,
    request::{RequestInput, RequestLimits, RoleAssignmentInput},
};
use tempfile::TempDir;

use crate::{
    cli::{POLICIES, policies, run, write_store},
    cli_sidecar::{DEADLINE, Sidecar, until},
    reload::lab::{Lab, permit, write_store as write_lab_store},
    support::{
        TestServer,
        ask::{self, Asking as _},
        http, server,
        skip::skip_even_in_ci,
        stores,
    },
};

/// The binary, started by a line of the shell which ends in running it.
pub fn under(line: &str) -> Command {
    let mut command = Command::new("sh");
    let binary = assert_cmd::cargo::cargo_bin!("humbaba");
    command.args(["-c", &format!("{line}; exec \"$0\" \"$@\"")]).arg(binary);
    command
}

const VIEW: &[&str] = &["--action", "view", "--role", "viewer"];

/// A new policy comes into force.
fn reloads(sidecar: &Sidecar, folder: &Path) {
    let edit = ["--action", "edit", "--role", "viewer"];
    assert_eq!(sidecar.check(&sidecar.unix(), &edit).code, 2);
    write_store(folder, "guard", "permit (principal, action, resource);");
    until("the new policy", || (sidecar.check(&sidecar.unix(), &edit).code == 0).then_some(()));
    write_store(folder, "guard", POLICIES);
    until("the old policy", || (sidecar.check(&sidecar.unix(), &edit).code == 2).then_some(()));
}

#[test]
fn no_room_for_the_log() {
    let folder = policies(&["guard"]);
    let sidecar = Sidecar::start_as(under("exec 2>/dev/full"), folder.path(), &[]);
    write_store(folder.path(), "guard", "permit");
    sidecar.signal("HUP");
    for _ in 0..20 {
        assert_eq!(sidecar.check(&sidecar.tcp(), VIEW).code, 0);
    }
    write_store(folder.path(), "guard", POLICIES);
    reloads(&sidecar, folder.path());
}

#[test]
fn no_room_for_the_file_of_addresses() {
    let folder = policies(&["guard"]);
    let full = TempDir::new().unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=4k", "humbaba-test"];
    let mounted = Command::new("mount").args(mount).arg(full.path()).output();
    if !mounted.is_ok_and(|mounted| mounted.status.success()) {
        skip_even_in_ci("mounting a small file system is not allowed here");
        return;
    }
    let _ = fs::write(full.path().join("all"), [0; 8_192]);
    let file = full.path().join("addresses.json");
    let args =
        ["serve", "--listen=127.0.0.1:0", "--http-listen=off", "--web-listen=off", "--policies"];
    let args = [&args[..], &[folder.path().to_str().unwrap(), "--addr-file"]].concat();
    let ended = run(&[&args[..], &[file.to_str().unwrap()]].concat());
    let unmounted = Command::new("umount").arg(full.path()).status();
    assert!(unmounted.unwrap().success());
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("cannot write"), "{ended:?}");
}

/// Calls on connections that are there learn of a changed directory even then.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_changes_while_there_are_no_file_handles() {
    let (folder, rows) = (policies(&["guard"]), TempDir::new().unwrap());
    let write = |user: &str| {
        let header = "principal_type,principal_id,role,scope_type,scope_id";
        let next = rows.path().join("next");
        fs::write(&next, format!("{header}\nUser,{user},viewer,Site,42\n")).unwrap();
        fs::rename(next, rows.path().join("a.assignments.csv")).unwrap();
    };
    write("alice");
    let source = format!("guard=files:{}", rows.path().display());
    let sidecar =
        Sidecar::start_as(under("ulimit -n 160"), folder.path(), &["--directory", &source]);
    let mut client = AuthorizationServiceClient::connect(sidecar.tcp()).await.unwrap();
    let mut views = async |user: &str| {
        let question = ask::ask(user, "view", "Site::42");
        ask::is_allow(&client.is_authorized(question).await.unwrap().into_inner())
    };
    assert!(views("User::alice").await);
    let address = sidecar.addresses["grpc"][0].as_str().unwrap().to_owned();
    let idle: Vec<_> = (0..800).map(|_| TcpStream::connect(&address).unwrap()).collect();
    write("bob");
    let begun = std::time::Instant::now();
    while views("User::alice").await {
        assert!(begun.elapsed() < DEADLINE, "{}", sidecar.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(views("User::bob").await);
    drop(idle);
}

/// 5 times as many connections as there are file handles: whoever is in stays in, policies are
/// still reloaded, and who comes later is served again.
#[test]
fn out_of_file_handles() {
    let folder = policies(&["guard"]);
    let sidecar = Sidecar::start_as(under("ulimit -n 160"), folder.path(), &[]);
    let address = sidecar.addresses["grpc"][0].as_str().unwrap().to_owned();
    let idle: Vec<_> = (0..800).map(|_| TcpStream::connect(&address).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(500));
    let sidecar_handles =
        || fs::read_dir(format!("/proc/{}/fd", sidecar.child.id())).unwrap().count();
    assert!(sidecar_handles() <= 160 - 16, "{}", sidecar_handles());
    // It can still read its policies, which takes handles.
    write_store(folder.path(), "guard", "permit");
    until("the refusal", || sidecar.log().contains("guard/policies.cedar").then_some(()));
    write_store(folder.path(), "guard", POLICIES);
    drop(idle);
    until("service", || (sidecar.check(&sidecar.tcp(), VIEW).code == 0).then_some(()));
    reloads(&sidecar, folder.path());
}

#[test]
fn nothing_is_written_to_the_policies() {
    let folder = policies(&["guard"]);
    let store = folder.path().join("guard");
    let listing = || {
        let mut names: Vec<_> =
            fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        (names, fs::metadata(&store).unwrap().modified().unwrap())
    };
    for path in [store.join("policies.cedar"), store.clone(), folder.path().to_owned()] {
        let mode = if path.is_dir() { 0o555 } else { 0o444 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let before = listing();
    let sidecar = Sidecar::start(folder.path(), &[]);
    sidecar.signal("HUP");
    assert_eq!(sidecar.check(&sidecar.tcp(), VIEW).code, 0);
    assert_eq!(listing(), before);
    for path in [folder.path(), &store] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Reading this file fails for everybody, whoever they are.
const UNREADABLE: &str = "/proc/self/mem";

#[test]
fn a_file_that_cannot_be_read_keeps_the_last_good_state() {
    let lab = Lab::watched();
    symlink(UNREADABLE, lab.root.join("main/broken.cedar")).unwrap();
    lab.hint();
    lab.until("the store is refused", |lab| !lab.problems("main").is_empty());
    assert!(lab.problems("main").iter().any(|problem| problem.contains("broken.cedar")));
    assert_eq!(lab.deciding("main").unwrap(), ["first"]);
    fs::remove_file(lab.root.join("main/broken.cedar")).unwrap();
    lab.write("main/policies.cedar", &permit("second"));
    lab.hint();
    lab.until_decides("main", "second");
}

#[test]
fn the_folder_is_replaced_by_another() {
    let lab = Lab::watched();
    for round in 0..3 {
        let (next, old) = (lab.home.path().join("next"), lab.home.path().join("old"));
        write_lab_store(&next.join("main"), &format!("round-{round}"));
        fs::rename(&lab.root, &old).unwrap();
        fs::rename(&next, &lab.root).unwrap();
        lab.hint();
        lab.until_decides("main", &format!("round-{round}"));
        fs::remove_dir_all(old).unwrap();
    }
}

/// An assignment that has expired is there again when the clock goes back, and only then.
#[test]
fn the_clock_jumps() {
    let store = stores::acme();
    let expires_at = Timestamp::from_millis(1_000_000);
    let input = RequestInput {
        principal: Some("User::alice".parse().unwrap()),
        action: Some(Uid::action("site.view")),
        resource: Some("Site::1".parse().unwrap()),
        role_assignments: vec![RoleAssignmentInput {
            principal: None,
            role: "viewer".to_owned(),
            scope: None,
            expires_at: Some(expires_at),
        }],
        ..RequestInput::default()
    };
    let allows = |now: i64| {
        let now = Timestamp::from_millis(now);
        let request = store.check(&input, now, &RequestLimits::default()).unwrap();
        decide(store.engine(), &request, OnForbidError::Deny).is_allow()
    };
    let jumps = [999_999, 1_000_000, 5_000_000, 0, -5_000_000, 1_000_001, 999_998];
    let allowed = [true, false, false, true, true, false, true];
    assert_eq!(jumps.map(allows), allowed);
}

/// The state was loaded in what is the future now.
#[tokio::test]
async fn the_clock_goes_back_behind_the_last_load() {
    let store = stores::acme();
    let server = TestServer::start([Arc::clone(&store)]).await;
    let tomorrow = Some(SystemTime::now() + Duration::from_secs(86_400));
    let mut status = server::status_of(&[store]);
    for state in &mut status.stores {
        state.loaded_at = tomorrow;
    }
    let status = LoadStatus { last_attempt: tomorrow, last_change: tomorrow, ..status };
    server.live.publish_status(status);
    for path in ["/metrics", "/status", "/readyz"] {
        assert_eq!(http::get(server.http, path).await.status, 200, "{path}");
    }
    let question = ask::ask("User::alice", "site.view", "Site::1").role("viewer", "Site::1");
    assert!(server.allows(question).await);
}
