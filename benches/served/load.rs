//! Load: closed loops that ask again when they are answered, and a fixed rate.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::sync::mpsc;

use super::wire::{Question, Wire};

/// How much is asked at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub connections: usize,
    pub in_flight: usize,
}

/// What came of it. Latencies are in nanoseconds.
pub struct Outcome {
    pub latencies: Histogram<u64>,
    pub seconds: f64,
}

impl Outcome {
    fn new() -> Self {
        Self { latencies: Histogram::new(3).expect("three digits"), seconds: 0.0 }
    }

    pub fn calls(&self) -> f64 {
        self.latencies.len() as f64
    }

    /// Microseconds.
    pub fn quantile(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// Asks so many questions at once, each loop the next one when it is answered.
pub fn closed(address: &str, question: &Question, shape: Shape, time: Duration) -> Outcome {
    run(async {
        let until = Instant::now() + time;
        let loops = (0..shape.connections).map(|_| {
            let (address, question) = (address.to_owned(), question.clone());
            tokio::spawn(closed_loop(address, question, shape.in_flight, until))
        });
        let begun = Instant::now();
        let mut outcome = gather(loops.collect()).await;
        outcome.seconds = begun.elapsed().as_secs_f64();
        outcome
    })
}

async fn closed_loop(
    address: String,
    question: Question,
    in_flight: usize,
    until: Instant,
) -> io::Result<Histogram<u64>> {
    let mut wire = Wire::connect(&address, question).await?;
    let mut latencies = Histogram::new(3).expect("three digits");
    let mut now = Instant::now();
    while now < until || wire.in_flight() > 0 {
        while now < until && wire.in_flight() < in_flight && wire.has_room() {
            wire.ask(now);
        }
        wire.flush().await?;
        let mut sent = Vec::new();
        wire.answers(|answered| sent.push(answered.sent)).await?;
        now = Instant::now();
        for sent in sent {
            record(&mut latencies, now, sent);
        }
    }
    Ok(latencies)
}

/// Asks so often a second, whether or not the questions before were answered, and counts latency
/// from the moment at which a question was meant to be sent: a server that stalls is charged for
/// every question that had to wait.
pub fn fixed_rate(
    address: &str,
    question: &Question,
    connections: usize,
    rate: f64,
    time: Duration,
) -> Outcome {
    // Sleep to the microsecond instead of to the next 50.
    let _ = fs::write("/proc/self/timerslack_ns", "1");
    run(async {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..connections).map(|_| mpsc::unbounded_channel()).unzip();
        let loops = receivers.into_iter().map(|due| {
            let (address, question) = (address.to_owned(), question.clone());
            tokio::spawn(paced_loop(address, question, due))
        });
        let loops = loops.collect();
        let begun = Instant::now();
        // Time to connect before the first question is due.
        let first = begun + Duration::from_millis(50);
        std::thread::spawn(move || {
            let _ = fs::write("/proc/thread-self/timerslack_ns", "1");
            let count = (rate * time.as_secs_f64()) as usize;
            for (n, sender) in (0..count).zip(senders.iter().cycle()) {
                let due = first + Duration::from_secs_f64(n as f64 / rate);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if sender.send(due).is_err() {
                    return;
                }
            }
        });
        let mut outcome = gather(loops).await;
        outcome.seconds = begun.elapsed().as_secs_f64();
        outcome
    })
}

async fn paced_loop(
    address: String,
    question: Question,
    mut due: mpsc::UnboundedReceiver<Instant>,
) -> io::Result<Histogram<u64>> {
    let mut wire = Wire::connect(&address, question).await?;
    let mut latencies = Histogram::new(3).expect("three digits");
    let mut over = false;
    while !over || wire.in_flight() > 0 {
        wire.flush().await?;
        let mut answered = Vec::new();
        tokio::select! {
            due = due.recv(), if !over => match due {
                Some(due) => wire.ask(due),
                None => over = true,
            },
            read = wire.answers(|call| answered.push(call.sent)) => read?,
        }
        let now = Instant::now();
        for sent in answered {
            record(&mut latencies, now, sent);
        }
    }
    Ok(latencies)
}

fn record(latencies: &mut Histogram<u64>, now: Instant, sent: Instant) {
    let latency = now.saturating_duration_since(sent).as_nanos();
    latencies.record(latency.try_into().expect("less than centuries")).expect("it grows");
}

type Loop = tokio::task::JoinHandle<io::Result<Histogram<u64>>>;

async fn gather(loops: Vec<Loop>) -> Outcome {
    let mut outcome = Outcome::new();
    for one in loops {
        let latencies = one.await.expect("a loop ends").expect("every answer is right");
        outcome.latencies.add(&latencies).expect("the same digits");
    }
    outcome
}

pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}
