//! The rows of `matrix.csv`.

use std::{collections::HashSet, sync::Arc};

use super::node::{TestFile, TestPlace};
use crate::{model::Problem, store::Problems};

/// The columns that are not roles.
const OTHER_COLUMNS: [&str; 5] = ["scope", "action", "label", "condition", "source"];

/// The expected answer of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expected {
    /// It is allowed.
    Allow,
    /// It is denied.
    Deny,
    /// It depends on facts.
    Cond,
}

/// A row of the matrix.
pub(super) struct ExpectedRow {
    pub(super) place: TestPlace,
    pub(super) scope: String,
    pub(super) action: String,
    pub(super) label: String,
    /// The cells of the role columns.
    pub(super) cells: Vec<(String, Expected)>,
}

/// Reads the rows of `matrix.csv`.
pub(super) fn rows(file: &Arc<TestFile>, problems: &mut Problems) -> Vec<ExpectedRow> {
    let mut reader = csv::ReaderBuilder::new().from_reader(file.text.text().as_bytes());
    let headers = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(error) => {
            problems.push(csv_problem(file, &error));
            return Vec::new();
        }
    };
    let index = |name: &str| headers.iter().position(|header| header == name);
    let label = index("label");
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
        let mut row = ExpectedRow {
            place,
            scope: field(scope),
            action: field(action),
            label: label.map(field).unwrap_or_default(),
            cells: Vec::new(),
        };
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
                "allow" => row.cells.push((column.to_owned(), Expected::Allow)),
                "deny" => row.cells.push((column.to_owned(), Expected::Deny)),
                "cond" => row.cells.push((column.to_owned(), Expected::Cond)),
                other => problems.push(row.place.problem(format!(
                    "`{other}` in the column `{column}`: a cell is `allow`, `deny` or `cond`"
                ))),
            }
        }
        rows.push(row);
    }
    rows
}

fn row_place(file: &Arc<TestFile>, position: Option<&csv::Position>) -> TestPlace {
    let start = position.and_then(|position| usize::try_from(position.byte()).ok());
    let start = start.unwrap_or_default().min(file.text.text().len());
    // The reader counts the blank before a record to the record.
    let rest = file.text.text().get(start..).unwrap_or_default();
    let start = start + (rest.len() - rest.trim_start().len());
    let line =
        file.text.text().get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    file.place(start..start + line.floor_char_boundary(60))
}

fn csv_problem(file: &Arc<TestFile>, error: &csv::Error) -> Problem {
    row_place(file, error.position()).problem(error.to_string())
}
