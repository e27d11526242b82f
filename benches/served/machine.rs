//! The machine, and what a process takes of it.

use std::{
    fs,
    path::Path,
    thread::{self, available_parallelism},
    time::Duration,
};

use super::{
    compare::Plan,
    process::Process,
    report::{Table, median, number},
    wire::Question,
};

/// The machine in one line.
pub fn description() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name"));
    let processor = processor.and_then(|line| line.split_once(':')).map_or("?", |(_, name)| name);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?");
    format!(
        "{}, {cores} cores shared by client and server, Linux {}; load at the start {load}.",
        processor.trim(),
        kernel.split('-').next().unwrap_or("?").trim()
    )
}

/// The policies folder of this repository.
pub fn policies() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/policies"))
}

/// How long a server has nothing to do before it counts as idle.
const IDLE: Duration = Duration::from_secs(5);

/// Start, memory and size.
pub fn process(plan: &Plan, question: &Question) {
    let mut first_answers = Vec::new();
    let (mut memory, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds.max(5) {
        let process = Process::humbaba(policies(), question);
        first_answers.push(process.first_answer.as_secs_f64() * 1e3);
        memory.push(process.memory());
        thread::sleep(IDLE);
        idle.push(process.memory());
    }
    let binary = fs::metadata(env!("CARGO_BIN_EXE_humbaba")).expect("the binary").len();
    let table = Table::begin("The process, with the five shipped stores:", &["", "median"]);
    let first_answer = number(median(first_answers));
    table.row(["start of the process to the first right answer, ms", &first_answer]);
    table.row(["resident memory after it, MiB", &number(median(memory))]);
    table.row(["resident memory, idle for five seconds, MiB", &number(median(idle))]);
    table.row(["binary, MiB", &number(binary as f64 / 1024.0 / 1024.0)]);
}
