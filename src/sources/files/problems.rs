//! Problems of files and rows, for the status and the log.

use crate::directory::{
    Fault,
    rows::{RowProblem, RowProblems},
};

/// Problems that are kept of all files together.
const KEPT: usize = 100;
/// Problems that are logged at once.
const LOGGED: usize = 10;

/// Returns the problem of a row with its place.
pub(super) fn of_row(file: &str, problem: &RowProblem) -> String {
    format!("{file}:{}: {}", problem.line, problem.message)
}

/// Returns the text of a fault, in the names of the columns.
pub(super) fn of_fault(fault: &Fault) -> String {
    let is_entity = fault.field.starts_with("entity");
    let field = if is_entity { fault.field.clone() } else { fault.field.replace('.', "_") };
    if field.is_empty() {
        // One of very many, which are not described.
        "it does not fit the schema of the policy store".to_owned()
    } else {
        format!("`{field}`: {}", fault.description)
    }
}

/// Returns the first problems of several files, and in one more text how many there are beside.
pub(super) fn first<'a>(
    files: impl Iterator<Item = (&'a str, &'a RowProblems)> + Clone,
) -> Vec<String> {
    listed(files, KEPT)
}

/// Logs the first problems of several files, and how many there are beside.
pub(super) fn log<'a>(
    store: &str,
    files: impl Iterator<Item = (&'a str, &'a RowProblems)> + Clone,
) {
    for problem in listed(files, LOGGED) {
        tracing::warn!(store, problem, "a row of the directory grants nothing");
    }
}

fn listed<'a>(
    files: impl Iterator<Item = (&'a str, &'a RowProblems)> + Clone,
    most: usize,
) -> Vec<String> {
    let count: usize = files.clone().map(|(_, problems)| problems.count).sum();
    let all = files.flat_map(|(name, problems)| {
        problems.first.iter().map(move |problem| of_row(name, problem))
    });
    let mut listed: Vec<_> = all.take(most).collect();
    if let Some(more @ 1..) = count.checked_sub(listed.len()) {
        listed.push(format!("{more} more rows have a problem"));
    }
    listed
}
