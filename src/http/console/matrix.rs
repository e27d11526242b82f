//! The view Matrix: who may do what, as a grid of roles and actions.
//!
//! A cell is a word; what stands behind it is written once for all cells that share it, and opened by
//! each of them.

use std::{sync::Arc, time::Duration};

use askama::Template;
use axum::{extract::State, response::Response};
use tokio::time::sleep;

use super::{
    Console, Query,
    computed::{KEPT, Lookup},
    respond,
    shell::{self, Shell, View},
    words::{describe, word},
};
use crate::{
    analysis::{Cell, CellPolicy, Matrix, Row},
    store::PolicyStore,
    testing::Expected,
};

/// Time that a request waits for a matrix or a comparison.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Time from a change to computing matrices before anybody asks: changes come in bursts.
const DELAY: Duration = Duration::from_secs(1);
/// Cells on a page.
const CELLS: usize = 4_000;
/// Characters of a policy's `@doc` that are shown.
const DOC_LENGTH: usize = 240;
/// Policies that are shown behind a cell.
const POLICIES: usize = 30;

#[derive(Template)]
#[template(path = "matrix.html")]
struct MatrixPage<'a> {
    shell: Shell,
    revision: String,
    filter: MatrixFilter,
    scopes: Vec<&'a str>,
    all_columns: &'a [String],
    columns: Vec<&'a str>,
    groups: Vec<ScopeRows<'a>>,
    notes: Vec<CellNote<'a>>,
    counts: CellCounts,
    /// Rows that the filter lets through.
    rows: usize,
    pages: Vec<PageLink>,
}

/// The filters of the reader.
struct MatrixFilter {
    action: String,
    scope: String,
    columns: Vec<String>,
    show: String,
}

/// The rows of one scope.
struct ScopeRows<'a> {
    scope: &'a str,
    rows: Vec<(&'a Row, Vec<Option<CellView<'a>>>)>,
}

/// A cell, and the number of the note that tells what is behind it.
struct CellView<'a> {
    cell: &'a Cell,
    note: Option<usize>,
}

/// The policies and conditions behind a cell.
struct CellNote<'a> {
    number: usize,
    title: &'static str,
    policies: &'a [CellPolicy],
    unless: &'a [CellPolicy],
}

/// Cells of the whole matrix by their answer.
#[derive(Default)]
struct CellCounts {
    allow: usize,
    cond: usize,
    deny: usize,
    unexpected: usize,
}

struct PageLink {
    number: usize,
    link: String,
    is_current: bool,
}

pub(super) async fn show(State(console): State<Console>, query: Query) -> Response {
    let store = match shell::store_of(&console, View::Matrix, &query) {
        Ok(store) => store,
        Err(page) => return *page,
    };
    let name = store.name().clone();
    let shell = Shell::new(&console, View::Matrix, name.as_str());
    let revision = store.revision().to_string();
    match of_store(&console, store, PATIENCE).await {
        Lookup::Working => shell::working(&console, View::Matrix, name.as_str()),
        Lookup::Failed => shell::failed(&console, View::Matrix),
        Lookup::Ready(matrix) => match matrix.as_ref() {
            Ok(matrix) => respond::page(&MatrixPage::new(shell, revision, matrix, &query)),
            Err(error) => shell::unprocessable(&console, View::Matrix, name.as_str(), error),
        },
    }
}

/// Computes the matrices of what is in force before anybody asks, one after the other. Of changes that
/// follow each other only the newest state counts.
pub(super) async fn prepare(console: &Console) {
    let mut changes = console.live().changes();
    loop {
        sleep(DELAY).await;
        changes.mark_unchanged();
        let stores = console.live().stores();
        for store in stores.iter().take(KEPT) {
            of_store(console, Arc::clone(store), Duration::MAX).await;
            if !Arc::ptr_eq(&stores, &console.live().stores()) {
                break;
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Returns the matrix of a store, computed where it is not there yet.
async fn of_store(
    console: &Console,
    store: Arc<PolicyStore>,
    patience: Duration,
) -> Lookup<Result<Matrix, String>> {
    let key = (store.name().clone(), store.digest().to_owned());
    let compute = move || Matrix::of(&store).map_err(|error| describe(&error));
    console.0.matrices.get(key, &console.0.turns, patience, compute).await
}

impl<'a> MatrixPage<'a> {
    fn new(shell: Shell, revision: String, matrix: &'a Matrix, query: &Query) -> Self {
        let filter = MatrixFilter::new(query);
        let is_wanted = |column: &&str| {
            filter.columns.is_empty() || filter.columns.iter().any(|wanted| wanted == column)
        };
        let columns: Vec<_> = matrix.columns.iter().map(String::as_str).filter(is_wanted).collect();
        let wanted = matrix.rows.iter().filter(|row| filter.lets_through(matrix, row, &columns));
        let wanted: Vec<_> = wanted.collect();
        let of_page = (CELLS / columns.len().max(1)).max(1);
        let page = query.number("page", 1).clamp(1, wanted.len().div_ceil(of_page).max(1));
        let mut notes = Vec::new();
        let mut groups: Vec<ScopeRows<'a>> = Vec::new();
        for row in wanted.iter().skip((page - 1) * of_page).take(of_page) {
            let cells = columns.iter().map(|column| {
                let cell = matrix.cell(row, column)?;
                Some(CellView { cell, note: note_of(&mut notes, cell) })
            });
            let row = (*row, cells.collect());
            match groups.last_mut().filter(|group| group.scope == row.0.scope) {
                Some(group) => group.rows.push(row),
                None => groups.push(ScopeRows { scope: &row.0.scope, rows: vec![row] }),
            }
        }
        let pages = 1..=wanted.len().div_ceil(of_page);
        let link = |number: usize| PageLink {
            number,
            link: query.with("page", &number.to_string()),
            is_current: number == page,
        };
        Self {
            shell,
            revision,
            scopes: matrix.scopes(),
            all_columns: &matrix.columns,
            columns,
            groups,
            notes,
            counts: CellCounts::of(matrix),
            rows: wanted.len(),
            pages: if *pages.end() > 1 { pages.map(link).collect() } else { Vec::new() },
            filter,
        }
    }
}

impl MatrixFilter {
    fn new(query: &Query) -> Self {
        Self {
            action: query.get("action").to_owned(),
            scope: query.get("scope").to_owned(),
            columns: query.all("role").map(str::to_owned).collect(),
            show: query.get("show").to_owned(),
        }
    }

    fn is_set(&self) -> bool {
        !(self.action.is_empty()
            && self.scope.is_empty()
            && self.columns.is_empty()
            && self.show.is_empty())
    }

    fn has_column(&self, column: &str) -> bool {
        self.columns.iter().any(|wanted| wanted == column)
    }

    fn lets_through(&self, matrix: &Matrix, row: &Row, columns: &[&str]) -> bool {
        let wanted = self.action.to_lowercase();
        let is_named =
            [&row.action, &row.label].into_iter().any(|text| text.to_lowercase().contains(&wanted));
        let is_shown = |cell: &Cell| match self.show.as_str() {
            "allow" => cell.value == Expected::Allow,
            "cond" => cell.value == Expected::Cond,
            "deny" => cell.value == Expected::Deny,
            "unexpected" => is_unexpected(cell),
            _ => true,
        };
        let mut cells = columns.iter().filter_map(|column| matrix.cell(row, column));
        is_named && (self.scope.is_empty() || row.scope == self.scope) && cells.any(is_shown)
    }
}

impl CellView<'_> {
    fn word(&self) -> &'static str {
        match self.cell.value {
            Expected::Allow => "yes",
            Expected::Cond => "if",
            Expected::Deny => "no",
        }
    }

    /// Returns whether an allow may yet be denied.
    fn is_restricted(&self) -> bool {
        self.cell.value == Expected::Allow && !self.cell.restrictions.is_empty()
    }

    fn is_unexpected(&self) -> bool {
        is_unexpected(self.cell)
    }

    fn expected(&self) -> &'static str {
        self.cell.expected.map(word).unwrap_or_default()
    }
}

impl CellCounts {
    fn of(matrix: &Matrix) -> Self {
        let mut counts = Self { unexpected: matrix.unexpected().count(), ..Self::default() };
        for (_, _, cell) in matrix.cells() {
            match cell.value {
                Expected::Allow => counts.allow += 1,
                Expected::Cond => counts.cond += 1,
                Expected::Deny => counts.deny += 1,
            }
        }
        counts
    }
}

fn is_unexpected(cell: &Cell) -> bool {
    cell.exempt.is_none() && cell.expected.is_some_and(|expected| expected != cell.value)
}

/// Returns the number of the note of a cell, which is added where no cell has had it.
fn note_of<'a>(notes: &mut Vec<CellNote<'a>>, cell: &'a Cell) -> Option<usize> {
    if cell.policies.is_empty() && cell.restrictions.is_empty() {
        return None;
    }
    let title = match cell.value {
        Expected::Allow => "Allowed by",
        Expected::Cond => "Allowed if one of these applies",
        Expected::Deny => "Forbidden by",
    };
    let is_same = |note: &&CellNote<'_>| {
        note.title == title
            && note.policies == cell.policies.as_slice()
            && note.unless == cell.restrictions.as_slice()
    };
    if let Some(note) = notes.iter().find(is_same) {
        return Some(note.number);
    }
    let number = notes.len() + 1;
    notes.push(CellNote { number, title, policies: &cell.policies, unless: &cell.restrictions });
    Some(number)
}

impl CellNote<'_> {
    /// Returns the two lists of policies, each with its title.
    fn lists(&self) -> Vec<(&'static str, &[CellPolicy], usize)> {
        [(self.title, self.policies), ("Unless one of these applies", self.unless)]
            .into_iter()
            .filter(|(_, policies)| !policies.is_empty())
            .map(|(title, policies)| {
                let shown = policies.get(..POLICIES).unwrap_or(policies);
                (title, shown, policies.len() - shown.len())
            })
            .collect()
    }
}

/// Cuts a long text.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(DOC_LENGTH) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
    }
}

/// Returns the parts of a name between which a line may break.
fn parts(name: &str) -> Vec<&str> {
    name.split_inclusive(['_', '-', '.']).collect()
}
