//! The address of a server and the credentials for it.

use std::{fmt, time::Duration};

use tonic::{
    metadata::MetadataValue,
    transport::{Certificate, ClientTlsConfig, Endpoint, Identity},
};

use super::{Client, Retry, call::CallOptions};

/// The time that a call may take where nothing else is said.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// While a call waits, a connection is probed this often, so that one that is gone is noticed.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// The way to a server, and the defaults of calls.
///
/// ```no_run
/// use std::time::Duration;
/// use humbaba::client::{Client, Tls};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("https://humbaba.internal:8180")
///     .tls(Tls::new().ca(std::fs::read("ca.pem")?).identity(std::fs::read("tls.crt")?, std::fs::read("tls.key")?))
///     .policy_store("hitkeep")
///     .timeout(Duration::from_millis(200))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Builder {
    address: String,
    tls: Option<Tls>,
    bearer_token: Option<String>,
    options: CallOptions,
}

/// The certificates of a connection to an `https://` address. Texts and keys are PEM.
#[derive(Clone, Default)]
pub struct Tls {
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    server_name: Option<String>,
}

/// Why a server cannot be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address cannot be read.
    #[error(
        "`{0}` is not an address: write `http://host:port`, `https://host:port` or `unix:/path`"
    )]
    Address(String),
    /// Certificates were given for an address without TLS.
    #[error("`{0}` speaks no TLS: write `https://`, or leave the certificates out")]
    TlsWithoutHttps(String),
    /// A certificate or key cannot be read.
    #[error("the certificates for `{address}` cannot be used: {reason}")]
    Certificates {
        /// The address.
        address: String,
        /// The reason.
        reason: String,
    },
    /// The bearer token has characters that no header can carry.
    #[error("the bearer token has characters that no header can carry")]
    BearerToken,
    /// Nobody answers at the address, or not as a gRPC server does.
    #[error("cannot reach `{address}`: {reason}")]
    Unreachable {
        /// The address.
        address: String,
        /// The reason.
        reason: String,
    },
}

impl Tls {
    /// Trusts the certification authorities of the system and shows no certificate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts this certification authority instead of those of the system.
    #[must_use]
    pub fn ca(self, pem: impl Into<Vec<u8>>) -> Self {
        Self { ca: Some(pem.into()), ..self }
    }

    /// Shows this certificate to the server.
    #[must_use]
    pub fn identity(self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self { identity: Some((certificate.into(), key.into())), ..self }
    }

    /// Expects a certificate of this name instead of one of the address's host.
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> Self {
        Self { server_name: Some(name.into()), ..self }
    }

    fn config(self, host: &str) -> ClientTlsConfig {
        let mut config = match self.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((certificate, key)) = self.identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        config.domain_name(self.server_name.as_deref().unwrap_or(host))
    }
}

impl Client {
    /// Connects with defaults to `http://host:port`, `https://host:port` or `unix:/path`.
    ///
    /// # Errors
    /// The address cannot be used, or nobody answers there within [`DEFAULT_TIMEOUT`].
    pub async fn connect(address: impl Into<String>) -> Result<Self, ConnectError> {
        Self::builder(address).connect().await
    }

    /// Begins a client with certificates, a token or another deadline.
    pub fn builder(address: impl Into<String>) -> Builder {
        Builder::new(address)
    }
}

impl Builder {
    /// Takes an address: `http://host:port`, `https://host:port` or `unix:/path`.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            tls: None,
            bearer_token: None,
            options: CallOptions {
                bearer_token: None,
                policy_store: String::new(),
                timeout: DEFAULT_TIMEOUT,
                retry: Retry::default(),
            },
        }
    }

    /// Takes certificates for an `https://` address. Without, the system's authorities are trusted.
    #[must_use]
    pub fn tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Sends a token with each call, as `authorization: Bearer …`.
    #[must_use]
    pub fn bearer_token(self, token: impl Into<String>) -> Self {
        Self { bearer_token: Some(token.into()), ..self }
    }

    /// Asks this policy store where a question names none.
    #[must_use]
    pub fn policy_store(mut self, name: impl Into<String>) -> Self {
        self.options.policy_store = name.into();
        self
    }

    /// Gives each call, its repetitions included, and the first connection this long;
    /// [`DEFAULT_TIMEOUT`] where it is not set, a day at most.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// Repeats calls by this rule.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options.retry = retry;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// The address, certificates or token cannot be used, or nobody answers within the timeout.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let (endpoint, options) = (self.endpoint()?, self.options()?);
        let timeout = options.timeout;
        let unreachable =
            |reason| ConnectError::Unreachable { address: self.address.clone(), reason };
        let late = || unreachable(format!("no answer within {} s", timeout.as_secs_f64()));
        let connecting = tokio::time::timeout(timeout, endpoint.connect()).await;
        let channel = connecting.map_err(|_| late())?;
        let channel = channel.map_err(|error| unreachable(with_causes(&error)))?;
        Ok(Client::new(channel, options))
    }

    /// Makes a client that connects with the first call, for a server that starts later. Must be
    /// called in a tokio runtime.
    ///
    /// # Errors
    /// The address, certificates or token cannot be used.
    pub fn connect_lazy(self) -> Result<Client, ConnectError> {
        Ok(Client::new(self.endpoint()?.connect_lazy(), self.options()?))
    }

    fn options(&self) -> Result<CallOptions, ConnectError> {
        let mut options = self.options.clone();
        if let Some(token) = &self.bearer_token {
            let mut value = MetadataValue::try_from(format!("Bearer {token}"))
                .map_err(|_| ConnectError::BearerToken)?;
            value.set_sensitive(true);
            options.bearer_token = Some(value);
        }
        Ok(options)
    }

    fn endpoint(&self) -> Result<Endpoint, ConnectError> {
        let address = || self.address.clone();
        let endpoint = Endpoint::from_shared(self.address.clone());
        let endpoint = endpoint.map_err(|_| ConnectError::Address(address()))?;
        let is_https = match self.address.split_once(':') {
            Some(("https", _)) => true,
            Some(("http", _)) => false,
            Some(("unix", path)) if !path.is_empty() => false,
            _ => return Err(ConnectError::Address(address())),
        };
        let endpoint = match (&self.tls, is_https) {
            (Some(_), false) => return Err(ConnectError::TlsWithoutHttps(address())),
            (None, false) => endpoint,
            (tls, true) => {
                let host = endpoint.uri().host().unwrap_or_default();
                // A certificate names an IPv6 address without the brackets of an URI.
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let config = tls.clone().unwrap_or_default().config(host);
                endpoint.tls_config(config).map_err(|error| ConnectError::Certificates {
                    address: address(),
                    reason: with_causes(&error),
                })?
            }
        };
        Ok(endpoint.http2_keep_alive_interval(PROBE_INTERVAL))
    }
}

/// Returns the text of an error with its causes: tonic's own names none.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

impl fmt::Debug for Builder {
    /// Shows everything but the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, tls, bearer_token: _, options } = self;
        f.debug_struct("Builder")
            .field("address", address)
            .field("tls", tls)
            .field("options", options)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Tls {
    /// Shows everything but the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}
