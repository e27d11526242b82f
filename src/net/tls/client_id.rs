//! The clients that may call, by the names in their certificates.

use std::{fmt, str::FromStr, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::rate_limited_log::RateLimitedLog;

/// The most names of an unlisted client that are logged.
const LOGGED_NAMES: usize = 5;

/// A client, as its certificate names it among its subject alternative names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientId {
    /// A DNS name, compared without regard to case. A wildcard in the certificate names nobody.
    Dns(String),
    /// A URI, for example a SPIFFE id, compared letter by letter.
    Uri(String),
    /// Every URI below a path, written with `/*` at the end; here with the slash.
    Below(String),
}

/// The text is not a client identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a client identity: write a DNS name like `web.example.org`, a URI like \
     `spiffe://example.org/web`, or `spiffe://example.org/web/*` for all below it"
)]
pub struct ClientIdError(String);

impl FromStr for ClientId {
    type Err = ClientIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ClientIdError(text.chars().take(80).collect());
        let is_plain = |text: &str| text.bytes().all(|c| c.is_ascii_graphic() && c != b'*');
        if text.is_empty() {
            return Err(error());
        }
        if !text.contains(':') {
            let is_name = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
            let is_dns = text.bytes().all(is_name);
            return is_dns.then(|| Self::Dns(text.to_ascii_lowercase())).ok_or_else(error);
        }
        let Some(below) = text.strip_suffix("/*") else {
            return is_plain(text).then(|| Self::Uri(text.to_owned())).ok_or_else(error);
        };
        let has_authority = below
            .split_once("://")
            .is_some_and(|(_, rest)| rest.bytes().next().is_some_and(|c| c != b'/'));
        (is_plain(below) && has_authority)
            .then(|| Self::Below(format!("{below}/")))
            .ok_or_else(error)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Uri(uri) => f.write_str(uri),
            Self::Below(path) => write!(f, "{path}*"),
        }
    }
}

impl ClientId {
    fn names(&self, name: &GeneralName<'_>) -> bool {
        match (self, name) {
            (Self::Dns(allowed), GeneralName::DNSName(name)) => allowed.eq_ignore_ascii_case(name),
            (Self::Uri(allowed), GeneralName::URI(uri)) => allowed == uri,
            (Self::Below(path), GeneralName::URI(uri)) => {
                uri.strip_prefix(path.as_str()).is_some_and(|rest| rest.split('/').all(is_segment))
            }
            _ => false,
        }
    }
}

/// Returns whether that is a segment of a path as SPIFFE ids have them: nothing that could lead
/// upwards or that another program may read as something else.
fn is_segment(step: &str) -> bool {
    let is_part = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
    !["", ".", ".."].contains(&step) && step.bytes().all(is_part)
}

/// Accepts the clients that another verifier trusts and that are on a list.
#[derive(Debug)]
pub(super) struct ListedClients {
    pub trusted: Arc<dyn ClientCertVerifier>,
    pub allowed: Vec<ClientId>,
    /// Logs the names of clients that are refused.
    pub log: RateLimitedLog,
}

impl ListedClients {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let names = parsed.subject_alternative_name();
        let names = names.map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        if names.iter().any(|name| self.allowed.iter().any(|allowed| allowed.names(name))) {
            return Ok(());
        }
        if let Some(unlogged) = self.log.allow() {
            let names: Vec<_> = names.iter().take(LOGGED_NAMES).map(written).collect();
            tracing::warn!(
                names = names.join(", "),
                unlogged,
                "refused a client that the setting `tls.client_ids` does not list"
            );
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }
}

/// Returns the name by which an accepted client is known: the first that is allowed or, where every
/// name is, the first URI, else the first DNS name.
pub(super) fn of(certificate: &CertificateDer<'_>, allowed: &[ClientId]) -> Option<Arc<str>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??.value.general_names.as_slice();
    identity(names, allowed).map(Arc::from)
}

fn identity<'a>(names: &[GeneralName<'a>], allowed: &[ClientId]) -> Option<&'a str> {
    let first = |is_wanted: &dyn Fn(&GeneralName<'a>) -> bool| {
        names.iter().filter(|name| is_wanted(name)).find_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::URI(name) => Some(*name),
            _ => None,
        })
    };
    if !allowed.is_empty() {
        return first(&|name| allowed.iter().any(|allowed| allowed.names(name)));
    }
    first(&|name| matches!(name, GeneralName::URI(_))).or_else(|| first(&|_| true))
}

fn written(name: &GeneralName<'_>) -> String {
    let name = match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => (*name).to_owned(),
        other => other.to_string(),
    };
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

impl ClientCertVerifier for ListedClients {
    fn offer_client_auth(&self) -> bool {
        self.trusted.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.trusted.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.trusted.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.trusted.verify_client_cert(end_entity, intermediates, now)?;
        self.check(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trusted.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trusted.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trusted.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_client_is_allowed_by_the_exact_names_in_its_certificate() {
        let dns = GeneralName::DNSName;
        let uri = GeneralName::URI;
        for (allowed, name, expected) in [
            ("web.example.org", dns("web.example.org"), true),
            ("Web.example.org", dns("wEB.example.org"), true),
            ("web.example.org", dns("*.example.org"), false),
            ("web.example.org", dns("web.example.org.evil"), false),
            ("web.example.org", uri("web.example.org"), false),
            ("spiffe://a/web", uri("spiffe://a/web"), true),
            ("spiffe://a/web", uri("spiffe://a/Web"), false),
            ("spiffe://a/web", uri("spiffe://a/web/x"), false),
            ("spiffe://a/web", dns("spiffe://a/web"), false),
            ("spiffe://a/web", GeneralName::RFC822Name("spiffe://a/web"), false),
            ("spiffe://a/web/*", uri("spiffe://a/web/x"), true),
            ("spiffe://a/web/*", uri("spiffe://a/web/x/y"), true),
            ("spiffe://a/web/*", uri("spiffe://a/web"), false),
            ("spiffe://a/web/*", uri("spiffe://a/web/"), false),
            ("spiffe://a/web/*", uri("spiffe://a/web/x/../../admin"), false),
            ("spiffe://a/web/*", uri("spiffe://a/web/%2e%2e/admin"), false),
            ("spiffe://a/web/*", uri("spiffe://a/website"), false),
            ("spiffe://a/*", uri("spiffe://a.evil/x"), false),
            ("urn:example:web", uri("urn:example:web"), true),
        ] {
            let allowed: ClientId = allowed.parse().unwrap();
            assert_eq!(allowed.names(&name), expected, "{allowed} {name}");
        }
    }

    #[test]
    fn by_which_name_a_client_is_known() {
        let dns = GeneralName::DNSName;
        let uri = GeneralName::URI;
        let mail = GeneralName::RFC822Name("web@example.org");
        let names = [mail, dns("web"), dns("shop"), uri("spiffe://a/web"), uri("spiffe://a/shop")];
        for (allowed, expected) in [
            (&[][..], "spiffe://a/web"),
            (&["shop"][..], "shop"),
            (&["spiffe://a/shop", "shop"], "shop"),
            (&["spiffe://a/*"], "spiffe://a/web"),
        ] {
            let allowed: Vec<ClientId> = allowed.iter().map(|id| id.parse().unwrap()).collect();
            assert_eq!(identity(&names, &allowed), Some(expected), "{allowed:?}");
        }
        assert_eq!(identity(&names[..3], &[]), Some("web"));
        assert_eq!(identity(&names[..1], &[]), None);
    }

    #[test]
    fn what_names_nobody_is_refused() {
        for text in [
            "",
            "*",
            "*.example.org",
            "web example",
            "spiffe://*",
            "spiffe://*/web",
            "spiffe://a/*/web",
            "spiffe:///*",
            "spiffe://a/w b",
            "urn:*",
            "http:/*",
        ] {
            assert!(text.parse::<ClientId>().is_err(), "{text}");
        }
        for text in ["web.example.org", "spiffe://a/web", "spiffe://a/*"] {
            assert_eq!(text.parse::<ClientId>().unwrap().to_string(), text);
        }
    }
}
