//! Lets a sidecar run under load for a while, with a reload each second and hostile peers, and says
//! whether a good call failed, memory grew or a call was left over.
//!
//! `cargo build --release && cargo run --release --example soak -- target/release/humbaba 600`
//!
//! All traffic stays on 127.0.0.1. The first tenth of the time finds the greatest rate; the rest
//! runs at half of it. Exit code 1 if a check fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, dead_code)]

use std::{
    env, fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use humbaba::proto::{
    Decision, EntityUid, IsAuthorizedRequest, RoleAssignment,
    authorization_service_client::AuthorizationServiceClient,
};
use prost::Message as _;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use tonic::transport::Channel;

#[path = "../tests/it/support/hostile.rs"]
mod hostile;

/// Connections of good callers, and calls at once on each.
const CONNECTIONS: usize = 4;
const CALLS: usize = 8;
/// One hostile act to so many good calls.
const GOOD_TO_HOSTILE: u64 = 99;
/// The memory of the last minute may be this much more than that of the second.
const GROWTH: f64 = 1.05;

const SCHEMA: &str = "namespace Soak {
  entity Role; entity User in [Role]; entity Site { viewer: Role, editor: Role };
  action view, edit appliesTo { principal: User, resource: Site };
}";

fn policies(round: u64) -> String {
    format!(
        "// {round}
@id(\"view\") permit (principal, action == Soak::Action::\"view\", resource)
when {{ principal in [resource.viewer, resource.editor] }};
@id(\"edit\") permit (principal, action == Soak::Action::\"edit\", resource)
when {{ principal in resource.editor }};\n"
    )
}

#[derive(Default)]
struct Counts {
    good: AtomicU64,
    failed: AtomicU64,
    hostile: AtomicU64,
    reloads: AtomicU64,
    rotations: AtomicU64,
    slowest_micros: AtomicU64,
    failures: Mutex<Vec<String>>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let usage = "soak PATH_OF_HUMBABA SECONDS";
    let binary = PathBuf::from(arguments.next().expect(usage));
    let seconds: u64 = arguments.next().expect(usage).parse().expect(usage);
    assert!((20..=3_600).contains(&seconds), "between 20 s and an hour");

    let home = TempDir::new().unwrap();
    let sidecar = Sidecar::start(&binary, home.path()).await;
    let counts = Arc::new(Counts::default());

    let calibrating = Duration::from_secs((seconds / 10).clamp(2, 20));
    let before = calls(&sidecar, &counts, None, calibrating).await;
    let most = before as f64 / calibrating.as_secs_f64();
    let rate = most / 2.0;
    println!("greatest rate {most:.0} calls/s; soaking for {seconds} s at {rate:.0} calls/s");
    let counts = Arc::new(Counts::default());

    let over = Arc::new(AtomicBool::new(false));
    let mut around = JoinSet::new();
    around.spawn(reload(home.path().to_owned(), counts.clone(), over.clone()));
    around.spawn(rotate_certificates(counts.clone(), over.clone()));
    around.spawn(attack(sidecar.grpc, rate, counts.clone(), over.clone()));
    let memory = tokio::spawn(watch_memory(sidecar.child.id(), seconds));
    let span = Duration::from_secs(seconds);
    calls(&sidecar, &counts, Some(rate), span).await;
    over.store(true, Relaxed);
    while let Some(ended) = around.join_next().await {
        ended.unwrap();
    }
    let memory = memory.await.unwrap();
    sleep(Duration::from_secs(2)).await;
    let metrics = get(sidecar.http, "/metrics").await;
    report(&counts, &memory, &metrics, seconds)
}

/// Calls for that long, evenly at that rate or as fast as answers come. How many were answered.
async fn calls(sidecar: &Sidecar, counts: &Arc<Counts>, rate: Option<f64>, span: Duration) -> u64 {
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let channel = Channel::from_shared(format!("http://{}", sidecar.grpc)).unwrap();
        let channel = channel.connect().await.unwrap();
        for call in 0..CALLS {
            let mut client = AuthorizationServiceClient::new(channel.clone());
            let counts = Arc::clone(counts);
            let pause = rate.map(|rate| (CONNECTIONS * CALLS) as f64 / rate);
            let mut random = hostile::Random((connection * CALLS + call) as u64 + 1);
            callers.spawn(async move {
                let mut due = Instant::now();
                while begun.elapsed() < span {
                    if let Some(pause) = pause {
                        due += Duration::from_secs_f64(pause);
                        sleep(due.saturating_duration_since(Instant::now())).await;
                    }
                    let (request, allowed) = question(&mut random);
                    let asked = Instant::now();
                    let answer = client.is_authorized(request).await;
                    let took = u64::try_from(asked.elapsed().as_micros()).unwrap();
                    counts.slowest_micros.fetch_max(took, Relaxed);
                    let wrong = match answer {
                        Ok(answer) => {
                            let expected = if allowed { Decision::Allow } else { Decision::Deny };
                            let decision = answer.into_inner().decision();
                            (decision != expected).then(|| format!("{decision:?} is wrong"))
                        }
                        Err(status) => Some(status.to_string()),
                    };
                    match wrong {
                        None => drop(counts.good.fetch_add(1, Relaxed)),
                        Some(wrong) => {
                            counts.failed.fetch_add(1, Relaxed);
                            let mut failures = counts.failures.lock().unwrap();
                            if failures.len() < 10 {
                                failures.push(wrong);
                            }
                        }
                    }
                }
            });
        }
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    counts.good.load(Relaxed)
}

/// A question and whether it must be allowed.
fn question(random: &mut hostile::Random) -> (IsAuthorizedRequest, bool) {
    let uid = |r#type: &str, id: &str| Some(EntityUid { r#type: r#type.into(), id: id.into() });
    let user = format!("u{}", random.below(10_000));
    let site = format!("s{}", random.below(1_000));
    let (edits, editor) = (random.below(2) == 0, random.below(2) == 0);
    let role = if editor { "editor" } else { "viewer" };
    let request = IsAuthorizedRequest {
        principal: uid("User", &user),
        action: uid("", if edits { "edit" } else { "view" }),
        resource: uid("Site", &site),
        role_assignments: vec![RoleAssignment { role: role.into(), ..Default::default() }],
        ..Default::default()
    };
    (request, editor || !edits)
}

/// Changes a policy each second.
async fn reload(home: PathBuf, counts: Arc<Counts>, over: Arc<AtomicBool>) {
    let mut tick = interval(Duration::from_secs(1));
    while !over.load(Relaxed) {
        tick.tick().await;
        let round = counts.reloads.fetch_add(1, Relaxed) + 1;
        write_policies(&home, round);
    }
}

/// Rotates the certificates each minute. The sidecar here serves without TLS: this is the place for
/// it once the soak is given certificates.
async fn rotate_certificates(_counts: Arc<Counts>, _over: Arc<AtomicBool>) {}

/// One hostile act to so many good calls, of each kind in turn.
async fn attack(address: SocketAddr, rate: f64, counts: Arc<Counts>, over: Arc<AtomicBool>) {
    let mut tick = interval(Duration::from_secs_f64(GOOD_TO_HOSTILE as f64 / rate));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut random = hostile::Random(42);
    let request = question(&mut random).0.encode_to_vec();
    let mut acts = JoinSet::new();
    while !over.load(Relaxed) {
        tick.tick().await;
        while acts.try_join_next().is_some() {}
        if acts.len() >= 64 {
            continue;
        }
        let kind = random.below(100);
        let mut random = hostile::Random(random.below(1 << 40) as u64 + 1);
        let request = request.clone();
        acts.spawn(async move { act(address, kind, &request, &mut random).await });
        counts.hostile.fetch_add(1, Relaxed);
    }
    acts.shutdown().await;
}

async fn act(address: SocketAddr, kind: usize, request: &[u8], random: &mut hostile::Random) {
    // A peer that is cut off has had what it came for.
    let _ = match kind {
        0..=1 => hostile::reset_rapidly(address, 200).await.map(drop),
        2..=3 => {
            let second = Duration::from_secs(1);
            let preface = hostile::beginning();
            hostile::dribble(address, b"", &preface, second / 5, second).await.map(drop)
        }
        4..=6 => promise(address).await,
        7..=9 => many_parts(address).await,
        _ => hostile::send_nonsense(address, request, random).await.map(drop),
    };
}

/// Promises a large message and does not send it.
async fn promise(address: SocketAddr) -> std::io::Result<()> {
    let mut connection = hostile::connect(address).await?;
    let headers = hostile::frame(hostile::HEADERS, hostile::END_HEADERS, 1, &hostile::headers());
    let promised = hostile::message(100 << 20, &[0; 1_000]);
    let data = hostile::frame(hostile::DATA, 0, 1, &promised);
    connection.write_all(&[hostile::beginning(), headers, data].concat()).await?;
    hostile::is_closed(&mut connection, Duration::from_millis(200)).await;
    Ok(())
}

/// Many parts in few bytes.
async fn many_parts(address: SocketAddr) -> std::io::Result<()> {
    let mut connection = hostile::connect(address).await?;
    let call = hostile::call(1, &[0x32, 0].repeat(8_000)).concat();
    connection.write_all(&[hostile::beginning(), call].concat()).await?;
    hostile::is_closed(&mut connection, Duration::from_millis(200)).await;
    Ok(())
}

/// The memory of a process in KiB, once a second.
async fn watch_memory(process: u32, seconds: u64) -> Vec<u64> {
    let mut tick = interval(Duration::from_secs(1));
    let mut memory = Vec::new();
    for _ in 0..seconds {
        tick.tick().await;
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        memory.push(line.trim().trim_end_matches(" kB").parse().unwrap());
    }
    memory
}

fn report(counts: &Counts, memory: &[u64], metrics: &str, seconds: u64) -> ExitCode {
    let get = |count: &AtomicU64| count.load(Relaxed);
    println!("good calls        {}", get(&counts.good));
    println!("failed good calls {}", get(&counts.failed));
    println!("slowest good call {:.1} ms", get(&counts.slowest_micros) as f64 / 1_000.0);
    println!("hostile acts      {}", get(&counts.hostile));
    println!("reloads           {}", get(&counts.reloads));
    println!("rotations         {}", get(&counts.rotations));
    for failure in counts.failures.lock().unwrap().iter() {
        println!("  {failure}");
    }
    let mut passed = check("no good call failed", get(&counts.failed) == 0);
    // Shorter runs compare their second and last sixth.
    let minute = usize::try_from(seconds.min(360) / 6).unwrap().clamp(1, 60);
    let average = |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len().max(1) as f64;
    let second = average(&memory[minute..(2 * minute).min(memory.len())]);
    let last = average(&memory[memory.len() - minute..]);
    println!("memory            {second:.0} KiB, at the end {last:.0} KiB, each over {minute} s");
    passed &= check("memory has not grown by more than 5%", last <= second * GROWTH);
    for metric in ["humbaba_requests_in_flight", "humbaba_connections{face=\"grpc\"}"] {
        let line = metrics.lines().find_map(|line| line.strip_prefix(metric));
        let value: f64 = line.expect("the metric").trim().parse().unwrap();
        // The callers' own connections may just be closing.
        passed &= check(&format!("{metric} is back at 0"), value == 0.0);
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(what: &str, is_so: bool) -> bool {
    println!("{} {what}", if is_so { "ok    " } else { "FAILED" });
    is_so
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

fn write_policies(home: &Path, round: u64) {
    let next = home.join("policies.cedar.next");
    fs::write(&next, policies(round)).unwrap();
    fs::rename(next, home.join("policies/soak/policies.cedar")).unwrap();
}

/// The sidecar, killed at the end.
struct Sidecar {
    child: Child,
    grpc: SocketAddr,
    http: SocketAddr,
}

impl Sidecar {
    #[allow(clippy::zombie_processes)] // It ends with the value that is returned.
    async fn start(binary: &Path, home: &Path) -> Self {
        let store = home.join("policies/soak");
        fs::create_dir_all(&store).unwrap();
        fs::File::create(store.join("schema.cedarschema"))
            .unwrap()
            .write_all(SCHEMA.as_bytes())
            .unwrap();
        write_policies(home, 0);
        let file = home.join("addresses.json");
        let child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
            .args(["--log-filter", "humbaba=warn,error", "--set", "limits.patience_ms=2000"])
            .arg("--policies")
            .arg(home.join("policies"))
            .arg("--addr-file")
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        loop {
            sleep(Duration::from_millis(50)).await;
            let Ok(text) = fs::read_to_string(&file) else { continue };
            let addresses: serde_json::Value = serde_json::from_str(&text).unwrap();
            let address = |value: &serde_json::Value| value.as_str().unwrap().parse().unwrap();
            let (grpc, http) = (address(&addresses["grpc"][0]), address(&addresses["http"]));
            if get(http, "/readyz").await.starts_with("HTTP/1.1 200") {
                return Self { child, grpc, http };
            }
        }
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
