//! The tests of a policy store.
//!
//! A store carries its tests with it: cases (`tests/*.toml`), cases in Cedar's own format
//! (`tests/*.json`) and the expected matrix (`matrix.csv`, of which `matrix.toml` says what its cells
//! mean). All of them become [`Case`]s: whole requests with the answer that is expected. A case is
//! decided as a call is: checked against the schema, then decided by the engine.
//!
//! Mutants test the tests: each policy is changed in every small way, and a case must fail on each
//! change. `mutants.toml` names those that change nothing.
//!
//! Coverage tells which policies and conditions no case makes true, or false.
//!
//! Architecture invariant: this is part of the core. It takes the files that a store was made of and
//! gives results; it reads and prints nothing itself.

mod case;
mod cases;
mod cedar_json;
mod coverage;
mod equivalent;
mod facts;
mod fixtures;
mod json;
mod junit;
mod matrix;
mod matrix_cells;
mod matrix_meaning;
mod matrix_rows;
mod mutants;
mod mutate;
mod mutate_expression;
mod node;
mod report;
mod run;
mod show;
mod table;
mod text;
mod value;

#[cfg(test)]
mod tests;

pub use case::{Case, DEFAULT_NOW, Expectation, ExpectedPolicies};
pub use coverage::{ConditionCoverage, CoverageReport, PolicyCoverage, run_coverage};
pub use json::report_as_json;
pub use junit::junit;
pub use matrix::{MatrixCell, matrix_cells};
pub use matrix_cells::Exempt;
pub use matrix_rows::Expected;
pub use mutants::{Fate, MutantReport, run_mutants};
pub use mutate::Mutant;
pub use report::{CaseFailure, CaseGroup, CaseResult, Got, TestReport};
pub use text::{coverage_as_text, mutants_as_text, tests_as_text};

use crate::{
    model::Problem,
    store::{PolicyStore, Problems},
};

/// Every case of a store: those of `tests/` and those of the matrix.
///
/// # Errors
/// Every problem of every test file, if there is one.
pub fn cases(store: &PolicyStore) -> Result<Vec<Case>, Vec<Problem>> {
    read(store).map(|(cases, _)| cases)
}

fn read(store: &PolicyStore) -> Result<(Vec<Case>, Vec<Exempt>), Vec<Problem>> {
    let is_of_tests =
        |path: &str| path == "tests" || path.starts_with("tests/") || path.starts_with("matrix.");
    let mut problems = Problems::default();
    problems.extend(store.files().unreadable(is_of_tests));
    let mut cases = cases::read(store.files(), store.schema(), &mut problems);
    cases.extend(cedar_json::read(store, &mut problems));
    let (matrix, exempt) = matrix::read(store.files(), store.schema(), &mut problems);
    cases.extend(matrix);
    if problems.is_empty() { Ok((cases, exempt)) } else { Err(in_order(problems)) }
}

/// Problems file by file, from the first line to the last; then those of the file as a whole.
fn in_order(problems: Problems) -> Vec<Problem> {
    let mut problems = problems.into_vec();
    problems.sort_by_cached_key(|problem| {
        let place = problem.location().map(|place| (place.line, place.column));
        (problem.file().to_owned(), place.is_none(), place)
    });
    problems
}

/// Decides every case of a store.
///
/// # Errors
/// Every problem of every test file, if there is one.
pub fn run(store: &PolicyStore) -> Result<TestReport, Vec<Problem>> {
    run_where(store, |_| true)
}

/// Decides the cases of a store that are wanted.
///
/// # Errors
/// Every problem of every test file, if there is one.
pub fn run_where(
    store: &PolicyStore,
    wanted: impl Fn(&Case) -> bool,
) -> Result<TestReport, Vec<Problem>> {
    let (cases, exempt) = read(store)?;
    let cases = cases.into_iter().filter(wanted);
    let results = cases.map(|case| run::run(store, case)).collect();
    Ok(TestReport { store: store.name().clone(), results, exempt })
}

/// Runs the tests of a store and returns a problem for each that fails. A store without tests has
/// nothing to fail.
#[must_use]
pub fn failures(store: &PolicyStore) -> Vec<Problem> {
    let report = match run(store) {
        Ok(report) => report,
        Err(problems) => return problems,
    };
    let mut problems = Problems::default();
    for (case, failure) in report.failures() {
        let file = store.files().path(&case.file);
        problems.add(&file, || {
            let (name, line, reason) = (&case.name, case.line, &failure.reason);
            Problem::of_file(&file, format!("the test `{name}` in line {line} fails: {reason}"))
        });
    }
    problems.into_vec()
}
