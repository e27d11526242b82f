//! Counts of TLS handshakes.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use rustls::{CertificateError, Error};

/// A reason for which a handshake fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeFailure {
    /// The client took too long.
    Timeout,
    /// Too many were shaking hands, and this one had taken longest.
    CrowdedOut,
    /// The client went away.
    Disconnected,
    /// The bytes are not TLS.
    NotTls,
    /// No TLS version, cipher suite or key exchange in common.
    Incompatible,
    /// The client speaks another protocol than the face does.
    Protocol,
    /// The client does not accept the server's certificate, or gives up for another reason.
    ByClient,
    /// The client showed no certificate.
    NoCertificate,
    /// The client's certificate has expired, or is not yet valid.
    Expired,
    /// The client's certificate is not of the certification authority, or is not good.
    Untrusted,
    /// The client is not on the list.
    Identity,
    /// Anything else.
    Other,
}

impl HandshakeFailure {
    pub const ALL: [Self; 12] = [
        Self::Timeout,
        Self::CrowdedOut,
        Self::Disconnected,
        Self::NotTls,
        Self::Incompatible,
        Self::Protocol,
        Self::ByClient,
        Self::NoCertificate,
        Self::Expired,
        Self::Untrusted,
        Self::Identity,
        Self::Other,
    ];

    /// Returns the reason of an error.
    pub fn of(error: &io::Error) -> Self {
        let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<Error>()) else {
            return Self::Disconnected;
        };
        match error {
            Error::InvalidMessage(_) => Self::NotTls,
            Error::PeerIncompatible(_) => Self::Incompatible,
            Error::NoApplicationProtocol => Self::Protocol,
            Error::AlertReceived(_) => Self::ByClient,
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(problem) => match problem {
                CertificateError::ApplicationVerificationFailure => Self::Identity,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::Expired,
                _ => Self::Untrusted,
            },
            _ => Self::Other,
        }
    }

    /// Returns the name of the setting under `limits` that refused the handshake.
    pub fn limit(self) -> Option<&'static str> {
        match self {
            Self::Timeout => Some("handshake_timeout_ms"),
            Self::CrowdedOut => Some("handshakes"),
            _ => None,
        }
    }

    /// Returns the name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::CrowdedOut => "crowded_out",
            Self::Disconnected => "disconnected",
            Self::NotTls => "not_tls",
            Self::Incompatible => "incompatible",
            Self::Protocol => "protocol",
            Self::ByClient => "by_client",
            Self::NoCertificate => "no_certificate",
            Self::Expired => "certificate_expired",
            Self::Untrusted => "certificate_untrusted",
            Self::Identity => "identity_not_listed",
            Self::Other => "other",
        }
    }
}

/// Counts how the handshakes of one face ended.
#[derive(Debug, Default)]
pub(crate) struct HandshakeCounts {
    completed: AtomicU64,
    refused: [AtomicU64; HandshakeFailure::ALL.len()],
}

impl HandshakeCounts {
    pub fn complete(&self) {
        self.completed.fetch_add(1, Ordering::Relaxed);
    }

    pub fn refuse(&self, refusal: HandshakeFailure) {
        if let Some(count) = self.refused.get(refusal as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }

    /// Returns how many were refused for each reason.
    pub fn refused(&self) -> impl Iterator<Item = (HandshakeFailure, u64)> {
        let counts = self.refused.iter().map(|count| count.load(Ordering::Relaxed));
        HandshakeFailure::ALL.into_iter().zip(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_count_of_its_own() {
        let counted = HandshakeCounts::default();
        for (times, refusal) in HandshakeFailure::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| counted.refuse(refusal));
        }
        for (times, (_, count)) in counted.refused().enumerate() {
            assert_eq!(count, times as u64);
        }
    }
}
