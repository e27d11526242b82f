//! Log events of loading.

use std::time::Duration;

use super::Gate;
use crate::{
    model::{Problem, Revision, StoreName},
    store::PolicyStore,
};

/// Problems of a store that are logged one by one.
const MAX_PROBLEMS: usize = 20;

pub(super) fn loaded(store: &PolicyStore, old: Option<&Revision>, took: Duration) {
    let message = match old {
        None => "policy store loaded",
        Some(old) if old == store.revision() => "policy store read again: it decides as before",
        Some(_) => "policy store reloaded",
    };
    tracing::info!(
        store = %store.name(),
        old_revision = old.map(Revision::as_str),
        revision = %store.revision(),
        policies = store.policies().num_of_policies(),
        duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "{message}"
    );
}

/// Logs the warnings of a store that has been put in force.
pub(super) fn warnings(store: &PolicyStore) {
    let warnings = store.warnings();
    for warning in warnings.iter().take(MAX_PROBLEMS) {
        let location = warning.location();
        tracing::warn!(
            store = %store.name(),
            file = warning.file(),
            line = location.map(|location| location.line),
            column = location.map(|location| location.column),
            "policy store loaded with a warning:\n{}",
            warning.render()
        );
    }
    if let Some(more) = warnings.len().checked_sub(MAX_PROBLEMS).filter(|more| *more > 0) {
        tracing::warn!(store = %store.name(), "policy store loaded with {more} warnings more");
    }
}

pub(super) fn removed(name: &StoreName, in_force: Option<&PolicyStore>) {
    let old_revision = in_force.map(|store| store.revision().as_str());
    tracing::info!(store = %name, old_revision, "policy store removed: its folder is gone");
}

pub(super) fn refused(
    name: &StoreName,
    in_force: Option<&PolicyStore>,
    gate: Option<Gate>,
    problems: &[Problem],
) {
    let consequence = match (in_force, gate) {
        (Some(_), _) => "policy store refused, the last good state stays in force".to_owned(),
        (None, Some(gate)) => {
            format!("policy store refused by the gate `{gate}`, it was never in force")
        }
        (None, None) => "policy store refused, it was never valid".to_owned(),
    };
    let revision = in_force.map(|store| store.revision().as_str());
    for problem in problems.iter().take(MAX_PROBLEMS) {
        let location = problem.location();
        tracing::error!(
            store = %name,
            revision,
            file = problem.file(),
            line = location.map(|location| location.line),
            column = location.map(|location| location.column),
            "{consequence}:\n{}",
            problem.render()
        );
    }
    if let Some(more) = problems.len().checked_sub(MAX_PROBLEMS).filter(|more| *more > 0) {
        tracing::error!(store = %name, revision, "{consequence}: {more} problems more");
    }
}

/// Warns of a gate that lets a store pass because the store has nothing that the gate looks at.
pub(super) fn nothing_to_judge(store: &PolicyStore, gate: Gate) {
    tracing::warn!(store = %store.name(), gate = %gate, "{}", gate.nothing_to_judge());
}

/// Logs that a solver judges a store, which goes on beside everything else.
pub(super) fn proving(store: &PolicyStore) {
    tracing::info!(
        store = %store.name(),
        candidate = %store.revision(),
        "policy store is valid: it comes in force once it has passed its gates"
    );
}

/// Logs that a store did not wait for its gates, and does not pass them.
pub(super) fn not_passed(store: &PolicyStore, problems: &[Problem]) {
    for problem in problems.iter().take(MAX_PROBLEMS) {
        tracing::error!(
            store = %store.name(),
            revision = %store.revision(),
            "policy store in force does not pass its gates; it only takes rights away, so it did \
             not wait for them:\n{}",
            problem.render()
        );
    }
}

pub(super) fn folder(source: &str, problem: Option<&str>) {
    match problem {
        Some(problem) => {
            tracing::error!(folder = source, "policies folder refused: {problem}");
        }
        None => tracing::info!(folder = source, "policies folder is in order again"),
    }
}

pub(super) fn unread(source: &str, file: &str) {
    tracing::warn!(
        folder = source,
        file,
        "a file beside the folders of stores is not read: move it into one of them"
    );
}

pub(super) fn watching(source: &str, problem: Option<&str>) {
    match problem {
        Some(problem) => tracing::error!(
            folder = source,
            "changes are found by the periodic re-hash only: {problem}"
        ),
        None => tracing::info!(folder = source, "the policies folder is watched again"),
    }
}
