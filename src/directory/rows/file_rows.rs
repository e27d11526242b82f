//! The rows of one file, and the problems of those that cannot be read.

use crate::directory::Change;

/// Problems of one file that are kept; further ones are counted only.
pub(super) const PROBLEMS: usize = 100;

/// The rows of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileRows {
    /// The rows that could be read, in their order.
    pub rows: Vec<FileRow>,
    /// The rows that could not.
    pub problems: LineProblems,
}

/// A row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// The assignment or entity, as a change that puts it in force.
    pub change: Change,
}

/// The problems of the rows of one file: the first hundred, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineProblems {
    /// The first problems.
    pub first: Vec<LineProblem>,
    /// The number of rows with a problem.
    pub count: usize,
}

impl LineProblems {
    /// Adds the problem of a row.
    pub fn add(&mut self, line: usize, message: impl Into<String>) {
        self.count += 1;
        if self.first.len() < PROBLEMS {
            self.first.push(LineProblem { line, message: message.into() });
        }
    }
}

/// The problem of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineProblem {
    /// The line on which the row begins, from 1.
    pub line: usize,
    /// The problem in words, with the name of the column.
    pub message: String,
}
