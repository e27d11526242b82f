//! The files of a directory: role assignments as CSV or as JSON lines, entities as Cedar's JSON.
//!
//! A row that cannot be read is reported with its line and grants nothing; all other rows count. A
//! file without a header, or that is not text, is an error.

mod csv;
mod entities;
mod error;
mod file_rows;
mod hash;
mod json_lines;
mod merge;
mod renamed;
mod row_reader;

pub use error::RowFileError;
pub use file_rows::{FileRow, FileRows, LineProblem, LineProblems};
pub use hash::RowHasher;
pub use merge::{MergedFile, MergedRows, merge};
pub use renamed::renamed;
pub use row_reader::{COLUMNS, RowReader};

use crate::model::decode;

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

impl RowReader<'_> {
    /// Reads the rows of a file.
    ///
    /// # Errors
    /// The file cannot be read as a whole.
    pub fn read(&mut self, kind: RowFileKind, bytes: &[u8]) -> Result<FileRows, RowFileError> {
        let text = decode(bytes)?;
        match kind {
            RowFileKind::Csv => csv::read(self, text),
            RowFileKind::JsonLines => json_lines::read(self, text),
            RowFileKind::Entities => entities::read(self, text),
        }
    }
}

#[cfg(test)]
mod tests;
