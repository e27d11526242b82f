//! The other end of a connection.

use std::{net::SocketAddr, sync::Arc};

/// The other end of a connection, as far as the connection tells. It is the same for every call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    /// The address of a TCP connection.
    pub address: Option<SocketAddr>,
    /// Process id and user id of the other end of a Unix socket.
    pub process: Option<(Option<i32>, u32)>,
    /// True for a connection over a Unix socket.
    pub is_unix: bool,
    /// The name that the client's certificate proves.
    pub identity: Option<Arc<str>>,
    /// True where the peer is on this machine; false where nothing is known of it.
    pub is_local: bool,
}

impl Peer {
    pub fn tcp(address: Option<SocketAddr>) -> Self {
        let is_local = address.is_some_and(|address| address.ip().to_canonical().is_loopback());
        Self { address, is_local, ..Self::default() }
    }

    pub fn unix(credentials: Option<tokio::net::unix::UCred>) -> Self {
        let process = credentials.map(|credentials| (credentials.pid(), credentials.uid()));
        Self { process, is_unix: true, is_local: true, ..Self::default() }
    }
}
