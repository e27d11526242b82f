//! The HTTP/2 connections on which the gRPC face is served.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use hyper::{rt::Executor, server::conn::http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::JoinSet,
};
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::Connected;

use super::{
    ConnectionLimits, ServeError,
    calls::{Calls, OfConnection},
    transport::{Application, FRAME_BYTES, stop},
};

/// Calls that are answered before the answers are sent, where as many have come in together.
const TOGETHER: usize = 64;

/// Serves calls over HTTP/2.
#[derive(Clone)]
pub(super) struct Http2 {
    calls: Arc<Calls>,
    limits: ConnectionLimits,
}

impl Http2 {
    /// With those limits on each connection.
    pub fn new(calls: Calls, limits: &ConnectionLimits) -> Self {
        Self { calls: Arc::new(calls), limits: limits.clone() }
    }

    fn protocol(&self, calls: Begun) -> http2::Builder<Begun> {
        let limits = &self.limits;
        let mut protocol = http2::Builder::new(calls);
        protocol
            .timer(TokioTimer::new())
            // No gRPC client looks at it.
            .auto_date_header(false)
            .max_concurrent_streams(limits.streams)
            .max_frame_size(FRAME_BYTES)
            .max_header_list_size(limits.header_bytes)
            .max_pending_accept_reset_streams(limits.waiting_resets)
            .max_local_error_reset_streams(limits.forced_resets)
            .keep_alive_interval(limits.keepalive_interval)
            .keep_alive_timeout(limits.keepalive_timeout);
        protocol
    }

    /// Serves one connection until its peer closes it or, once told to stop, until its calls are
    /// answered.
    async fn serve<Io>(self, io: Io, stopped: watch::Receiver<bool>)
    where
        Io: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let begun = Begun::default();
        let protocol = self.protocol(begun.clone());
        let calls = OfConnection::new(self.calls, io.connect_info());
        let mut connection = pin!(protocol.serve_connection(TokioIo::new(io), calls));
        let mut stop = pin!(stop(stopped));
        let mut stopping = false;
        let served = poll_fn(|cx| {
            if !stopping && stop.as_mut().poll(cx).is_ready() {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            // The connection reads what has come in and sends what was answered, and says that it is
            // pending when both are done. The runtime's budget ends this however much comes in.
            loop {
                match connection.as_mut().poll(cx) {
                    Poll::Ready(served) => return Poll::Ready(served),
                    Poll::Pending if begun.go_on() => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        if let Err(error) = served.await {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// The calls of a connection that have come in and were not yet looked at.
///
/// Most can be answered as soon as somebody looks: their message is there, and a decision does not
/// wait. A task of its own, which takes longer to set up than a decision does, is only for those
/// that have to wait.
#[derive(Clone, Default)]
struct Begun(Arc<Mutex<Vec<Call>>>);

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Begun {
    fn execute(&self, call: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(call));
    }
}

impl Begun {
    /// Goes on with the calls that came in first, and tells whether there were any.
    fn go_on(&self) -> bool {
        let mut calls = {
            let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if begun.len() <= TOGETHER {
                std::mem::take(&mut *begun)
            } else {
                begun.drain(..TOGETHER).collect()
            }
        };
        // Nobody has to be woken: who is pending is looked at again by its task.
        let mut cx = Context::from_waker(Waker::noop());
        let any = !calls.is_empty();
        for mut call in calls.drain(..) {
            if call.as_mut().poll(&mut cx).is_pending() {
                tokio::spawn(call);
            }
        }
        self.give_back(calls);
        any
    }

    /// Keeps the room that was made for calls, if nobody has made room meanwhile.
    fn give_back(&self, room: Vec<Call>) {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.capacity() == 0 {
            *begun = room;
        }
    }
}

impl Application for Http2 {
    async fn answer<I, Io>(
        self,
        mut connections: I,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), ServeError>
    where
        I: Stream<Item = io::Result<Io>> + Unpin + Send,
        Io: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let mut open = JoinSet::new();
        {
            let mut stop = pin!(stop(stopped.clone()));
            loop {
                tokio::select! {
                    () = &mut stop => break,
                    // Those that have ended must not be kept until the end.
                    Some(_) = open.join_next() => {}
                    accepted = connections.next() => match accepted {
                        Some(Ok(io)) => drop(open.spawn(self.clone().serve(io, stopped.clone()))),
                        Some(Err(error)) => tracing::debug!(%error, "cannot take a connection"),
                        None => break,
                    },
                }
            }
        }
        // Closes the socket before the last calls are answered: new clients go elsewhere at once.
        drop(connections);
        while open.join_next().await.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn calls_are_answered_in_turn_and_those_that_wait_get_a_task() {
        let (begun, answered) = (Begun::default(), Arc::new(AtomicUsize::new(0)));
        assert!(!begun.go_on());
        let (open, gate) = watch::channel(false);
        for number in 0..TOGETHER + 2 {
            let (answered, mut gate) = (Arc::clone(&answered), gate.clone());
            begun.execute(async move {
                if number == 1 {
                    let _ = gate.wait_for(|open| *open).await;
                }
                answered.fetch_add(1, Ordering::Relaxed);
            });
        }
        let count = || answered.load(Ordering::Relaxed);
        assert!(begun.go_on());
        assert_eq!(count(), TOGETHER - 1);
        assert!(begun.go_on());
        assert_eq!(count(), TOGETHER + 1);
        assert!(!begun.go_on());
        open.send_replace(true);
        while count() < TOGETHER + 2 {
            tokio::task::yield_now().await;
        }
    }
}
