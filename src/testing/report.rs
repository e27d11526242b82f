//! What running the tests of a store found.

use super::{case::Case, matrix::Exempt};
use crate::{engine::Effect, name::StoreName};

/// What running the tests of a store found.
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
    pub failure: Option<Failure>,
}

/// Why a case failed.
#[derive(Debug)]
pub struct Failure {
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

impl TestReport {
    /// How many cases failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.results.iter().filter(|result| result.failure.is_some()).count()
    }
}
