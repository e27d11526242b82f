//! What every call goes through before and after it is answered: the limit on calls under way, the
//! time limit, and the fence around whatever goes wrong in it.

use std::{
    convert::Infallible,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};
use tonic::{
    Code, Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::NamedService,
};

use super::{
    ServerOptions, deadline, errors,
    held::HeldBody,
    metrics::{Metrics, Rpc},
};

/// Counts the calls that are under way in the process and turns away those beyond a limit.
#[derive(Debug)]
pub(super) struct Gate {
    limit: usize,
    in_flight: AtomicUsize,
    message_limit: usize,
    byte_limit: usize,
    held: AtomicUsize,
    calls_shed: AtomicU64,
    bytes_shed: AtomicU64,
}

/// Bytes of a message that is not worth counting: the limit on calls bounds these. Large messages
/// that fill all the room there is leave small ones alone.
const SMALL: usize = 16 * 1024;

/// The place of one call under way, with the bytes of its message.
#[derive(Debug)]
pub(super) struct Place {
    gate: Arc<Gate>,
    held: AtomicUsize,
}

impl Gate {
    /// The gate that those options ask for.
    pub fn new(options: &ServerOptions) -> Self {
        Self {
            limit: options.concurrent_requests,
            in_flight: AtomicUsize::new(0),
            message_limit: options.message_bytes,
            byte_limit: options.held_bytes,
            held: AtomicUsize::new(0),
            calls_shed: AtomicU64::new(0),
            bytes_shed: AtomicU64::new(0),
        }
    }

    fn enter(self: &Arc<Self>) -> Result<Place, Status> {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) < self.limit {
            return Ok(Place { gate: Arc::clone(self), held: AtomicUsize::new(0) });
        }
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.calls_shed.fetch_add(1, Ordering::Relaxed);
        Err(errors::overloaded(self.limit))
    }

    /// Calls under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Calls that were turned away because too many were under way.
    pub fn calls_shed(&self) -> u64 {
        self.calls_shed.load(Ordering::Relaxed)
    }

    /// Calls that were turned away because too many bytes were held.
    pub fn bytes_shed(&self) -> u64 {
        self.bytes_shed.load(Ordering::Relaxed)
    }
}

impl Place {
    /// Holds a message of so many bytes, if that many more may be held in the process.
    ///
    /// A call that streams holds the longest of its messages. A message that is larger than any may
    /// be is refused by its reader.
    pub fn hold(&self, bytes: usize) -> Result<(), Status> {
        if bytes <= SMALL || bytes > self.gate.message_limit {
            return Ok(());
        }
        let more = bytes.saturating_sub(self.held.fetch_max(bytes, Ordering::Relaxed));
        if self.gate.held.fetch_add(more, Ordering::Relaxed) + more <= self.gate.byte_limit {
            return Ok(());
        }
        self.gate.bytes_shed.fetch_add(1, Ordering::Relaxed);
        Err(errors::too_much_held(self.gate.byte_limit))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.held.fetch_sub(*self.held.get_mut(), Ordering::Relaxed);
        self.gate.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A gRPC service behind the gate. A call counts from the arrival of its headers, so what waits to
/// be looked at counts too.
#[derive(Clone)]
pub(super) struct Admitted<S> {
    pub inner: S,
    pub gate: Arc<Gate>,
    pub timeout: Duration,
    pub metrics: Arc<Metrics>,
}

impl<S: NamedService> NamedService for Admitted<S> {
    const NAME: &'static str = S::NAME;
}

type Response = http::Response<Body>;

impl<S> Service<http::Request<Body>> for Admitted<S>
where
    S: Service<http::Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<Response, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let metrics = Arc::clone(&self.metrics);
        let rpc = Rpc::of_path(request.uri().path());
        let place = match self.gate.enter() {
            Ok(place) => Arc::new(place),
            Err(status) => return Box::pin(async move { Ok(status.into_http()) }),
        };
        let asked = deadline::of_caller(request.headers());
        let limit = self.timeout;
        let timeout = asked.map_or(limit, |asked| asked.min(limit));
        let until = Instant::now() + timeout;
        let held = Arc::clone(&place);
        let request = request.map(|body| Body::new(HeldBody::new(body, held)));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = match timeout_at(until, fenced(answer)).await {
                Ok(Ok(Ok(response))) => response,
                Ok(Err(status)) => status.into_http(),
                Err(_) => {
                    // The caller's own deadline is none of this server's limits.
                    if timeout == limit {
                        metrics.limit_hit("request_timeout_ms");
                    }
                    too_late(timeout).into_http()
                }
            };
            drop(place);
            let response = with_broken_frames_named(response);
            if let (Some(rpc), Some(status)) = (rpc, response.extensions().get::<Status>()) {
                metrics.failed(rpc, status.code());
            }
            Ok(response)
        })
    }
}

/// The error of this server itself.
const BROKEN: &str = "the server failed to answer this request; the reason is in its log";

/// Runs a future of which a panic ends this one call and nothing else.
///
/// What a call shares with others is behind atomics or locks that know of poisoning, so nothing half
/// done can be seen by another call.
async fn fenced<F: Future>(future: F) -> Result<F::Output, Status> {
    let mut future = Box::pin(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => {
            let panic = panic.downcast_ref::<String>().map(String::as_str).or_else(|| {
                let text = panic.downcast_ref::<&'static str>();
                text.copied()
            });
            tracing::error!(panic, "a call panicked");
            Poll::Ready(Err(Status::internal(BROKEN)))
        }
    })
    .await
}

fn too_late(timeout: Duration) -> Status {
    Status::deadline_exceeded(format!("the call took longer than {timeout:?}"))
}

/// Tonic calls a request INTERNAL of which the message is missing, cut off or framed wrongly. It is
/// the caller's mistake and must not look like the server's.
fn with_broken_frames_named(response: Response) -> Response {
    let status = response.extensions().get::<Status>();
    match status.filter(|status| status.code() == Code::Internal && status.message() != BROKEN) {
        Some(status) => Status::invalid_argument(format!(
            "the request is not a valid message: {}",
            status.message()
        ))
        .into_http(),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_own_call_only() {
        let status = fenced(async { panic!("on purpose") }).await.map(|(): ()| ()).unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Internal, BROKEN));
        assert_eq!(fenced(async { 42 }).await.unwrap(), 42);
    }

    #[test]
    fn calls_beyond_the_limit_are_shed_until_one_ends() {
        let gate = gate();
        let first = gate.enter().unwrap();
        let _second = gate.enter().unwrap();
        let status = gate.enter().map(|_| ()).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!((gate.in_flight(), gate.calls_shed()), (2, 1));
        drop(first);
        assert!(gate.enter().is_ok());
        assert_eq!((gate.in_flight(), gate.calls_shed()), (1, 1));
    }

    fn gate() -> Arc<Gate> {
        let options = ServerOptions {
            concurrent_requests: 2,
            message_bytes: 90_000,
            held_bytes: 100_000,
            ..ServerOptions::default()
        };
        Arc::new(Gate::new(&options))
    }

    #[test]
    fn bytes_beyond_the_limit_are_refused_until_a_call_ends() {
        let gate = gate();
        let (first, second) = (gate.enter().unwrap(), gate.enter().unwrap());
        first.hold(40_000).unwrap();
        first.hold(80_000).unwrap();
        first.hold(20_000).unwrap();
        assert_eq!(second.hold(30_000).unwrap_err().code(), Code::ResourceExhausted);
        second.hold(SMALL).unwrap();
        // Its reader says what is wrong with it.
        second.hold(90_001).unwrap();
        drop(second);
        let second = gate.enter().unwrap();
        second.hold(20_000).unwrap();
        drop(first);
        second.hold(90_000).unwrap();
        drop(second);
        assert_eq!(gate.held.load(Ordering::Relaxed), 0);
    }
}
