//! A policies folder that is slow, stuck, read-only, or long to load: decisions go on with the last
//! good state.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use humbaba::{
    model::Problem,
    proto::{IsAuthorizedRequest, authorization_service_client::AuthorizationServiceClient},
    reload::Options,
    store::PolicyStore,
};
use tempfile::TempDir;
use tokio::time::timeout;
use tonic::transport::Channel;

use crate::{
    cli::{POLICIES, SCHEMA, policies, write_store},
    cli_sidecar::Sidecar,
    reload::lab::{Lab, options, permit},
    support::{
        ask::{self, Asking as _, is_allow},
        skip::skip_even_in_ci,
        slow_folder::SlowFolder,
        wait,
    },
};

const PERMIT_ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";

/// The time that an answer may take while the folder takes its time: far less than reading it does.
const SOON: Duration = Duration::from_millis(1_500);

/// Asks what only [`PERMIT_ALL`] allows.
struct Asker(AuthorizationServiceClient<Channel>);

impl Asker {
    fn new(sidecar: &Sidecar) -> Self {
        let channel = Channel::from_shared(sidecar.tcp()).unwrap().connect_lazy();
        Self(AuthorizationServiceClient::new(channel))
    }

    async fn is_new(&mut self) -> bool {
        let edit: IsAuthorizedRequest =
            ask::ask("User::alice", "edit", "Site::42").role("viewer", "Site::42");
        let answer = timeout(SOON, self.0.is_authorized(edit)).await;
        is_allow(&answer.expect("an answer comes soon").unwrap().into_inner())
    }

    /// Counts the answers of the last good state until the new one is in force.
    async fn until_new(&mut self) -> (usize, Duration) {
        let (begun, mut old) = (Instant::now(), 0);
        while !self.is_new().await {
            old += 1;
            assert!(begun.elapsed() < wait::DEADLINE, "the new state never came");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (old, begun.elapsed())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_is_on_a_slow_file_system() {
    let Some(folder) = SlowFolder::mount("guard", SCHEMA, POLICIES) else { return };
    let settings = ["--set", "reload.rehash_interval_s=1", "--set", "reload.use_events=false"];
    let sidecar = Sidecar::start(folder.path(), &settings);
    let mut asker = Asker::new(&sidecar);
    assert!(!asker.is_new().await);

    // Slow: every look at the folder takes its time.
    folder.delay(Duration::from_millis(100));
    let answered = folder.answered();
    folder.write(PERMIT_ALL);
    let (old, took) = asker.until_new().await;
    assert!(folder.answered() > answered + 5, "it was read: {}", folder.answered() - answered);
    assert!(took > Duration::from_millis(500) && old > 10, "{old} answers in {took:?}");

    // Stuck: nothing of it is answered at all.
    folder.delay(Duration::ZERO);
    folder.stuck(true);
    folder.write(POLICIES);
    wait::until("the reading is stuck", async || folder.keeps_waiting()).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert!(asker.is_new().await, "the last good state decides");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(folder.keeps_waiting());
    folder.stuck(false);
    wait::until("what was written meanwhile decides", async || !asker.is_new().await).await;
}

/// A mounted folder, of which the files can be changed elsewhere only.
struct ReadOnly {
    behind: TempDir,
    mount: TempDir,
}

impl ReadOnly {
    fn mount() -> Option<Self> {
        let read_only = Self { behind: policies(&["guard"]), mount: TempDir::new().unwrap() };
        let (behind, mount) = (read_only.behind.path(), read_only.mount.path());
        let mounts = |args: &[&str], paths: &[&Path]| {
            let ended = Command::new("mount").args(args).args(paths).output();
            ended.is_ok_and(|ended| ended.status.success())
        };
        if !mounts(&["--bind"], &[behind, mount]) {
            skip_even_in_ci("mounting is not allowed here");
            return None;
        }
        assert!(mounts(&["-o", "remount,bind,ro"], &[mount]));
        Some(read_only)
    }

    fn path(&self) -> PathBuf {
        self.mount.path().to_owned()
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.mount.path()).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_folder_is_on_a_read_only_file_system() {
    let Some(folder) = ReadOnly::mount() else { return };
    let refused = fs::write(folder.path().join("guard/new"), "").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    let settings = ["--set", "reload.rehash_interval_s=1"];
    let sidecar = Sidecar::start(&folder.path(), &settings);
    let mut asker = Asker::new(&sidecar);
    assert!(!asker.is_new().await);
    write_store(folder.behind.path(), "guard", PERMIT_ALL);
    wait::until("the new state decides", async || asker.is_new().await).await;
    write_store(folder.behind.path(), "guard", "permit");
    wait::until("the refusal", async || sidecar.log().contains("guard/policies.cedar")).await;
    assert!(asker.is_new().await, "the last good state decides");
    assert!(!sidecar.log().contains("Read-only"), "{}", sidecar.log());
}

/// Returns whether loading does not end.
static ENDLESS: AtomicBool = AtomicBool::new(false);
static BEGUN: AtomicBool = AtomicBool::new(false);

fn endless(_: &PolicyStore) -> Vec<Problem> {
    let begun = Instant::now();
    while ENDLESS.load(Relaxed) && begun.elapsed() < Duration::from_secs(20) {
        BEGUN.store(true, Relaxed);
        std::thread::sleep(Duration::from_millis(2));
    }
    Vec::new()
}

#[test]
fn decisions_go_on_while_a_store_is_loaded() {
    let options = Options { require_tests: true, run_tests: endless, ..options() };
    let lab = Lab::watched_with(options);
    ENDLESS.store(true, Relaxed);
    lab.write("main/policies.cedar", &permit("second"));
    lab.hint();
    lab.until("loading has begun", |_| BEGUN.load(Relaxed));
    lab.always(Duration::from_secs(1), "the last good state decides", |lab| {
        lab.deciding("main").unwrap() == ["first"]
    });
    ENDLESS.store(false, Relaxed);
    lab.until_decides("main", "second");
}
