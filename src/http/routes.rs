//! The paths of the HTTP face.

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::{log_level, readiness::not_ready, state::AdminState, status_page::StatusPage};
use crate::{net::ServerTls, telemetry::MetricsProvider};

/// Returns the routes of the HTTP face.
pub(super) fn routes(server: AdminState) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/log-level", get(log_level::show).put(log_level::change))
        .with_state(server)
}

/// Answers as long as the process runs.
async fn livez() -> &'static str {
    "ok\n"
}

/// Reports ready where there is something to decide with, be it an older state than the files have
/// now: a bad reload must not take every copy of a service out of rotation at once.
///
/// With `?strict` it reports ready only where everything that was found is in force and every
/// directory decides, for those who watch a rollout.
async fn readyz(State(server): State<AdminState>, RawQuery(query): RawQuery) -> Response {
    let is_strict = query
        .is_some_and(|query| query.split('&').any(|one| one.split('=').next() == Some("strict")));
    match not_ready(server.grpc(), is_strict) {
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
        None => "ok\n".into_response(),
    }
}

async fn status(State(server): State<AdminState>) -> Response {
    let status = server.grpc().live().status();
    let tls = server.grpc().tls().map(ServerTls::status);
    let decision_log = server.grpc().decision_log().counts();
    let (serving, uptime) = (server.grpc().is_serving(), server.uptime());
    let shadow = server.grpc().shadow().status();
    let (tls, shadow) = (tls.as_deref(), shadow.as_ref());
    let live = server.grpc().live().state();
    let page = StatusPage::new(&status, &live, tls, serving, uptime, decision_log, shadow);
    let page = page.with_tokens(server.grpc().tokens()).with_settings(server.settings());
    Json(page).into_response()
}

/// Writes the metrics, on a thread where that holds up nothing else.
async fn metrics(State(server): State<AdminState>) -> Response {
    let text = tokio::task::spawn_blocking(move || server.grpc().metrics().text()).await;
    let error = match text {
        Ok(Ok(text)) => {
            return ([(header::CONTENT_TYPE, MetricsProvider::CONTENT_TYPE)], text).into_response();
        }
        Ok(Err(error)) => error.to_string(),
        Err(panicked) => format!("cannot write the metrics: {panicked}"),
    };
    tracing::error!("{error}");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
