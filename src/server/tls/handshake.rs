//! From a connection to one that is encrypted.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;

use super::{Encrypted, Face, Tls, refusals::Refusal};
use crate::server::listen::Incoming;

/// The connections of a listener whose handshake succeeded. Handshakes go on side by side, so that
/// a slow client keeps nobody waiting.
pub(in crate::server) struct Handshakes {
    incoming: Incoming<TcpListener>,
    tls: Tls,
    face: Face,
    under_way: JoinSet<Option<Encrypted>>,
    /// From the oldest to the youngest; of some that are over too.
    by_age: VecDeque<AbortHandle>,
}

impl Handshakes {
    pub fn new(listener: TcpListener, tls: Tls, face: Face) -> Self {
        Self {
            incoming: Incoming::new(listener),
            tls,
            face,
            under_way: JoinSet::new(),
            by_age: VecDeque::new(),
        }
    }

    fn begin(&mut self, io: TcpStream) {
        let most = self.tls.inner.options.handshakes_under_way.get();
        if self.by_age.len() >= most {
            self.by_age.retain(|handshake| !handshake.is_finished());
        }
        // One takes a few milliseconds of a client that means well, so where there are too many,
        // the oldest is of one that does not.
        if self.by_age.len() >= most
            && let Some(oldest) = self.by_age.pop_front()
        {
            oldest.abort();
            self.tls.handshakes(self.face).refuse(Refusal::CrowdedOut);
        }
        let handshake = shake_hands(io, self.tls.clone(), self.face);
        self.by_age.push_back(self.under_way.spawn(handshake));
    }
}

impl Stream for Handshakes {
    type Item = io::Result<Encrypted>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Poll::Ready(Some(Ok(io))) = Pin::new(&mut self.incoming).poll_next(cx) {
            self.begin(io);
        }
        loop {
            match self.under_way.poll_join_next(cx) {
                Poll::Ready(Some(Ok(Some(io)))) => return Poll::Ready(Some(Ok(io))),
                // Refused, crowded out, or broken, which the panic's hook has told.
                Poll::Ready(Some(_)) => {}
                // Where none is under way, the next connection is what to wait for.
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

async fn shake_hands(io: TcpStream, tls: Tls, face: Face) -> Option<Encrypted> {
    let peer = io.peer_addr().ok();
    let acceptor = TlsAcceptor::from(tls.config(face));
    let refusal = match timeout(tls.handshake_timeout(), acceptor.accept(io)).await {
        Ok(Ok(io)) => {
            tls.handshakes(face).complete();
            return Some(Encrypted::new(io, &tls.inner.options.client_ids));
        }
        Ok(Err(error)) => {
            let refusal = Refusal::of(&error);
            tracing::debug!(?peer, face = face.name(), %error, "a handshake failed");
            refusal
        }
        Err(_) => {
            tracing::debug!(?peer, face = face.name(), "a handshake took too long");
            Refusal::Timeout
        }
    };
    tls.handshakes(face).refuse(refusal);
    None
}
