//! Many questions in one call.

use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};

use super::{Decision, Error, Question};
use crate::{
    proto::{self, batch_is_authorized_result::Result as ItemResult},
    request::{FieldPath, Violation},
};

/// Many questions to one policy store, which one revision decides. The store and the version of the
/// directory are those of the batch: a question that names its own is a violation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    request: proto::BatchIsAuthorizedRequest,
    violations: Vec<Violation>,
}

impl Batch {
    /// Takes questions. The answers come in their order.
    #[must_use]
    pub fn new(questions: impl IntoIterator<Item = Question>) -> Self {
        let mut batch = Self::default();
        for (index, Question { request }) in questions.into_iter().enumerate() {
            for (field, value) in [
                ("policy_store", &request.policy_store),
                ("at_least_version", &request.at_least_version),
            ] {
                if !value.is_empty() {
                    let (items, description) = (FieldPath::Field("items"), "say it of the batch");
                    let item = FieldPath::Index(&items, index);
                    batch.violations.push(FieldPath::Of(&item, field).violation(description));
                }
            }
            batch.request.items.push(item(request));
        }
        batch
    }

    /// Asks this policy store.
    #[must_use]
    pub fn in_store(mut self, name: impl Into<String>) -> Self {
        self.request.policy_store = name.into();
        self
    }

    /// Wants decisions on this state of the directory or a newer one.
    #[must_use]
    pub fn at_least_version(mut self, version: impl Into<String>) -> Self {
        self.request.at_least_version = version.into();
        self
    }

    pub(super) fn request(self) -> Result<proto::BatchIsAuthorizedRequest, Error> {
        let Self { request, violations } = self;
        if violations.is_empty() {
            return Ok(request);
        }
        let message = "a batch has one store and one version".to_owned();
        Err(Error::InvalidInput { message, violations })
    }
}

fn item(question: proto::IsAuthorizedRequest) -> proto::BatchIsAuthorizedItem {
    proto::BatchIsAuthorizedItem {
        principal: question.principal,
        action: question.action,
        resource: question.resource,
        context: question.context,
        entities: question.entities,
        explain: question.explain,
        role_assignments: Some(proto::RoleAssignments { items: question.role_assignments }),
    }
}

/// The answers to a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchAnswer {
    /// One a question, in their order. An error is not an allow.
    pub decisions: Vec<Result<Decision, Error>>,
    /// The name of the policies and stored entities that decided.
    pub revision: String,
    /// The state of the directory that decided; empty without a directory.
    pub directory_version: String,
}

impl BatchAnswer {
    pub(super) fn of(answer: proto::BatchIsAuthorizedResponse, timeout: Duration) -> Self {
        let (revision, directory_version) = (answer.revision, answer.directory_version);
        let decision = |item: proto::BatchIsAuthorizedResult| match item.result {
            Some(ItemResult::Response(response)) => {
                let directory_version = directory_version.clone();
                Ok(proto::IsAuthorizedResponse { directory_version, ..response }.into())
            }
            Some(ItemResult::Error(error)) => {
                let details = error.encode_to_vec().into();
                let status = Status::with_details(Code::from(error.code), error.message, details);
                Err(Error::of(&status, timeout))
            }
            None => Err(Error::Failed {
                code: Code::Internal,
                message: "the answer has neither a decision nor an error".to_owned(),
            }),
        };
        let decisions = answer.items.into_iter().map(decision).collect();
        Self { decisions, revision, directory_version }
    }
}
