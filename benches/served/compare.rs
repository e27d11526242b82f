//! Humbaba and the baselines under the same load, in turns.

use std::{path::PathBuf, time::Duration};

use super::{
    baselines::Baseline,
    load::{self, Outcome, Shape},
    machine,
    process::Process,
    report::{Table, median, number},
    wire::Question,
};

/// How much is measured.
pub struct Plan {
    pub rounds: usize,
    pub time: Duration,
    pub rate: f64,
    pub shapes: Vec<Shape>,
    pub against: Vec<Baseline>,
    pub versus: Vec<PathBuf>,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// Calls a second.
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// Microseconds of the server's CPU time a call.
    pub cpu: f64,
    /// MiB.
    pub memory: f64,
}

impl Figures {
    /// Measures a server under a load.
    pub fn of(process: &Process, load: impl FnOnce() -> Outcome) -> Self {
        let before = process.cpu();
        let outcome = load();
        let cpu = process.cpu() - before;
        Self {
            rate: outcome.calls() / outcome.seconds,
            p50: outcome.quantile(0.5),
            p99: outcome.quantile(0.99),
            p999: outcome.quantile(0.999),
            cpu: cpu * 1e6 / outcome.calls(),
            memory: process.memory(),
        }
    }

    const ALL: [fn(&Self) -> f64; 6] =
        [|f| f.rate, |f| f.p50, |f| f.p99, |f| f.p999, |f| f.cpu, |f| f.memory];

    /// The median of each figure.
    pub fn medians(figures: &[Self]) -> [f64; 6] {
        Self::ALL.map(|figure| median(figures.iter().map(figure)))
    }
}

struct Contestant {
    name: String,
    process: Process,
    figures: Vec<Figures>,
}

fn contestants(plan: &Plan, question: &Question) -> Vec<Contestant> {
    let contestant = |name: String, process| Contestant { name, process, figures: Vec::new() };
    let own = Process::humbaba(machine::policies(), question);
    let own = contestant("humbaba".to_owned(), own);
    let binaries = plan.versus.iter().map(|binary| {
        let name = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
        contestant(name, Process::binary(binary, machine::policies(), question))
    });
    let baselines = plan.against.iter().map(|baseline| {
        let name = baseline.name();
        contestant(name.to_owned(), Process::baseline(name, question))
    });
    std::iter::once(own).chain(binaries).chain(baselines).collect()
}

/// Closed loops of every shape.
pub fn closed(plan: &Plan, question: &Question) {
    let mut contestants = contestants(plan, question);
    let title = format!(
        "Closed loops, medians of {} rounds of {:.1?} each, all servers in turns:",
        plan.rounds, plan.time
    );
    let table = begin(&title, "connections × in flight", &contestants);
    for shape in &plan.shapes {
        let name = format!("{} × {}", shape.connections, shape.in_flight);
        measure(plan, &mut contestants, |address| {
            load::closed(address, question, *shape, plan.time)
        });
        print(&table, &name, &contestants);
    }
}

/// Questions at a fixed rate.
pub fn fixed_rate(plan: &Plan, question: &Question) {
    const CONNECTIONS: usize = 8;
    let mut contestants = contestants(plan, question);
    let title = format!(
        "{} calls a second on {CONNECTIONS} connections, latency from the moment at which each was \
         meant to be sent, medians of {} rounds:",
        plan.rate, plan.rounds
    );
    let table = begin(&title, "", &contestants);
    measure(plan, &mut contestants, |address| {
        load::fixed_rate(address, question, CONNECTIONS, plan.rate, plan.time)
    });
    print(&table, &format!("{}/s", number(plan.rate)), &contestants);
}

fn measure(plan: &Plan, contestants: &mut [Contestant], load: impl Fn(&str) -> Outcome) {
    contestants.iter_mut().for_each(|contestant| contestant.figures.clear());
    for round in 0..plan.rounds {
        // Each one goes first in its turn, so that none always comes after the same other.
        let count = contestants.len();
        for turn in 0..count {
            let Contestant { process, figures, .. } = &mut contestants[(round + turn) % count];
            figures.push(Figures::of(process, || load(&process.address)));
        }
    }
}

fn begin(title: &str, first: &str, contestants: &[Contestant]) -> Table {
    let ratios = contestants.iter().skip(1).flat_map(|other| {
        let name = &other.name;
        [format!("calls/s to {name}"), format!("CPU to {name}")]
    });
    let ratios: Vec<_> = ratios.collect();
    let columns = [first, "server", "calls/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU µs", "MiB"];
    let columns: Vec<_> = columns.into_iter().chain(ratios.iter().map(String::as_str)).collect();
    Table::begin(title, &columns)
}

fn print(table: &Table, shape: &str, contestants: &[Contestant]) {
    let (own, others) = contestants.split_first().expect("Humbaba is there");
    for contestant in contestants {
        let mut cells = vec![shape.to_owned(), contestant.name.clone()];
        cells.extend(Figures::medians(&contestant.figures).map(number));
        for other in others {
            let is_own = contestant.name == own.name;
            for figure in [|f: &Figures| f.rate, |f: &Figures| f.cpu] {
                // Of the same round, for rounds differ more than servers do.
                let pairs = own.figures.iter().zip(&other.figures);
                let ratio = median(pairs.map(|(own, other)| figure(own) / figure(other)));
                cells.push(if is_own { format!("{ratio:.2}") } else { String::new() });
            }
        }
        table.row(cells);
    }
}
