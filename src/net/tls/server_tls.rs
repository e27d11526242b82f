//! The certificate in use, and reloading it when its files change.
//!
//! A connection keeps the certificate that it was accepted with; the next one gets the current one.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
};

use super::{
    ClientId, TlsError, TlsOptions,
    files::{self, TlsFiles},
    handshake_counts::HandshakeCounts,
    server_config::{self, ServerConfigs},
};
use crate::{model::Timestamp, net::Face};

/// The certificate in use, with the clients that it is for. Clones share it.
#[derive(Debug, Clone)]
pub struct ServerTls {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: TlsOptions,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<ServerConfigs>,
    status: ArcSwap<TlsStatus>,
    /// The digest of the files that were read last, be they in use or refused.
    last_read: Mutex<Option<[u8; 32]>>,
    handshakes: [HandshakeCounts; Face::ALL.len()],
}

/// The state of the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsStatus {
    /// When the current certificate was loaded.
    pub loaded_at: SystemTime,
    /// When the first certificate of the chain ends, in seconds since 1970.
    pub expires: i64,
    /// When the first certification authority of clients ends, in seconds since 1970.
    pub client_ca_expires: Option<i64>,
    /// The number of times that changed files came into use.
    pub reloads: u64,
    /// The number of times that changed files were refused.
    pub failures: u64,
    /// Why the files as they are now are not in use, if they are not.
    pub problem: Option<String>,
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// The files cannot be read, or TLS cannot be served with them.
    pub fn load(options: TlsOptions) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let files = TlsFiles::read(&options)?;
        let material = files.parse(&options)?;
        let status = TlsStatus {
            loaded_at: SystemTime::now(),
            expires: material.chain_expires,
            client_ca_expires: material.client_ca_expires,
            reloads: 0,
            failures: 0,
            problem: None,
        };
        let current = server_config::build(&options, &provider, material)?;
        let inner = Inner {
            options,
            provider,
            current: ArcSwap::from_pointee(current),
            status: ArcSwap::from_pointee(status),
            last_read: Mutex::new(Some(files.digest())),
            handshakes: Default::default(),
        };
        let tls = Self { inner: Arc::new(inner) };
        tls.log("certificate loaded");
        Ok(tls)
    }

    /// Reads the files again and uses them if they have changed and are good. Otherwise the current
    /// certificate stays, and the reason is logged and in the status.
    pub fn reload(&self) {
        let inner = &self.inner;
        // Held all the while, so that two reloads cannot pass each other.
        let mut last_read = inner.last_read.lock().unwrap_or_else(PoisonError::into_inner);
        let read = TlsFiles::read(&inner.options);
        let digest = read.as_ref().ok().map(TlsFiles::digest);
        if digest.is_some() && *last_read == digest {
            return;
        }
        let applied = read.and_then(|files| {
            let material = files.parse(&inner.options)?;
            let expires = (material.chain_expires, material.client_ca_expires);
            Ok((expires, server_config::build(&inner.options, &inner.provider, material)?))
        });
        let old = inner.status.load_full();
        match applied {
            Ok(((expires, client_ca_expires), current)) => {
                inner.current.store(Arc::new(current));
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
                // A file that stays unreadable is logged once.
                if digest.is_some() || old.problem.as_ref() != Some(&problem) {
                    tracing::error!(%error, "certificate refused, the previous one stays in use");
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

    /// Returns the files to watch.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        files::paths(&self.inner.options)
    }

    /// Returns the state of the certificate.
    #[must_use]
    pub fn status(&self) -> Arc<TlsStatus> {
        self.inner.status.load_full()
    }

    /// Returns the counts of the handshakes of a face.
    pub(crate) fn handshakes(&self, face: Face) -> &HandshakeCounts {
        let [grpc, http, web] = &self.inner.handshakes;
        match face {
            Face::Grpc => grpc,
            Face::Http => http,
            Face::Web => web,
        }
    }

    pub(super) fn config(&self, face: Face) -> Arc<ServerConfig> {
        let current = self.inner.current.load();
        Arc::clone(match face {
            Face::Grpc => &current.grpc,
            Face::Http => &current.http,
            Face::Web => &current.web,
        })
    }

    pub(super) fn max_handshakes(&self) -> usize {
        self.inner.options.handshakes_under_way.get()
    }

    pub(super) fn client_ids(&self) -> &[ClientId] {
        &self.inner.options.client_ids
    }

    pub(super) fn handshake_timeout(&self) -> Duration {
        self.inner.options.handshake_timeout
    }

    fn log(&self, message: &'static str) {
        let status = self.status();
        let text = |seconds| Timestamp::from_seconds(seconds).to_string();
        let expires = text(status.expires);
        let client_ca_expires = status.client_ca_expires.map(text);
        let file = self.inner.options.certificate.display();
        if SystemTime::now() < moment(status.expires) {
            tracing::info!(%file, expires, client_ca_expires, "{message}");
        } else {
            tracing::warn!(%file, expires, client_ca_expires, "{message}, but it has expired");
        }
    }
}

fn moment(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}
