//! Checking a request against a store's schema, with every violation at once.

mod checker;
mod context;
mod entities;
mod filter;
mod list;
mod names;
mod question;
mod roles;
mod side;
mod timed_context;
mod values;

pub(crate) use context::now_with_directory;
pub use filter::{FilterNames, check_filter};
pub use list::{ListInput, ListRequest, check_list};
pub use side::Side;
pub(super) use {checker::Checker, timed_context::TimedContext};

use std::sync::Arc;

use super::{Facts, FieldPath, Known, Request, RequestInput, RequestLimits, Violation};
use crate::model::Timestamp;

/// Checks a request. `now` is the time of the decision, unless the request carries a `context.now`
/// of its own.
///
/// # Errors
/// Every violation, up to the limit on their number.
pub fn check(
    known: Known<'_>,
    input: &RequestInput,
    now: Timestamp,
    limits: &RequestLimits,
) -> Result<Request, Vec<Violation>> {
    let mut checker = Checker::new(known, limits);
    let question = checker.question(input);
    let context = checker.question_context(input, question.action, now);
    let facts = Facts {
        entities: Arc::new(checker.entities(&input.entities, None)),
        role_assignments: checker.role_assignments(&input.role_assignments, question.defaults()),
        held: known.held.map(|held| Arc::clone(&held.facts)),
    };
    checker.finish_request(question, context, facts)
}

/// Checks the entities and role assignments of a request by themselves.
///
/// # Errors
/// Every violation, up to the limit on their number.
pub fn check_facts(
    known: Known<'_>,
    input: &RequestInput,
    limits: &RequestLimits,
) -> Result<Facts, Vec<Violation>> {
    let mut checker = Checker::new(known, limits);
    let principal = checker.optional(&FieldPath::Field("principal"), input.principal.as_ref());
    let resource = checker.optional(&FieldPath::Field("resource"), input.resource.as_ref());
    let facts = Facts {
        entities: Arc::new(checker.entities(&input.entities, None)),
        role_assignments: checker
            .role_assignments(&input.role_assignments, (principal.as_ref(), resource.as_ref())),
        held: known.held.map(|held| Arc::clone(&held.facts)),
    };
    checker.finish(Some(facts))
}

/// Checks a request with facts that have been checked; the entities and role assignments of the
/// input itself are not looked at.
///
/// # Errors
/// Every violation, up to the limit on their number.
pub fn check_with_facts(
    known: Known<'_>,
    input: &RequestInput,
    facts: Facts,
    now: Timestamp,
    limits: &RequestLimits,
) -> Result<Request, Vec<Violation>> {
    let mut checker = Checker::new(known, limits);
    let question = checker.question(input);
    let context = checker.question_context(input, question.action, now);
    checker.finish_request(question, context, facts)
}
