//! Every call from its headers to its answer: limits, the deadline, the thread on which it is
//! answered, and the fence around panics.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use opentelemetry_sdk::trace::SdkTracer;
use tonic::{
    Code, Status,
    body::Body,
    codec::CompressionEncoding,
    codegen::{
        Service as _,
        http::{HeaderName, Request, Response},
    },
    service::Routes,
};
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::server as reflection;

use super::{
    GrpcOptions, ServeError,
    authorization::Authorization,
    call_span::{self, OpenSpan},
    decider::Decider,
    message_body::{FrameHead, MessageBody},
    message_parts::has_more_parts,
    metrics::{Metrics, Rpc},
    state::ServerState,
    status, timeout,
};
use crate::{
    net::{BlockingPool, CallPermit, ConcurrencyLimit, LimitReachedError},
    proto::{
        self,
        authorization_service_server::AuthorizationServiceServer,
        codec::{self, MessageCheck},
    },
};

const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Bytes of a question of the health or reflection service.
const AUXILIARY_BYTES: usize = 16 * 1024;

/// The answer to a call of which a panic ended the work.
const PANICKED: &str = "the server failed to answer this request; the reason is in its log";

/// Answers calls.
pub(super) struct CallHandler {
    options: Arc<GrpcOptions>,
    /// Answers on the thread of the connection, apart from long decisions.
    service: AuthorizationServiceServer<Authorization>,
    /// The same service for calls that are given to the pool as a whole.
    pooled_service: AuthorizationServiceServer<Authorization>,
    pool: BlockingPool,
    /// Health and reflection.
    auxiliary: Routes,
    decisions: Arc<ConcurrencyLimit>,
    health_checks: Arc<ConcurrencyLimit>,
    /// Health watches and reflection, which stay open for as long as the caller likes.
    watches: Arc<ConcurrencyLimit>,
    metrics: Arc<Metrics>,
    tracer: Option<SdkTracer>,
}

impl CallHandler {
    /// Puts the services of a server together.
    ///
    /// # Errors
    /// The contract cannot be described for reflection.
    pub fn new(server: &ServerState, pool: BlockingPool) -> Result<Self, ServeError> {
        let options = &server.options;
        let decider = Arc::new(Decider {
            options: Arc::clone(options),
            metrics: Arc::clone(&server.metrics),
            shadow: server.shadow.clone(),
        });
        let service = |pool| {
            let decision_log = server.decision_log.clone();
            let (live, decider) = (Arc::clone(&server.live), Arc::clone(&decider));
            let waiting = Arc::clone(&server.waiting);
            let service = Authorization { live, decider, decision_log, pool, waiting };
            AuthorizationServiceServer::new(service)
                .max_decoding_message_size(options.message_bytes)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip)
        };
        let described = || {
            reflection::Builder::configure()
                .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let health = HealthServer::new(server.health.clone());
        let auxiliary = Routes::new(health.max_decoding_message_size(AUXILIARY_BYTES))
            .add_service(described().build_v1()?.max_decoding_message_size(AUXILIARY_BYTES))
            .add_service(described().build_v1alpha()?.max_decoding_message_size(AUXILIARY_BYTES));
        Ok(Self {
            options: Arc::clone(options),
            service: service(Some(pool.clone())),
            pooled_service: service(None),
            pool,
            auxiliary: auxiliary.prepare(),
            decisions: Arc::clone(&server.limit),
            health_checks: Arc::new(ConcurrencyLimit::new(options.concurrent_requests, 0)),
            watches: Arc::new(ConcurrencyLimit::new(options.watches, 0)),
            metrics: Arc::clone(&server.metrics),
            tracer: server.tracer.clone(),
        })
    }

    /// Answers a call.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match Rpc::of_path(request.uri().path()) {
            Some(rpc) => self.answer_decision(rpc, request).await,
            None => self.answer_auxiliary(request).await.unwrap_or_else(Status::into_http),
        }
    }

    async fn answer_decision(&self, rpc: Rpc, mut request: Request<Incoming>) -> Response<Body> {
        let span = self.tracer.as_ref().map(|tracer| OpenSpan::begin(tracer, &mut request));
        let deadline = timeout::of_caller(request.headers());
        let answered = self.fenced(deadline, self.decide(rpc, request)).await;
        let response = answered.unwrap_or_else(Status::into_http);
        let code = call_span::code(&response);
        if code != Code::Ok {
            self.metrics.failed(rpc, code);
        }
        if let Some(span) = span {
            span.end(code);
        }
        response
    }

    /// Reads the head of the message, and has the call answered where that holds nobody up.
    async fn decide(&self, rpc: Rpc, request: Request<Incoming>) -> Result<Response<Body>, Status> {
        let permit = self.decisions.acquire().map_err(status::limit_reached)?;
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
        let check = self.message_check(rpc, permit);
        if !head.is_compressed && head.length <= self.options.inline_bytes {
            let mut service = self.service.clone();
            return Ok(answered(codec::checking(check, service.call(request)).await));
        }
        let mut service = self.pooled_service.clone();
        let call = codec::checking(check, async move {
            let response = answered(service.call(request).await);
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
    fn message_check(&self, rpc: Rpc, permit: Arc<CallPermit>) -> MessageCheck {
        let (limit, metrics) = (self.options.message_parts, Arc::clone(&self.metrics));
        Box::new(move |message| {
            permit.hold(message.len()).map_err(status::limit_reached)?;
            if has_more_parts(rpc, message, limit) {
                metrics.limit_hit("message_parts");
                return Err(Status::invalid_argument(format!(
                    "the request has more than {limit} parts: send less of them"
                )));
            }
            Ok(())
        })
    }

    /// Answers health and reflection. They do not take the places of decisions, and decisions do not
    /// take theirs; open watches do not take those of health checks.
    async fn answer_auxiliary(&self, request: Request<Incoming>) -> Result<Response<Body>, Status> {
        let (limit, setting) = if request.uri().path() == HEALTH_CHECK {
            (&self.health_checks, "concurrent_requests")
        } else {
            (&self.watches, "watches")
        };
        let permit = limit.acquire().map_err(|error: LimitReachedError| {
            self.metrics.limit_hit(setting);
            status::limit_reached(error)
        })?;
        let deadline = timeout::of_caller(request.headers());
        let mut auxiliary = self.auxiliary.clone();
        let answer = async { Ok(answered(auxiliary.call(request).await)) };
        let response = self.fenced(deadline, answer).await?;
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
    async fn fenced<T>(
        &self,
        deadline: Option<std::time::Duration>,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let setting = self.options.request_timeout;
        let time = deadline.map_or(setting, |deadline| deadline.min(setting));
        tokio::time::timeout(time, catch_panic(answer)).await.unwrap_or_else(|_| {
            // The caller's own deadline is none of this server's limits.
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
        // One of this server's own has details.
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
            let text = panic.downcast_ref::<&'static str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            tracing::error!(panic = text, "a call panicked");
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
