//! The HTTP face: probes, status and metrics.

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::{Server, Tls, log_level, status::StatusPage};
use crate::telemetry::MetricsProvider;

/// The routes of the HTTP face.
pub(super) fn routes(server: Server) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/log-level", get(log_level::show).put(log_level::change))
        .with_state(server)
}

/// The process runs.
async fn livez() -> &'static str {
    "ok\n"
}

/// There is something to decide with, be it an older state than the files have now: a bad reload
/// must not take every copy of a service out of rotation at once.
async fn readyz(State(server): State<Server>) -> Response {
    if server.is_stopping() {
        (StatusCode::SERVICE_UNAVAILABLE, "the process is stopping\n").into_response()
    } else if server.live().stores().is_empty() {
        (StatusCode::SERVICE_UNAVAILABLE, "no policy store is loaded\n").into_response()
    } else {
        "ok\n".into_response()
    }
}

async fn status(State(server): State<Server>) -> Response {
    let status = server.live().status();
    let tls = server.tls().map(Tls::status);
    let decision_log = server.decision_log().counts();
    let (serving, uptime) = (server.is_serving(), server.uptime());
    let page = StatusPage::new(&status, tls.as_deref(), serving, uptime, decision_log);
    Json(page.with_settings(&server.observability().settings)).into_response()
}

/// Writes the metrics, on a thread where that holds up nothing else.
async fn metrics(State(server): State<Server>) -> Response {
    let text = tokio::task::spawn_blocking(move || server.metrics().text()).await;
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
