//! Metrics of certificates and TLS handshakes.

use opentelemetry::{KeyValue, metrics::Meter};

use crate::net::{Face, ServerTls};

/// Adds the metrics of TLS.
pub(super) fn observe(meter: &Meter, tls: &ServerTls) {
    let observed = tls.clone();
    meter
        .i64_observable_gauge("humbaba_certificate_expiry_timestamp_seconds")
        .with_description("When the first certificate of a file ends, in Unix time")
        .with_unit("s")
        .with_callback(move |observer| {
            let status = observed.status();
            observer.observe(status.expires, &[KeyValue::new("certificate", "server")]);
            if let Some(expires) = status.client_ca_expires {
                observer.observe(expires, &[KeyValue::new("certificate", "client_ca")]);
            }
        })
        .build();
    let observed = tls.clone();
    meter
        .u64_observable_counter("humbaba_certificate_reloads_total")
        .with_description("Changed certificate files that were put in force or refused")
        .with_callback(move |observer| {
            let status = observed.status();
            observer.observe(status.reloads, &[KeyValue::new("result", "applied")]);
            observer.observe(status.failures, &[KeyValue::new("result", "refused")]);
        })
        .build();
    let observed = tls.clone();
    meter
        .u64_observable_gauge("humbaba_certificate_refused")
        .with_description("1 where the certificate files as they are now were refused, else 0")
        .with_callback(move |observer| {
            observer.observe(u64::from(observed.status().problem.is_some()), &[]);
        })
        .build();
    let observed = tls.clone();
    meter
        .u64_observable_counter("humbaba_tls_handshakes_total")
        .with_description("TLS handshakes that succeeded, by face")
        .with_callback(move |observer| {
            for face in Face::ALL {
                let completed = observed.handshakes(face).completed();
                observer.observe(completed, &[KeyValue::new("face", face.name())]);
            }
        })
        .build();
    let observed = tls.clone();
    meter
        .u64_observable_counter("humbaba_tls_handshakes_refused_total")
        .with_description("TLS handshakes that were refused or broke off, by face and reason")
        .with_callback(move |observer| {
            for face in Face::ALL {
                for (refusal, count) in observed.handshakes(face).refused() {
                    let face = KeyValue::new("face", face.name());
                    observer.observe(count, &[face, KeyValue::new("reason", refusal.name())]);
                }
            }
        })
        .build();
}
