//! The span of a call, where tracing is on.
//!
//! It follows OpenTelemetry's conventions for gRPC servers and continues the trace that the caller
//! began (W3C `traceparent`). Handlers add to it through [`CallSpan`].

use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{SpanContext, SpanKind, Status as SpanStatus, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracer};
use std::sync::Arc;

use tonic::{Code, Status, codegen::http};

use super::metrics::Rpc;
use crate::{net::Peer, store::PolicyStore};

/// The span of one call, to add attributes to. Without tracing it forgets them.
#[derive(Debug, Clone)]
pub(crate) struct CallSpan(Option<Context>);

impl CallSpan {
    /// Returns a span that forgets its attributes.
    pub fn none() -> Self {
        Self(None)
    }

    /// Returns the span of a call.
    pub fn of(extensions: &http::Extensions) -> Self {
        let found = extensions.get::<Self>();
        found.cloned().unwrap_or(Self(None))
    }

    /// Returns a span that has begun.
    pub fn begun(span: Context) -> Self {
        Self(Some(span))
    }

    /// Returns the ids of the span, where there is one.
    pub fn context(&self) -> Option<SpanContext> {
        self.0.as_ref().and_then(span_context)
    }

    /// Adds the store and the revision that decide.
    pub fn store(&self, store: &PolicyStore) {
        self.set(|| {
            vec![
                KeyValue::new("humbaba.store", store.name().to_string()),
                KeyValue::new("humbaba.revision", store.revision().to_string()),
            ]
        });
    }

    /// Adds the decision of the call or, of a call that makes many, how many of each kind there are.
    pub fn decisions(&self, rpc: Rpc, allowed: usize, denied: usize) {
        if matches!(rpc, Rpc::IsAuthorized | Rpc::Evaluation) {
            let decision = if allowed > 0 { "allow" } else { "deny" };
            return self.set(|| vec![KeyValue::new("humbaba.decision", decision)]);
        }
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.set(|| {
            vec![
                KeyValue::new("humbaba.decisions.allowed", count(allowed)),
                KeyValue::new("humbaba.decisions.denied", count(denied)),
            ]
        });
    }

    fn set(&self, attributes: impl FnOnce() -> Vec<KeyValue>) {
        if let Some(span) = self.0.as_ref().map(Context::span)
            && span.is_recording()
        {
            span.set_attributes(attributes());
        }
    }
}

/// Reads the span of the caller from the header `traceparent` (W3C Trace Context).
pub(super) fn caller_span(headers: &http::HeaderMap) -> Option<SpanContext> {
    span_context(&caller_context(headers))
}

/// Reads the trace of the caller.
pub(crate) fn caller_context(headers: &http::HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &MetadataExtractor(headers))
}

fn span_context(context: &Context) -> Option<SpanContext> {
    Some(context.span().span_context().clone()).filter(SpanContext::is_valid)
}

fn begin<B>(tracer: &SdkTracer, request: &http::Request<B>) -> Context {
    let caller = caller_context(request.headers());
    let method = request.uri().path().trim_start_matches('/').to_owned();
    let mut attributes =
        vec![KeyValue::new("rpc.system.name", "grpc"), KeyValue::new("rpc.method", method.clone())];
    let peer = request.extensions().get::<Arc<Peer>>();
    if peer.is_some_and(|peer| peer.is_unix) {
        // The authority means nothing here, and may be a rewritten one.
        attributes.push(KeyValue::new("network.transport", "unix"));
    } else if let Some(authority) = request.uri().authority() {
        attributes.push(KeyValue::new("server.address", authority.host().to_owned()));
        if let Some(port) = authority.port_u16() {
            attributes.push(KeyValue::new("server.port", i64::from(port)));
        }
    }
    if let Some(peer) = peer.and_then(|peer| peer.address) {
        attributes.push(KeyValue::new("network.peer.address", peer.ip().to_string()));
        attributes.push(KeyValue::new("network.peer.port", i64::from(peer.port())));
    }
    let span = tracer.span_builder(method).with_kind(SpanKind::Server).with_attributes(attributes);
    let span = tracer.build_with_context(span, &caller);
    caller.with_span(span)
}

/// Returns the gRPC code of a response. A success has none in its headers.
pub(super) fn code<B>(response: &http::Response<B>) -> Code {
    Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
}

/// A span that has begun. It ends as cancelled where the caller gives up.
pub(super) struct OpenSpan(Context);

impl OpenSpan {
    /// Begins the span of a call and attaches it to the request as [`CallSpan`].
    pub fn begin<B>(tracer: &SdkTracer, request: &mut http::Request<B>) -> Self {
        let span = begin(tracer, request);
        request.extensions_mut().insert(CallSpan(Some(span.clone())));
        Self(span)
    }

    /// Ends the span with the code of the call.
    pub fn end(self, code: Code) {
        self.set(code);
    }

    fn set(&self, code: Code) {
        let (span, name) = (self.0.span(), name(code));
        span.set_attribute(KeyValue::new("rpc.response.status_code", name));
        if is_error(code) {
            span.set_attribute(KeyValue::new("error.type", name));
            span.set_status(SpanStatus::error(""));
        }
        span.end();
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        // Without effect on a span that has ended.
        self.set(Code::Cancelled);
    }
}

/// Returns whether the server is at fault, by the conventions; a caller's mistake is no error of the span.
fn is_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The metadata of a call, for the propagator.
struct MetadataExtractor<'a>(&'a http::HeaderMap);

impl Extractor for MetadataExtractor<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_what_w3c_allows_is_read() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        const SPAN: &str = "00f067aa0ba902b7";
        for (header, valid) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("01-{TRACE}-{SPAN}-01-more"), true),
            (format!("00-{TRACE}-{SPAN}-01-more"), false),
            (format!("ff-{TRACE}-{SPAN}-01"), false),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), false),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), false),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), false),
            (format!("00-{TRACE}-{SPAN}"), false),
            (String::new(), false),
        ] {
            let mut headers = http::HeaderMap::new();
            headers.insert("traceparent", header.parse().unwrap());
            let read = caller_span(&headers);
            let read = read.map(|span| (span.trace_id().to_string(), span.span_id().to_string()));
            assert_eq!(read, valid.then(|| (TRACE.to_owned(), SPAN.to_owned())), "{header}");
        }
    }
}
