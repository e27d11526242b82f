//! The flags of a client that speaks TLS.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::CliError;
use crate::client::Tls;

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
    /// Reads the files that are named.
    pub(super) fn read(&self) -> Result<Tls, CliError> {
        let ca = self.ca.as_deref().ok_or_else(|| {
            CliError::Usage(
                "`https://` needs `--ca FILE`, the certification authority of the server"
                    .to_owned(),
            )
        })?;
        let mut tls = Tls::new().ca(read(ca)?);
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity(read(cert)?, read(key)?);
        }
        Ok(match &self.server_name {
            Some(name) => tls.server_name(name),
            None => tls,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(CliError::io(format!("cannot read `{}`", path.display())))
}
