//! TLS handshakes.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{net::TcpStream, sync::oneshot, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{ServerTls, client_id, handshake_counts::HandshakeFailure};
use crate::net::Face;

/// The handshakes of one listener. They go on side by side, each on the runtime of its connection,
/// so that a slow client keeps nobody waiting.
#[derive(Debug)]
pub(in crate::net) struct Handshakes {
    tls: ServerTls,
    face: Face,
    /// From the oldest to the youngest, those that are over and were not yet removed included.
    under_way: Mutex<VecDeque<oneshot::Sender<()>>>,
}

/// A client's connection, with the name that its certificate proves.
type Encrypted = (TlsStream<TcpStream>, Option<Arc<str>>);

impl Handshakes {
    pub fn new(tls: ServerTls, face: Face) -> Self {
        Self { tls, face, under_way: Mutex::default() }
    }

    /// Shakes hands; nothing where that fails, which is counted.
    pub async fn complete(&self, io: TcpStream, peer: Option<SocketAddr>) -> Option<Encrypted> {
        let crowded_out = self.begin();
        let acceptor = TlsAcceptor::from(self.tls.config(self.face));
        let counts = self.tls.handshakes(self.face);
        let refusal = tokio::select! {
            shaken = timeout(self.tls.handshake_timeout(), acceptor.accept(io)) => match shaken {
                Ok(Ok(io)) => {
                    counts.complete();
                    return Some(self.identified(io));
                }
                Ok(Err(error)) => {
                    tracing::debug!(?peer, face = self.face.name(), %error, "a handshake failed");
                    HandshakeFailure::of(&error)
                }
                Err(_) => {
                    tracing::debug!(?peer, face = self.face.name(), "a handshake took too long");
                    HandshakeFailure::Timeout
                }
            },
            _ = crowded_out => HandshakeFailure::CrowdedOut,
        };
        counts.refuse(refusal);
        None
    }

    /// Adds a handshake. When there are too many, the oldest is dropped: an honest client needs
    /// milliseconds. The receiver tells it so.
    fn begin(&self) -> oneshot::Receiver<()> {
        let max = self.tls.max_handshakes();
        let (give_way, told_to_give_way) = oneshot::channel();
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.len() >= max {
            under_way.retain(|handshake| !handshake.is_closed());
        }
        if under_way.len() >= max
            && let Some(oldest) = under_way.pop_front()
        {
            // It fails where that handshake has ended meanwhile.
            let _ = oldest.send(());
        }
        under_way.push_back(give_way);
        told_to_give_way
    }

    fn identified(&self, io: TlsStream<TcpStream>) -> Encrypted {
        let certificate = io.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let allowed = self.tls.client_ids();
        let identity = certificate.and_then(|certificate| client_id::of(certificate, allowed));
        (io, identity)
    }
}
