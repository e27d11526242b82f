//! Asks Humbaba whether somebody may do something. Whatever goes wrong, the answer is no.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, request::Parts},
    middleware::map_response_with_state,
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use humbaba::client::{Client, ConnectError, Decision, Question, Refusal, RequirePermission};
use serde_json::json;

use crate::hitkeep::{Action, POLICY_STORE};

/// The time that an answer may take. Without a deadline a call waits for as long as Humbaba hangs.
const DEADLINE: Duration = Duration::from_secs(1);

/// One for the process: its channel carries any number of calls at once, and its clones share it.
#[derive(Clone)]
pub struct Pep {
    client: Client,
}

impl Pep {
    /// Takes `http://host:port` or `unix:/path`. It connects with the first question.
    pub fn new(address: &str) -> Result<Self, ConnectError> {
        let client = Client::builder(address).policy_store(POLICY_STORE).timeout(DEADLINE);
        Ok(Self { client: client.connect_lazy()? })
    }

    /// Guards a route: only an allow reaches it. The question is made of the request's head.
    pub fn guard<S, F>(
        &self,
        action: Action,
        question: F,
        route: MethodRouter<S>,
    ) -> MethodRouter<S>
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(&Parts) -> Result<Question, Refusal> + Clone + Send + Sync + 'static,
    {
        let layer =
            RequirePermission::http(self.client.clone(), move |head| Ok(question(head)?.explain()));
        route.layer(layer).layer(map_response_with_state(action, as_json))
    }

    /// Asks in a handler, where the question takes more than the request's head.
    pub async fn require(&self, action: Action, question: Question) -> Result<(), Refused> {
        match self.client.is_authorized(question.explain()).await {
            Ok(decision) if decision.is_allowed() => Ok(()),
            Ok(decision) => Err(Refused::denied(action, &decision)),
            Err(error) => {
                tracing::warn!(%error, action = action.as_str(), "no answer from Humbaba");
                Err(Refused::Unavailable)
            }
        }
    }
}

/// The reason why a request is not let through, which is its answer too.
pub enum Refused {
    /// Humbaba denied.
    Denied { action: Action, why: String, decision_id: String },
    /// There is no answer.
    Unavailable,
}

impl Refused {
    fn denied(action: Action, decision: &Decision) -> Self {
        let (why, decision_id) = (decision.reason().to_owned(), decision.id().to_owned());
        Self::Denied { action, why, decision_id }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            Self::Denied { action, why, decision_id } => (
                StatusCode::FORBIDDEN,
                json!({"error": "forbidden", "action": action.as_str(), "why": why, "decision_id": decision_id}),
            ),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, json!({"error": "unavailable"})),
        };
        (status, Json(body)).into_response()
    }
}

/// Says in JSON what the layer says in plain text.
async fn as_json(State(action): State<Action>, response: Response) -> Response {
    match (response.status(), response.extensions().get::<Decision>()) {
        (StatusCode::FORBIDDEN, Some(decision)) => {
            Refused::denied(action, decision).into_response()
        }
        (StatusCode::SERVICE_UNAVAILABLE, _) => Refused::Unavailable.into_response(),
        _ => response,
    }
}
