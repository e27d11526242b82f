//! TLS: the certificate of this process, the clients that it accepts, and reloading both when their
//! files change.

mod client_id;
mod error;
mod files;
mod handshake;
mod handshake_counts;
mod options;
mod rate_limited_log;
mod server_config;
mod server_tls;

pub use client_id::{ClientId, ClientIdError};
pub use error::TlsError;
pub use options::{TlsOptions, TlsVersion};
pub use server_tls::{ServerTls, TlsStatus};

pub(super) use handshake::Handshakes;
