//! The questions, and their paths.

use crate::grpc::Rpc;

/// The question that a path asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Endpoint {
    Evaluation,
    Evaluations,
    SearchSubject,
    SearchResource,
    SearchAction,
}

impl Endpoint {
    pub const ALL: [Self; 5] = [
        Self::Evaluation,
        Self::Evaluations,
        Self::SearchSubject,
        Self::SearchResource,
        Self::SearchAction,
    ];

    /// Returns the path below the base of a store.
    pub fn path(self) -> &'static str {
        match self {
            Self::Evaluation => "/access/v1/evaluation",
            Self::Evaluations => "/access/v1/evaluations",
            Self::SearchSubject => "/access/v1/search/subject",
            Self::SearchResource => "/access/v1/search/resource",
            Self::SearchAction => "/access/v1/search/action",
        }
    }

    /// Returns the kind of call in metrics and in the decision log.
    pub fn rpc(self) -> Rpc {
        match self {
            Self::Evaluation => Rpc::Evaluation,
            Self::Evaluations => Rpc::Evaluations,
            Self::SearchSubject | Self::SearchResource | Self::SearchAction => Rpc::Search,
        }
    }
}

/// Returns the kind of call that a path asks for, if it asks a question.
pub(in crate::http) fn rpc_of(path: &str) -> Option<Rpc> {
    let is_asked = |endpoint: &Endpoint| match path.strip_suffix(endpoint.path()) {
        Some(base) => base.is_empty() || base.starts_with("/stores/"),
        None => false,
    };
    Endpoint::ALL.into_iter().find(is_asked).map(Endpoint::rpc)
}
