//! The flags of a client that speaks TLS.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::CliError;

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
    /// Returns the configuration for a server on a host.
    pub(super) fn config(&self, host: &str) -> Result<ClientTlsConfig, CliError> {
        let ca = self.ca.as_deref().ok_or_else(|| {
            CliError::Usage(
                "`https://` needs `--ca FILE`, the certification authority of the server"
                    .to_owned(),
            )
        })?;
        let name = self.server_name.as_deref().unwrap_or(host);
        let mut config = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(ca)?))
            .domain_name(name);
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            config = config.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        Ok(config)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(CliError::io(format!("cannot read `{}`", path.display())))
}
