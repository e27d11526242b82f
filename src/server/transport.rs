//! HTTP/2 and the threads on which calls are answered.
//!
//! A decision takes a few microseconds, less than it takes to move a call to another thread. So
//! each thread has a runtime of its own, and a connection stays on the thread that it was given to.

use std::{
    io,
    num::NonZeroUsize,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::{self, Handle},
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::{
    self,
    server::{Connected, Router},
};

use super::{
    ConnectionLimits, Listener, ServeError,
    listen::{Accept, Incoming},
    peers::{Connections, Guarded, Limited, Owed, Place},
    tls::{Face, Handshakes},
};

/// Bytes of one frame, of which a reader keeps one.
pub(super) const FRAME_BYTES: u32 = 16 * 1024;
/// The stack of a thread: as large as that of a main thread.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// The settings of every connection that tonic serves.
#[must_use]
pub fn builder(limits: &ConnectionLimits) -> transport::Server {
    transport::Server::builder()
        .max_concurrent_streams(limits.streams)
        .max_frame_size(FRAME_BYTES)
        .http2_max_header_list_size(limits.header_bytes)
        .http2_max_pending_accept_reset_streams(Some(limits.waiting_resets))
        .http2_max_local_error_reset_streams(Some(limits.forced_resets))
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
}

/// The threads on which calls are answered. They end with this.
#[derive(Debug)]
pub struct Workers {
    runtimes: Vec<(Handle, oneshot::Sender<()>)>,
}

impl Workers {
    /// So many threads.
    ///
    /// # Errors
    /// The system gives no thread or no file descriptor.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let start = |number| {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .thread_stack_size(STACK_BYTES)
                .build()?;
            let handle = runtime.handle().clone();
            let (stop, stopped) = oneshot::channel();
            let thread = thread::Builder::new().name(format!("calls-{number}"));
            thread.stack_size(STACK_BYTES).spawn(move || {
                // Told to stop, or everybody who could is gone.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
            Ok((handle, stop))
        };
        Ok(Self { runtimes: (0..count.get()).map(start).collect::<io::Result<_>>()? })
    }

    /// Their runtimes.
    pub(super) fn runtimes(&self) -> impl Iterator<Item = &Handle> {
        self.runtimes.iter().map(|(runtime, _)| runtime)
    }
}

/// What answers the calls of connections.
pub trait Application: Clone + Send + Sync + 'static {
    /// Answers on those connections until told to stop, and then the calls under way.
    ///
    /// # Errors
    /// Why it could not go on.
    fn answer<I, Io>(
        self,
        connections: I,
        stopped: watch::Receiver<bool>,
    ) -> impl Future<Output = Result<(), ServeError>> + Send
    where
        I: Stream<Item = io::Result<Io>> + Unpin + Send,
        Io: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static;
}

/// Tonic's own server.
impl Application for Router {
    async fn answer<I, Io>(
        self,
        connections: I,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), ServeError>
    where
        I: Stream<Item = io::Result<Io>> + Unpin + Send,
        Io: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        Ok(self.serve_with_incoming_shutdown(connections, stop(stopped)).await?)
    }
}

/// Answers calls on all listeners until told to stop, and then until the calls under way are
/// answered.
///
/// # Errors
/// Why it could not go on.
pub async fn serve<A: Application>(
    application: A,
    workers: &Workers,
    listeners: Vec<Listener>,
    connections: &Arc<Connections>,
    stopped: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let mut serving = JoinSet::new();
    for listener in listeners {
        let on_workers =
            Spread { application: &application, workers, connections, stopped: &stopped };
        match listener {
            Listener::Tcp(listener) => on_workers.serve(&mut serving, listener),
            Listener::Unix(listener) => on_workers.serve(&mut serving, listener),
            // Handshakes take milliseconds, and a connection cannot change its runtime after one.
            Listener::Tls(listener, tls) => {
                let encrypted = Handshakes::new(listener, tls, Face::Grpc);
                let limited = Limited::new(encrypted, connections, Owed::PREFACE);
                serving.spawn(application.clone().answer(limited, stopped.clone()));
            }
        }
    }
    while let Some(ended) = serving.join_next().await {
        ended.unwrap_or_else(|error| Err(error.into()))?;
    }
    Ok(())
}

/// What connections are spread with.
struct Spread<'a, A> {
    application: &'a A,
    workers: &'a Workers,
    connections: &'a Arc<Connections>,
    stopped: &'a watch::Receiver<bool>,
}

impl<A: Application> Spread<'_, A> {
    /// Serves one listener on all workers.
    fn serve<L: Accept>(&self, serving: &mut JoinSet<Result<(), ServeError>>, listener: L) {
        let incoming = Incoming::new(listener);
        let runtimes = &self.workers.runtimes;
        let (senders, receivers): (Vec<_>, Vec<_>) =
            runtimes.iter().map(|_| mpsc::unbounded_channel()).unzip();
        for ((runtime, _), receiver) in runtimes.iter().zip(receivers) {
            let handed = Handed::<L>(receiver);
            let application = self.application.clone();
            serving.spawn_on(application.answer(handed, self.stopped.clone()), runtime);
        }
        let connections = Arc::clone(self.connections);
        serving.spawn(hand_out(incoming, connections, senders, self.stopped.clone()));
    }
}

pub(super) async fn stop(mut stopped: watch::Receiver<bool>) {
    // The sender is gone only when serving is over as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Gives each connection that there is a place for to the next worker in turn.
async fn hand_out<L: Accept>(
    mut incoming: Incoming<L>,
    connections: Arc<Connections>,
    workers: Vec<mpsc::UnboundedSender<(L::Raw, Place)>>,
    stopped: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let mut stop = pin!(stop(stopped));
    for worker in workers.iter().cycle() {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = incoming.next() => accepted,
        };
        let Some(accepted) = accepted else { break };
        let Some(place) = connections.enter() else { continue };
        // A connection that cannot change hands is closed, and a worker that takes none has ended.
        if let Ok(raw) = accepted.and_then(L::let_go) {
            let _ = worker.send((raw, place));
        }
    }
    Ok(())
}

/// The connections that a worker was given, each with its place. What it owes is looked after by
/// the worker.
struct Handed<L: Accept>(mpsc::UnboundedReceiver<(L::Raw, Place)>);

impl<L: Accept> Stream for Handed<L> {
    type Item = io::Result<Guarded<L::Grpc>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(self.0.poll_recv(cx)) {
                None => return Poll::Ready(None),
                Some((raw, place)) => match L::take_over(raw) {
                    Ok(io) => return Poll::Ready(Some(Ok(place.guard(io, Owed::PREFACE)))),
                    Err(error) => tracing::warn!(%error, "cannot take over a connection"),
                },
            }
        }
    }
}
