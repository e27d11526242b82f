//! HTTP/2 and the threads on which calls are answered.
//!
//! A decision takes a few microseconds, less than it takes to move a call to another thread. So
//! each thread has a runtime of its own, and a connection stays on the thread that it was given to.

use std::{
    io,
    num::NonZeroUsize,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    thread,
    time::Duration,
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
    Listener, ServeError,
    listen::{Accept, Incoming},
    tls::{Face, Handshakes},
};

/// Calls on one connection; more wait at the client.
const STREAMS: u32 = 1_024;
/// Bytes of a call's headers.
const HEADER_BYTES: u32 = 16 * 1024;
/// A connection that is silent for this long is asked whether it is still there.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// The stack of a thread: as large as that of a main thread.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// The settings of every connection.
#[must_use]
pub fn builder() -> transport::Server {
    transport::Server::builder()
        .max_concurrent_streams(STREAMS)
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
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
}

/// Answers calls on all listeners until told to stop, and then until the calls under way are
/// answered.
///
/// # Errors
/// Why it could not go on.
pub async fn serve(
    router: Router,
    workers: &Workers,
    listeners: Vec<Listener>,
    stopped: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let mut serving = JoinSet::new();
    for listener in listeners {
        match listener {
            Listener::Tcp(listener) => spread(&mut serving, &router, workers, listener, &stopped),
            Listener::Unix(listener) => spread(&mut serving, &router, workers, listener, &stopped),
            // Handshakes take milliseconds, and a connection cannot change its runtime after one.
            Listener::Tls(listener, tls) => {
                let encrypted = Handshakes::new(listener, tls, Face::Grpc);
                serving.spawn(answer(router.clone(), encrypted, stopped.clone()));
            }
        }
    }
    while let Some(ended) = serving.join_next().await {
        ended.unwrap_or_else(|error| Err(error.into()))?;
    }
    Ok(())
}

/// Serves one listener on all workers.
fn spread<L: Accept>(
    serving: &mut JoinSet<Result<(), ServeError>>,
    router: &Router,
    workers: &Workers,
    listener: L,
    stopped: &watch::Receiver<bool>,
) {
    let incoming = Incoming::new(listener);
    let (senders, receivers): (Vec<_>, Vec<_>) =
        workers.runtimes.iter().map(|_| mpsc::unbounded_channel()).unzip();
    for ((runtime, _), receiver) in workers.runtimes.iter().zip(receivers) {
        let handed = Handed::<L>(receiver);
        serving.spawn_on(answer(router.clone(), handed, stopped.clone()), runtime);
    }
    serving.spawn(hand_out(incoming, senders, stopped.clone()));
}

async fn answer<I, Io>(
    router: Router,
    incoming: I,
    stopped: watch::Receiver<bool>,
) -> Result<(), ServeError>
where
    I: Stream<Item = io::Result<Io>>,
    Io: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    Ok(router.serve_with_incoming_shutdown(incoming, stop(stopped)).await?)
}

async fn stop(mut stopped: watch::Receiver<bool>) {
    // The sender is gone only when serving is over as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Gives each connection to the next worker in turn.
async fn hand_out<L: Accept>(
    mut incoming: Incoming<L>,
    workers: Vec<mpsc::UnboundedSender<L::Raw>>,
    stopped: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    let mut stop = pin!(stop(stopped));
    for worker in workers.iter().cycle() {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = incoming.next() => accepted,
        };
        let Some(accepted) = accepted else { break };
        // A connection that cannot change hands is closed, and a worker that takes none has ended.
        if let Ok(raw) = accepted.and_then(L::let_go) {
            let _ = worker.send(raw);
        }
    }
    Ok(())
}

/// The connections that a worker was given.
struct Handed<L: Accept>(mpsc::UnboundedReceiver<L::Raw>);

impl<L: Accept> Stream for Handed<L> {
    type Item = io::Result<L::Io>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(self.0.poll_recv(cx)) {
                None => return Poll::Ready(None),
                Some(raw) => match L::take_over(raw) {
                    Ok(io) => return Poll::Ready(Some(Ok(io))),
                    Err(error) => tracing::warn!(%error, "cannot take over a connection"),
                },
            }
        }
    }
}
