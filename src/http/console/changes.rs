//! The view Changes: the revisions that were in force, and who gains and loses between two of them.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};

use super::{
    Console, Query,
    changed::Changed,
    computed::Lookup,
    matrix::PATIENCE,
    respond,
    shell::{self, Shell, View},
    time::TimeText,
};
use crate::{model::StoreName, reload::PastRevision};

#[derive(Template)]
#[template(path = "changes.html")]
struct ChangesPage {
    shell: Shell,
    revisions: Vec<RevisionLine>,
    comparison: Option<RevisionComparison>,
}

/// A revision in the history.
struct RevisionLine {
    revision: String,
    since: TimeText,
    policies: usize,
    /// The revision before it, if that is kept.
    before: Option<String>,
    is_in_force: bool,
}

struct RevisionComparison {
    from: String,
    to: String,
    changed: Result<Arc<Result<Changed, String>>, &'static str>,
}

pub(super) async fn show(State(console): State<Console>, query: Query) -> Response {
    let store = match shell::store_of(&console, View::Changes, &query) {
        Ok(store) => store,
        Err(page) => return *page,
    };
    let name = store.name().clone();
    let history = console.live().history().of(&name);
    let (from, to) = match chosen(&history, &query) {
        Ok(chosen) => chosen.unzip(),
        Err(revision) => {
            let message = format!("The revision `{revision}` is not in the history of this store.");
            let status = StatusCode::NOT_FOUND;
            return shell::notice(&console, View::Changes, status, "Not found", message);
        }
    };
    let comparison = match from.zip(to) {
        Some((from, to)) => Some(compare(&console, &name, from, to).await),
        None => None,
    };
    respond::page(&ChangesPage {
        shell: Shell::new(&console, View::Changes, name.as_str()),
        revisions: lines(&history),
        comparison,
    })
}

type Pair = (Arc<PastRevision>, Arc<PastRevision>);

/// Returns the two revisions that a query names, else the last two.
///
/// # Errors
/// The revision that is not in the history.
fn chosen(history: &[Arc<PastRevision>], query: &Query) -> Result<Option<Pair>, String> {
    let find = |name: &str| {
        let found = history.iter().rev().find(|past| past.revision.as_str() == name);
        found.cloned().ok_or_else(|| name.chars().take(64).collect::<String>())
    };
    match (query.get("from"), query.get("to")) {
        ("", "") => Ok(match history {
            [.., from, to] => Some((Arc::clone(from), Arc::clone(to))),
            _ => None,
        }),
        (from, to) => Ok(Some((find(from)?, find(to)?))),
    }
}

fn lines(history: &[Arc<PastRevision>]) -> Vec<RevisionLine> {
    let before = [None].into_iter().chain(history.iter().map(Some));
    let lines = history.iter().zip(before).enumerate();
    let lines = lines.map(|(at, (past, before))| RevisionLine {
        revision: past.revision.to_string(),
        since: TimeText::of(past.since),
        policies: past.policies,
        before: before.map(|before| before.revision.to_string()),
        is_in_force: at + 1 == history.len(),
    });
    let mut lines: Vec<_> = lines.collect();
    lines.reverse();
    lines
}

async fn compare(
    console: &Console,
    name: &StoreName,
    from: Arc<PastRevision>,
    to: Arc<PastRevision>,
) -> RevisionComparison {
    let (old, new) = (from.revision.to_string(), to.revision.to_string());
    let key = (name.clone(), format!("{old} {new}"));
    let (turns, comparisons) = (&console.0.turns, &console.0.comparisons);
    let bounds = console.0.bounds.clone();
    let on_forbid_error = console.0.grpc.options().on_forbid_error;
    let work = move || Changed::between(&from, &to, &bounds, on_forbid_error);
    let changed = match comparisons.get(key, turns, PATIENCE, work).await {
        Lookup::Ready(changed) => Ok(changed),
        Lookup::Working => Err("The comparison takes longer than usual: load the page again."),
        Lookup::Failed => Err("The comparison broke off: the log of the process says why."),
    };
    RevisionComparison { from: old, to: new, changed }
}
