//! The settings of TLS.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use super::ClientId;

/// The settings of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// The file with the certificate and its intermediates, PEM.
    pub certificate: PathBuf,
    /// The file with the certificate's private key, PEM.
    pub key: PathBuf,
    /// The file with the certification authorities of clients, PEM. Where it is set, a client
    /// without a certificate of one of them is refused.
    pub client_ca: Option<PathBuf>,
    /// The clients that may call; empty: all that have a certificate of an authority in `client_ca`.
    pub client_ids: Vec<ClientId>,
    /// Requires certificates of the clients of `http_listen` too.
    pub http_client_certificates: bool,
    /// The lowest version that is spoken.
    pub min_version: TlsVersion,
    /// The time that a handshake may take.
    pub handshake_timeout: Duration,
    /// Handshakes that may be under way on one listener; with one more, the oldest gives way.
    pub handshakes_under_way: NonZeroUsize,
}

impl TlsOptions {
    /// The default of `handshake_timeout`.
    pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
    /// The default of `handshakes_under_way`.
    pub const HANDSHAKES: NonZeroUsize = const { NonZeroUsize::new(1_024).unwrap() };
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}
