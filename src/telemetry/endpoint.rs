//! Connections to a collector.

use std::{path::Path, time::Duration};

use percent_encoding::percent_decode_str;
use tonic::{
    metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint as Address, Identity},
};

use super::{Signal, Variables};
use crate::regular_file;

/// The endpoint of OTLP over gRPC, unless the environment says otherwise.
const DEFAULT: &str = "http://localhost:4317";

/// The collector of a signal: its address, and what goes with every sending.
#[derive(Debug, Clone)]
pub(super) struct CollectorEndpoint {
    address: String,
    channel: Channel,
    metadata: MetadataMap,
    timeout: Duration,
}

impl CollectorEndpoint {
    /// Reads the endpoint from the variables. It is connected to when something is sent.
    ///
    /// # Errors
    /// The variables, or a file that they name, are wrong.
    pub fn new(variables: &Variables, signal: Signal) -> Result<Self, String> {
        let named = variables.of(signal, "ENDPOINT").unwrap_or(DEFAULT);
        let insecure = variables.of(signal, "INSECURE").is_some_and(|insecure| insecure == "true");
        let address = match (named.contains("://"), insecure) {
            (true, _) => named.to_owned(),
            (false, true) => format!("http://{named}"),
            (false, false) => format!("https://{named}"),
        };
        if let Some(compression) = variables.of(signal, "COMPRESSION").filter(|one| *one != "none")
        {
            return Err(format!("`{compression}` is asked for as the compression: write `none`"));
        }
        let timeout = variables.timeout(signal);
        let wrong = |error: tonic::transport::Error| {
            let reason = std::error::Error::source(&error).map(ToString::to_string);
            format!("`{address}` is not an endpoint: {}", reason.unwrap_or(error.to_string()))
        };
        let mut endpoint = Address::from_shared(address.clone()).map_err(wrong)?.timeout(timeout);
        if endpoint.uri().authority().is_none() {
            return Err(format!("`{address}` is not an endpoint: write `http://host:4317`"));
        }
        if endpoint.uri().scheme_str() == Some("https") {
            endpoint = endpoint.tls_config(tls(variables, signal)?).map_err(wrong)?;
        }
        let metadata = metadata(variables.of(signal, "HEADERS").unwrap_or_default())?;
        Ok(Self { address, channel: endpoint.connect_lazy(), metadata, timeout })
    }

    /// The address as the user wrote it, without a password that may be in it.
    pub fn address(&self) -> &str {
        self.address.rsplit_once('@').map_or(&self.address, |(_, host)| host)
    }

    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Headers that go with every sending.
    pub fn metadata(&self) -> &MetadataMap {
        &self.metadata
    }

    /// Limits how long one sending takes.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }
}

fn tls(variables: &Variables, signal: Signal) -> Result<ClientTlsConfig, String> {
    let read = |setting: &str| {
        let path = variables.of(signal, setting);
        let read = |path| {
            let bytes = regular_file::read_pem(Path::new(path));
            bytes.map_err(|error| format!("cannot read `{path}`: {error}"))
        };
        path.map(read).transpose()
    };
    let mut tls = ClientTlsConfig::new();
    tls = match read("CERTIFICATE")? {
        Some(authority) => tls.ca_certificate(Certificate::from_pem(authority)),
        None => tls.with_native_roots(),
    };
    match (read("CLIENT_CERTIFICATE")?, read("CLIENT_KEY")?) {
        (Some(certificate), Some(key)) => Ok(tls.identity(Identity::from_pem(certificate, key))),
        (None, None) => Ok(tls),
        _ => Err("a client certificate and its key are set together or not at all".to_owned()),
    }
}

/// Reads `key=value,key=value`, the values percent-encoded.
fn metadata(text: &str) -> Result<MetadataMap, String> {
    let mut metadata = MetadataMap::new();
    for (index, pair) in text.split(',').filter(|pair| !pair.trim().is_empty()).enumerate() {
        // The header is not shown, for it may hold a key.
        let wrong = || format!("header {} of `OTEL_EXPORTER_OTLP_HEADERS` is not one", index + 1);
        let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
        let key: AsciiMetadataKey = key.trim().to_ascii_lowercase().parse().map_err(|_| wrong())?;
        let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| wrong())?;
        let mut value: AsciiMetadataValue = value.parse().map_err(|_| wrong())?;
        value.set_sensitive(true);
        metadata.insert(key, value);
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn endpoint(pairs: &[(&str, &str)]) -> Result<CollectorEndpoint, String> {
        let pairs = pairs.iter();
        let variables = Variables::new(
            pairs.map(|(name, value)| (format!("OTEL_EXPORTER_OTLP_{name}"), (*value).to_owned())),
        );
        CollectorEndpoint::new(&variables, Signal::Traces)
    }

    #[tokio::test]
    async fn endpoints_and_headers() {
        assert_eq!(endpoint(&[]).unwrap().address(), "http://localhost:4317");
        let insecure = [("ENDPOINT", "collector:4317"), ("INSECURE", "true")];
        assert_eq!(endpoint(&insecure).unwrap().address(), "http://collector:4317");
        assert_eq!(
            endpoint(&[("ENDPOINT", "http://me:s3cr3t@collector:4317")]).unwrap().address(),
            "collector:4317"
        );
        let with = endpoint(&[("HEADERS", "Api-Key=a%20b, x = y ,")]).unwrap();
        assert_eq!(with.metadata().get("api-key").unwrap().to_str().unwrap(), "a b");
        assert_eq!(with.metadata().get("x").unwrap().to_str().unwrap(), "y");
        assert!(!format!("{with:?}").contains("a b"));
    }

    #[tokio::test]
    async fn mistakes_are_told_without_what_may_be_secret() {
        for (pairs, part) in [
            (&[("ENDPOINT", "http://")][..], "not an endpoint"),
            (&[("HEADERS", "s3cr3t")], "header 1"),
            (&[("HEADERS", "a=b,key=s3cr3t%0A")], "header 2"),
            (&[("COMPRESSION", "gzip")], "`none`"),
            (&[("ENDPOINT", "https://c:4317"), ("CERTIFICATE", "/nowhere")], "`/nowhere`"),
        ] {
            let error = endpoint(pairs).unwrap_err();
            assert!(error.contains(part) && !error.contains("s3cr3t"), "{error}");
        }
    }
}
