//! OpenID AuthZEN Authorization API 1.0 over HTTP. `docs/authzen.md` says how it is mapped to Cedar.
//!
//! ```text
//! call ─ form ─ input ─ request::check ─ decide ─ evaluation, evaluations, search
//! ```

mod action_search;
mod answer;
mod call;
mod discovery;
mod evaluation;
mod evaluations;
mod fault;
mod form;
mod input;
mod openapi;
mod page;
mod paths;
mod roles;
mod search;
mod span;
mod values;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, Request},
    routing::{get, post},
};

use super::web::PublicUrl;
use crate::{
    grpc::{Decider, GrpcServer, Rpc},
    net::BlockingPool,
};

/// Answers questions in the form of AuthZEN. Clones are the same.
#[derive(Clone)]
pub(super) struct Authzen(Arc<Inner>);

struct Inner {
    grpc: GrpcServer,
    decider: Decider,
    /// Decides what would hold up other requests.
    pool: BlockingPool,
    public_url: Option<PublicUrl>,
}

/// The question that a path asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Evaluation,
    Evaluations,
    SearchSubject,
    SearchResource,
    SearchAction,
}

impl Endpoint {
    const ALL: [Self; 5] = [
        Self::Evaluation,
        Self::Evaluations,
        Self::SearchSubject,
        Self::SearchResource,
        Self::SearchAction,
    ];

    /// Returns the path below the base of a store.
    fn path(self) -> &'static str {
        match self {
            Self::Evaluation => "/access/v1/evaluation",
            Self::Evaluations => "/access/v1/evaluations",
            Self::SearchSubject => "/access/v1/search/subject",
            Self::SearchResource => "/access/v1/search/resource",
            Self::SearchAction => "/access/v1/search/action",
        }
    }

    /// Returns the kind of call in metrics and in the decision log.
    fn rpc(self) -> Rpc {
        match self {
            Self::Evaluation => Rpc::Evaluation,
            Self::Evaluations => Rpc::Evaluations,
            Self::SearchSubject | Self::SearchResource | Self::SearchAction => Rpc::Search,
        }
    }
}

impl Authzen {
    /// Answers with what is live in a gRPC server, within its limits.
    pub fn new(grpc: &GrpcServer, pool: BlockingPool, public_url: Option<PublicUrl>) -> Self {
        let (grpc, decider) = (grpc.clone(), grpc.decider());
        Self(Arc::new(Inner { grpc, decider, pool, public_url }))
    }
}

/// Returns the kind of call that a path asks for, if it asks a question.
pub(super) fn rpc_of(path: &str) -> Option<Rpc> {
    let is_asked = |endpoint: &Endpoint| match path.strip_suffix(endpoint.path()) {
        Some(base) => base.is_empty() || base.starts_with("/stores/"),
        None => false,
    };
    Endpoint::ALL.into_iter().find(is_asked).map(Endpoint::rpc)
}

/// Returns the routes of AuthZEN: those of the default store, and those of each store.
pub(super) fn routes(authzen: Authzen) -> Router {
    let mut router = Router::new()
        .route(discovery::PATH, get(discovery::of_default))
        .route(discovery::STORE_PATH, get(discovery::of_store))
        .route(openapi::PATH, get(openapi::document));
    for endpoint in Endpoint::ALL {
        let of_default =
            move |state, request: Request| call::answer(state, endpoint, None, request);
        let of_store = move |state, Path(store): Path<String>, request: Request| {
            call::answer(state, endpoint, Some(store), request)
        };
        router = router
            .route(endpoint.path(), post(of_default))
            .route(&format!("/stores/{{store}}{}", endpoint.path()), post(of_store));
    }
    router
        .fallback(fault::not_found)
        .method_not_allowed_fallback(fault::not_allowed)
        .with_state(authzen)
}
