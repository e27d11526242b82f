//! The report on the tests of a store.

use std::fmt::{self, Write};

use super::{
    case::{Case, Expectation, ExpectedPolicies},
    matrix_cells::Exempt,
    show,
};
use crate::model::{Effect, StoreName};

/// The report on the tests of a store.
#[derive(Debug)]
pub struct TestReport {
    /// The store.
    pub store: StoreName,
    /// The cases in the order of the files.
    pub results: Vec<CaseResult>,
    /// The cells of the matrix that mean nothing as a request.
    pub exempt: Vec<Exempt>,
}

/// One case and how it went.
#[derive(Debug)]
pub struct CaseResult {
    /// The case.
    pub case: Case,
    /// Why it failed, if it did.
    pub failure: Option<CaseFailure>,
}

/// Why a case failed.
#[derive(Debug)]
pub struct CaseFailure {
    /// The reason in a few words.
    pub reason: String,
    /// The answer that came.
    pub got: Got,
}

/// The answer that came.
#[derive(Debug)]
pub enum Got {
    /// A decision.
    Decision {
        /// Allow or deny.
        effect: Effect,
        /// The determining policies.
        policies: Vec<String>,
        /// The policies that failed, with Cedar's words.
        errors: Vec<String>,
        /// Why, in a sentence.
        explanation: String,
    },
    /// The request was refused, for these violations.
    Invalid(Vec<String>),
}

/// The cases of one file.
#[derive(Debug)]
pub struct CaseGroup<'a> {
    /// The file, relative to the store's folder.
    pub file: &'a str,
    /// Its cases.
    pub results: Vec<&'a CaseResult>,
}

impl CaseGroup<'_> {
    /// Counts its cases that failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.results.iter().filter(|result| result.failure.is_some()).count()
    }
}

impl TestReport {
    /// Counts the cases that failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.failures().count()
    }

    /// The cases that failed, with the reason.
    pub fn failures(&self) -> impl Iterator<Item = (&Case, &CaseFailure)> {
        self.results.iter().filter_map(|result| Some((&result.case, result.failure.as_ref()?)))
    }

    /// The cases file by file.
    #[must_use]
    pub fn groups(&self) -> Vec<CaseGroup<'_>> {
        let mut groups: Vec<CaseGroup<'_>> = Vec::new();
        for result in &self.results {
            match groups.last_mut() {
                Some(group) if group.file == result.case.file => group.results.push(result),
                _ => groups.push(CaseGroup { file: &result.case.file, results: vec![result] }),
            }
        }
        groups
    }
}

impl CaseFailure {
    /// Describes the question, the expectation and the answer, one a line.
    #[must_use]
    pub fn details(&self, case: &Case) -> String {
        let mut lines = show::request(&case.input);
        lines.push(("expected", expected(&case.expectation)));
        lines.push(("got", self.got.to_string()));
        if let Got::Decision { explanation, errors, .. } = &self.got {
            lines.extend(errors.iter().map(|error| ("error", error.clone())));
            lines.push(("why", explanation.clone()));
        }
        let mut text = String::new();
        for (title, line) in lines {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{title:<9} {line}");
        }
        text
    }
}

/// The expectation in a few words.
pub(super) fn expected(expectation: &Expectation) -> String {
    match expectation {
        Expectation::Decision { effect, policies, errors } => {
            let mut text = effect_name(*effect).to_owned();
            match policies {
                ExpectedPolicies::Any => {}
                ExpectedPolicies::Among(ids) => {
                    text = format!("{text} by {}, among others", listed(ids));
                }
                ExpectedPolicies::Exactly(ids) => text = format!("{text} by {}", listed(ids)),
            }
            if let Some(errors) = errors {
                text = format!("{text}, with {errors} errors");
            }
            text
        }
        Expectation::Invalid { message: None } => "invalid".to_owned(),
        Expectation::Invalid { message: Some(message) } => format!("invalid, saying `{message}`"),
    }
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decision { effect, policies, .. } => {
                write!(f, "{} by {}", effect_name(*effect), listed(policies))
            }
            Self::Invalid(violations) => write!(f, "invalid: {}", violations.join("; ")),
        }
    }
}

pub(super) fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
}

fn listed(policies: &[String]) -> String {
    if policies.is_empty() {
        return "no policy".to_owned();
    }
    policies.iter().map(|policy| format!("`{policy}`")).collect::<Vec<_>>().join(", ")
}
