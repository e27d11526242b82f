//! Every call from its headers to its answer: limits, the deadline, the thread on which it is
//! answered, and turning panics into INTERNAL.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use opentelemetry_sdk::trace::SdkTracer;
use tonic::{
    Code, Status,
    body::Body,
    codegen::{
        Service as _,
        http::{HeaderName, Request, Response},
    },
    service::Routes,
};

use super::{
    GrpcOptions,
    call_span::{self, OpenSpan},
    message_body::{FrameHead, MessageBody},
    message_parts::has_more_parts,
    metrics::Metrics,
    services::{Services, UnaryService},
    state::ServerState,
    status, timeout,
};
use crate::{
    model::panic_message,
    net::{BearerTokens, CallPermit, ConcurrencyLimit, LimitReachedError, LongCallPool},
    proto::codec::{self, MessageCheck},
};

const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
const DIRECTORY_WATCH: &str = "/humbaba.v1.DirectoryService/Watch";
/// Paths of the services that need no token.
const OPEN_TO_ALL: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The message of an answer to a call that panicked.
pub(crate) const PANICKED: &str =
    "the server failed to answer this request; the reason is in its log";

/// Answers the calls of the listeners that have the same service.
pub(super) struct CallHandler {
    options: Arc<GrpcOptions>,
    /// The full name of the service.
    name: &'static str,
    /// The methods of the service that take one message and answer with one.
    unary_methods: Vec<&'static str>,
    /// Answers them on the thread of the connection, apart from long calls.
    service: UnaryService,
    /// The same service for calls that are given to the pool as a whole.
    pooled_service: UnaryService,
    /// The tokens, one of which each call of the service has to send; unset: none.
    tokens: Option<BearerTokens>,
    pool: LongCallPool,
    /// Health, reflection and what of the service answers with a stream.
    auxiliary: Routes,
    calls: Arc<ConcurrencyLimit>,
    auxiliary_limits: AuxiliaryLimits,
    metrics: Arc<Metrics>,
    tracer: Option<SdkTracer>,
}

/// The limits on streams and on health checks, which all listeners share. Streams stay open for as long
/// as the caller likes, and those that need no token must not take the places of those that do.
#[derive(Clone)]
pub(super) struct AuxiliaryLimits {
    health_checks: Arc<ConcurrencyLimit>,
    /// Streams of health and reflection.
    watches: Arc<ConcurrencyLimit>,
    directory_watches: Arc<ConcurrencyLimit>,
}

impl AuxiliaryLimits {
    pub fn new(options: &GrpcOptions) -> Self {
        let limit = |setting, calls| Arc::new(ConcurrencyLimit::new(setting, calls, 0));
        Self {
            health_checks: limit("concurrent_requests", options.concurrent_requests),
            watches: limit("watches", options.watches),
            directory_watches: limit("directory_watches", options.directory_watches),
        }
    }

    /// Returns the limit on calls of a path, and the name of its setting.
    fn of(&self, path: &str) -> (&Arc<ConcurrencyLimit>, &'static str) {
        match path {
            HEALTH_CHECK => (&self.health_checks, "concurrent_requests"),
            DIRECTORY_WATCH => (&self.directory_watches, "directory_watches"),
            _ => (&self.watches, "watches"),
        }
    }
}

impl CallHandler {
    /// Makes a handler of the listeners that have those services.
    pub fn new(
        server: &ServerState,
        services: Services,
        tokens: Option<BearerTokens>,
        pool: LongCallPool,
        auxiliary_limits: AuxiliaryLimits,
    ) -> Self {
        Self {
            options: Arc::clone(&server.options),
            name: services.name,
            unary_methods: services.unary_methods,
            service: services.service,
            pooled_service: services.pooled_service,
            tokens,
            pool,
            auxiliary: services.auxiliary,
            calls: services.calls,
            auxiliary_limits,
            metrics: Arc::clone(&server.metrics),
            tracer: server.tracer.clone(),
        }
    }

    /// Answers a call.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let method = self.unary_method(request.uri().path());
        if !self.may_call(&request) {
            let refusal = status::no_token();
            if let Some(method) = method {
                self.metrics.failed(method, refusal.code());
            }
            return refusal.into_http();
        }
        match method {
            Some(method) => self.answer_unary(method, request).await,
            None => self.answer_auxiliary(request).await.unwrap_or_else(Status::into_http),
        }
    }

    fn unary_method(&self, path: &str) -> Option<&'static str> {
        let method = path.strip_prefix('/')?.strip_prefix(self.name)?.strip_prefix('/')?;
        self.unary_methods.iter().copied().find(|name| *name == method)
    }

    /// Returns whether a call has one of the tokens, where there are some. Health needs none, since a kubelet's
    /// probe can send none; nor does reflection, which describes the public contract. Neither tells
    /// anything of policies or of what anybody holds.
    fn may_call(&self, request: &Request<Incoming>) -> bool {
        let Some(tokens) = &self.tokens else { return true };
        let path = request.uri().path();
        OPEN_TO_ALL.iter().any(|service| path.starts_with(service))
            || tokens.is_sent(request.headers())
    }

    async fn answer_unary(
        &self,
        method: &'static str,
        mut request: Request<Incoming>,
    ) -> Response<Body> {
        let span = self.tracer.as_ref().map(|tracer| OpenSpan::begin(tracer, &mut request));
        let deadline = timeout::of_caller(request.headers());
        let answered = self.with_deadline(deadline, self.call(method, request)).await;
        let response = answered.unwrap_or_else(Status::into_http);
        let code = call_span::code(&response);
        if code != Code::Ok {
            self.metrics.failed(method, code);
        }
        if let Some(span) = span {
            span.end(code);
        }
        response
    }

    /// Reads the head of the message, and has the call answered on the thread of its connection, or on
    /// the pool where the message is long or compressed.
    async fn call(
        &self,
        method: &'static str,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Status> {
        let permit = self.calls.acquire().map_err(status::limit_reached)?;
        let (mut parts, body) = request.into_parts();
        let (head, body) = MessageBody::read_head(&parts.headers, body).await?;
        self.check_size(head, &permit)?;
        if !head.is_compressed {
            // An answer is compressed where the question was. Many clients accept gzip with every
            // call, and compressing costs more than most decisions.
            parts.headers.remove(ACCEPT_ENCODING);
        }
        let permit = Arc::new(permit);
        parts.extensions.insert(Arc::clone(&permit));
        let request = Request::from_parts(parts, body);
        let check = self.message_check(method, permit);
        if !head.is_compressed && head.length <= self.options.inline_bytes {
            return Ok(answered(codec::checking(check, (self.service)(request)).await));
        }
        let service = Arc::clone(&self.pooled_service);
        let call = codec::checking(check, async move {
            let response = answered(service(request).await);
            // An error has no body. Made anew its end would be a frame of its own, which clients of
            // gRPC's C core take for a broken stream.
            if response.body().is_end_stream() {
                return Ok::<_, Status>(response);
            }
            // The message is encoded, and perhaps compressed, here and not on the connection's
            // thread.
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map(Body::new);
            body.map(|body| Response::from_parts(parts, body))
        });
        let response = self.pool.run(call).await.map_err(status::stopping)??;
        match decompression_failure(head, &response, self.options.message_bytes) {
            Some(failure) => Err(failure),
            None => Ok(response),
        }
    }

    /// Refuses a message that is too large before it is read.
    fn check_size(&self, head: FrameHead, permit: &CallPermit) -> Result<(), Status> {
        let (length, limit) = (head.length, self.options.message_bytes);
        if length > limit {
            return Err(Status::out_of_range(format!(
                "the message has {length} bytes, more than the limit of {limit}: send less, or \
                 several calls"
            )));
        }
        permit.hold(length).map_err(status::limit_reached)
    }

    /// Returns the check of the decompressed message. It owns the permit, which therefore lasts for
    /// as long as somebody works for the call.
    fn message_check(&self, method: &'static str, permit: Arc<CallPermit>) -> MessageCheck {
        let (limit, metrics) = (self.options.message_parts, Arc::clone(&self.metrics));
        Box::new(move |message| {
            permit.hold(message.len()).map_err(status::limit_reached)?;
            if has_more_parts(method, message, limit) {
                metrics.limit_hit("message_parts");
                return Err(Status::invalid_argument(format!(
                    "the request has more than {limit} parts: send less of them"
                )));
            }
            Ok(())
        })
    }

    /// Answers health, reflection and streams. They do not take the places of other calls, and those do
    /// not take theirs; nor do open watches take those of health checks.
    async fn answer_auxiliary(&self, request: Request<Incoming>) -> Result<Response<Body>, Status> {
        let (limit, setting) = self.auxiliary_limits.of(request.uri().path());
        let permit = limit.acquire().map_err(|error: LimitReachedError| {
            self.metrics.limit_hit(setting);
            status::limit_reached(error)
        })?;
        let deadline = timeout::of_caller(request.headers());
        let mut auxiliary = self.auxiliary.clone();
        // The message that opens a stream is small.
        let check: MessageCheck = Box::new(|_| Ok(()));
        let answer = codec::checking(check, auxiliary.call(request));
        let answer = async { Ok(answered(answer.await)) };
        let response = self.with_deadline(deadline, answer).await?;
        // A stream keeps its permit until it ends.
        Ok(response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _held = &permit;
                frame
            }))
        }))
    }

    /// Gives an answer the shorter of the caller's time and the setting's, and ends it with INTERNAL
    /// where it panics.
    async fn with_deadline<T>(
        &self,
        deadline: Option<std::time::Duration>,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let setting = self.options.request_timeout;
        let time = deadline.map_or(setting, |deadline| deadline.min(setting));
        tokio::time::timeout(time, catch_panic(answer)).await.unwrap_or_else(|_| {
            // The caller's own deadline is not a limit of this server.
            if time == setting {
                self.metrics.limit_hit("request_timeout_ms");
            }
            Err(Status::deadline_exceeded(format!("the call took longer than {time:?}")))
        })
    }
}

fn answered(response: Result<Response<Body>, std::convert::Infallible>) -> Response<Body> {
    response.unwrap_or_else(|never| match never {})
}

/// Returns the error of a message that tonic could not decompress, in the codes of this contract.
fn decompression_failure(
    head: FrameHead,
    response: &Response<Body>,
    limit: usize,
) -> Option<Status> {
    let status = Status::from_header_map(response.headers()).filter(|_| head.is_compressed)?;
    match status.code() {
        // A status of this server itself has details.
        Code::ResourceExhausted if status.details().is_empty() => {
            Some(Status::out_of_range(format!(
                "the message has more than the limit of {limit} bytes once it is decompressed: send \
             less, or several calls"
            )))
        }
        Code::Internal => Some(Status::invalid_argument(
            "the request is not a valid message: it cannot be decompressed",
        )),
        _ => None,
    }
}

/// Turns a panic of `work` into INTERNAL, for this call only.
///
/// State that a call shares with others is behind atomics or locks that know of poisoning, so no other
/// call sees anything half done.
async fn catch_panic<T>(work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))).unwrap_or_else(|panic| {
            tracing::error!(panic = panic_message(&*panic), "a call panicked");
            Poll::Ready(Err(Status::internal(PANICKED)))
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_own_call_only() {
        for panic in
            [|| panic!("on purpose"), || panic!("{}", "on purpose".to_owned())] as [fn(); 2]
        {
            let work = async move {
                panic();
                Ok(())
            };
            let status = catch_panic(work).await.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::Internal, PANICKED));
        }
        assert_eq!(catch_panic(async { Ok(42) }).await.unwrap(), 42);
    }
}
