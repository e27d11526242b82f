//! The view Changes: the revisions that were in force, and who gains and loses between two of them.

use std::sync::Arc;

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};

use super::{
    Console, Query,
    computed::Lookup,
    matrix::{PATIENCE, describe, word},
    respond,
    shell::{self, Shell, View},
    time::Moment,
};
use crate::{
    analysis::{CellChange, Diff, Direction, OtherChange, PolicyChangeKind, Witness, diff},
    model::{Problem, StoreName},
    reload::PastRevision,
    store::{Bounds, PolicyStore},
};

/// Changes of one kind on the page.
const CHANGES: usize = 500;

/// The changes between two revisions.
#[derive(Debug, Default)]
pub(super) struct Changed {
    policies: Vec<(&'static str, &'static str, String)>,
    cells: Vec<CellLine>,
    others: Vec<OtherLine>,
    unknown: Vec<String>,
    not_comparable: Vec<String>,
    gains: usize,
    losses: usize,
    /// Changes that are not on the page.
    more: usize,
}

/// A cell of the matrix that changes.
#[derive(Debug)]
struct CellLine {
    column: String,
    action: String,
    scope: String,
    before: &'static str,
    after: &'static str,
    gains: bool,
    loses: bool,
    witnesses: Vec<String>,
}

/// A change that no cell shows.
#[derive(Debug)]
struct OtherLine {
    principal: String,
    action: String,
    resource: String,
    gains: bool,
    witness: String,
}

#[derive(Template)]
#[template(path = "changes.html")]
struct ChangesPage {
    shell: Shell,
    revisions: Vec<RevisionLine>,
    comparison: Option<Comparison>,
}

/// A revision in the history.
struct RevisionLine {
    revision: String,
    since: Moment,
    policies: usize,
    /// The revision before it, if that is kept.
    before: Option<String>,
    is_in_force: bool,
}

struct Comparison {
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
        since: Moment::of(past.since),
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
) -> Comparison {
    let (old, new) = (from.revision.to_string(), to.revision.to_string());
    let key = (name.clone(), format!("{old} {new}"));
    let (turns, comparisons) = (&console.0.turns, &console.0.comparisons);
    let bounds = console.0.bounds.clone();
    let work = move || Changed::between(&from, &to, &bounds);
    let changed = match comparisons.get(key, turns, PATIENCE, work).await {
        Lookup::Ready(changed) => Ok(changed),
        Lookup::Working => Err("The comparison takes longer than usual: load the page again."),
        Lookup::Failed => Err("The comparison broke off: the log of the process says why."),
    };
    Comparison { from: old, to: new, changed }
}

impl Changed {
    fn between(from: &PastRevision, to: &PastRevision, bounds: &Bounds) -> Result<Self, String> {
        let load = |past: &PastRevision| {
            PolicyStore::load(Arc::new(past.files.clone()), bounds).map_err(|problems| {
                let problems = problems.iter().take(CHANGES).map(Problem::render);
                problems.collect::<Vec<_>>().join("\n")
            })
        };
        let diff = diff(&load(from)?, &load(to)?).map_err(|error| describe(&error))?;
        Ok(Self::of(diff))
    }

    fn of(diff: Diff) -> Self {
        let all = diff.policies.len() + diff.cells.len() + diff.others.len();
        let directions = || {
            let cells = diff.cells.iter().map(|cell| cell.direction);
            cells.chain(diff.others.iter().map(|other| other.direction))
        };
        let (gains, losses) = (
            directions().filter(|direction| direction.is_gain()).count(),
            directions().filter(|direction| *direction != Direction::Gain).count(),
        );
        let kind = |kind| match kind {
            PolicyChangeKind::Added => ("+", "added"),
            PolicyChangeKind::Removed => ("−", "removed"),
            PolicyChangeKind::Changed => ("~", "changed"),
            PolicyChangeKind::Annotations => ("~", "annotations changed"),
        };
        let policies = diff.policies.into_iter().take(CHANGES).map(|change| {
            let (sign, what) = kind(change.kind);
            (sign, what, change.id)
        });
        let policies: Vec<_> = policies.collect();
        let cells: Vec<_> = diff.cells.into_iter().take(CHANGES).map(CellLine::from).collect();
        let others: Vec<_> = diff.others.into_iter().take(CHANGES).map(OtherLine::from).collect();
        let short = |mut texts: Vec<String>| {
            texts.truncate(CHANGES);
            texts
        };
        Self {
            more: all - policies.len() - cells.len() - others.len(),
            policies,
            cells,
            others,
            unknown: short(diff.unknown),
            not_comparable: short(diff.not_comparable),
            gains,
            losses,
        }
    }

    /// Returns whether nobody gains or loses anything, for all that is known.
    fn is_quiet(&self) -> bool {
        self.gains + self.losses + self.unknown.len() + self.not_comparable.len() == 0
    }
}

impl From<CellChange> for CellLine {
    fn from(cell: CellChange) -> Self {
        let witnesses = [cell.gain, cell.loss].into_iter().flatten();
        Self {
            column: cell.column,
            action: cell.action,
            scope: cell.scope,
            before: word(cell.before),
            after: word(cell.after),
            gains: cell.direction.is_gain(),
            loses: cell.direction != Direction::Gain,
            witnesses: witnesses.map(|witness: Witness| witness.to_string()).collect(),
        }
    }
}

impl From<OtherChange> for OtherLine {
    fn from(other: OtherChange) -> Self {
        Self {
            principal: other.principal,
            action: other.action,
            resource: other.resource,
            gains: other.direction.is_gain(),
            witness: other.witness.to_string(),
        }
    }
}
