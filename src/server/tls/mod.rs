//! TLS: the certificate of this process, the clients that it takes, and both again when their files
//! change.
//!
//! What a connection was accepted with stays with it; the next one gets what is in force then.

mod encrypted;
mod files;
mod handshake;
mod identity;
mod refusals;
mod seldom;

pub use identity::{ClientId, ClientIdError};

pub(super) use encrypted::{Encrypted, EncryptedPeer};
pub(super) use handshake::Handshakes;
pub(super) use refusals::{Face, Handshaken};

use std::{
    io,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use rustls::{
    Error, InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};

use self::{
    files::{Files, Material},
    identity::ListedClients,
    seldom::Seldom,
};

/// What TLS is served with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// The file with the certificate and its intermediates, PEM.
    pub certificate: PathBuf,
    /// The file with the certificate's private key, PEM.
    pub key: PathBuf,
    /// The file with the certification authorities of clients, PEM. Where it is set, a client
    /// without a certificate of one of them is refused.
    pub client_ca: Option<PathBuf>,
    /// The clients that may call; empty: all that have a certificate.
    pub client_ids: Vec<ClientId>,
    /// Whether the HTTP face wants certificates of its clients too.
    pub http_client_certificates: bool,
    /// The lowest version that is spoken.
    pub min_version: TlsVersion,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// Handshakes that may be under way on one listener; with one more, the oldest gives way.
    pub handshakes_under_way: NonZeroUsize,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// Why TLS cannot be served with what the files hold.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        error: io::Error,
    },
    /// A file does not hold what it should: certificates.
    #[error("`{}` holds no usable certificates: {message}", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// There is no private key.
    #[error("`{}` holds no private key: write PKCS#8, PKCS#1 or SEC1 as PEM, unencrypted", .0.display())]
    NoKey(PathBuf),
    /// Key and certificate are of two pairs.
    #[error(
        "the key in `{}` is not the one of the certificate in `{}`: replace both",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Anything else that is wrong with the certificate or the key.
    #[error("cannot use the certificate in `{}` with the key in `{}`: {error}", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the TLS library says.
        error: Error,
    },
    /// The certification authorities of clients are not good.
    #[error("cannot use the certification authorities in `{}`: {error}", path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// What the TLS library says.
        error: String,
    },
}

/// TLS as it is served now. Clones are the same.
#[derive(Debug, Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: TlsOptions,
    provider: Arc<CryptoProvider>,
    in_force: ArcSwap<InForce>,
    status: ArcSwap<TlsStatus>,
    /// What was read last, be it in force or refused.
    last_read: Mutex<Option<[u8; 32]>>,
    handshakes: [Handshaken; Face::ALL.len()],
}

/// The configurations of the faces.
#[derive(Debug)]
struct InForce {
    grpc: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
}

/// What became of the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsStatus {
    /// Since when what is in force is.
    pub loaded_at: SystemTime,
    /// When the first certificate of the chain ends, in seconds since 1970.
    pub expires: i64,
    /// When the first certification authority of clients ends, in seconds since 1970.
    pub client_ca_expires: Option<i64>,
    /// How many times changed files were put in force.
    pub reloads: u64,
    /// How many times changed files were refused.
    pub failures: u64,
    /// Why the files as they are now are not in force, if they are not.
    pub problem: Option<String>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// They are not there, or TLS cannot be served with them.
    pub fn load(options: TlsOptions) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let files = Files::read(&options)?;
        let material = files.parse(&options)?;
        let status = TlsStatus {
            loaded_at: SystemTime::now(),
            expires: material.chain_expires,
            client_ca_expires: material.client_ca_expires,
            reloads: 0,
            failures: 0,
            problem: None,
        };
        let in_force = configure(&options, &provider, material)?;
        let inner = Inner {
            options,
            provider,
            in_force: ArcSwap::from_pointee(in_force),
            status: ArcSwap::from_pointee(status),
            last_read: Mutex::new(Some(files.digest())),
            handshakes: Default::default(),
        };
        let tls = Self { inner: Arc::new(inner) };
        tls.log("certificate loaded");
        Ok(tls)
    }

    /// Reads the files again and puts them in force if they have changed and are good. Else what is
    /// in force stays, and the reason is logged and in the status.
    pub fn reload(&self) {
        let inner = &self.inner;
        // Held all the while, so that two reloads cannot pass each other.
        let mut last_read = inner.last_read.lock().unwrap_or_else(PoisonError::into_inner);
        let read = Files::read(&inner.options);
        let digest = read.as_ref().ok().map(Files::digest);
        if digest.is_some() && *last_read == digest {
            return;
        }
        let applied = read.and_then(|files| {
            let material = files.parse(&inner.options)?;
            let expires = (material.chain_expires, material.client_ca_expires);
            Ok((expires, configure(&inner.options, &inner.provider, material)?))
        });
        let old = inner.status.load_full();
        match applied {
            Ok(((expires, client_ca_expires), in_force)) => {
                inner.in_force.store(Arc::new(in_force));
                inner.status.store(Arc::new(TlsStatus {
                    loaded_at: SystemTime::now(),
                    expires,
                    client_ca_expires,
                    reloads: old.reloads + 1,
                    failures: old.failures,
                    problem: None,
                }));
                self.log("certificate reloaded");
            }
            Err(error) => {
                let problem = error.to_string();
                // A file that stays unreadable is told once.
                if digest.is_some() || old.problem.as_ref() != Some(&problem) {
                    tracing::error!(%error, "certificate refused, the previous one stays in force");
                    inner.status.store(Arc::new(TlsStatus {
                        failures: old.failures + 1,
                        problem: Some(problem),
                        ..TlsStatus::clone(&old)
                    }));
                }
            }
        }
        *last_read = digest;
    }

    /// The files on which everything depends.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        files::paths(&self.inner.options)
    }

    /// What became of the certificate.
    #[must_use]
    pub fn status(&self) -> Arc<TlsStatus> {
        self.inner.status.load_full()
    }

    pub(super) fn handshakes(&self, face: Face) -> &Handshaken {
        let [grpc, http] = &self.inner.handshakes;
        match face {
            Face::Grpc => grpc,
            Face::Http => http,
        }
    }

    fn config(&self, face: Face) -> Arc<ServerConfig> {
        let in_force = self.inner.in_force.load();
        Arc::clone(match face {
            Face::Grpc => &in_force.grpc,
            Face::Http => &in_force.http,
        })
    }

    fn handshake_timeout(&self) -> Duration {
        self.inner.options.handshake_timeout
    }

    fn log(&self, message: &'static str) {
        let status = self.status();
        let expires = rfc3339(status.expires);
        let client_ca_expires = status.client_ca_expires.and_then(rfc3339);
        let file = self.inner.options.certificate.display();
        if SystemTime::now() < moment(status.expires) {
            tracing::info!(%file, expires, client_ca_expires, "{message}");
        } else {
            tracing::warn!(%file, expires, client_ca_expires, "{message}, but it has expired");
        }
    }
}

/// A moment, of seconds since 1970, as people write it.
pub(super) fn rfc3339(seconds: i64) -> Option<String> {
    Some(crate::model::Timestamp::from_millis(seconds.checked_mul(1_000)?).to_string())
}

fn moment(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn configure(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
    material: Material,
) -> Result<InForce, TlsError> {
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
    let config = |clients: Option<Arc<dyn ClientCertVerifier>>, protocol: &[u8]| {
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider));
        let builder = builder.with_protocol_versions(versions)?;
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(clients),
            None => builder.with_no_client_auth(),
        };
        let mut config =
            builder.with_single_cert(material.chain.clone(), material.key.clone_key())?;
        config.alpn_protocols = vec![protocol.to_vec()];
        // A session that is taken up again would skip the check of the client's certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    };
    Ok(InForce {
        grpc: config(clients, b"h2").map_err(unusable)?,
        http: config(http_clients, b"http/1.1").map_err(unusable)?,
    })
}

/// Who checks the certificates of clients.
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
    let (allowed, logged) = (options.client_ids.clone(), Seldom::default());
    Ok(Some(Arc::new(ListedClients { trusted, allowed, logged })))
}
