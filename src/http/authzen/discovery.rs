//! The metadata of the policy decision point, by which callers find its endpoints.

use axum::{
    Extension, Json,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};

use super::{Authzen, Endpoint, error::AuthzenError};
use crate::http::caller_base::CallerBase;

/// The path of the metadata of the default store.
pub(super) const PATH: &str = "/.well-known/authzen-configuration";
/// The path of the metadata of each store.
pub(super) const STORE_PATH: &str = "/.well-known/authzen-configuration/stores/{store}";

pub(super) async fn of_default(
    State(authzen): State<Authzen>,
    Extension(base): Extension<CallerBase>,
) -> Response {
    authzen.metadata("", &base)
}

pub(super) async fn of_store(
    State(authzen): State<Authzen>,
    Path(store): Path<String>,
    Extension(base): Extension<CallerBase>,
) -> Response {
    authzen.metadata(&store, &base)
}

impl Authzen {
    fn metadata(&self, store: &str, caller_base: &CallerBase) -> Response {
        // A store whose directory is away has its endpoints all the same.
        let stores = self.0.grpc.live().stores();
        if let Err(error) = stores.get(store) {
            return AuthzenError::not_in_force(error.into()).into_response();
        }
        let base = match &self.0.public_url {
            Some(url) => url.as_str(),
            None => caller_base.0.as_str(),
        };
        let base = match store {
            "" => base.to_owned(),
            store => format!("{base}/stores/{store}"),
        };
        Json(metadata(&base)).into_response()
    }
}

fn metadata(base: &str) -> Value {
    let mut metadata = Map::new();
    metadata.insert("policy_decision_point".to_owned(), json!(base));
    for endpoint in Endpoint::ALL {
        let url = format!("{base}{}", endpoint.path());
        metadata.insert(endpoint.metadata_name().to_owned(), json!(url));
    }
    metadata.into()
}

impl Endpoint {
    /// Returns the name of the endpoint's URL in the metadata.
    fn metadata_name(self) -> &'static str {
        match self {
            Self::Evaluation => "access_evaluation_endpoint",
            Self::Evaluations => "access_evaluations_endpoint",
            Self::SearchSubject => "search_subject_endpoint",
            Self::SearchResource => "search_resource_endpoint",
            Self::SearchAction => "search_action_endpoint",
        }
    }
}
