//! Checking a request against a store's schema, with every violation at once.

mod context;
mod entities;
mod list;
mod moment;
mod names;
mod roles;
mod values;

pub(crate) use context::now_with_directory;
pub use list::{ListInput, ListRequest, Side, check_list};
pub(super) use moment::Moment;

use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;

use super::{Facts, FieldPath, Known, Request, RequestInput, RequestLimits, Violation};
use crate::{
    model::Timestamp,
    schema::{ActionSchema, Schema},
};

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

/// The principal, action and resource of a request, as far as they are valid.
pub(super) struct Question<'a> {
    pub principal: Option<EntityUID>,
    pub action: Option<&'a ActionSchema>,
    pub resource: Option<EntityUID>,
}

impl Question<'_> {
    /// Returns the principal and scope of role assignments that name none.
    pub(super) fn defaults(&self) -> (Option<&EntityUID>, Option<&EntityUID>) {
        (self.principal.as_ref(), self.resource.as_ref())
    }
}

pub(super) struct Checker<'a> {
    known: Known<'a>,
    limits: &'a RequestLimits,
    violations: Vec<Violation>,
    /// Violations beyond the limit on their number.
    more: usize,
    /// Values that the record being read may still hold, plus one: zero is beyond the limit.
    values_left: usize,
    /// The name of that limit.
    values_limit: &'static str,
}

impl<'a> Checker<'a> {
    pub(super) fn new(known: Known<'a>, limits: &'a RequestLimits) -> Self {
        Self {
            known,
            limits,
            violations: Vec::new(),
            more: 0,
            values_left: 0,
            values_limit: "context_values",
        }
    }

    /// Returns what was checked, or every violation that was found.
    pub(super) fn finish<T>(mut self, checked: Option<T>) -> Result<T, Vec<Violation>> {
        match checked {
            Some(checked) if self.violations.is_empty() => Ok(checked),
            _ => {
                if self.more > 0 {
                    let description = format!("there are {} violations more", self.more);
                    self.violations.push(FieldPath::Field("request").violation(description));
                }
                Err(self.violations)
            }
        }
    }

    pub(super) fn finish_request(
        self,
        question: Question<'_>,
        moment: Moment,
        facts: Facts,
    ) -> Result<Request, Vec<Violation>> {
        let complete = question.principal.zip(question.action).zip(question.resource);
        let request = complete.map(|((principal, action), resource)| Request {
            principal,
            action: action.uid.clone(),
            resource,
            context: moment.context,
            facts,
            now: moment.now,
        });
        self.finish(request)
    }

    /// Adds violations that were found before.
    pub(super) fn found(&mut self, violations: &[Violation]) {
        self.violations.extend_from_slice(violations);
    }

    fn over_limit(&mut self, path: &FieldPath<'_>, limit: &'static str, description: String) {
        let told = self.violations.len();
        self.violation(path, description);
        if let Some(violation) = self.violations.get_mut(told) {
            violation.limit = Some(limit);
        }
    }

    fn violation(&mut self, path: &FieldPath<'_>, description: impl Into<String>) {
        self.add_with(|| path.violation(description));
    }

    fn add(&mut self, violation: Violation) {
        self.add_with(|| violation);
    }

    fn add_with(&mut self, violation: impl FnOnce() -> Violation) {
        if self.violations.len() < self.limits.violations.max(1) {
            self.violations.push(violation());
        } else {
            self.more += 1;
        }
    }

    fn schema(&self) -> &'a Schema {
        self.known.schema
    }

    /// Checks principal, action and resource.
    pub(super) fn question(&mut self, input: &RequestInput) -> Question<'a> {
        let principal = self.required(&FieldPath::Field("principal"), input.principal.as_ref());
        let action = self.action(&FieldPath::Field("action"), input.action.as_ref());
        let resource = self.required(&FieldPath::Field("resource"), input.resource.as_ref());
        if let Some(action) = action {
            self.applies(action, principal.as_ref(), resource.as_ref());
        }
        Question { principal, action, resource }
    }

    fn count_fits(
        &mut self,
        path: &FieldPath<'_>,
        count: usize,
        (name, limit): (&'static str, usize),
    ) -> bool {
        let fits = count <= limit;
        if !fits {
            let description = format!("{count} elements, more than the limit of {limit}");
            self.over_limit(path, name, description);
        }
        fits
    }

    fn text_fits(&mut self, path: &FieldPath<'_>, text: &str) -> bool {
        let (length, limit) = (text.len(), self.limits.text_bytes);
        let fits = length <= limit;
        if !fits {
            let description = format!("{length} bytes, more than the limit of {limit}");
            self.over_limit(path, "text_bytes", description);
        }
        fits
    }
}

/// Lists names in order, for a message.
fn listed<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let mut names: Vec<_> =
        names.into_iter().map(|name| format!("`{}`", name.to_string())).collect();
    names.sort_unstable();
    names.join(", ")
}
