//! The text of a file with its policies, and what is to be said of its lines.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use askama::Template;
use axum::response::Response;

use super::{
    Console, Query,
    coverage::{Coverage, file_of},
    highlight::{self, LinePart},
    respond,
    shell::Shell,
};
use crate::{
    engine::PreparedPolicy,
    model::{Location, Problem},
    store::PolicyStore,
};

/// Lines on a page.
const LINES: usize = 1_500;
/// Lines that are shown before and after one with a problem.
const AROUND: usize = 8;
/// Files with problems that are shown.
const FILES: usize = 50;

#[derive(Template)]
#[template(path = "policy_text.html")]
struct TextPage<'a> {
    shell: Shell,
    /// The text is not in force.
    refused: bool,
    listings: Vec<Listing<'a>>,
    /// Problems without a place in a text.
    problems: Vec<String>,
    /// Links to the lines before and after.
    before: Option<String>,
    after: Option<String>,
}

/// A file.
struct Listing<'a> {
    path: String,
    lines: Vec<ListingLine<'a>>,
    total: usize,
}

/// A line with what is said of it.
struct ListingLine<'a> {
    number: usize,
    parts: Vec<LinePart<'a>>,
    marks: Vec<Mark>,
    /// The policy that was asked for begins here.
    is_first: bool,
    is_chosen: bool,
    /// Lines before it are left out.
    after_gap: bool,
}

/// The notes of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    class: &'static str,
    text: String,
}

type Marks = BTreeMap<usize, Vec<Mark>>;

/// Returns the page of a file or policy; nothing where the store has no such file or policy.
pub(super) fn file(
    shell: Shell,
    store: &PolicyStore,
    query: &Query,
    coverage: Option<&Coverage>,
) -> Option<Response> {
    let id = query.get("policy");
    let policy = store.engine().slices().policies().find(|policy| policy.id() == id);
    let path = match policy {
        Some(policy) => file_of(store, policy),
        None if id.is_empty() => query.get("file").to_owned(),
        None => return None,
    };
    let text = String::from_utf8_lossy(store.files().get(&path)?);
    let chosen = policy.and_then(|policy| lines_of(policy)).unwrap_or_default();
    let marks = marks(store, &path, coverage);
    let lines = highlight::lines(&text);
    let total = lines.len();
    let wanted = if chosen.is_empty() { query.number("from", 1) } else { chosen.start };
    let first = wanted.saturating_sub(1) / LINES * LINES;
    let lines = (1..).zip(lines).skip(first).take(LINES).map(|(number, parts)| ListingLine {
        number,
        parts,
        marks: marks.get(&number).cloned().unwrap_or_default(),
        is_first: number == chosen.start,
        is_chosen: chosen.contains(&number),
        after_gap: false,
    });
    let link = |from: usize| {
        let path = percent_encoding::utf8_percent_encode(&path, percent_encoding::NON_ALPHANUMERIC);
        format!("?store={}&file={path}&from={from}", store.name())
    };
    let page = TextPage {
        refused: false,
        before: (first > 0).then(|| link(first + 1 - LINES.min(first))),
        after: (first + LINES < total).then(|| link(first + LINES + 1)),
        listings: vec![Listing { lines: lines.collect(), total, path: path.clone() }],
        problems: Vec::new(),
        shell,
    };
    Some(respond::page(&page))
}

/// Returns the page of the files of a store that were refused: the lines around each problem.
pub(super) fn refused(console: &Console, shell: Shell, store: &PolicyStore) -> Response {
    let status = console.live().status();
    let problems = status.stores.iter().find(|of| &of.name == store.name());
    let problems = problems.map(|of| of.problems.as_slice()).unwrap_or_default();
    let mut files: BTreeMap<&str, (&str, Marks)> = BTreeMap::new();
    let mut without_place = Vec::new();
    for problem in problems {
        match (problem.source_text(), problem.location()) {
            (Some(text), Some(place)) => {
                let (_, marks) =
                    files.entry(problem.file()).or_insert_with(|| (text, Marks::new()));
                marks.entry(place.line).or_default().push(Mark::of(problem, "bad"));
            }
            _ => without_place.push(problem.render()),
        }
    }
    let listings = files.into_iter().take(FILES).map(|(path, (text, marks))| {
        let lines = highlight::lines(text);
        let total = lines.len();
        let lines = around(lines, &marks);
        Listing { path: path.to_owned(), lines, total }
    });
    without_place.truncate(FILES);
    let listings = listings.collect();
    let page = TextPage {
        shell,
        refused: true,
        listings,
        problems: without_place,
        before: None,
        after: None,
    };
    respond::page(&page)
}

fn around<'a>(lines: Vec<Vec<LinePart<'a>>>, marks: &Marks) -> Vec<ListingLine<'a>> {
    let wanted: BTreeSet<usize> =
        marks.keys().flat_map(|line| line.saturating_sub(AROUND)..=line + AROUND).collect();
    let lines = (1..).zip(lines).filter(|(number, _)| wanted.contains(number)).take(LINES);
    let mut last = 0;
    let lines = lines.map(|(number, parts)| {
        let after_gap = number != last + 1;
        last = number;
        let marks = marks.get(&number).cloned().unwrap_or_default();
        let is_chosen = !marks.is_empty();
        ListingLine { number, parts, marks, is_first: false, is_chosen, after_gap }
    });
    lines.collect()
}

/// Returns the lines of a policy, as far as they are known.
fn lines_of(policy: &PreparedPolicy) -> Option<Range<usize>> {
    let loc = policy.policy().loc()?;
    let line = |offset| Location::in_text(&loc.src, offset).map(|place| place.line);
    Some(line(loc.start())?..line(loc.end())? + 1)
}

/// Gathers what is to be said of the lines of a file: warnings, and what no test covers.
fn marks(store: &PolicyStore, path: &str, coverage: Option<&Coverage>) -> Marks {
    let mut marks = Marks::new();
    let full = store.files().path(path);
    for warning in store.warnings().iter().filter(|warning| warning.file() == full) {
        let line = warning.location().map_or(1, |place| place.line);
        marks.entry(line).or_default().push(Mark::of(warning, "if"));
    }
    let covered = coverage.into_iter().flat_map(|coverage| coverage.policies.values());
    for policy in covered.filter(|policy| policy.file.as_deref() == Some(path)) {
        for condition in policy.conditions.iter().filter(|condition| condition.has_gaps()) {
            let Some(place) = condition.location else { continue };
            let text = match (condition.made_true, condition.made_false) {
                (0, 0) => "no test reaches this condition",
                (0, _) => "no test makes this true",
                _ => "no test makes this false",
            };
            let mark = Mark { class: "dim", text: text.to_owned() };
            let of_line = marks.entry(place.line).or_default();
            if !of_line.contains(&mark) {
                of_line.push(mark);
            }
        }
    }
    marks
}

impl Mark {
    fn of(problem: &Problem, class: &'static str) -> Self {
        let mut text = problem.message().to_owned();
        if let Some(help) = problem.help() {
            text.push_str("; help: ");
            text.push_str(help);
        }
        Self { class, text }
    }
}

impl Listing<'_> {
    fn shows_all(&self) -> bool {
        self.lines.len() == self.total
    }
}
