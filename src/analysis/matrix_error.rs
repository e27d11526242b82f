//! The reasons for which a matrix cannot be computed.

use crate::{model::Problem, request::Violation};

/// A matrix cannot be computed.
#[derive(Debug)]
pub enum MatrixError {
    /// The files of the expected matrix have problems.
    Problems(Vec<Problem>),
    /// A cell is no request that fits the schema.
    Violations {
        /// The scope, action and column of the cell.
        cell: String,
        /// The problems of it.
        violations: Vec<Violation>,
    },
}
