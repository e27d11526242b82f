//! A connection to PostgreSQL, by the connection string of a file.

use std::{error::Error, fmt::Write as _, io, path::Path, sync::Arc, time::Duration};

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::{task::AbortHandle, time::timeout};
use tokio_postgres::{Client, Config, config::TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection_string::ConnectionString;
use crate::regular_file;

/// Time that connecting may take, the handshake and the password included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Silence after which the system asks whether the peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A connection. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Connection {
    pub client: Client,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Connects to the server that the file names. Nothing of the file's content is in an error.
///
/// # Errors
/// The fault of the file, the certificates or the server, in words for an operator.
pub(super) async fn connect(url_file: &Path) -> Result<Connection, String> {
    let text = regular_file::read_text(url_file)
        .map_err(|error| format!("cannot read `{}`: {error}", url_file.display()))?;
    let ConnectionString { config, root_cert } = text
        .parse()
        .map_err(|fault| format!("the connection string in `{}`: {fault}", url_file.display()))?;
    let config = with_timeouts(config);
    let tls = tls(root_cert.as_deref())?;
    let connecting = timeout(CONNECT_TIMEOUT, config.connect(tls));
    let (client, connection) = match connecting.await {
        Ok(connected) => {
            connected.map_err(|error| problem("cannot connect to PostgreSQL", &error))?
        }
        Err(_) => {
            return Err(format!("PostgreSQL did not take a connection within {CONNECT_TIMEOUT:?}"));
        }
    };
    // The client's calls fail when this ends.
    let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
    let connection = Connection { client, driver };
    check(&connection.client).await?;
    Ok(connection)
}

/// Words for an error of PostgreSQL or of the way to it.
pub(super) fn problem(doing: &str, error: &tokio_postgres::Error) -> String {
    let mut words = doing.to_owned();
    if let Some(error) = error.as_db_error() {
        let _ = write!(words, ": {} (SQLSTATE {})", error.message(), error.code().code());
        return words;
    }
    let mut error: Option<&dyn Error> = Some(error);
    while let Some(cause) = error {
        let _ = write!(words, ": {cause}");
        if is_of_unknown_authority(cause) {
            words.push_str(
                ": the server's certificate is of an authority that is not trusted: name the file of \
                 its authority with `sslrootcert`",
            );
        }
        error = cause.source();
    }
    words
}

fn is_of_unknown_authority(cause: &(dyn Error + 'static)) -> bool {
    let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)))
}

fn with_timeouts(mut config: Config) -> Config {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(2 * KEEPALIVE);
    }
    if config.get_application_name().is_none() {
        config.application_name("humbaba");
    }
    if config.get_hosts().len() > 1 {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    config.keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE / 2).keepalives_retries(2);
    config
}

fn tls(root_cert: Option<&Path>) -> Result<MakeRustlsConnect, String> {
    let Some(path) = root_cert else {
        let native = MakeRustlsConnect::with_native_certs();
        return native.map_or_else(|_| with_roots(RootCertStore::empty()), |(tls, _)| Ok(tls));
    };
    let fault =
        |error: &dyn std::fmt::Display| format!("sslrootcert `{}`: {error}", path.display());
    let mut roots = RootCertStore::empty();
    let text = regular_file::read_pem(path).map_err(|error| fault(&error))?;
    for cert in CertificateDer::pem_slice_iter(&text) {
        let cert = cert.map_err(|error| fault(&error))?;
        roots.add(cert).map_err(|error| fault(&error))?;
    }
    if roots.is_empty() {
        return Err(fault(&"it holds no certificate"));
    }
    with_roots(roots)
}

fn with_roots(roots: RootCertStore) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Refuses what cannot be followed. A standby's snapshots miss transactions in progress.
async fn check(client: &Client) -> Result<(), String> {
    let asked = client.simple_query(
        "SET timezone = 'UTC'; SELECT pg_is_in_recovery(), current_setting('server_version_num')",
    );
    let answer = match timeout(CONNECT_TIMEOUT, asked).await {
        Ok(answer) => answer.map_err(|error| problem("PostgreSQL", &error))?,
        Err(_) => return Err(format!("PostgreSQL did not answer within {CONNECT_TIMEOUT:?}")),
    };
    let row = answer.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let get = |column: usize| row.and_then(|row| row.try_get(column).ok().flatten());
    if get(0) != Some("f") {
        return Err(
            "the server is a standby, which cannot be followed: name the primary".to_owned()
        );
    }
    let version = get(1).and_then(|version| version.parse::<u32>().ok()).unwrap_or_default();
    if version < 130_000 {
        return Err("the server is older than PostgreSQL 13: it cannot be followed".to_owned());
    }
    Ok(())
}
