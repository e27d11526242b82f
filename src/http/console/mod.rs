//! The console: pages for people who want to see what is in force and why. It reads and changes
//! nothing, runs without a script, and has everything that it shows in the binary.
//!
//! One file a view, with its template beside it. Whatever a policy, a name or a caller wrote reaches
//! a page through a template alone, which escapes it.

mod ask;
mod ask_copy;
mod ask_form;
mod changed;
mod changes;
mod chart;
mod computed;
mod coverage;
mod decisions;
mod health;
mod highlight;
mod matrix;
mod policies;
mod policy_text;
mod query;
mod respond;
mod shell;
mod sign_in;
mod state;
mod stores;
mod time;
mod traffic;
mod words;

use axum::{Router, middleware::map_response, routing::get};

use self::query::Query;
pub(super) use self::{
    sign_in::{admits, is_page, to_sign_in},
    state::Console,
};

impl Console {
    /// Reads the metrics at intervals, for the charts, until it is dropped.
    pub async fn sample(&self) {
        traffic::sample(&self.0.grpc, &self.0.traffic).await;
    }

    /// Computes what readers will ask for first, until it is dropped.
    pub async fn prepare(&self) {
        matrix::prepare(self).await;
        std::future::pending().await
    }

    /// Returns the routes of the console.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/", get(stores::show))
            .route("/matrix", get(matrix::show))
            .route("/policies", get(policies::show))
            .route("/try", get(ask::show))
            .route("/changes", get(changes::show))
            .route("/decisions", get(decisions::show))
            .route("/decisions/stream", get(decisions::stream))
            .route("/health", get(health::show))
            .route(sign_in::PATH, sign_in::route())
            .route("/console.css", get(respond::style))
            .route("/console.js", get(respond::script))
            .route_layer(map_response(respond::secure))
            .with_state(self.clone())
    }
}
