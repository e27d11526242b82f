//! The metric of tokens.

use opentelemetry::{KeyValue, metrics::Meter};

use crate::net::BearerTokens;

/// Adds the tokens of a file. Several calls make one metric, as they name one instrument.
pub(super) fn observe(meter: &Meter, setting: &'static str, tokens: &BearerTokens) {
    let (tokens, setting) = (tokens.clone(), KeyValue::new("setting", setting));
    meter
        .u64_observable_gauge("humbaba_token_refused")
        .with_description("1 where the token file as it is now was refused, else 0")
        .with_callback(move |observer| {
            let is_refused = tokens.problem().is_some();
            observer.observe(u64::from(is_refused), std::slice::from_ref(&setting));
        })
        .build();
}
