//! Four sidecars and eight writers while processes are killed and connections are cut.
//!
//! `HUMBABA_TORTURE_SECONDS` makes it last longer.

use std::{
    collections::BTreeSet,
    env,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use humbaba::proto::{
    BatchIsAuthorizedItem, BatchIsAuthorizedRequest,
    authorization_service_client::AuthorizationServiceClient,
    batch_is_authorized_result::Result as ItemResult,
};
use proptest::test_runner::{RngAlgorithm, TestRng};
use tempfile::TempDir;
use tokio_postgres::Client;
use tonic::{Code, Request, Status};

use crate::{
    cli::policies,
    cli_sidecar::Sidecar,
    support::{
        ask::{action, is_allow, uid},
        postgres::{Postgres, READER, WRITER, column, value},
        random::Random,
        wait::DEADLINE,
    },
};

const SIDECARS: usize = 4;
const WRITERS: usize = 8;
/// Users whose roles all writers change.
const SHARED: usize = 3;
const SITES: usize = 6;

/// The editors of each site.
type Held = BTreeSet<(String, usize)>;

/// The state that the tasks share.
struct Torture {
    /// The address of each sidecar; it changes when one is started again.
    addresses: Mutex<Vec<String>>,
    url: String,
    is_over: AtomicBool,
    committed: AtomicUsize,
    rolled_back: AtomicUsize,
    /// Questions with the version of a write that were answered.
    answered: AtomicUsize,
    /// States of which it was checked that no transaction is half there.
    whole: AtomicUsize,
}

fn random(seed: u8) -> Random {
    Random::new(TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
}

/// The users that are asked about: those of the writers, two each, and the shared ones.
fn users() -> Vec<String> {
    let own = (0..WRITERS).flat_map(|writer| [format!("left{writer}"), format!("right{writer}")]);
    own.chain((0..SHARED).map(|user| format!("shared{user}"))).collect()
}

/// Asks a sidecar who is an editor of what, by facts at least that new. Also returns the version that
/// answered.
async fn held(server: String, at_least: &str) -> Result<(Held, String), Status> {
    let keys: Vec<_> = users()
        .into_iter()
        .flat_map(|user| (0..SITES).map(move |site| (user.clone(), site)))
        .collect();
    let items = keys.iter().map(|(user, site)| BatchIsAuthorizedItem {
        principal: Some(uid(&format!("User::{user}"))),
        action: Some(action("edit")),
        resource: Some(uid(&format!("Site::{site}"))),
        ..BatchIsAuthorizedItem::default()
    });
    let mut request = Request::new(BatchIsAuthorizedRequest {
        items: items.collect(),
        at_least_version: at_least.to_owned(),
        ..BatchIsAuthorizedRequest::default()
    });
    request.set_timeout(DEADLINE);
    let client = AuthorizationServiceClient::connect(server).await;
    let mut client = client.map_err(|error| Status::unavailable(error.to_string()))?;
    let answer = client.batch_is_authorized(request).await?.into_inner();
    assert_eq!(answer.items.len(), keys.len());
    let allowed = keys.into_iter().zip(&answer.items).filter(|(_, item)| match &item.result {
        Some(ItemResult::Response(response)) => is_allow(response),
        other => panic!("{other:?}"),
    });
    Ok((allowed.map(|(key, _)| key).collect(), answer.directory_version))
}

fn of(held: &Held, user: &str) -> BTreeSet<usize> {
    held.iter().filter(|(holder, _)| holder == user).map(|(_, site)| *site).collect()
}

async fn table(client: &Client) -> Held {
    let rows = "SELECT principal_id || ' ' || scope_id FROM humbaba.assignments";
    let rows = column(client, rows).await;
    let rows = rows.iter().map(|row| row.split_once(' ').unwrap());
    rows.map(|(user, site)| (user.to_owned(), site.parse().unwrap())).collect()
}

impl Torture {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn address(&self, random: &mut Random) -> String {
        random.pick(&self.addresses.lock().unwrap()).clone()
    }

    async fn connect(&self) -> Option<Client> {
        let connecting = tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await;
        let (client, connection) = connecting.ok()?;
        tokio::spawn(connection);
        Some(client)
    }

    /// Writes in transactions, in each of which its left and its right user end with the same sites,
    /// and holds each answer to the write before it.
    async fn write(self: Arc<Self>, writer: usize) {
        let mut random = random(writer as u8 + 1);
        while !self.is_over() {
            let Some(client) = self.connect().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            while !self.is_over() && self.transaction(&client, writer, &mut random).await.is_some()
            {
            }
        }
    }

    /// Returns nothing where the connection or a sidecar failed.
    async fn transaction(&self, client: &Client, writer: usize, random: &mut Random) -> Option<()> {
        let is_long = random.below(50) == 0;
        let pause = |random: &mut Random| Duration::from_millis(random.below(20) as u64);
        client.batch_execute("BEGIN").await.ok()?;
        let sites: Vec<_> = (0..=random.below(3)).map(|_| random.below(SITES)).collect();
        for side in ["left", "right"] {
            let user = format!("{side}{writer}");
            for site in &sites {
                client.batch_execute(&flip(&user, *site)).await.ok()?;
            }
            tokio::time::sleep(pause(random)).await;
        }
        let (user, site) = (random.below(SHARED), random.below(SITES));
        client.batch_execute(&flip(&format!("shared{user}"), site)).await.ok()?;
        if is_long {
            tokio::time::sleep(Duration::from_millis(1_000 + random.below(2_000) as u64)).await;
        }
        let row = client.query_one("SELECT humbaba.token()", &[]).await.ok()?;
        let token: String = row.get(0);
        if random.below(100) < 15 {
            client.batch_execute("ROLLBACK").await.ok()?;
            self.rolled_back.fetch_add(1, Ordering::Relaxed);
            return Some(());
        }
        client.batch_execute("COMMIT").await.ok()?;
        self.committed.fetch_add(1, Ordering::Relaxed);
        if random.below(4) == 0 {
            self.is_in_force(client, writer, &token, random).await;
        }
        Some(())
    }

    /// Asks two sidecars for what was written: the second by the version of the first one's answer.
    async fn is_in_force(&self, client: &Client, writer: usize, token: &str, random: &mut Random) {
        let (left, right) = (format!("left{writer}"), format!("right{writer}"));
        let mine = "SELECT scope_id FROM humbaba.assignments WHERE principal_id = ";
        let Ok(rows) = client.query(&format!("{mine}'{left}'"), &[]).await else { return };
        let written: BTreeSet<usize> =
            rows.iter().map(|row| row.get::<_, String>(0).parse().unwrap()).collect();
        let mut version = token.to_owned();
        for _ in 0..2 {
            match held(self.address(random), &version).await {
                Ok((held, answered)) => {
                    assert_eq!(of(&held, &left), written, "older than {version}");
                    assert_eq!(of(&held, &right), written, "older than {version}");
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    version = answered;
                }
                // It was killed, or has just been.
                Err(status) => {
                    let codes =
                        [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::DeadlineExceeded];
                    assert!(codes.contains(&status.code()), "{status:?}");
                }
            }
        }
    }

    /// Holds every state that a sidecar shows to being one that was committed.
    async fn watch(self: Arc<Self>, sidecar: usize) {
        while !self.is_over() {
            let server = self.addresses.lock().unwrap()[sidecar].clone();
            if let Ok((held, version)) = held(server, "").await {
                for writer in 0..WRITERS {
                    let (left, right) =
                        (of(&held, &format!("left{writer}")), of(&held, &format!("right{writer}")));
                    assert_eq!(left, right, "a transaction is half there in {version}");
                }
                self.whole.fetch_add(1, Ordering::Relaxed);
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }
}

/// Takes the role away if it is held, else gives it.
fn flip(user: &str, site: usize) -> String {
    format!(
        "DO $$ BEGIN DELETE FROM humbaba.assignments WHERE principal_id = '{user}' AND scope_id = '{site}';
         IF NOT FOUND THEN INSERT INTO humbaba.assignments (principal_type, principal_id, role, scope_type,
         scope_id) VALUES ('User', '{user}', 'editor', 'Site', '{site}')
         ON CONFLICT (principal_type, principal_id, role, scope_type, scope_id)
         DO UPDATE SET reason = 'again'; END IF; END $$"
    )
}

fn sidecar(policies: &TempDir, postgres: &Postgres) -> Sidecar {
    let url_file = postgres.url_file().to_str().unwrap().to_owned();
    let variables = [("HUMBABA_DIRECTORY__POSTGRES_URL_FILE", url_file)];
    Sidecar::start_with(policies.path(), &["--directory", "main=postgres"], &variables)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_commit_arrives_whole_and_once_whatever_is_killed() {
    let Some(mut postgres) = Postgres::start().await else { return };
    postgres.install(&[]).await;
    let policies = policies(&["main"]);
    let mut sidecars: Vec<_> = (0..SIDECARS).map(|_| sidecar(&policies, &postgres)).collect();
    let torture = Arc::new(Torture {
        addresses: Mutex::new(sidecars.iter().map(Sidecar::tcp).collect()),
        url: postgres.url(WRITER),
        is_over: AtomicBool::new(false),
        committed: AtomicUsize::default(),
        rolled_back: AtomicUsize::default(),
        answered: AtomicUsize::default(),
        whole: AtomicUsize::default(),
    });
    let writers = (0..WRITERS).map(|writer| tokio::spawn(Arc::clone(&torture).write(writer)));
    let watchers = (0..SIDECARS).map(|sidecar| tokio::spawn(Arc::clone(&torture).watch(sidecar)));
    let tasks: Vec<_> = writers.chain(watchers).collect();

    let seconds = env::var("HUMBABA_TORTURE_SECONDS").ok().and_then(|text| text.parse().ok());
    let (begun, lasts) = (Instant::now(), Duration::from_secs(seconds.unwrap_or(20)));
    let mut random = random(0);
    for round in 0.. {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        if begun.elapsed() > lasts || tasks.iter().any(|task| task.is_finished()) {
            break;
        }
        match round % 4 {
            0 | 2 => {
                let cut = format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE usename = '{READER}' AND random() < 0.7"
                );
                let admin = postgres.client("postgres").await;
                admin.batch_execute(&cut).await.unwrap();
            }
            1 => {
                let index = random.below(SIDECARS);
                sidecars[index].child.kill().unwrap();
                sidecars[index] = sidecar(&policies, &postgres);
                torture.addresses.lock().unwrap()[index] = sidecars[index].tcp();
            }
            _ => {
                postgres.kill();
                postgres.up().await;
            }
        }
    }
    torture.is_over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }

    let admin = postgres.client("postgres").await;
    // Transactions whose client has gone may still be ending.
    let writing = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{WRITER}'");
    while value(&admin, &writing).await != "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let version = value(&admin, "SELECT humbaba.version()").await;
    let table = table(&admin).await;
    for sidecar in &sidecars {
        assert_eq!(held(sidecar.tcp(), &version).await.unwrap().0, table, "{}", sidecar.log());
    }
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let (committed, rolled_back) = (count(&torture.committed), count(&torture.rolled_back));
    let (answered, whole) = (count(&torture.answered), count(&torture.whole));
    eprintln!(
        "{committed} committed, {rolled_back} rolled back, {answered} answers held to their version, \
         {whole} states held to be whole"
    );
    assert!(committed > 100 && rolled_back > 10 && answered > 20 && whole > 100);
}
