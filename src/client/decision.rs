//! The answer to a question.

use crate::proto;

/// The answer to a question.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a decision that nobody looks at protects nothing"]
pub struct Decision {
    response: proto::IsAuthorizedResponse,
}

impl Decision {
    /// Returns true for an allow, and for nothing else that a later server may answer.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.response.decision() == proto::Decision::Allow
    }

    /// Returns the policies that decided: the permits of an allow, or the forbids of a deny. None
    /// where no permit applied.
    #[must_use]
    pub fn policies(&self) -> &[proto::DeterminingPolicy] {
        &self.response.determining_policies
    }

    /// Returns the policies whose evaluation failed.
    #[must_use]
    pub fn errors(&self) -> &[proto::EvaluationError] {
        &self.response.errors
    }

    /// Returns the explanation, where the question asked for one.
    #[must_use]
    pub fn explanation(&self) -> Option<&proto::Explanation> {
        self.response.explanation.as_ref()
    }

    /// Returns the reason for a person: the summary of the explanation; without one the `@advice`
    /// of a forbid that denied, else a sentence without particulars.
    #[must_use]
    pub fn reason(&self) -> &str {
        let summary = self.explanation().map(|explanation| explanation.summary.as_str());
        if let Some(summary) = summary.filter(|summary| !summary.is_empty()) {
            return summary;
        }
        if self.is_allowed() {
            return "this is allowed";
        }
        let advice = self.policies().iter().find_map(|policy| policy.annotations.get("advice"));
        advice.map_or("this is not allowed", String::as_str)
    }

    /// Returns the id of the decision, as it stands in the decision log.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.response.decision_id
    }

    /// Returns the name of the policies and stored entities that decided.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.response.revision
    }

    /// Returns the state of the directory that decided; empty without a directory.
    #[must_use]
    pub fn directory_version(&self) -> &str {
        &self.response.directory_version
    }

    /// Returns the message of the contract.
    #[must_use]
    pub fn into_proto(self) -> proto::IsAuthorizedResponse {
        self.response
    }
}

impl From<proto::IsAuthorizedResponse> for Decision {
    fn from(response: proto::IsAuthorizedResponse) -> Self {
        Self { response }
    }
}
