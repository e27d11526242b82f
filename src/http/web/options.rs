//! The options of `web_listen`.

use std::time::Duration;

use crate::{
    http::{HttpOptions, PublicUrl},
    net::{BearerTokens, ConnectionLimit, DRAIN_TIMEOUT},
    store::Bounds,
};

/// The options of `web_listen`. Their defaults are those of the settings.
#[derive(Debug, Clone)]
pub struct WebOptions {
    /// Connections that may be open; further ones are closed.
    pub connections: usize,
    /// The time that a peer has to end what it has begun, and over HTTP/2 to take each piece of an answer.
    pub patience: Duration,
    /// The time that the head of a request may take, and that a connection may be without one.
    pub head_timeout: Duration,
    /// The time that requests under way have to end once the server is told to stop.
    pub drain_timeout: Duration,
    /// Names by which callers may reach the listener besides its own, in lower case and without a port.
    pub hosts: Vec<String>,
    /// The tokens of which callers must send one; unset: none.
    pub tokens: Option<BearerTokens>,
    /// The URL under which callers reach AuthZEN; unset: as they write it.
    pub public_url: Option<PublicUrl>,
    /// Bounds on stores, with which the console loads former revisions again.
    pub bounds: Bounds,
}

impl Default for WebOptions {
    fn default() -> Self {
        Self {
            connections: HttpOptions::default().connections,
            patience: ConnectionLimit::PATIENCE,
            head_timeout: HttpOptions::default().head_timeout,
            drain_timeout: DRAIN_TIMEOUT,
            hosts: Vec::new(),
            tokens: None,
            public_url: None,
            bounds: Bounds::default(),
        }
    }
}
