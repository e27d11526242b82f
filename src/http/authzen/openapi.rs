//! The OpenAPI document of this interface.

use axum::{
    http::header,
    response::{IntoResponse as _, Response},
};

/// The path of the document.
pub(super) const PATH: &str = "/openapi.json";

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
