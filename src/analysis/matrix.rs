//! The matrix of a store, computed from its policies.
//!
//! A column and a row are a request: who asks, in which roles, for what, on what. What the column,
//! the scope of the row and the row say is known, exactly those roles among it. In the *base*
//! request every other optional fact is absent; in its *variants* optional facts are open too.
//! Required facts that nobody gave are always open.

use super::{
    cell::{Cell, cell},
    constants::Constants,
    matrix_error::MatrixError,
    slots,
};
use crate::{
    store::PolicyStore,
    testing::{MatrixCell, matrix_cells},
};

/// A computed matrix.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, in the order of `matrix.csv`, else by action.
    pub rows: Vec<Row>,
}

/// A row of a matrix.
#[derive(Debug, Clone)]
pub struct Row {
    /// The scope of the row.
    pub scope: String,
    /// The action.
    pub action: String,
    /// The vendor's words for the action; empty where there are none.
    pub label: String,
    /// A cell for each column.
    pub cells: Vec<Cell>,
}

impl Matrix {
    /// Computes the matrix of a store: its cells are those of `matrix.csv`, and without one those
    /// of all role slots and actions.
    ///
    /// # Errors
    /// The problems of the matrix's files.
    pub fn of(store: &PolicyStore) -> Result<Self, MatrixError> {
        let constants = Constants::of([store.engine()]);
        let mut columns: Vec<String> = Vec::new();
        let mut rows: Vec<Row> = Vec::new();
        for question in questions(store)? {
            if !columns.contains(&question.column) {
                columns.push(question.column.clone());
            }
            let is_its_row =
                |row: &&mut Row| row.scope == question.scope && row.action == question.action;
            let cell = cell(store, &constants, question.clone())?;
            match rows.iter_mut().rev().find(is_its_row) {
                Some(row) => row.cells.push(cell),
                None => rows.push(Row {
                    scope: question.scope.clone(),
                    action: question.action.clone(),
                    label: question.label.clone(),
                    cells: vec![cell],
                }),
            }
        }
        Ok(Self { columns, rows })
    }

    /// Returns the cells that are not as `matrix.csv` says, with their columns.
    pub fn unexpected(&self) -> impl Iterator<Item = (&Row, &str, &Cell)> {
        self.cells().filter(|(_, _, cell)| {
            cell.exempt.is_none() && cell.expected.is_some_and(|expected| expected != cell.value)
        })
    }

    /// Returns the cell of a row in a column, if it has one.
    #[must_use]
    pub fn cell<'m>(&self, row: &'m Row, column: &str) -> Option<&'m Cell> {
        row.cells.iter().find(|cell| cell.question.column == column)
    }

    /// Returns the scopes of the rows, in their order, each once.
    #[must_use]
    pub fn scopes(&self) -> Vec<&str> {
        let mut scopes = Vec::new();
        for row in &self.rows {
            if !scopes.contains(&row.scope.as_str()) {
                scopes.push(row.scope.as_str());
            }
        }
        scopes
    }

    /// Returns the cells that evaluation and search leave open.
    pub fn open_cells(&mut self) -> impl Iterator<Item = &mut Cell> {
        self.rows.iter_mut().flat_map(|row| &mut row.cells).filter(|cell| !cell.is_proved())
    }

    /// Returns all cells with their rows and columns.
    pub fn cells(&self) -> impl Iterator<Item = (&Row, &str, &Cell)> {
        self.rows
            .iter()
            .flat_map(|row| row.cells.iter().map(move |cell| (row, cell)))
            .map(|(row, cell)| (row, cell.question.column.as_str(), cell))
    }
}

/// Returns the cells of a store's matrix: those of `matrix.csv`, and without one those of all role
/// slots and actions.
pub(super) fn questions(store: &PolicyStore) -> Result<Vec<MatrixCell>, MatrixError> {
    let cells = matrix_cells(store.files(), store.schema()).map_err(MatrixError::Problems)?;
    Ok(if cells.is_empty() { slots::questions(store) } else { cells })
}
