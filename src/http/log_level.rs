//! `/log-level`: showing and changing what is logged while the process runs.
//!
//! Whoever may change it can fill a disk, so it is for this machine alone: over a Unix socket or a
//! connection from a loopback address, and not for a page in a browser there, which always sends an
//! `Origin`.

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::state::{AdminState, IsLocal};

/// Bytes of a filter.
const LONGEST: usize = 1_024;

pub(super) async fn show(State(server): State<AdminState>) -> Response {
    match server.log() {
        Some(log) => format!("{}\n", log.filter()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

pub(super) async fn change(
    State(server): State<AdminState>,
    Extension(IsLocal(is_local)): Extension<IsLocal>,
    headers: HeaderMap,
    filter: String,
) -> Response {
    let Some(log) = server.log() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if !is_local || headers.contains_key(header::ORIGIN) {
        let reason = "the log level is changed from this machine only, and not from a browser\n";
        return (StatusCode::FORBIDDEN, reason).into_response();
    }
    let filter = filter.trim();
    if filter.len() > LONGEST {
        let reason = format!("more than {LONGEST} bytes\n");
        return (StatusCode::PAYLOAD_TOO_LARGE, reason).into_response();
    }
    match log.set_filter(filter) {
        Ok(()) => format!("{}\n", log.filter()).into_response(),
        Err(reason) => (StatusCode::BAD_REQUEST, format!("{reason}\n")).into_response(),
    }
}
