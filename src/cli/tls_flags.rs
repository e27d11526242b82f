//! The flags of a client that speaks TLS.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio_rustls::TlsConnector;

use super::CliError;
use crate::{client::Tls, regular_file};

/// The flags for an address that begins with `https://`.
#[derive(Debug, Default, Clone, clap::Args)]
pub(super) struct TlsFlags {
    /// The certification authority of the server's certificate, PEM; needed for `https://`
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The certificate to show to the server, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The name that the server's certificate must have [default: the host of the address]
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
}

impl TlsFlags {
    /// Reads the files that are named, for gRPC.
    pub(super) fn read(&self) -> Result<Tls, CliError> {
        let mut tls = Tls::new().ca(read(self.ca()?)?);
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity(read(cert)?, read(key)?);
        }
        Ok(match &self.server_name {
            Some(name) => tls.server_name(name),
            None => tls,
        })
    }

    /// Returns what speaks TLS with that host, for HTTP, and the name that its certificate must have.
    ///
    /// # Errors
    /// A file cannot be used, or the name cannot be one.
    pub(super) fn connector(
        &self,
        host: &str,
    ) -> Result<(TlsConnector, ServerName<'static>), CliError> {
        let name = self.server_name.as_deref().unwrap_or(host);
        let bad_name = |error| CliError::Usage(format!("`{name}` is no name of a server: {error}"));
        let server = ServerName::try_from(name.to_owned()).map_err(bad_name)?;
        Ok((TlsConnector::from(Arc::new(self.config()?)), server))
    }

    fn config(&self) -> Result<ClientConfig, CliError> {
        let ca = self.ca()?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| unusable(ca, error))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| CliError::Failure(error.to_string()))?
            .with_root_certificates(roots);
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                // The parser's message could quote from the key.
                let private = PrivateKeyDer::from_pem_slice(&read(key)?)
                    .map_err(|_| unusable(key, "it holds no private key"))?;
                let config = builder.with_client_auth_cert(certificates(cert)?, private);
                config.map_err(|error| unusable(cert, error))
            }
            _ => Ok(builder.with_no_client_auth()),
        }
    }

    fn ca(&self) -> Result<&Path, CliError> {
        self.ca.as_deref().ok_or_else(|| {
            CliError::Usage(
                "`https://` needs `--ca FILE`, the certification authority of the server"
                    .to_owned(),
            )
        })
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CliError> {
    let certificates = CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| unusable(path, error))?;
    if certificates.is_empty() {
        return Err(unusable(path, "it holds no certificate"));
    }
    Ok(certificates)
}

fn unusable(path: &Path, error: impl Display) -> CliError {
    CliError::Usage(format!("cannot use `{}`: {error}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path)
        .and_then(regular_file::pem)
        .map_err(CliError::io(format!("cannot read `{}`", path.display())))
}
