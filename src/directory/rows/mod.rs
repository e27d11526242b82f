//! The files of a directory: role assignments as CSV or as JSON lines, entities as Cedar's JSON.
//!
//! A row that cannot be read is reported with its line and grants nothing; all other rows count. A
//! file without a header, or that is not text, is an error.

mod columns;
mod csv;
mod entities;
mod hash;
mod json_lines;
mod merge;

pub use columns::{COLUMNS, RowReader};
pub use hash::RowHasher;
pub use merge::{MergedFile, MergedRows, merge};

use super::Change;
use crate::store::decode;

/// Problems of one file that are kept; further ones are counted only.
const PROBLEMS: usize = 100;

/// The kinds of files that hold rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFileKind {
    /// `*.assignments.csv`: a header, and a role assignment on each line.
    Csv,
    /// `*.assignments.jsonl`: a role assignment on each line, as a JSON object.
    JsonLines,
    /// `*.cedarentities.json`: a list of entities in Cedar's JSON form.
    Entities,
}

impl RowFileKind {
    /// Returns the kind of the file of a name; nothing for files that hold no rows.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let ends = |end: &str| {
            name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        match name {
            _ if ends("assignments.csv") => Some(Self::Csv),
            _ if ends("assignments.jsonl") => Some(Self::JsonLines),
            _ if ends("cedarentities.json") => Some(Self::Entities),
            _ => None,
        }
    }
}

/// A row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// The assignment or entity, as a change that puts it in force.
    pub change: Change,
}

/// The problem of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// The line on which the row begins, from 1.
    pub line: usize,
    /// The problem in words, with the name of the column.
    pub message: String,
}

/// The problems of the rows of one file: the first hundred, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowProblems {
    /// The first problems.
    pub first: Vec<RowProblem>,
    /// The number of rows with a problem.
    pub count: usize,
}

impl RowProblems {
    /// Adds the problem of a row.
    pub fn add(&mut self, line: usize, message: impl Into<String>) {
        self.count += 1;
        if self.first.len() < PROBLEMS {
            self.first.push(RowProblem { line, message: message.into() });
        }
    }
}

/// The rows of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileRows {
    /// The rows that could be read, in their order.
    pub rows: Vec<FileRow>,
    /// The rows that could not.
    pub problems: RowProblems,
}

/// A file of rows cannot be read as a whole.
#[derive(Debug, thiserror::Error)]
pub enum RowFileError {
    /// It is not UTF-8.
    #[error("the file is not UTF-8 text: save it as UTF-8")]
    NotText,
    /// It has no first line.
    #[error(
        "the file has no header: its first line names the columns, e.g. `principal_type,principal_id,role,scope_type,scope_id`"
    )]
    NoHeader,
    /// The first line is not that of such a file.
    #[error("line 1: {0}")]
    Header(String),
    /// It is not JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is JSON, but no list.
    #[error(
        "expected a list of entities: `[{{\"uid\": {{\"type\": \"Site\", \"id\": \"42\"}}, …}}]`"
    )]
    NoList,
    /// It has too many rows.
    #[error(
        "the file has more than {0} rows, the bound of the directory (`bounds.directory_rows`)"
    )]
    TooManyRows(usize),
}

impl RowReader<'_> {
    /// Reads the rows of a file.
    ///
    /// # Errors
    /// The file cannot be read as a whole.
    pub fn read(&mut self, kind: RowFileKind, bytes: &[u8]) -> Result<FileRows, RowFileError> {
        let text = decode(bytes).map_err(|_| RowFileError::NotText)?;
        match kind {
            RowFileKind::Csv => csv::read(self, text),
            RowFileKind::JsonLines => json_lines::read(self, text),
            RowFileKind::Entities => entities::read(self, text),
        }
    }
}

#[cfg(test)]
mod tests;
