//! The addresses that are listened on, and who may call there.

use super::{ListenAddress, Settings, TcpAddress};
use crate::net::tls::TlsOptions;

impl Settings {
    /// Returns every address to listen on, with the setting that names it.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, &ListenAddress)> {
        let others = [
            ("http_listen", &self.http_listen),
            ("web_listen", &self.web_listen),
            ("directory.listen", &self.directory.listen),
        ];
        let others = others.into_iter().filter_map(|(key, listen)| Some((key, listen.address()?)));
        self.listen.iter().map(|address| ("listen", address)).chain(others)
    }

    /// Returns every TCP address, with the setting that names it.
    pub(super) fn tcp_addresses(&self) -> impl Iterator<Item = (&'static str, TcpAddress)> {
        self.addresses().filter_map(|(key, address)| Some((key, address.tcp()?.clone())))
    }

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

    /// Returns whether callers of `web_listen` show who they are, where it is at that address.
    #[must_use]
    pub fn knows_web_callers(&self, address: &TcpAddress) -> bool {
        self.token_file.is_some() || (self.tls.client_ca.is_some() && self.speaks_tls(address))
    }
}
