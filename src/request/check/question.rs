//! The principal, action and resource of a request.

use cedar_policy_core::ast::EntityUID;

use super::{Checker, TimedContext};
use crate::{
    request::{Facts, FieldPath, Request, RequestInput, Violation},
    schema::ActionSchema,
};

/// The principal, action and resource of a request, as far as they are valid.
pub(in crate::request) struct QuestionParts<'a> {
    pub principal: Option<EntityUID>,
    pub action: Option<&'a ActionSchema>,
    pub resource: Option<EntityUID>,
}

impl QuestionParts<'_> {
    /// Returns the principal and scope of role assignments that name none.
    pub fn defaults(&self) -> (Option<&EntityUID>, Option<&EntityUID>) {
        (self.principal.as_ref(), self.resource.as_ref())
    }
}

impl<'a> Checker<'a> {
    /// Checks principal, action and resource.
    pub fn question(&mut self, input: &RequestInput) -> QuestionParts<'a> {
        let principal = self.required(&FieldPath::Field("principal"), input.principal.as_ref());
        let action = self.action(&FieldPath::Field("action"), input.action.as_ref());
        let resource = self.required(&FieldPath::Field("resource"), input.resource.as_ref());
        if let Some(action) = action {
            self.applies(action, principal.as_ref(), resource.as_ref());
        }
        QuestionParts { principal, action, resource }
    }

    pub fn finish_request(
        self,
        question: QuestionParts<'_>,
        moment: TimedContext,
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
}
