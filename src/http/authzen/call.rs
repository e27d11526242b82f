//! A request from its head to its answer: limits, the deadline, the thread on which it is answered, and
//! turning panics into 500.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, header, request::Parts as Head},
    response::{IntoResponse as _, Response},
};
use http_body_util::BodyExt as _;
use serde_json::Value as Json;
use tonic::Code;

use super::{
    Authzen, Endpoint, action_search,
    answer::AuthzenCall,
    error::AuthzenError,
    evaluation, evaluations,
    form::{Object, kind},
    search,
    span::RequestSpan,
    versions,
};
use crate::{
    audit::Record,
    grpc::CallContext,
    model::{json, panic_message},
    net::CallPermit,
    reload::InForce,
    request::Side,
};

/// Answers a request to the store of that name, or to the default one.
pub(super) async fn answer(
    State(authzen): State<Authzen>,
    endpoint: Endpoint,
    store: Option<String>,
    mut request: Request,
) -> Response {
    let span = RequestSpan::begin(authzen.0.grpc.tracer(), endpoint, &mut request);
    let time = authzen.0.decider.options.request_timeout;
    let answered = authzen.answer(endpoint, store.unwrap_or_default(), request);
    let answered = tokio::time::timeout(time, answered).await;
    let answered = answered.unwrap_or_else(|_| Err(AuthzenError::timeout(time)));
    let response = answered.unwrap_or_else(|fault| {
        // Here alone: a search that ends itself and the time that it has may both be over.
        if fault.code == Code::DeadlineExceeded {
            authzen.0.decider.metrics.limit_hit("request_timeout_ms");
        }
        authzen.0.decider.metrics.failed(endpoint.rpc().name(), fault.code);
        fault.into_response()
    });
    span.end(response.status());
    response
}

impl Authzen {
    async fn answer(
        &self,
        endpoint: Endpoint,
        store: String,
        request: Request,
    ) -> Result<Response, AuthzenError> {
        let permit = self.0.grpc.call_limit().acquire().map_err(AuthzenError::limit_reached)?;
        let (head, body) = request.into_parts();
        check_head(&head)?;
        let body = self.read(&head.headers, body, &permit).await?;
        let in_force = self.in_force(&store, &head.headers, &permit).await?;
        let is_long = is_long(endpoint, &body, self.0.decider.options.inline_bytes);
        let (authzen, permit) = (self.clone(), Arc::new(permit));
        let (held, decided_with) = (Arc::clone(&permit), in_force.clone());
        let work = move || {
            // Work that goes on after the caller has given up is still under way.
            let _held = held;
            let decided = catch_unwind(AssertUnwindSafe(|| {
                authzen.decide(endpoint, &in_force, &head, &body)
            }));
            decided.unwrap_or_else(|panic| {
                tracing::error!(panic = panic_message(&*panic), "a request panicked");
                Err(AuthzenError::panicked())
            })
        };
        let (context, body, records) = if is_long {
            self.0.pool.run(async move { work() }).await.map_err(AuthzenError::unavailable)??
        } else {
            work()?
        };
        context.recording.submit(records).await.map_err(AuthzenError::of_status)?;
        let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
        versions::tell(response.headers_mut(), &decided_with);
        Ok(response)
    }

    /// Reads a body, which counts among the bytes that messages hold.
    async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Body,
        permit: &CallPermit,
    ) -> Result<Vec<u8>, AuthzenError> {
        let limit = self.0.decider.options.message_bytes;
        let length = headers.get(header::CONTENT_LENGTH).and_then(|text| text.to_str().ok());
        let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or_default();
        if length > limit {
            return Err(AuthzenError::too_large(limit));
        }
        permit.hold(length).map_err(AuthzenError::limit_reached)?;
        let mut bytes = Vec::with_capacity(length);
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|error| AuthzenError::form(format!("the body broke off: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > limit {
                return Err(AuthzenError::too_large(limit));
            }
            permit.hold(bytes.len() + data.len()).map_err(AuthzenError::limit_reached)?;
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }

    /// Decides what a request asks. Nothing here waits, and all of it is decided on one revision.
    fn decide(
        &self,
        endpoint: Endpoint,
        in_force: &InForce,
        head: &Head,
        body: &[u8],
    ) -> Result<(CallContext, Vec<u8>, Vec<Record>), AuthzenError> {
        let decider = &self.0.decider;
        let log = self.0.grpc.decision_log();
        let context = CallContext::new(endpoint.rpc(), &head.headers, &head.extensions, log);
        let form = self.parse(body)?;
        context.span.store(&in_force.store);
        let call = AuthzenCall { decider, in_force, context: &context };
        let answered = match endpoint {
            Endpoint::Evaluation => evaluation::answer(&call, form),
            Endpoint::Evaluations => evaluations::answer(&call, form),
            Endpoint::SearchSubject => search::answer(&call, Side::Principal, form),
            Endpoint::SearchResource => search::answer(&call, Side::Resource, form),
            Endpoint::SearchAction => action_search::answer(&call, form),
        };
        decider.metrics.took(in_force.store.name(), endpoint.rpc(), context.started.elapsed());
        let answered = answered?;
        context.span.decisions(endpoint.rpc(), answered.allowed, answered.denied);
        let body = serde_json::to_vec(&answered.body).map_err(|_| AuthzenError::panicked())?;
        Ok((context, body, answered.records))
    }

    fn parse(&self, body: &[u8]) -> Result<Object, AuthzenError> {
        if body.is_empty() {
            return Err(AuthzenError::form("the body is empty: send a JSON object"));
        }
        let text = std::str::from_utf8(body)
            .map_err(|error| AuthzenError::form(format!("the body is not UTF-8: {error}")))?;
        let limit = self.0.decider.options.message_parts;
        let parsed = json::parse_within(text, limit).map_err(|error| {
            if error.is_data() && text.len() > limit {
                self.0.decider.metrics.limit_hit("message_parts");
            }
            AuthzenError::form(format!("the body is not JSON that can be read: {error}"))
        })?;
        match parsed {
            Json::Object(form) => Ok(form),
            other => {
                Err(AuthzenError::form(format!("a JSON object is expected, not {}", kind(&other))))
            }
        }
    }
}

/// Refuses a body of another kind than AuthZEN's.
fn check_head(head: &Head) -> Result<(), AuthzenError> {
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.unwrap_or_default().split(';').next().unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        return Err(AuthzenError::form("send the header `Content-Type: application/json`"));
    }
    match head.headers.get(header::CONTENT_ENCODING).map(|coding| coding.as_bytes()) {
        None | Some(b"identity") => Ok(()),
        Some(_) => {
            Err(AuthzenError::form("send the body uncompressed, without `Content-Encoding`"))
        }
    }
}

/// Returns whether a request may take so long that others would have to wait for it.
fn is_long(endpoint: Endpoint, body: &[u8], inline_bytes: usize) -> bool {
    // An explanation decides many times. A body that only seems to ask for one loses some microseconds.
    const EXPLAIN: &[u8] = b"\"explain\"";
    endpoint != Endpoint::Evaluation
        || body.len() > inline_bytes
        || body.windows(EXPLAIN.len()).any(|part| part == EXPLAIN)
}
