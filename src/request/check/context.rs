//! The context of a request, and the time of its decision.

use std::{collections::BTreeMap, sync::Arc};

use super::{Checker, TimedContext};
use crate::{
    model::{Timestamp, Value},
    request::{Context, FieldPath, RequestInput, Violation},
    schema::ActionSchema,
};

impl Checker<'_> {
    /// Checks the context of a request for an action.
    pub fn question_context(
        &mut self,
        input: &RequestInput,
        action: Option<&ActionSchema>,
        now: Timestamp,
    ) -> TimedContext {
        let (moment, missing) = self.sent_context(input, action, now);
        missing.into_iter().for_each(|violation| self.add(violation));
        moment
    }

    /// Checks the facts of the context that were sent, and returns a violation for each required one
    /// that was not.
    pub fn sent_context(
        &mut self,
        input: &RequestInput,
        action: Option<&ActionSchema>,
        now: Timestamp,
    ) -> (TimedContext, Vec<Violation>) {
        let sent = now_of(input, action);
        if sent.is_some() && self.known.held.is_some() {
            self.add(now_with_directory());
        }
        let now = sent.unwrap_or(now);
        let (context, missing) = self.context(&input.context, action, now);
        (TimedContext { context: Arc::new(context), now }, missing)
    }

    fn context(
        &mut self,
        sent: &[(String, Value)],
        action: Option<&ActionSchema>,
        now: Timestamp,
    ) -> (Context, Vec<Violation>) {
        self.values_limit = "context_values";
        self.values_left = self.limits.context_values.saturating_add(1);
        let path = FieldPath::Field("context");
        let Some(action) = action else { return Default::default() };
        let context: BTreeMap<_, _> =
            self.fields(&path, sent, &action.context).into_iter().collect();
        let is_sent = |name: &str| sent.iter().any(|(sent, _)| sent == name);
        let now = (action.wants_now && !is_sent("now")).then_some(now);
        let given = |name: &str| is_sent(name) || (name == "now" && now.is_some());
        let missing = action.context.missing(given).map(|(name, shape)| {
            FieldPath::Of(&path, name)
                .violation(format!("missing: the action requires {}", shape.with_article()))
        });
        (Context::new(context, now), missing.collect())
    }
}

/// Returns the violation of a `context.now` that is sent where a directory is.
pub(crate) fn now_with_directory() -> Violation {
    FieldPath::Of(&FieldPath::Field("context"), "now").violation(
        "the store has a directory, of which roles expire by the server's clock: do not send it",
    )
}

/// Returns the time that the request itself names.
fn now_of(input: &RequestInput, action: Option<&ActionSchema>) -> Option<Timestamp> {
    action.filter(|action| action.wants_now)?;
    input.context.iter().find_map(|(name, value)| match value {
        Value::Datetime(now) if name == "now" => Some(*now),
        _ => None,
    })
}
