//! Lets a sidecar run under load for a while, with a reload each second, directories that change, new
//! certificates each minute and hostile peers, and says whether a good call failed, memory grew or
//! anything was left over.
//!
//! `cargo bench --profile dist --bench soak`
//!
//! All traffic stays on 127.0.0.1. Exit code 1 if a check fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, dead_code)]

mod attack;
mod certificates;
mod directories;
mod good;
mod minutes;
mod report;
mod sidecar;

#[path = "../../tests/it/support/hostile.rs"]
mod hostile;
#[path = "../../tests/it/support/pki.rs"]
mod pki;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use clap::Parser;
use hdrhistogram::Histogram;
use tempfile::TempDir;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{interval, sleep},
};

use self::{certificates::Certificates, good::Callers, sidecar::Sidecar};

/// Lets a sidecar run under load, reloads, changed directories, new certificates and hostile peers.
#[derive(Debug, Parser)]
struct Arguments {
    /// The binary to run; unset: the one that was built with this program
    #[arg(long, value_name = "BINARY", default_value = env!("CARGO_BIN_EXE_humbaba"), hide_default_value = true)]
    humbaba: PathBuf,
    /// Length of the run, in seconds
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(20..=86_400))]
    seconds: u64,
    /// Good calls a second; unset: half of the greatest rate, which is found in the first seconds
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds between new certificates
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(2..))]
    rotate: u64,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Counters of everything that has happened so far.
struct Counts {
    good: AtomicU64,
    good_over_tls: AtomicU64,
    failed: AtomicU64,
    /// Latency of good calls, in microseconds.
    took: Mutex<Histogram<u64>>,
    hostile: AtomicU64,
    reloads: AtomicU64,
    /// Time until changes of directory files were in force, in microseconds.
    file_changes: Mutex<Histogram<u64>>,
    /// Writes of the directory that the sidecar keeps.
    writes: AtomicU64,
    rotations: AtomicU64,
    /// Clients that must not be served, and were not.
    refused: AtomicU64,
    /// Clients that must not be served, and were.
    breaches: AtomicU64,
    /// The first few of what went wrong.
    failures: Mutex<Vec<String>>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            good: AtomicU64::default(),
            good_over_tls: AtomicU64::default(),
            failed: AtomicU64::default(),
            took: Mutex::new(Histogram::new(3).unwrap()),
            hostile: AtomicU64::default(),
            reloads: AtomicU64::default(),
            file_changes: Mutex::new(Histogram::new(3).unwrap()),
            writes: AtomicU64::default(),
            rotations: AtomicU64::default(),
            refused: AtomicU64::default(),
            breaches: AtomicU64::default(),
            failures: Mutex::default(),
        }
    }
}

impl Counts {
    /// Returns the milliseconds within which that share of the good calls was answered.
    fn took(&self, share: f64) -> f64 {
        self.took.lock().unwrap().value_at_quantile(share) as f64 / 1_000.0
    }

    fn fail(&self, what: String) {
        self.failed.fetch_add(1, Relaxed);
        self.note(what);
    }

    fn note(&self, what: String) {
        let mut failures = self.failures.lock().unwrap();
        if failures.len() < 10 {
            failures.push(what);
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let span = Duration::from_secs(arguments.seconds);
    let home = TempDir::new().unwrap();
    let certificates = Certificates::new(home.path().join("tls"));
    directories::prepare(home.path());
    let sidecar = Arc::new(Sidecar::start(&arguments.humbaba, home.path()).await);
    let before = sidecar.sample().await;
    let (new_client, client) = watch::channel(certificates.client());
    let callers = Callers { sidecar: Arc::clone(&sidecar), client };

    let trial = Duration::from_secs((arguments.seconds / 10).clamp(2, 20));
    let rate = match arguments.rate {
        Some(rate) => rate,
        None => {
            let counts = Arc::new(Counts::default());
            callers.call(&counts, None, trial).await;
            let most = counts.good.load(Relaxed) as f64 / trial.as_secs_f64();
            println!("greatest rate {most:.0} calls/s");
            most / 2.0
        }
    };
    let quiet = Arc::new(Counts::default());
    callers.call(&quiet, Some(rate), trial).await;
    println!("soaking for {} s at {rate:.0} calls/s", arguments.seconds);

    let (counts, over) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
    let mut around = JoinSet::new();
    around.spawn(reload(Arc::clone(&sidecar), Arc::clone(&counts), Arc::clone(&over)));
    let of_directories = || (Arc::clone(&sidecar), Arc::clone(&counts), Arc::clone(&over));
    let (of_sidecar, of_counts, is_over) = of_directories();
    around.spawn(directories::change_files(of_sidecar, of_counts, is_over));
    let (of_sidecar, of_counts, is_over) = of_directories();
    around.spawn(directories::write_kept(of_sidecar, of_counts, is_over));
    let period = Duration::from_secs(arguments.rotate);
    around.spawn(certificates.rotate(
        Arc::clone(&sidecar),
        new_client,
        period,
        Arc::clone(&counts),
        Arc::clone(&over),
    ));
    around.spawn(attack::attack(callers.clone(), rate, Arc::clone(&counts), Arc::clone(&over)));
    let minutes =
        tokio::spawn(minutes::watch(Arc::clone(&sidecar), Arc::clone(&counts), arguments.seconds));
    callers.call(&counts, Some(rate), span).await;
    over.store(true, Relaxed);
    while let Some(ended) = around.join_next().await {
        ended.unwrap();
    }
    let minutes = minutes.await.unwrap();
    drop(callers);
    // The sidecar gives up what the last hostile peers began once its patience ends.
    sleep(sidecar::PATIENCE + Duration::from_secs(3)).await;
    let after = sidecar.sample().await;
    let status = sidecar.status().await;
    report::report(&quiet, &counts, &minutes, &before, &after, &status)
}

/// Changes a policy each second.
async fn reload(sidecar: Arc<Sidecar>, counts: Arc<Counts>, over: Arc<AtomicBool>) {
    let mut tick = interval(Duration::from_secs(1));
    while !over.load(Relaxed) {
        tick.tick().await;
        let round = counts.reloads.fetch_add(1, Relaxed) + 1;
        sidecar::write_policies(&sidecar.home, round);
    }
}
