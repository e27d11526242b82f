//! Reports as JUnit XML, which test services read.

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::{
    mutants::{Fate, MutantReport},
    report::{CaseGroup, TestReport},
};
use crate::model::{Problem, StoreName};

/// Reports of stores as one JUnit document: a suite for each test file, one for the mutants of a
/// store, and one for a store that is refused.
///
/// # Errors
/// The document could not be written.
pub fn junit<'a>(
    reports: impl IntoIterator<Item = (&'a TestReport, Option<&'a MutantReport>)>,
    refused: impl IntoIterator<Item = (&'a StoreName, &'a [Problem])>,
) -> Result<String, SerializeError> {
    let mut junit = Report::new("humbaba test");
    for (tests, mutants) in reports {
        junit.add_test_suites(tests.groups().iter().map(|group| suite(tests, group)));
        if !tests.exempt.is_empty() {
            junit.add_test_suite(exempt(tests));
        }
        junit.add_test_suites(mutants.map(mutant_suite));
    }
    for (store, problems) in refused {
        let mut suite = TestSuite::new(store.as_str());
        suite.add_test_cases(problems.iter().map(|problem| error(problem.file(), problem)));
        junit.add_test_suite(suite);
    }
    junit.to_string()
}

fn error(name: &str, problem: &Problem) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(problem.to_string());
    TestCase::new(name, status)
}

fn suite(report: &TestReport, group: &CaseGroup<'_>) -> TestSuite {
    let mut suite = TestSuite::new(format!("{}/{}", report.store, group.file));
    for result in &group.results {
        let status = match &result.failure {
            None => TestCaseStatus::success(),
            Some(failure) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                let case = &result.case;
                let details = failure.details(case);
                status
                    .set_message(failure.reason.as_str())
                    .set_description(format!("{}:{}\n{details}", case.file, case.line));
                status
            }
        };
        let mut case = TestCase::new(result.case.name.as_str(), status);
        case.set_classname(report.store.as_str());
        suite.add_test_case(case);
    }
    suite
}

fn exempt(report: &TestReport) -> TestSuite {
    let mut suite = TestSuite::new(format!("{}/exempt cells of the matrix", report.store));
    for exempt in &report.exempt {
        let mut status = TestCaseStatus::skipped();
        status.set_message(exempt.reason.as_str());
        let name = format!("{} / {} / {}", exempt.scope, exempt.action, exempt.column);
        let mut case = TestCase::new(name, status);
        case.set_classname(report.store.as_str());
        suite.add_test_case(case);
    }
    suite
}

fn mutant_suite(report: &MutantReport) -> TestSuite {
    let mut suite = TestSuite::new(format!("{}/mutants", report.store));
    for (mutant, fate) in &report.mutants {
        let status = match fate {
            Fate::Caught { .. } => TestCaseStatus::success(),
            Fate::Survived => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status
                    .set_message("no test notices the change")
                    .set_description(format!("{}: {}", mutant.place, mutant.change));
                status
            }
            Fate::Refused { reason } => skipped(&format!("refused by validation: {reason}")),
            Fate::Equivalent { reason } => skipped(&format!("equivalent: {reason}")),
        };
        let mut case = TestCase::new(mutant.id.as_str(), status);
        case.set_classname(report.store.as_str());
        suite.add_test_case(case);
    }
    suite.add_test_cases(report.problems.iter().map(|problem| error("mutants.toml", problem)));
    suite
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(message);
    status
}
