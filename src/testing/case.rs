//! A case: a request and the answer that is expected.

use crate::{
    model::{Effect, Timestamp, Value},
    request::RequestInput,
    schema::{Schema, Shape},
};

/// The time of a case that names none.
pub const DEFAULT_NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A request and the answer that is expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The name, unique in its file.
    pub name: String,
    /// The file, relative to the store's folder.
    pub file: String,
    /// The line in the file, from 1.
    pub line: usize,
    /// The whole request.
    pub input: RequestInput,
    /// The time of the decision.
    pub now: Timestamp,
    /// The answer that is expected.
    pub expectation: Expectation,
}

/// The answer that a case expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// A decision.
    Decision {
        /// Allow or deny.
        effect: Effect,
        /// The policies behind it.
        policies: ExpectedPolicies,
        /// The number of policies that fail, where the case says so.
        errors: Option<usize>,
    },
    /// The request is refused because it does not fit the schema.
    Invalid {
        /// A part of the text of a violation, where the case says so.
        message: Option<String>,
    },
}

/// The determining policies that a case expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedPolicies {
    /// Whichever.
    Any,
    /// These, and maybe others.
    Among(Vec<String>),
    /// Exactly these.
    Exactly(Vec<String>),
}

impl Case {
    /// Returns whether the action takes the time of the decision from the request, as `context.now`.
    #[must_use]
    pub fn declares_now(&self, schema: &Schema) -> bool {
        let action = self.input.action.as_ref();
        let action = action.and_then(|action| schema.action(&action.type_name, &action.id));
        let now = action.and_then(|action| action.context.fields.get("now"));
        matches!(now.map(|now| &now.shape), Some(Shape::Extension(name)) if name == "datetime")
    }

    /// Returns the request for a server whose clock cannot be set and says `clock`: the time of the
    /// decision is sent with it where the action takes it from the request, and else every role
    /// assignment keeps its distance to the time of the decision.
    #[must_use]
    pub fn input_at(&self, clock: Timestamp, schema: &Schema) -> RequestInput {
        let mut input = self.input.clone();
        if self.declares_now(schema) {
            if !input.context.iter().any(|(name, _)| name == "now") {
                input.context.push(("now".to_owned(), Value::Datetime(self.now)));
            }
            return input;
        }
        let shift = clock.as_millis().saturating_sub(self.now.as_millis());
        for assignment in &mut input.role_assignments {
            assignment.expires_at = assignment.expires_at.map(|expires_at| {
                Timestamp::from_millis(expires_at.as_millis().saturating_add(shift))
            });
        }
        input
    }
}
