//! One line a minute: memory, tasks, handles, calls.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::time::interval;

use crate::{
    Counts,
    sidecar::{Sample, Sidecar},
};

/// One minute; in runs below six minutes one sixth.
#[derive(Debug)]
pub struct Minute {
    /// KiB in memory, on average.
    pub memory: f64,
    /// The state at its end.
    pub end: Sample,
}

/// Looks at the sidecar once a second, and prints a line for each minute.
pub async fn watch(sidecar: Arc<Sidecar>, counts: Arc<Counts>, seconds: u64) -> Vec<Minute> {
    let length = (seconds / 6).clamp(1, 60);
    println!("each line is {length} s");
    println!(
        "   end   memory KiB    tasks  threads  handles  connections       calls   over TLS   failed   hostile  reloads  rotations"
    );
    let begun = Instant::now();
    let mut tick = interval(Duration::from_secs(1));
    let (mut minutes, mut memory) = (Vec::new(), Vec::new());
    // The last one ends a little before the load does.
    for second in 1..seconds {
        tick.tick().await;
        memory.push(sidecar.memory());
        let is_end = second % length == 0 || second == seconds - 1;
        if !is_end || (memory.len() as u64) < length - 1 {
            continue;
        }
        let end = sidecar.sample().await;
        let average = memory.iter().sum::<u64>() as f64 / memory.len() as f64;
        let get = |count: &std::sync::atomic::AtomicU64| count.load(Relaxed);
        println!(
            "{:5.0}s {:12.0} {:8} {:8} {:8} {:12} {:11} {:10} {:8} {:9} {:8} {:10}",
            begun.elapsed().as_secs_f64(),
            average,
            end.tasks(),
            end.threads,
            end.handles,
            end.metric("humbaba_connections{face=\"grpc\"}"),
            get(&counts.good),
            get(&counts.good_over_tls),
            get(&counts.failed),
            get(&counts.hostile),
            get(&counts.reloads),
            get(&counts.rotations),
        );
        minutes.push(Minute { memory: average, end });
        memory.clear();
    }
    minutes
}
