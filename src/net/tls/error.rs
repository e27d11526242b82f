//! Why certificates and keys cannot be used.

use std::{io, path::PathBuf};

use rustls::Error;

/// Why TLS cannot be served with what the files hold.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The file system's error.
        error: io::Error,
    },
    /// A file does not hold what it should: certificates.
    #[error("`{}` holds no usable certificates: {message}", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// The fault.
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
        /// The TLS library's error.
        error: Error,
    },
    /// The certification authorities of clients are not good.
    #[error("cannot use the certification authorities in `{}`: {error}", path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// The TLS library's error.
        error: String,
    },
}
