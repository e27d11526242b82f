//! Problems of files and rows, for the status and the log.

use crate::{
    directory::{
        Fault,
        rows::{LineProblem, LineProblems},
    },
    model::Uid,
    request::shorten_to,
};

/// Problems that are kept of all files together.
const KEPT: usize = 100;
/// Characters of a message about an entity, which names it.
const MESSAGE: usize = 1_000;
/// Problems that are logged at once.
const LOGGED: usize = 10;

/// Returns the problem of a row with its place.
pub(super) fn of_row(file: &str, problem: &LineProblem) -> String {
    format!("{file}:{}: {}", problem.line, problem.message)
}

/// Returns the problem of an entry of the folder that is named as a file and is none.
pub(super) fn of_not_a_file(name: &str) -> String {
    format!(
        "{name}: it is not a regular file, and nothing of it is read: put the file there, or remove it"
    )
}

/// Returns the text of a fault of an assignment, in the names of the columns, or of an entity, of which
/// there may be many on one line.
pub(super) fn of_fault(fault: &Fault, entity: Option<&Uid>) -> String {
    let field = match entity {
        Some(_) => fault.field.clone(),
        None => fault.field.replace('.', "_"),
    };
    let problem = if field.is_empty() {
        // One of very many, which are not described.
        "it does not fit the schema of the policy store".to_owned()
    } else {
        format!("`{field}`: {}", fault.description)
    };
    match entity {
        Some(uid) => shorten_to(MESSAGE, &format!("{uid}: {problem}")),
        None => problem,
    }
}

/// Returns the first problems of several files, and in one more text how many there are beside.
pub(super) fn first<'a>(
    files: impl Iterator<Item = (&'a str, &'a LineProblems)> + Clone,
) -> Vec<String> {
    listed(files, KEPT)
}

/// Logs the first problems of several files, and how many there are beside.
pub(super) fn log<'a>(
    store: &str,
    files: impl Iterator<Item = (&'a str, &'a LineProblems)> + Clone,
) {
    for problem in listed(files, LOGGED) {
        tracing::warn!(store, problem, "a row of the directory grants nothing");
    }
}

fn listed<'a>(
    files: impl Iterator<Item = (&'a str, &'a LineProblems)> + Clone,
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
