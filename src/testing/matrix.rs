//! `matrix.csv`: the expected matrix, each cell of it a request or several.

use std::collections::HashSet;

use cedar_policy_core::ast::EntityType;

use super::{
    case::{Case, DEFAULT_NOW},
    matrix_cells::{CSV, CellCases, Exempt, MEANING},
    matrix_meaning::Meaning,
    matrix_rows::{Expected, ExpectedRow, rows},
    node::{TestFile, parse_toml},
};
use crate::{
    model::{Problem, Timestamp, Uid},
    request::RequestInput,
    schema::{Schema, Slot},
    store::{Problems, StoreFiles},
};

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
struct MatrixFiles {
    rows: Vec<ExpectedRow>,
    meaning: Meaning,
}

/// Reads the cells of the expected matrix as requests, in the order of the file; none where the
/// store has no matrix.
///
/// # Errors
/// Every problem of the two files, if there is one.
pub fn matrix_cells(files: &StoreFiles, schema: &Schema) -> Result<Vec<MatrixCell>, Vec<Problem>> {
    let mut problems = Problems::default();
    let mut found = Vec::new();
    if let Some(MatrixFiles { rows, meaning }) = read_files(files, &mut problems) {
        let mut cells = CellCases::new(&meaning, schema, &mut problems);
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
    if problems.is_empty() { Ok(found) } else { Err(problems.into_vec()) }
}

fn read_files(files: &StoreFiles, problems: &mut Problems) -> Option<MatrixFiles> {
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
    Some(MatrixFiles { rows, meaning: meaning? })
}

/// The cases of the matrix and its exempt cells.
pub(super) fn read(
    files: &StoreFiles,
    schema: &Schema,
    problems: &mut Problems,
) -> (Vec<Case>, Vec<Exempt>) {
    let Some(MatrixFiles { rows, meaning }) = read_files(files, problems) else {
        return Default::default();
    };
    let mut cells = CellCases::new(&meaning, schema, problems);
    for row in &rows {
        cells.row(row);
    }
    let (used, cases, exempt) = (cells.used, cells.cases, cells.exempt);
    unused(&meaning, &rows, &used, problems);
    (cases, exempt)
}

/// Reports entries of `matrix.toml` that are about nothing in the matrix.
fn unused(
    meaning: &Meaning,
    rows: &[ExpectedRow],
    used: &HashSet<*const ()>,
    problems: &mut Problems,
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
