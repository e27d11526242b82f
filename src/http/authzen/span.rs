//! The span of a request, where tracing is on. It follows OpenTelemetry's conventions for HTTP servers
//! and continues the trace of the caller.

use std::sync::Arc;

use axum::{extract::Request, http::StatusCode};
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;

use super::Endpoint;
use crate::{
    grpc::{CallSpan, caller_context},
    net::Peer,
};

/// A span that has begun. It ends when it is dropped, as where the caller gives up.
pub(super) struct RequestSpan(Option<Context>);

impl RequestSpan {
    /// Begins the span of a request and attaches it as [`CallSpan`].
    pub fn begin(tracer: Option<&SdkTracer>, endpoint: Endpoint, request: &mut Request) -> Self {
        let Some(tracer) = tracer else { return Self(None) };
        let caller = caller_context(request.headers());
        let mut attributes = vec![
            KeyValue::new("http.request.method", request.method().to_string()),
            KeyValue::new("http.route", endpoint.path()),
            KeyValue::new("url.path", request.uri().path().to_owned()),
        ];
        if let Some(peer) = request.extensions().get::<Arc<Peer>>().and_then(|peer| peer.address) {
            attributes.push(KeyValue::new("network.peer.address", peer.ip().to_string()));
            attributes.push(KeyValue::new("network.peer.port", i64::from(peer.port())));
        }
        let name = format!("{} {}", request.method(), endpoint.path());
        let span =
            tracer.span_builder(name).with_kind(SpanKind::Server).with_attributes(attributes);
        let span = caller.with_span(tracer.build_with_context(span, &caller));
        request.extensions_mut().insert(CallSpan::begun(span.clone()));
        Self(Some(span))
    }

    /// Ends the span with the status of the answer.
    pub fn end(self, status: StatusCode) {
        let Some(span) = self.0.as_ref().map(Context::span) else { return };
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if status.is_server_error() {
            span.set_attribute(KeyValue::new("error.type", status.as_u16().to_string()));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

impl Drop for RequestSpan {
    fn drop(&mut self) {
        // Without effect on a span that has ended.
        if let Some(span) = &self.0 {
            span.span().end();
        }
    }
}
