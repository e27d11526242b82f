//! OpenID AuthZEN Authorization API 1.0 over HTTP. `docs/authzen.md` says how it is mapped to Cedar.
//!
//! ```text
//! call ─ form ─ input ─ request::check ─ decide ─ evaluation, evaluations, search
//! ```

mod action_search;
mod answer;
mod call;
mod discovery;
mod endpoint;
mod error;
mod evaluation;
mod evaluations;
mod form;
mod input;
mod openapi;
mod page;
mod paths;
mod roles;
mod search;
mod span;
mod state;
mod values;
mod versions;

use axum::{
    Router,
    extract::{Path, Request},
    routing::{get, post},
};

use self::endpoint::Endpoint;
pub(super) use self::{endpoint::rpc_of, state::Authzen};

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
        .fallback(error::not_found)
        .method_not_allowed_fallback(error::not_allowed)
        .with_state(authzen)
}
