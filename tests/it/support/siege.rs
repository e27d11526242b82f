//! A real sidecar under attack, and those who watch it.

use std::{
    fs,
    net::SocketAddr,
    ops::RangeBounds,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use humbaba::proto::{
    IsAuthorizedRequest, authorization_service_client::AuthorizationServiceClient,
};
use rustix::process::{Resource, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};
use tonic::transport::Channel;

use super::{
    ask::{self, Asking as _, is_allow},
    hostile::{dribble, take_no_answers},
    http, wait,
};
use crate::{cli::policies, cli_sidecar::Sidecar};

pub const MIB: usize = 1024 * 1024;

/// A sidecar under attack, and a well-behaved caller that asks it all the time.
pub struct Siege {
    pub sidecar: Sidecar,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub web: SocketAddr,
    caller: JoinHandle<()>,
    answered: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    memory_before: usize,
    _policies: TempDir,
}

impl Siege {
    pub async fn begin(settings: &[&str]) -> Self {
        Self::begin_with(policies(&["guard"]), settings).await
    }

    pub async fn begin_with(policies: TempDir, settings: &[&str]) -> Self {
        let settings: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let sidecar = Sidecar::start(policies.path(), &settings);
        let address = |value: &serde_json::Value| value.as_str().unwrap().parse().unwrap();
        let grpc = address(&sidecar.addresses["grpc"][0]);
        let http = address(&sidecar.addresses["http"]);
        let web = address(&sidecar.addresses["web"]);
        let (answered, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let caller = {
            let (answered, over, channel) = (answered.clone(), over.clone(), channel(grpc));
            tokio::spawn(async move {
                let mut client = AuthorizationServiceClient::new(channel);
                while !over.load(Ordering::Relaxed) {
                    let answer = client.is_authorized(good()).await;
                    assert!(is_allow(&answer.expect("a good call is answered").into_inner()));
                    answered.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
        };
        let siege = Self {
            memory_before: memory(&sidecar),
            sidecar,
            grpc,
            http,
            web,
            caller,
            answered,
            over,
            _policies: policies,
        };
        siege.answers_on().await;
        siege
    }

    pub fn channel(&self) -> Channel {
        channel(self.grpc)
    }

    /// The well-behaved caller, and one that is new, are answered.
    pub async fn answers_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        wait::until("the caller is answered", async || {
            assert!(!self.caller.is_finished(), "a good call failed");
            self.answered.load(Ordering::Relaxed) > before + 2
        })
        .await;
        let mut client = AuthorizationServiceClient::new(self.channel());
        assert!(is_allow(&client.is_authorized(good()).await.unwrap().into_inner()));
    }

    /// The bytes by which the memory of the sidecar has grown at most.
    pub fn grown(&self) -> usize {
        memory(&self.sidecar).saturating_sub(self.memory_before)
    }

    /// Nothing has failed, nothing is left over, and memory has grown by no more than that.
    pub async fn end(mut self, more_memory: usize) {
        self.answers_on().await;
        self.over.store(true, Ordering::Relaxed);
        (&mut self.caller).await.expect("every good call was answered");
        let grown = self.grown();
        assert!(grown <= more_memory, "memory has grown by {} KiB", grown / 1024);
        wait::until("no call is under way", async || {
            let metrics = http::get(self.http, "/metrics").await.body;
            metrics.contains("humbaba_requests_in_flight 0\n")
        })
        .await;
        assert!(!self.sidecar.log().contains("panicked"), "{}", self.sidecar.log());
    }
}

fn channel(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

pub fn good() -> IsAuthorizedRequest {
    ask::ask("User::alice", "view", "Site::42").role("viewer", "Site::42")
}

/// The number of times that a limit was hit.
pub async fn hits(http: SocketAddr, limit: &str) -> u64 {
    let metrics = http::get(http, "/metrics").await.body;
    let series = format!("humbaba_limits_hit_total{{limit=\"{limit}\"}} ");
    let count = metrics.lines().find_map(|line| line.strip_prefix(&series));
    count.map_or(0, |count| count.parse().unwrap())
}

/// Waits until so many connections are open, as the metrics tell it.
pub async fn wait_for_open(http: SocketAddr, face: &str, count: impl RangeBounds<usize>) {
    let series = format!("humbaba_connections{{face=\"{face}\"}} ");
    wait::until("the connections are open", async || {
        let metrics = http::get(http, "/metrics").await.body;
        let open = metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok());
        open.is_some_and(|open: usize| count.contains(&open))
    })
    .await;
}

/// Lets this process have as many file handles as the system allows; none where it sets no limit.
pub fn raise_file_handles() -> Option<u64> {
    let mut handles = getrlimit(Resource::Nofile);
    handles.current = handles.maximum;
    setrlimit(Resource::Nofile, handles).unwrap();
    handles.maximum
}

/// Peers send bytes at once and others one by one, twenty of each kind, and each is closed in time.
pub async fn slow_peers_are_closed(cases: &[(SocketAddr, &[u8], &[u8])]) {
    let (pause, at_most) = (Duration::from_millis(300), Duration::from_secs(15));
    let mut attacks = Vec::new();
    for &(address, at_once, bytes) in cases {
        for _ in 0..20 {
            let (at_once, bytes) = (at_once.to_vec(), bytes.to_vec());
            attacks.push(tokio::spawn(async move {
                dribble(address, &at_once, &bytes, pause, at_most).await.unwrap()
            }));
        }
    }
    for attack in attacks {
        let lasted = attack.await.unwrap();
        assert!(lasted < at_most, "a slow peer was let be for {lasted:?}");
    }
}

/// Peers whose streams have those windows ask and take no answer, and each is closed in time.
pub async fn who_takes_no_answers_is_closed(
    address: SocketAddr,
    windows: Vec<u32>,
    requests: &[u8],
) {
    let attacks = windows.into_iter().map(|window| {
        let requests = requests.to_vec();
        tokio::spawn(async move { take_no_answers(address, window, &requests).await })
    });
    for attack in attacks.collect::<Vec<_>>() {
        let lasted = timeout(wait::DEADLINE, attack).await.expect("it is let be");
        let lasted = lasted.unwrap().unwrap();
        assert!(lasted < Duration::from_secs(15), "it was let be for {lasted:?}");
    }
}

/// The most memory that the sidecar has ever had.
fn memory(sidecar: &Sidecar) -> usize {
    let status = Path::new("/proc").join(sidecar.child.id().to_string()).join("status");
    let status = fs::read_to_string(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}
