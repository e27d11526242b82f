//! `matrix.csv`: the expected matrix, each cell of it a request or several.

use std::{collections::HashSet, sync::Arc};

use super::{
    case::{Case, DEFAULT_NOW, Expectation, ExpectedPolicies},
    facts::Facts,
    matrix_meaning::{Cond, Meaning, Side},
    node::{Place, TestFile, parse_toml},
};
use crate::{
    model::{Effect, Problem, Uid},
    schema::Schema,
    store::StoreFiles,
};

const CSV: &str = "matrix.csv";
const MEANING: &str = "matrix.toml";
/// The columns that are not roles.
const OTHER_COLUMNS: [&str; 5] = ["scope", "action", "label", "condition", "source"];

/// A cell of the matrix that means nothing as a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exempt {
    /// The scope of the row.
    pub scope: String,
    /// The action of the row.
    pub action: String,
    /// The column.
    pub column: String,
    /// Why.
    pub reason: String,
}

/// A row of the matrix.
struct Row {
    place: Place,
    scope: String,
    action: String,
    /// The cells of the role columns.
    cells: Vec<(String, Cell)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    Allow,
    Deny,
    Cond,
}

/// The cases of the matrix and its exempt cells.
pub(super) fn read(
    files: &StoreFiles,
    schema: &Schema,
    problems: &mut Vec<Problem>,
) -> (Vec<Case>, Vec<Exempt>) {
    let mut open = |path| files.get(path).map(|bytes| TestFile::new(files, path, bytes, problems));
    let (csv, meaning) = (open(CSV), open(MEANING));
    let (csv, meaning) = match (csv, meaning) {
        (Some(csv), Some(meaning)) => (csv, meaning),
        (Some(_), None) => {
            let problem = Problem::of_file(files.path(CSV), "nothing says what its cells mean");
            problems.push(problem.with_help(format!("add a file `{MEANING}`")));
            return Default::default();
        }
        (None, Some(_)) => {
            let problem = Problem::of_file(files.path(MEANING), "there is no matrix");
            problems.push(problem.with_help(format!("add a file `{CSV}`")));
            return Default::default();
        }
        (None, None) => return Default::default(),
    };
    let rows = csv.map(|csv| rows(&csv, problems)).unwrap_or_default();
    let meaning = meaning
        .and_then(|file| parse_toml(&file, problems))
        .and_then(|node| Meaning::read(node, problems));
    let Some(meaning) = meaning else { return Default::default() };
    let mut cells = Cells {
        meaning: &meaning,
        schema,
        problems,
        missing: HashSet::new(),
        used: HashSet::new(),
        cases: Vec::new(),
        exempt: Vec::new(),
    };
    for row in &rows {
        cells.row(row);
    }
    let (used, cases, exempt) = (cells.used, cells.cases, cells.exempt);
    unused(&meaning, &rows, &used, problems);
    (cases, exempt)
}

fn rows(file: &Arc<TestFile>, problems: &mut Vec<Problem>) -> Vec<Row> {
    let mut reader = csv::ReaderBuilder::new().from_reader(file.text.as_bytes());
    let headers = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(error) => {
            problems.push(csv_problem(file, &error));
            return Vec::new();
        }
    };
    let index = |name: &str| headers.iter().position(|header| header == name);
    let (Some(scope), Some(action)) = (index("scope"), index("action")) else {
        let problem = file.place(0..0).problem("the matrix needs the columns `scope` and `action`");
        problems.push(problem);
        return Vec::new();
    };
    let mut rows = Vec::new();
    let mut seen = HashSet::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                problems.push(csv_problem(file, &error));
                continue;
            }
        };
        let place = row_place(file, record.position());
        let field = |index| record.get(index).unwrap_or_default().to_owned();
        let mut row = Row { place, scope: field(scope), action: field(action), cells: Vec::new() };
        if !seen.insert((row.scope.clone(), row.action.clone())) {
            let message = format!("a second row of `{}` in the scope `{}`", row.action, row.scope);
            problems.push(row.place.problem(message));
            continue;
        }
        for (column, text) in headers.iter().zip(record.iter()) {
            if OTHER_COLUMNS.contains(&column) {
                continue;
            }
            match text {
                "allow" => row.cells.push((column.to_owned(), Cell::Allow)),
                "deny" => row.cells.push((column.to_owned(), Cell::Deny)),
                "cond" => row.cells.push((column.to_owned(), Cell::Cond)),
                other => problems.push(row.place.problem(format!(
                    "`{other}` in the column `{column}`: a cell is `allow`, `deny` or `cond`"
                ))),
            }
        }
        rows.push(row);
    }
    rows
}

fn row_place(file: &Arc<TestFile>, position: Option<&csv::Position>) -> Place {
    let start = position.and_then(|position| usize::try_from(position.byte()).ok());
    let start = start.unwrap_or_default().min(file.text.len());
    // The reader counts the blank before a record to the record.
    let rest = file.text.get(start..).unwrap_or_default();
    let start = start + (rest.len() - rest.trim_start().len());
    let line = file.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    file.place(start..start + line.floor_char_boundary(60))
}

fn csv_problem(file: &Arc<TestFile>, error: &csv::Error) -> Problem {
    row_place(file, error.position()).problem(error.to_string())
}

struct Cells<'a> {
    meaning: &'a Meaning,
    schema: &'a Schema,
    problems: &'a mut Vec<Problem>,
    /// Scopes and columns that were missed already.
    missing: HashSet<(&'static str, String)>,
    /// The places of the conditions and exemptions that a cell used.
    used: HashSet<*const ()>,
    cases: Vec<Case>,
    exempt: Vec<Exempt>,
}

impl<'a> Cells<'a> {
    fn row(&mut self, row: &Row) {
        let scope = self.meaning.scopes.get(&row.scope).map(|scope| &scope.facts);
        let Some(scope) = scope else {
            self.missing("scopes", &row.scope, &row.place);
            return;
        };
        let conds: Vec<_> = row
            .cells
            .iter()
            .filter_map(|(column, cell)| self.cond_of(row, column, *cell))
            .collect();
        for (column, cell) in &row.cells {
            if let Some(exempt) = self.exempt_of(row, column) {
                self.exempt.push(exempt);
                continue;
            }
            let Some(column_facts) = self.meaning.columns.get(column) else {
                self.missing("columns", column, &row.place);
                continue;
            };
            let mut facts = scope.clone();
            facts.add(&column_facts.facts, self.schema);
            for (_, row_facts) in
                self.meaning.rows.iter().filter(|(pattern, _)| pattern.matches(&row.action))
            {
                facts.add(row_facts, self.schema);
            }
            self.cell(row, column, *cell, &facts, &conds);
        }
    }

    fn missing(&mut self, kind: &'static str, name: &str, place: &Place) {
        if self.missing.insert((kind, name.to_owned())) {
            let message = format!("`{MEANING}` does not say what `{name}` means");
            let help = format!("add a table `[{kind}.{name}]` to it");
            self.problems.push(place.problem(message).with_help(help));
        }
    }

    fn exempt_of(&mut self, row: &Row, column: &str) -> Option<Exempt> {
        let exempt =
            self.meaning.exempt.iter().find(|exempt| exempt.cells.hold(column, &row.action))?;
        self.used.insert(std::ptr::from_ref(exempt).cast());
        Some(Exempt {
            scope: row.scope.clone(),
            action: row.action.clone(),
            column: column.to_owned(),
            reason: exempt.reason.clone(),
        })
    }

    /// The condition of a cond cell, if it is one and is not exempt.
    fn cond_of(&mut self, row: &Row, column: &str, cell: Cell) -> Option<&'a Cond> {
        let exempt =
            self.meaning.exempt.iter().any(|exempt| exempt.cells.hold(column, &row.action));
        if cell != Cell::Cond || exempt {
            return None;
        }
        let cond = self.meaning.conds.iter().find(|cond| cond.cells.hold(column, &row.action));
        match cond {
            Some(cond) => {
                self.used.insert(std::ptr::from_ref(cond).cast());
            }
            None => {
                let message = format!(
                    "the cell `cond` of `{}` in the column `{column}` has no `[[cond]]` in `{MEANING}`",
                    row.action
                );
                self.problems.push(row.place.problem(message));
            }
        }
        cond
    }

    fn cell(&mut self, row: &Row, column: &str, cell: Cell, facts: &Facts, conds: &[&'a Cond]) {
        match cell {
            Cell::Allow => self.case(row, column, "", facts, None, Effect::Allow),
            Cell::Deny => {
                self.case(row, column, "", facts, None, Effect::Deny);
                let mut done: HashSet<*const Cond> = HashSet::new();
                for cond in conds {
                    if !done.insert(std::ptr::from_ref(*cond)) {
                        continue;
                    }
                    for (index, side) in cond.allow.iter().enumerate() {
                        let name =
                            format!("although {}", side_name(cond, side, index, cond.allow.len()));
                        let facts_of_side = side.facts.circumstances();
                        self.case(row, column, &name, facts, Some(&facts_of_side), Effect::Deny);
                    }
                }
            }
            Cell::Cond => {
                let cond =
                    self.meaning.conds.iter().find(|cond| cond.cells.hold(column, &row.action));
                let Some(cond) = cond else { return };
                for (effect, sides) in [(Effect::Allow, &cond.allow), (Effect::Deny, &cond.deny)] {
                    for (index, side) in sides.iter().enumerate() {
                        let what = if effect == Effect::Allow { "if" } else { "unless" };
                        let name = format!("{what} {}", side_name(cond, side, index, sides.len()));
                        self.case(row, column, &name, facts, Some(&side.facts), effect);
                    }
                }
            }
        }
    }

    fn case(
        &mut self,
        row: &Row,
        column: &str,
        what: &str,
        facts: &Facts,
        more: Option<&Facts>,
        effect: Effect,
    ) {
        let mut facts = facts.clone();
        if let Some(more) = more {
            facts.add(more, self.schema);
        }
        let separator = if what.is_empty() { "" } else { ", " };
        self.cases.push(Case {
            name: format!("{} / {} / {column}{separator}{what}", row.scope, row.action),
            file: CSV.to_owned(),
            line: row.place.line(),
            input: facts.request(&Uid::action(&row.action), self.schema),
            now: facts.now.unwrap_or(DEFAULT_NOW),
            expectation: Expectation::Decision {
                effect,
                policies: ExpectedPolicies::Any,
                errors: None,
            },
        });
    }
}

fn side_name(cond: &Cond, side: &Side, index: usize, count: usize) -> String {
    match &side.name {
        Some(name) => format!("{}: {name}", cond.name),
        None if count == 1 => cond.name.clone(),
        None => format!("{}: {}", cond.name, index + 1),
    }
}

/// Reports entries of `matrix.toml` that are about nothing in the matrix.
fn unused(meaning: &Meaning, rows: &[Row], used: &HashSet<*const ()>, problems: &mut Vec<Problem>) {
    for (name, scope) in &meaning.scopes {
        if !rows.iter().any(|row| row.scope == *name) {
            problems
                .push(scope.place.problem(format!("no row of the matrix has the scope `{name}`")));
        }
    }
    for (name, column) in &meaning.columns {
        let known = rows.iter().any(|row| row.cells.iter().any(|(column, _)| column == name));
        if !known && !rows.is_empty() {
            problems.push(column.place.problem(format!("the matrix has no column `{name}`")));
        }
    }
    for (pattern, _) in &meaning.rows {
        if !rows.iter().any(|row| pattern.matches(&row.action)) {
            let message = format!("no row of the matrix is called `{}`", pattern.text());
            problems.push(pattern.place.problem(message));
        }
    }
    for cond in &meaning.conds {
        if !used.contains(&std::ptr::from_ref(cond).cast()) {
            problems.push(cond.place.problem("no cond cell uses this `[[cond]]`"));
        }
    }
    for exempt in &meaning.exempt {
        if !used.contains(&std::ptr::from_ref(exempt).cast()) {
            problems.push(exempt.place.problem("no cell uses this `[[exempt]]`"));
        }
    }
}
