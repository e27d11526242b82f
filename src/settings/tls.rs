//! The settings of TLS.

use std::path::PathBuf;

use super::setting_field::TextSetting;
use crate::net::tls::{ClientId, TlsVersion};

/// The settings of TLS.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The certificate and its intermediates.
    pub cert: Option<PathBuf>,
    /// The certificate's private key.
    pub key: Option<PathBuf>,
    /// The certification authorities of clients.
    pub client_ca: Option<PathBuf>,
    /// The clients that may call; empty: all that have a certificate.
    pub client_ids: Vec<ClientId>,
    /// Requires certificates of the clients of `http_listen` too.
    pub http_client_certificates: bool,
    /// The lowest version that is spoken.
    pub min_version: TlsVersion,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            cert: None,
            key: None,
            client_ca: None,
            client_ids: Vec::new(),
            http_client_certificates: true,
            min_version: TlsVersion::default(),
        }
    }
}

impl TextSetting for TlsVersion {
    fn form(&self) -> &'static str {
        "`1.2` or `1.3`"
    }

    fn read(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "1.2" => Self::V1_2,
            "1.3" => Self::V1_3,
            _ => return Err(format!("`{text}` is neither `1.2` nor `1.3`")),
        };
        Ok(())
    }

    fn write(&self) -> String {
        match self {
            Self::V1_2 => "1.2".to_owned(),
            Self::V1_3 => "1.3".to_owned(),
        }
    }
}
