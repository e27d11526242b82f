//! The checks at the end.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use serde_json::Value as Json;

use crate::{Counts, directories, minutes::Minute, sidecar::Sample};

/// The memory of the last minute may be this much more than that of the second.
const GROWTH: f64 = 1.05;
/// Handles may be open that were not before, of what the sidecar itself opened since: none stay
/// open for each call or connection.
const MORE_HANDLES: u64 = 2;

/// `quiet` is what was counted at the same rate with nothing else going on.
pub fn report(
    quiet: &Counts,
    counts: &Counts,
    minutes: &[Minute],
    before: &Sample,
    after: &Sample,
    status: &Json,
) -> ExitCode {
    let get = |count: &AtomicU64| count.load(Relaxed);
    println!(
        "good calls {}, of them over mutual TLS {}",
        get(&counts.good),
        get(&counts.good_over_tls)
    );
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("slowest", 1.0)] {
        let (before, now) = (quiet.took(share), counts.took(share));
        println!("{name} of good calls {now:.2} ms, with nothing else going on {before:.2} ms");
    }
    println!("clients refused that must be {}", get(&counts.refused));
    let mut hits: Vec<_> =
        after.metrics.iter().filter(|(series, _)| series.contains("limits_hit")).collect();
    hits.sort_by_key(|(series, _)| series.as_str());
    for (series, count) in hits {
        println!("{series} {count}");
    }
    for failure in counts.failures.lock().unwrap().iter() {
        println!("  {failure}");
    }
    let mut passed = true;
    let mut check = |what: String, is_so: bool| {
        println!("{} {what}", if is_so { "ok    " } else { "FAILED" });
        passed &= is_so;
    };
    check(format!("{} good calls failed", get(&counts.failed)), get(&counts.failed) == 0);
    check(
        format!("{} clients were served that must not be", get(&counts.breaches)),
        get(&counts.breaches) == 0,
    );
    let (rotations, tls) = (get(&counts.rotations), &status["tls"]);
    check(
        format!("{rotations} rotations of certificates, {} in force", tls["reloads"]),
        tls["reloads"].as_u64() == Some(rotations) && tls["problem"].is_null(),
    );
    let applied = after.metric("humbaba_reloads_total{result=\"applied\"}");
    check(
        format!("{} changes of policies, {applied} in force", get(&counts.reloads)),
        // Two changes that follow closely are one.
        applied >= get(&counts.reloads) as f64 * 0.9,
    );
    let file_changes = counts.file_changes.lock().unwrap();
    let millis = |share| file_changes.value_at_quantile(share) as f64 / 1_000.0;
    println!(
        "changes of directory files in force after p50 {:.0} ms, p99 {:.0} ms, slowest {:.0} ms",
        millis(0.5),
        millis(0.99),
        millis(1.0)
    );
    check(
        format!(
            "{} changes of directory files, {} writes of the directory that is kept",
            file_changes.len(),
            get(&counts.writes)
        ),
        !file_changes.is_empty() && get(&counts.writes) > 0,
    );
    for store in [directories::FILES, directories::KEPT] {
        let ignored = format!("humbaba_directory_ignored_rows{{store=\"{store}\"}}");
        check(format!("{ignored} is 0"), after.metric(&ignored) == 0.0);
    }
    let (second, last) = match minutes {
        [_, second, .., last] => (second.memory, last.memory),
        _ => (f64::NAN, f64::NAN),
    };
    let grown = (last / second - 1.0) * 100.0;
    check(
        format!(
            "memory {second:.0} KiB in the second minute, {last:.0} KiB in the last: {grown:+.1}%"
        ),
        last <= second * GROWTH,
    );
    check(
        format!("{} tasks before, {} after", before.tasks(), after.tasks()),
        after.tasks() <= before.tasks(),
    );
    check(
        format!("{} handles before, {} after", before.handles, after.handles),
        after.handles <= before.handles + MORE_HANDLES,
    );
    for metric in ["humbaba_requests_in_flight", "humbaba_connections{face=\"grpc\"}"] {
        check(format!("{metric} is back at 0"), after.metric(metric) == 0.0);
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
