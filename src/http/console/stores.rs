//! The view Stores: what is in force, and what was refused and why.

use askama::Template;
use axum::{extract::State, response::Response};

use super::{
    Console, respond,
    shell::{Shell, View},
    time::{TimeText, span},
};
use crate::{
    model::{Problem, StoreName},
    reload::{LiveDirectory, StoreStatus},
    shadow::{ShadowComparison, ShadowDirection},
};

/// Stores on the page.
const STORES: usize = 200;
/// Problems or warnings of a store on the page.
const PROBLEMS: usize = 20;
/// Differences to the candidate policies on the page.
const DIFFERENCES: usize = 20;

#[derive(Template)]
#[template(path = "stores.html")]
struct StoresPage {
    shell: Shell,
    source: String,
    folder_problem: Option<String>,
    watch_problem: Option<String>,
    unread: Vec<String>,
    last_attempt: Option<TimeText>,
    last_change: Option<TimeText>,
    reloads: u64,
    failures: u64,
    gates: Vec<(&'static str, u64)>,
    stores: Vec<StoreCard>,
    more_stores: usize,
    shadow: Option<ShadowCard>,
}

/// A store.
struct StoreCard {
    name: String,
    state: Standing,
    revision: Option<String>,
    loaded: Option<TimeText>,
    policies: usize,
    problems: Vec<String>,
    more_problems: usize,
    warnings: Vec<String>,
    more_warnings: usize,
    directory: Option<DirectoryCard>,
}

/// The standing of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    InForce,
    /// The files are judged by a solver.
    Judged,
    /// The files were refused; the last good revision decides.
    Kept,
    /// The store was never valid.
    Refused,
    /// Its directory cannot decide.
    Unavailable,
}

impl Standing {
    fn word(self) -> &'static str {
        match self {
            Self::InForce => "in force",
            Self::Judged => "being proved",
            Self::Kept => "refused, last good revision in force",
            Self::Refused => "refused, decides nothing",
            Self::Unavailable => "directory unavailable, decides nothing",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::InForce => "good",
            Self::Judged => "fair",
            Self::Kept | Self::Refused | Self::Unavailable => "bad",
        }
    }
}

/// The directory of a store.
struct DirectoryCard {
    source: String,
    version: Option<String>,
    assignments: usize,
    entities: usize,
    ignored: usize,
    age: String,
    unavailable: Option<String>,
    problem: Option<String>,
    row_problems: Vec<String>,
}

/// The candidate policies that decide beside those in force.
struct ShadowCard {
    source: String,
    folder_problem: Option<String>,
    left_out: u64,
    failed: u64,
    refused: Vec<(String, Vec<String>)>,
    comparisons: Vec<ShadowComparison>,
}

pub(super) async fn show(State(console): State<Console>) -> Response {
    let status = console.live().status();
    let live = console.live().state();
    let stores = status.stores.iter().take(STORES);
    let page = StoresPage {
        shell: Shell::new(&console, View::Stores, ""),
        source: status.source.clone(),
        folder_problem: status.folder_problem.clone(),
        watch_problem: status.watch_problem.clone(),
        unread: status.unread.iter().take(PROBLEMS).cloned().collect(),
        last_attempt: status.last_attempt.map(TimeText::of),
        last_change: status.last_change.map(TimeText::of),
        reloads: status.reloads,
        failures: status.failures,
        gates: status.gate_refusals.iter().map(|(gate, count)| (gate.as_str(), *count)).collect(),
        stores: stores
            .map(|store| StoreCard::new(store, live.directories.get(&store.name)))
            .collect(),
        more_stores: status.stores.len().saturating_sub(STORES),
        shadow: shadow(&console),
    };
    drop(live);
    respond::page(&page)
}

impl StoreCard {
    fn new(store: &StoreStatus, directory: Option<&LiveDirectory>) -> Self {
        let directory = directory.map(DirectoryCard::new);
        let unavailable = directory.as_ref().is_some_and(|of| of.unavailable.is_some());
        let state = match (store.revision, store.problems.is_empty()) {
            (None, _) => Standing::Refused,
            _ if unavailable => Standing::Unavailable,
            (Some(_), false) => Standing::Kept,
            (Some(_), true) if store.proving_since.is_some() => Standing::Judged,
            (Some(_), true) => Standing::InForce,
        };
        Self {
            name: store.name.to_string(),
            state,
            revision: store.revision.map(|revision| revision.to_string()),
            loaded: store.loaded_at.map(TimeText::of),
            policies: store.policies,
            problems: rendered(&store.problems),
            more_problems: store.problems.len().saturating_sub(PROBLEMS),
            warnings: rendered(&store.warnings),
            more_warnings: store.warnings.len().saturating_sub(PROBLEMS),
            directory,
        }
    }

    fn short_revision(&self) -> &str {
        self.revision.as_deref().and_then(|revision| revision.get(..12)).unwrap_or("none")
    }
}

impl DirectoryCard {
    fn new(live: &LiveDirectory) -> Self {
        let counts = live.state.as_ref().map(|state| state.directory.counts()).unwrap_or_default();
        Self {
            source: live.source.to_string(),
            version: live.state.as_ref().map(|state| state.version.to_string()),
            assignments: counts.assignments,
            entities: counts.entities,
            ignored: counts.ignored + live.rows.left_out,
            age: span(live.age()),
            unavailable: live.deciding().err().map(|error| error.to_string()),
            problem: live.problem.as_deref().map(str::to_owned),
            row_problems: live.rows.problems.iter().take(PROBLEMS).cloned().collect(),
        }
    }
}

fn shadow(console: &Console) -> Option<ShadowCard> {
    let status = console.0.grpc.shadow().status()?;
    let refused = status.candidate.stores.iter().filter(|store| !store.problems.is_empty());
    let of_store =
        |store: &StoreStatus| (StoreName::to_string(&store.name), rendered(&store.problems));
    let mut comparisons = status.comparisons;
    comparisons.truncate(STORES);
    for comparison in &mut comparisons {
        comparison.differences.truncate(DIFFERENCES);
    }
    Some(ShadowCard {
        source: status.candidate.source.clone(),
        folder_problem: status.candidate.folder_problem.clone(),
        left_out: status.counts.left_out,
        failed: status.counts.failed,
        refused: refused.take(STORES).map(of_store).collect(),
        comparisons,
    })
}

/// Returns the first [`PROBLEMS`] problems as a terminal shows them.
fn rendered(problems: &[Problem]) -> Vec<String> {
    problems.iter().take(PROBLEMS).map(Problem::render).collect()
}

/// Returns the word for a difference.
fn direction(direction: &ShadowDirection) -> &'static str {
    match direction {
        ShadowDirection::Gain => "gains",
        ShadowDirection::Loss => "loses",
        ShadowDirection::Refused => "refused",
    }
}
