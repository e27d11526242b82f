//! Reading certificates and keys from files.

use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{TlsError, TlsOptions};
use crate::regular_file;

/// The content of all files.
pub(super) struct TlsFiles {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// The certificates and the key of the files.
pub(super) struct Material {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub client_ca: Vec<CertificateDer<'static>>,
    /// When the first of the chain ends, in seconds since 1970.
    pub chain_expires: i64,
    /// When the first certification authority of clients ends, in seconds since 1970.
    pub client_ca_expires: Option<i64>,
}

impl TlsFiles {
    pub fn read(options: &TlsOptions) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read(&options.certificate)?,
            key: read(&options.key)?,
            client_ca: options.client_ca.as_deref().map(read).transpose()?,
        })
    }

    /// Returns a digest of the content.
    pub fn digest(&self) -> [u8; 32] {
        let parts = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        let mut digest = Sha256::new();
        for part in parts.into_iter().flatten() {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    pub fn parse(&self, options: &TlsOptions) -> Result<Material, TlsError> {
        let (chain, chain_expires) = certificates(&options.certificate, &self.certificate)?;
        // The parser's message could quote from the key.
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| TlsError::NoKey(options.key.clone()))?;
        let (client_ca, client_ca_expires) = match (&options.client_ca, &self.client_ca) {
            (Some(path), Some(text)) => {
                let (certificates, expires) = certificates(path, text)?;
                (certificates, Some(expires))
            }
            _ => (Vec::new(), None),
        };
        Ok(Material { chain, key, client_ca, chain_expires, client_ca_expires })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    regular_file::read_pem(path)
        .map_err(|error| TlsError::Unreadable { path: path.to_owned(), error })
}

/// Parses all certificates of a file, and returns when the first of them ends.
fn certificates(path: &Path, text: &[u8]) -> Result<(Vec<CertificateDer<'static>>, i64), TlsError> {
    let bad = |message: String| TlsError::BadCertificate { path: path.to_owned(), message };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|error| bad(format!("it is not PEM: {error}")))?;
    let mut expires = None;
    for (index, certificate) in found.iter().enumerate() {
        let parsed = X509Certificate::from_der(certificate);
        let (_, parsed) =
            parsed.map_err(|error| bad(format!("certificate {}: {error}", index + 1)))?;
        let end = parsed.validity().not_after.timestamp();
        expires = Some(expires.map_or(end, |first: i64| first.min(end)));
    }
    let expires = expires.ok_or_else(|| bad("there is no certificate in it".to_owned()))?;
    Ok((found, expires))
}

/// Returns the paths of all files.
pub(super) fn paths(options: &TlsOptions) -> Vec<PathBuf> {
    let client_ca = options.client_ca.iter();
    [&options.certificate, &options.key].into_iter().chain(client_ca).cloned().collect()
}
