//! The kinds of calls.

/// A kind of call: a method of the gRPC service, or of AuthZEN's interface over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rpc {
    IsAuthorized,
    BatchIsAuthorized,
    ListActions,
    ListResources,
    ListPrincipals,
    /// AuthZEN's evaluation.
    Evaluation,
    /// AuthZEN's evaluations.
    Evaluations,
    /// AuthZEN's searches.
    Search,
}

impl Rpc {
    /// Those of the gRPC service.
    pub const OF_GRPC: [Self; 5] = [
        Self::IsAuthorized,
        Self::BatchIsAuthorized,
        Self::ListActions,
        Self::ListResources,
        Self::ListPrincipals,
    ];
    pub(super) const ALL: [Self; 8] = [
        Self::IsAuthorized,
        Self::BatchIsAuthorized,
        Self::ListActions,
        Self::ListResources,
        Self::ListPrincipals,
        Self::Evaluation,
        Self::Evaluations,
        Self::Search,
    ];

    /// The method's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::IsAuthorized => "IsAuthorized",
            Self::BatchIsAuthorized => "BatchIsAuthorized",
            Self::ListActions => "ListActions",
            Self::ListResources => "ListResources",
            Self::ListPrincipals => "ListPrincipals",
            Self::Evaluation => "Evaluation",
            Self::Evaluations => "Evaluations",
            Self::Search => "Search",
        }
    }
}
