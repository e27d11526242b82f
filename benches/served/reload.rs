//! Reloading a store of 10,000 policies while it is asked.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    compare::Plan,
    grow::folder_with,
    load,
    process::Process,
    report::{Table, median, number},
    support::{Growth, STORE},
    wire::Question,
};

const POLICIES: usize = 10_000;
const CONNECTIONS: usize = 8;

pub fn all(plan: &Plan, question: &Question) {
    let folder = folder_with(1, &Growth::Policies.files(POLICIES));
    let file = folder.path().join(STORE).join("growth.cedar");
    let server = Process::humbaba(folder.path(), question);

    let times = (0..plan.rounds).map(|round| time_to_force(&file, &server, question, round));
    let times: Vec<_> = times.collect();
    let title = format!("Reload of a store with {} policies more:", number(POLICIES as f64));
    let table = Table::begin(&title, &["", "median"]);
    let time = median(times);
    table.row(["from the edit to its being in force, ms".to_owned(), number(time)]);

    let (mut quiet, mut busy, mut reloads) = (Vec::new(), Vec::new(), Vec::new());
    let time = plan.time.max(Duration::from_secs(1));
    let ask = || load::fixed_rate(&server.address, question, CONNECTIONS, plan.rate, time);
    for round in 0..plan.rounds {
        quiet.push(ask().quantile(0.99));
        let stop = Arc::new(AtomicBool::new(false));
        let edits = Arc::new(AtomicUsize::new(0));
        let editing = {
            let (stop, edits, file) = (Arc::clone(&stop), Arc::clone(&edits), file.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let edit = edits.fetch_add(1, Ordering::Relaxed);
                    write(&file, &format!("\n// round {round}, edit {edit}\n"));
                    thread::sleep(Duration::from_millis(100));
                }
            })
        };
        busy.push(ask().quantile(0.99));
        stop.store(true, Ordering::Relaxed);
        editing.join().expect("the edits end");
        reloads.push(edits.load(Ordering::Relaxed) as f64);
    }
    let ratio = median(busy.iter().zip(&quiet).map(|(busy, quiet)| busy / quiet));
    let rate = number(plan.rate);
    table.row([format!("p99 at {rate} calls/s, quiet, µs"), number(median(quiet))]);
    table.row([format!("p99 at {rate} calls/s, an edit every 100 ms, µs"), number(median(busy))]);
    table.row(["ratio".to_owned(), format!("{ratio:.2}")]);
}

/// Milliseconds from an edit that adds a forbid to its being in force, found by asking.
fn time_to_force(file: &Path, server: &Process, question: &Question, round: usize) -> f64 {
    let text = fs::read_to_string(file).expect("the policies");
    let forbid = format!("\n@id(\"stop-{round}\")\nforbid (principal, action, resource);\n");
    let begun = Instant::now();
    replace(file, &(text.clone() + &forbid));
    let is_allowed = || load::run(super::wire::ask_once(&server.address, question)).is_ok();
    let wait_for = |allowed: bool| {
        let begun = Instant::now();
        while is_allowed() != allowed {
            assert!(begun.elapsed() < Duration::from_secs(60), "the edit never came into force");
            thread::sleep(Duration::from_millis(1));
        }
    };
    wait_for(false);
    let took = begun.elapsed();
    replace(file, &text);
    wait_for(true);
    took.as_secs_f64() * 1e3
}

fn write(file: &Path, more: &str) {
    let text = fs::read_to_string(file).expect("the policies");
    let text = text.split("\n// round").next().expect("a beginning");
    replace(file, &format!("{text}{more}"));
}

fn replace(file: &Path, text: &str) {
    let draft = file.with_extension("draft");
    fs::write(&draft, text).expect("a draft is written");
    fs::rename(draft, file).expect("the draft takes the file's place");
}
