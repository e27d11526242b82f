//! The settings of TLS.

use std::path::PathBuf;

use super::{Layers, SettingError, Settings, TcpAddress, place::Text};
use crate::net::tls::{ClientId, TlsOptions, TlsVersion};

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
    /// True where the HTTP face wants certificates of its clients too.
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

impl Settings {
    /// Returns whether TLS is spoken at an address: where it says so, or where other machines can reach
    /// it and there is a certificate.
    #[must_use]
    pub fn speaks_tls(&self, address: &TcpAddress) -> bool {
        address.tls.unwrap_or_else(|| self.tls.cert.is_some() && !address.is_loopback())
    }

    /// Returns the options of TLS, if there is a certificate.
    #[must_use]
    pub fn tls_options(&self) -> Option<TlsOptions> {
        Some(TlsOptions {
            certificate: self.tls.cert.clone()?,
            key: self.tls.key.clone()?,
            client_ca: self.tls.client_ca.clone(),
            client_ids: self.tls.client_ids.clone(),
            http_client_certificates: self.tls.http_client_certificates,
            min_version: self.tls.min_version,
            handshake_timeout: self.limits.handshake_timeout,
            handshakes_under_way: self.limits.handshakes,
        })
    }
}

impl Layers {
    /// Finds settings of TLS and addresses that do not go together.
    pub(super) fn check_tls(&mut self) {
        let tls = &self.settings.tls;
        let (cert, key, client_ca) =
            (tls.cert.is_some(), tls.key.is_some(), tls.client_ca.is_some());
        let lone = [
            (cert && !key, "tls.cert", "name the private key with `tls.key` too"),
            (key && !cert, "tls.key", "name the certificate with `tls.cert` too"),
            (client_ca && !cert, "tls.client_ca", "name a certificate with `tls.cert` too"),
            (
                !client_ca && !tls.client_ids.is_empty(),
                "tls.client_ids",
                "name the certification authority of clients with `tls.client_ca` too",
            ),
        ];
        for (_, key, message) in lone.into_iter().filter(|(is_lone, ..)| *is_lone) {
            self.value_error(key, message.to_owned());
        }
        let addresses: Vec<_> = self.settings.tcp_addresses().collect();
        for (key, address) in addresses {
            let is_encrypted = self.settings.speaks_tls(&address);
            if is_encrypted && !cert {
                let message = format!("`{address}` needs `tls.cert` and `tls.key`");
                self.value_error(key, message);
            } else if !is_encrypted && !address.is_loopback() && !self.settings.insecure {
                let origin = self.origins.get(key).cloned().unwrap_or_default();
                self.errors.push(SettingError::Insecure { key, address, origin });
            }
        }
    }

    pub(super) fn value_error(&mut self, key: &'static str, message: String) {
        let origin = self.origins.get(key).cloned().unwrap_or_default();
        self.errors.push(SettingError::Value { key, origin, message });
    }
}

impl Text for TlsVersion {
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
