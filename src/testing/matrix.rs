//! `matrix.csv`: the expected matrix, each cell of it a request or several.

use std::collections::HashSet;

use cedar_policy_core::ast::EntityType;

use super::{
    case::{Case, DEFAULT_NOW, Expectation, ExpectedPolicies},
    facts::Facts,
    matrix_meaning::{Cond, Meaning, Side},
    matrix_rows::{Expected, ExpectedRow, rows},
    node::{Place, TestFile, parse_toml},
};
use crate::{
    model::{Effect, Problem, Timestamp, Uid},
    request::RequestInput,
    schema::{EntityShape, Schema, Slot},
    store::StoreFiles,
};

const CSV: &str = "matrix.csv";
const MEANING: &str = "matrix.toml";

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

/// A cell of the expected matrix as a request.
#[derive(Debug, Clone)]
pub struct MatrixCell {
    /// The scope of the row.
    pub scope: String,
    /// The action of the row.
    pub action: String,
    /// The row's name for the action, in the vendor's words.
    pub label: String,
    /// The column.
    pub column: String,
    /// The expected answer, if somebody says.
    pub expected: Option<Expected>,
    /// Why the cell means nothing as a request, if it does not.
    pub exempt: Option<String>,
    /// The request with the facts of the scope, the column and the row.
    pub input: RequestInput,
    /// Its time.
    pub now: Timestamp,
    /// The roles that column and row leave open: the principal may hold them besides.
    pub open_roles: Vec<(EntityType, Slot)>,
    /// Attributes of the principal of which the value in `input` is only an example.
    pub open_attributes: Vec<String>,
}

/// The files `matrix.csv` and `matrix.toml`.
struct Files {
    rows: Vec<ExpectedRow>,
    meaning: Meaning,
}

/// Reads the cells of the expected matrix as requests, in the order of the file; none where the
/// store has no matrix.
///
/// # Errors
/// Every problem of the two files, if there is one.
pub fn matrix_cells(files: &StoreFiles, schema: &Schema) -> Result<Vec<MatrixCell>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut found = Vec::new();
    if let Some(Files { rows, meaning }) = read_files(files, &mut problems) {
        let mut cells = Cells::new(&meaning, schema, &mut problems);
        for row in &rows {
            for (column, expected) in &row.cells {
                let Some(facts) = cells.facts(row, column) else { continue };
                let (open_roles, open_attributes) = cells.open(row, column);
                found.push(MatrixCell {
                    scope: row.scope.clone(),
                    action: row.action.clone(),
                    label: row.label.clone(),
                    column: column.clone(),
                    expected: Some(*expected),
                    exempt: cells.exempt_of(row, column).map(|exempt| exempt.reason),
                    input: facts.request(&Uid::action(&row.action), schema),
                    now: facts.now.unwrap_or(DEFAULT_NOW),
                    open_roles,
                    open_attributes,
                });
            }
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

fn read_files(files: &StoreFiles, problems: &mut Vec<Problem>) -> Option<Files> {
    let mut open = |path| files.get(path).map(|bytes| TestFile::new(files, path, bytes, problems));
    let (csv, meaning) = (open(CSV), open(MEANING));
    let (csv, meaning) = match (csv, meaning) {
        (Some(csv), Some(meaning)) => (csv, meaning),
        (Some(_), None) => {
            let problem = Problem::of_file(files.path(CSV), "nothing says what its cells mean");
            problems.push(problem.with_help(format!("add a file `{MEANING}`")));
            return None;
        }
        (None, Some(_)) => {
            let problem = Problem::of_file(files.path(MEANING), "there is no matrix");
            problems.push(problem.with_help(format!("add a file `{CSV}`")));
            return None;
        }
        (None, None) => return None,
    };
    let rows = csv.map(|csv| rows(&csv, problems)).unwrap_or_default();
    let meaning = meaning
        .and_then(|file| parse_toml(&file, problems))
        .and_then(|node| Meaning::read(node, problems));
    Some(Files { rows, meaning: meaning? })
}

/// The cases of the matrix and its exempt cells.
pub(super) fn read(
    files: &StoreFiles,
    schema: &Schema,
    problems: &mut Vec<Problem>,
) -> (Vec<Case>, Vec<Exempt>) {
    let Some(Files { rows, meaning }) = read_files(files, problems) else {
        return Default::default();
    };
    let mut cells = Cells::new(&meaning, schema, problems);
    for row in &rows {
        cells.row(row);
    }
    let (used, cases, exempt) = (cells.used, cells.cases, cells.exempt);
    unused(&meaning, &rows, &used, problems);
    (cases, exempt)
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
    fn new(meaning: &'a Meaning, schema: &'a Schema, problems: &'a mut Vec<Problem>) -> Self {
        Self {
            meaning,
            schema,
            problems,
            missing: HashSet::new(),
            used: HashSet::new(),
            cases: Vec::new(),
            exempt: Vec::new(),
        }
    }

    /// The facts of a cell.
    fn facts(&mut self, row: &ExpectedRow, column: &str) -> Option<Facts> {
        let Some(scope) = self.meaning.scopes.get(&row.scope) else {
            self.missing("scopes", &row.scope, &row.place);
            return None;
        };
        let Some(of_column) = self.meaning.columns.get(column) else {
            self.missing("columns", column, &row.place);
            return None;
        };
        let mut facts = scope.facts.clone();
        facts.add(&of_column.facts, self.schema);
        for (_, row_facts, _) in
            self.meaning.rows.iter().filter(|(pattern, ..)| pattern.matches(&row.action))
        {
            facts.add(row_facts, self.schema);
        }
        Some(facts)
    }

    /// The roles and attributes that the column and the row of a cell leave open.
    fn open(&mut self, row: &ExpectedRow, column: &str) -> (Vec<(EntityType, Slot)>, Vec<String>) {
        let of_column = self.meaning.columns.get(column).map(|column| &column.open);
        let of_rows = self.meaning.rows.iter().filter(|(pattern, ..)| pattern.matches(&row.action));
        let (mut roles, mut attributes) = (Vec::new(), Vec::new());
        for open in of_column.into_iter().chain(of_rows.map(|(.., open)| open)) {
            for (name, place) in &open.roles {
                let found = slots_named(self.schema, name);
                if found.is_empty() {
                    self.problems.push(place.problem(format!(
                        "no role `{name}`: write the scope's type and the slot, as in `Site.editor`"
                    )));
                }
                roles.extend(found);
            }
            attributes.extend(open.attributes.iter().map(|(name, _)| name.clone()));
        }
        (roles, attributes)
    }

    fn row(&mut self, row: &ExpectedRow) {
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
            let Some(facts) = self.facts(row, column) else { continue };
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

    fn exempt_of(&mut self, row: &ExpectedRow, column: &str) -> Option<Exempt> {
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
    fn cond_of(&mut self, row: &ExpectedRow, column: &str, cell: Expected) -> Option<&'a Cond> {
        let exempt =
            self.meaning.exempt.iter().any(|exempt| exempt.cells.hold(column, &row.action));
        if cell != Expected::Cond || exempt {
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

    fn cell(
        &mut self,
        row: &ExpectedRow,
        column: &str,
        cell: Expected,
        facts: &Facts,
        conds: &[&'a Cond],
    ) {
        match cell {
            Expected::Allow => self.case(row, column, "", facts, None, Effect::Allow),
            Expected::Deny => {
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
            Expected::Cond => {
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
        row: &ExpectedRow,
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

/// The role slots of `Type.slot`; of `*` all.
fn slots_named(schema: &Schema, name: &str) -> Vec<(EntityType, Slot)> {
    let of_type = |shape: &EntityShape| {
        let slots = shape.slots.keys().cloned();
        slots.map(|slot| (shape.entity_type.clone(), slot)).collect::<Vec<_>>()
    };
    if name == "*" {
        return schema.entities().flat_map(of_type).collect();
    }
    let Some((ty, slot)) = name.rsplit_once('.') else { return Vec::new() };
    let shape = schema.entity_type(ty).and_then(|ty| schema.entity(ty));
    let slots = shape.map(of_type).unwrap_or_default();
    slots.into_iter().filter(|(_, of)| of.as_str() == slot).collect()
}

fn side_name(cond: &Cond, side: &Side, index: usize, count: usize) -> String {
    match &side.name {
        Some(name) => format!("{}: {name}", cond.name),
        None if count == 1 => cond.name.clone(),
        None => format!("{}: {}", cond.name, index + 1),
    }
}

/// Reports entries of `matrix.toml` that are about nothing in the matrix.
fn unused(
    meaning: &Meaning,
    rows: &[ExpectedRow],
    used: &HashSet<*const ()>,
    problems: &mut Vec<Problem>,
) {
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
    for (pattern, ..) in &meaning.rows {
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
