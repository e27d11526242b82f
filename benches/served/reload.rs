//! Reloading a store of 10,000 policies while it is asked.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    compare::Plan,
    grow::folder_with,
    load::{self, Outcome},
    process::Process,
    report::{Table, median, number},
    support::{Growth, STORE},
    wire::Question,
};

const POLICIES: usize = 10_000;
const CONNECTIONS: usize = 8;
/// What is edited. It stands in a small file beside the many policies, so that editing takes no time
/// of the calls that are measured; the store is loaded as a whole all the same.
const GRANT: &str =
    "@id(\"edited\")\npermit (principal == HitKeep::User::\"nobody\", action, resource);\n";

pub fn all(plan: &Plan, question: &Question) {
    let folder = folder_with(1, &Growth::Policies.files(POLICIES));
    let file = folder.path().join(STORE).join("edited.cedar");
    fs::write(&file, GRANT).expect("a policy is written");
    let server = Process::humbaba(folder.path(), question);

    let times = (0..plan.rounds).map(|round| time_to_force(&file, &server, question, round));
    let times: Vec<_> = times.collect();
    let title = format!("Reload of a store with {} policies more:", number(POLICIES as f64));
    let table = Table::begin(&title, &["", "median"]);
    let time = median(times);
    table.row(["from the edit to its being in force, ms".to_owned(), number(time)]);

    let beside = folder.path().join("draft-of-all.cedar");
    let all = fs::read_to_string(file.with_file_name("growth.cedar")).expect("the policies");
    let (mut quiet, mut written, mut busy) = (Vec::new(), Vec::new(), Vec::new());
    let time = plan.time.max(Duration::from_secs(1));
    let ask = || load::fixed_rate(&server.address, question, CONNECTIONS, plan.rate, time);
    for round in 0..plan.rounds {
        quiet.push(ask().quantile(0.99));
        let small = |edit| format!("{GRANT}\n// round {round}, edit {edit}\n");
        busy.push(while_edited(&file, small, ask));
        written.push(while_edited(&beside, |edit| format!("{all}\n// {round}, {edit}\n"), ask));
    }
    let ratio = median(busy.iter().zip(&quiet).map(|(busy, quiet)| busy / quiet));
    let rate = number(plan.rate);
    table.row([format!("p99 at {rate} calls/s, quiet, µs"), number(median(quiet))]);
    table.row([format!("p99 at {rate} calls/s, an edit every 100 ms, µs"), number(median(busy))]);
    table.row(["ratio".to_owned(), format!("{ratio:.2}")]);
    let title =
        "p99 while the benchmark itself writes a file of that size, which is not loaded, µs";
    table.row([title.to_owned(), number(median(written))]);
}

/// The p99 of what is asked while a file is edited every 100 ms.
fn while_edited(
    file: &Path,
    text: impl Fn(usize) -> String + Sync,
    ask: impl Fn() -> Outcome,
) -> f64 {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for edit in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                replace(file, &text(edit));
                thread::sleep(Duration::from_millis(100));
            }
        });
        let quantile = ask().quantile(0.99);
        stop.store(true, Ordering::Relaxed);
        quantile
    })
}

/// Milliseconds from an edit that adds a forbid to its being in force, found by asking.
fn time_to_force(file: &Path, server: &Process, question: &Question, round: usize) -> f64 {
    let forbid = format!("@id(\"stop-{round}\")\nforbid (principal, action, resource);\n");
    let begun = Instant::now();
    replace(file, &forbid);
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
    replace(file, GRANT);
    wait_for(true);
    took.as_secs_f64() * 1e3
}

fn replace(file: &Path, text: &str) {
    let draft = file.with_extension("draft");
    fs::write(&draft, text).expect("a draft is written");
    fs::rename(draft, file).expect("the draft takes the file's place");
}
