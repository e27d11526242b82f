//! The configuration of the TLS library.

use std::sync::Arc;

use rustls::{
    Error, InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::CryptoProvider,
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};

use super::{
    TlsError, TlsOptions, TlsVersion, client_id::ListedClients, files::Material,
    rate_limited_log::RateLimitedLog,
};

/// The configurations of the faces.
#[derive(Debug)]
pub(super) struct ServerConfigs {
    pub grpc: Arc<ServerConfig>,
    pub http: Arc<ServerConfig>,
    pub web: Arc<ServerConfig>,
}

/// Builds the configurations of all faces.
pub(super) fn build(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
    material: Material,
) -> Result<ServerConfigs, TlsError> {
    let unusable = |error| {
        let (certificate, key) = (options.certificate.clone(), options.key.clone());
        match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::Mismatch { certificate, key }
            }
            error => TlsError::Unusable { certificate, key, error },
        }
    };
    let clients = clients(options, provider, &material)?;
    let http_clients = clients.clone().filter(|_| options.http_client_certificates);
    let versions: &[&SupportedProtocolVersion] = match options.min_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let config = |clients: Option<Arc<dyn ClientCertVerifier>>, protocols: &[&[u8]]| {
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider));
        let builder = builder.with_protocol_versions(versions)?;
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(clients),
            None => builder.with_no_client_auth(),
        };
        let mut config =
            builder.with_single_cert(material.chain.clone(), material.key.clone_key())?;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        // A session that is taken up again would skip the check of the client's certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    };
    Ok(ServerConfigs {
        grpc: config(clients.clone(), &[b"h2"]).map_err(unusable)?,
        http: config(http_clients, &[b"http/1.1"]).map_err(unusable)?,
        web: config(clients, &[b"h2", b"http/1.1"]).map_err(unusable)?,
    })
}

/// Returns what checks the certificates of clients.
fn clients(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
    material: &Material,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let Some(path) = &options.client_ca else { return Ok(None) };
    let bad = |error: String| TlsError::ClientCa { path: path.clone(), error };
    let mut roots = RootCertStore::empty();
    for certificate in &material.client_ca {
        roots.add(certificate.clone()).map_err(|error| bad(error.to_string()))?;
    }
    let provider = Arc::clone(provider);
    let trusted = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let trusted = trusted.map_err(|error| bad(error.to_string()))?;
    if options.client_ids.is_empty() {
        return Ok(Some(trusted));
    }
    let (allowed, log) = (options.client_ids.clone(), RateLimitedLog::default());
    Ok(Some(Arc::new(ListedClients { trusted, allowed, log })))
}
