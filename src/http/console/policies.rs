//! The view Policies: what there is, where it is written, and how well tests cover it.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};

use super::{
    Console, Query,
    computed::Lookup,
    coverage::{Coverage, file_of},
    matrix::short,
    policy_text, respond,
    shell::{self, Shell, View},
};
use crate::{engine::PreparedPolicy, model::Location, store::PolicyStore};

/// Policies on a page.
const POLICIES: usize = 500;
/// Files that are listed.
const FILES: usize = 1_000;
/// Time that the page waits for the coverage; without it the page shows everything else.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Template)]
#[template(path = "policies.html")]
struct PoliciesPage {
    shell: Shell,
    revision: String,
    search: String,
    policies: Vec<PolicyLine>,
    /// Policies that the search finds.
    found: usize,
    pages: Vec<(usize, String, bool)>,
    files: Vec<FileLine>,
    invariants: Vec<(String, &'static str, String, String)>,
    coverage: CoverageState,
    refused: bool,
}

/// A policy in the list.
struct PolicyLine {
    id: String,
    forbids: bool,
    file: String,
    line: Option<usize>,
    doc: String,
    coverage: Option<CoverageLine>,
}

struct CoverageLine {
    asked: usize,
    applied: usize,
    conditions: usize,
    gaps: usize,
}

struct FileLine {
    path: String,
    bytes: usize,
    warnings: usize,
}

/// The coverage, as far as it is known.
enum CoverageState {
    Known,
    Working,
    Problem(String),
}

pub(super) async fn show(State(console): State<Console>, query: Query) -> Response {
    let store = match shell::store_of(&console, View::Policies, &query) {
        Ok(store) => store,
        Err(page) => return *page,
    };
    let shell = Shell::new(&console, View::Policies, store.name().as_str());
    if !query.get("refused").is_empty() {
        return policy_text::refused(&console, shell, &store);
    }
    let coverage = coverage_of(&console, &store).await;
    if !query.get("file").is_empty() || !query.get("policy").is_empty() {
        let known = match &coverage {
            Lookup::Ready(coverage) => coverage.as_ref().as_ref().ok(),
            Lookup::Working | Lookup::Failed => None,
        };
        let text = policy_text::file(shell, &store, &query, known);
        return text.unwrap_or_else(|| {
            let (status, title) = (StatusCode::NOT_FOUND, "Not found");
            let message =
                "The store has no such policy or file in the revision in force.".to_owned();
            shell::notice(&console, View::Policies, status, title, message)
        });
    }
    respond::page(&PoliciesPage::new(&console, shell, &store, &query, &coverage))
}

async fn coverage_of(
    console: &Console,
    store: &Arc<PolicyStore>,
) -> Lookup<Result<Coverage, String>> {
    let (bounds, of) = (console.0.bounds.clone(), Arc::clone(store));
    let key = (store.name().clone(), store.digest().to_owned());
    let (turns, coverage) = (&console.0.turns, &console.0.coverage);
    coverage.get(key, turns, PATIENCE, move || Coverage::of(&of, &bounds)).await
}

impl PoliciesPage {
    fn new(
        console: &Console,
        shell: Shell,
        store: &PolicyStore,
        query: &Query,
        coverage: &Lookup<Result<Coverage, String>>,
    ) -> Self {
        let (known, state) = match coverage {
            Lookup::Ready(coverage) => match coverage.as_ref() {
                Ok(coverage) => (Some(coverage), CoverageState::Known),
                Err(problem) => (None, CoverageState::Problem(problem.clone())),
            },
            Lookup::Working => (None, CoverageState::Working),
            Lookup::Failed => (None, CoverageState::Problem("the log says why".to_owned())),
        };
        let search = query.get("q").to_lowercase();
        let mut found: Vec<_> =
            store.engine().slices().policies().filter(|policy| is_found(policy, &search)).collect();
        found.sort_by_cached_key(|policy| (file_of(store, policy), line_of(policy)));
        let pages = found.len().div_ceil(POLICIES);
        let page = query.number("page", 1).clamp(1, pages.max(1));
        let shown = found.iter().skip((page - 1) * POLICIES).take(POLICIES);
        let invariants = known.map(|known| known.invariants.as_slice()).unwrap_or_default();
        Self {
            revision: store.revision().to_string(),
            search: query.get("q").to_owned(),
            policies: shown.map(|policy| PolicyLine::new(store, policy, known)).collect(),
            found: found.len(),
            pages: (1..=pages)
                .filter(|_| pages > 1)
                .map(|number| (number, query.with("page", &number.to_string()), number == page))
                .collect(),
            files: files(store),
            invariants: invariants
                .iter()
                .take(POLICIES)
                .map(|rule| (rule.id.clone(), rule.claim, rule.text.clone(), rule.file.clone()))
                .collect(),
            coverage: state,
            refused: is_refused(console, store),
            shell,
        }
    }
}

impl PolicyLine {
    fn new(store: &PolicyStore, policy: &PreparedPolicy, coverage: Option<&Coverage>) -> Self {
        let doc = policy.annotations().find_map(|(name, text)| (name == "doc").then_some(text));
        let coverage = coverage.and_then(|coverage| coverage.policies.get(policy.id()));
        Self {
            id: policy.id().to_owned(),
            forbids: policy.is_forbid(),
            file: file_of(store, policy),
            line: line_of(policy),
            doc: short(doc.unwrap_or_default()),
            coverage: coverage.map(|coverage| CoverageLine {
                asked: coverage.asked,
                applied: coverage.applied,
                conditions: coverage.conditions.len(),
                gaps: coverage.conditions.iter().filter(|one| one.has_gaps()).count(),
            }),
        }
    }
}

fn is_found(policy: &PreparedPolicy, search: &str) -> bool {
    search.is_empty()
        || policy.id().to_lowercase().contains(search)
        || policy.annotations().any(|(_, text)| text.to_lowercase().contains(search))
}

/// Returns the line on which a policy begins; none in a policy in JSON.
fn line_of(policy: &PreparedPolicy) -> Option<usize> {
    let loc = policy.policy().loc()?;
    Location::in_text(&loc.src, loc.start()).map(|place| place.line)
}

fn files(store: &PolicyStore) -> Vec<FileLine> {
    let warnings = |path: &str| {
        let path = store.files().path(path);
        store.warnings().iter().filter(|warning| warning.file() == path).count()
    };
    let files = store.files().iter().take(FILES).map(|(path, bytes)| FileLine {
        path: path.to_owned(),
        bytes: bytes.len(),
        warnings: warnings(path),
    });
    files.collect()
}

fn is_refused(console: &Console, store: &PolicyStore) -> bool {
    let status = console.live().status();
    status.stores.iter().any(|of| &of.name == store.name() && !of.problems.is_empty())
}
