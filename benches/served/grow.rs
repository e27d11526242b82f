//! What a decision costs as things grow.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{
    batch,
    compare::{Figures, Plan},
    load::{self, Shape},
    machine::policies,
    process::Process,
    report::{Table, number},
    single, support,
    support::{Batch, Growth, STORE},
    wire::Question,
};

const SHAPE: Shape = Shape { connections: 8, in_flight: 8 };

const COLUMNS: [&str; 6] =
    ["", "calls/s", "p50 µs", "p99 µs", "server CPU a call, µs", "to the first row"];

pub fn all(plan: &Plan) {
    for growth in Growth::ALL {
        let what = growth.name();
        let title = format!("One more store of HitKeep's policies and so many unrelated {what}:");
        let columns =
            ["", "CPU a call, µs", "to the first row", "p50 µs", "MiB", "first answer, ms"];
        let table = Table::begin(&title, &columns);
        let counts = [0, 10, 100, 1_000, 10_000];
        let servers = counts.map(|count| {
            let folder = folder_with(1, &growth.files(count));
            (Process::humbaba(folder.path(), &single(&support::question())), folder)
        });
        let question = single(&support::question());
        let asked: Vec<_> = servers.iter().map(|(server, _)| (server, &question)).collect();
        let figures = in_turns(plan, SHAPE, &asked);
        for ((count, (server, _)), figures) in counts.iter().zip(&servers).zip(&figures) {
            let [.., cpu, memory] = figures.medians;
            table.row([
                format!("{} {what}", number(*count as f64).trim_end_matches(".00")),
                number(cpu),
                format!("{:.2}", figures.ratio),
                number(figures.medians[1]),
                number(memory),
                number(server.first_answer.as_secs_f64() * 1e3),
            ]);
        }
    }

    let assignments = [1, 10, 100]
        .iter()
        .map(|&count| (format!("{count}"), single(&support::with_assignments(count))));
    rows(plan, SHAPE, "Role assignments in a request:", assignments);
    let entities = [0, 1, 10, 100]
        .iter()
        .map(|&count| (format!("{count}"), single(&support::with_entities(count))));
    rows(plan, SHAPE, "Entities in a request:", entities);

    let table = Table::begin(
        "Policy stores, all of them HitKeep's:",
        &["", "CPU a call, µs", "to the first row", "p50 µs", "MiB", "first answer, ms"],
    );
    let counts = [1, 10, 100];
    let question = single(&support::question());
    let servers = counts.map(|count| {
        let folder = folder_with(count, &[]);
        (Process::humbaba(folder.path(), &question), folder)
    });
    let asked: Vec<_> = servers.iter().map(|(server, _)| (server, &question)).collect();
    let figures = in_turns(plan, SHAPE, &asked);
    for ((count, (server, _)), figures) in counts.iter().zip(&servers).zip(&figures) {
        let [.., cpu, memory] = figures.medians;
        table.row([
            format!("{count}"),
            number(cpu),
            format!("{:.2}", figures.ratio),
            number(figures.medians[1]),
            number(memory),
            number(server.first_answer.as_secs_f64() * 1e3),
        ]);
    }
}

/// Batches of sizes and kinds, compared with a single question.
pub fn batches(plan: &Plan) {
    let one = || ("one IsAuthorized".to_owned(), single(&support::question()));
    for shape in [Shape { connections: 1, in_flight: 1 }, SHAPE] {
        let sizes = [1, 10, 100, 1_000].map(|items| {
            let question = batch(&Batch::OneRole.question(items));
            (format!("{items}"), question)
        });
        let Shape { connections, in_flight } = shape;
        let what = Batch::OneRole.name();
        let title = format!("Items in a batch ({what}), {connections} × {in_flight}:");
        rows(plan, shape, &title, [one()].into_iter().chain(sizes));
        let kinds = Batch::ALL.map(|kind| (kind.name().to_owned(), batch(&kind.question(1_000))));
        let title = format!("1,000 items in a batch, {connections} × {in_flight}:");
        rows(plan, shape, &title, [one()].into_iter().chain(kinds));
    }
}

/// Questions of different sizes to the same server.
fn rows(
    plan: &Plan,
    shape: Shape,
    title: &str,
    questions: impl IntoIterator<Item = (String, Question)>,
) {
    let server = Process::humbaba(policies(), &single(&support::question()));
    let questions: Vec<_> = questions.into_iter().collect();
    let asked: Vec<_> = questions.iter().map(|(_, question)| (&server, question)).collect();
    let table = Table::begin(title, &COLUMNS);
    for ((name, _), figures) in questions.iter().zip(in_turns(plan, shape, &asked)) {
        let [rate, p50, p99, _, cpu, _] = figures.medians;
        let ratio = format!("{:.2}", figures.ratio);
        table.row([name.clone(), number(rate), number(p50), number(p99), number(cpu), ratio]);
    }
}

struct Row {
    medians: [f64; 6],
    /// CPU time a call, compared with that of the first in the same round.
    ratio: f64,
}

fn in_turns(plan: &Plan, shape: Shape, asked: &[(&Process, &Question)]) -> Vec<Row> {
    let mut figures = vec![Vec::new(); asked.len()];
    for _ in 0..plan.rounds {
        for ((process, question), figures) in asked.iter().zip(&mut figures) {
            let load = || load::closed(&process.address, question, shape, plan.time);
            figures.push(Figures::of(process, load));
        }
    }
    let ratio = |row: &Vec<Figures>| {
        let pairs = row.iter().zip(&figures[0]);
        super::report::median(pairs.map(|(row, first)| row.cpu / first.cpu))
    };
    figures.iter().map(|row| Row { medians: Figures::medians(row), ratio: ratio(row) }).collect()
}

/// A policies folder with so many copies of HitKeep's store, of which the first is named `hitkeep`,
/// and with more files in each.
pub fn folder_with(stores: usize, more: &[(&'static str, String)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for number in 0..stores {
        let name = if number == 0 { STORE.to_owned() } else { format!("{STORE}-{number}") };
        let store = folder.path().join(name);
        copy(&policies().join(STORE), &store);
        for (file, text) in more {
            fs::write(store.join(file), text).expect("a file is written");
        }
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder is made");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file is copied");
        }
    }
}
