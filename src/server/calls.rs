//! Every call from its headers to its answer: the limit on calls under way, the time limit, and the
//! fence around whatever goes wrong in it.
//!
//! The methods of the authorization service are answered here; what else there is (health,
//! reflection) is tonic's. Between HTTP/2 and a decision stands nothing that could be left out, for
//! a decision is over in less time than one more layer takes.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::body::Incoming;
use opentelemetry_sdk::trace::SdkTracer;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{
    Status,
    codegen::{
        Bytes, Service as _,
        http::{Request, Response},
    },
    metadata::MetadataMap,
    service::Routes,
};

use super::{
    admission::{Door, Gate, Place},
    authorization::Authorization,
    deadline,
    message::{self, Answer},
    metrics::{Metrics, Rpc},
    own::Own,
    traced::{self, CallSpan, Open},
};

/// What answers all calls.
pub(super) struct Calls {
    pub authorization: Authorization,
    pub gate: Arc<Gate>,
    pub metrics: Arc<Metrics>,
    pub tracer: Option<SdkTracer>,
    pub timeout: Duration,
    pub message_bytes: usize,
    /// Everything that is not the authorization service.
    pub rest: Routes,
}

/// What answers the calls of one connection.
pub(super) struct OfConnection<C> {
    calls: Own<Calls>,
    door: Door,
    info: C,
}

impl<C> OfConnection<C> {
    /// `info` is what is known of the connection.
    pub fn new(calls: Arc<Calls>, info: C) -> Self {
        Self { door: Door::new(Arc::clone(&calls.gate)), calls: Own::new(calls), info }
    }
}

impl<C: Clone + Send + Sync + 'static> hyper::service::Service<Request<Incoming>>
    for OfConnection<C>
{
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, mut request: Request<Incoming>) -> Answering {
        let calls = &self.calls;
        let Some(rpc) = Rpc::of_path(request.uri().path()) else {
            request.extensions_mut().insert(self.info.clone());
            return calls.of_the_rest(request);
        };
        // Nobody else asks where a call comes from.
        if calls.tracer.is_some() || calls.authorization.decision_log.is_on() {
            request.extensions_mut().insert(self.info.clone());
        }
        answer(calls, &self.door, rpc, request)
    }
}

type Answered = Result<Response<Answer>, Status>;

impl Calls {
    fn of_the_rest(&self, request: Request<Incoming>) -> Answering {
        let mut routes = self.rest.clone();
        let answer = Box::pin(async move {
            let answered = routes.call(request).await;
            Ok(answered.unwrap_or_else(|never| match never {}).map(Answer::Tonic))
        });
        Answering { answer: Some(answer), counted: None, limit: None, span: None }
    }
}

fn answer(calls: &Own<Calls>, door: &Door, rpc: Rpc, mut request: Request<Incoming>) -> Answering {
    let span = calls.tracer.as_ref().map(|tracer| Open::begin(tracer, &request));
    if let Some(span) = &span {
        request.extensions_mut().insert(CallSpan::from(span));
    }
    // A call counts from the arrival of its headers, so what waits to be looked at counts too.
    let place = match door.enter() {
        Ok(place) => place,
        Err(status) => {
            let answer = Box::pin(async move { Ok(status_response(status)) });
            return Answering { answer: Some(answer), counted: None, limit: None, span };
        }
    };
    let asked = deadline::of_caller(request.headers());
    let time = asked.map_or(calls.timeout, |asked| asked.min(calls.timeout));
    let is_ours = time == calls.timeout;
    let limit = Limit { until: Instant::now() + time, time, is_ours, clock: None };
    let call = Call { calls: calls.clone(), rpc, place };
    let answer = Box::pin(call.answer(request));
    let counted = Some((rpc, calls.clone()));
    Answering { answer: Some(answer), counted, limit: Some(limit), span }
}

/// One call of the authorization service.
struct Call {
    calls: Own<Calls>,
    rpc: Rpc,
    place: Place,
}

impl Call {
    async fn answer(self, request: Request<Incoming>) -> Answered {
        let (parts, body) = request.into_parts();
        let limit = self.calls.message_bytes;
        let bytes = message::read(&parts.headers, body, &self.place, limit).await?;
        // How long the peer takes to send its message says nothing of this server.
        let started = std::time::Instant::now();
        let metadata = MetadataMap::from_headers(parts.headers);
        let request = tonic::Request::from_parts(metadata, parts.extensions, bytes);
        let authorization = &self.calls.authorization;
        let framed = match self.rpc {
            Rpc::IsAuthorized => authorization.is_authorized(request, started).await,
            Rpc::BatchIsAuthorized => {
                Box::pin(authorization.batch_is_authorized(request, started)).await
            }
            Rpc::ListActions => Box::pin(authorization.list_actions(request, started)).await,
        };
        framed.map(message::answer)
    }
}

/// A call that is being answered.
pub(super) struct Answering {
    /// Gone once it has answered, and with it the call's place.
    answer: Option<Pin<Box<dyn Future<Output = Answered> + Send>>>,
    /// As what its failure is counted.
    counted: Option<(Rpc, Own<Calls>)>,
    limit: Option<Limit>,
    span: Option<Open>,
}

/// How long a call may take.
struct Limit {
    until: Instant,
    time: Duration,
    /// Whether it is this server's limit and not the caller's.
    is_ours: bool,
    /// Begins to tick only for a call that has to wait.
    clock: Option<Pin<Box<Sleep>>>,
}

impl Future for Answering {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(answer) = &mut this.answer else { return Poll::Pending };
        let answered = match fenced(|| answer.as_mut().poll(cx)) {
            Ok(Poll::Ready(answered)) => answered,
            Err(broken) => Err(broken),
            Ok(Poll::Pending) => match &mut this.limit {
                Some(limit) => {
                    let late = ready!(limit.poll_reached(cx));
                    // The caller's own deadline is none of this server's limits.
                    if let (true, Some((_, calls))) = (limit.is_ours, &this.counted) {
                        calls.metrics.limit_hit("request_timeout_ms");
                    }
                    Err(late)
                }
                None => return Poll::Pending,
            },
        };
        this.answer = None;
        let response = match answered {
            Ok(response) => response,
            Err(status) => {
                if let Some((rpc, calls)) = &this.counted {
                    calls.metrics.failed(*rpc, status.code());
                }
                status_response(status)
            }
        };
        if let Some(span) = this.span.take() {
            span.end(traced::code(&response));
        }
        Poll::Ready(Ok(response))
    }
}

impl Limit {
    /// That the time is over.
    fn poll_reached(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        let clock = self.clock.get_or_insert_with(|| Box::pin(sleep_until(self.until)));
        ready!(clock.as_mut().poll(cx));
        let time = self.time;
        Poll::Ready(Status::deadline_exceeded(format!("the call took longer than {time:?}")))
    }
}

fn status_response(status: Status) -> Response<Answer> {
    status.into_http()
}

/// The error of this server itself.
const BROKEN: &str = "the server failed to answer this request; the reason is in its log";

/// Does something of which a panic ends this one call and nothing else.
///
/// What a call shares with others is behind atomics or locks that know of poisoning, so nothing half
/// done can be seen by another call.
fn fenced<T>(work: impl FnOnce() -> T) -> Result<T, Status> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let panic = panic.downcast_ref::<String>().map(String::as_str).or_else(|| {
            let text = panic.downcast_ref::<&'static str>();
            text.copied()
        });
        tracing::error!(panic, "a call panicked");
        Status::internal(BROKEN)
    })
}

/// What answers in bytes.
pub(super) type Framed = Result<Bytes, Status>;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use tonic::{Code, codegen::http::HeaderMap};

    use super::*;

    fn answering(
        answer: impl Future<Output = Answered> + Send + 'static,
        time: Duration,
    ) -> Answering {
        let limit = Limit { until: Instant::now() + time, time, is_ours: true, clock: None };
        let answer = Some(Box::pin(answer) as Pin<Box<_>>);
        Answering { answer, counted: None, limit: Some(limit), span: None }
    }

    fn status(headers: &HeaderMap) -> Status {
        Status::from_header_map(headers).unwrap()
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_call_only() {
        let panicking = answering(async { panic!("on purpose") }, Duration::from_secs(60));
        let status = status(panicking.await.unwrap().headers());
        assert_eq!((status.code(), status.message()), (Code::Internal, BROKEN));
        let fine = answering(async { Ok(message::answer(Bytes::new())) }, Duration::ZERO);
        assert!(Status::from_header_map(fine.await.unwrap().headers()).is_none());
    }

    #[tokio::test]
    async fn a_call_that_takes_too_long_is_given_up() {
        let slow = answering(std::future::pending(), Duration::from_millis(20));
        let before = Instant::now();
        let status = status(slow.await.unwrap().headers());
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(status.message(), "the call took longer than 20ms");
        assert!(before.elapsed() >= Duration::from_millis(20));
    }
}
