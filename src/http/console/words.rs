//! Words for answers and errors of a matrix.

use crate::{analysis::MatrixError, testing::Expected};

/// Problems of a store that are shown.
const PROBLEMS: usize = 30;

/// Returns why a matrix or a comparison of matrices cannot be computed.
pub(super) fn describe(error: &MatrixError) -> String {
    match error {
        MatrixError::Problems(problems) => {
            let problems: Vec<_> = problems.iter().take(PROBLEMS).map(|one| one.render()).collect();
            problems.join("\n")
        }
        MatrixError::Violations { cell, violations } => {
            let violations: Vec<_> = violations.iter().map(ToString::to_string).collect();
            format!("the cell {cell} is no request: {}", violations.join("; "))
        }
    }
}

/// Returns the word of an answer, as `matrix.csv` has it.
pub(super) fn word(value: Expected) -> &'static str {
    match value {
        Expected::Allow => "allow",
        Expected::Cond => "cond",
        Expected::Deny => "deny",
    }
}
