//! The `OTEL_…` environment variables that say what is sent, and where.

use std::{collections::HashMap, fmt, time::Duration};

/// The interval at which metrics are sent, unless the environment says otherwise.
const INTERVAL: Duration = Duration::from_secs(60);
/// Limits how long one sending takes, unless the environment says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A kind of telemetry that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Spans of calls.
    Traces,
    /// Metrics.
    Metrics,
    /// Decision records, as log records.
    Logs,
}

/// The `OTEL_…` variables of an environment. An empty variable counts as unset.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(HashMap<String, String>);

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Traces => f.write_str("spans"),
            Self::Metrics => f.write_str("metrics"),
            Self::Logs => f.write_str("decision records"),
        }
    }
}

impl Variables {
    /// Keeps the `OTEL_…` variables of those given.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = variables
            .into_iter()
            .filter(|(name, value)| name.starts_with("OTEL_") && !value.trim().is_empty());
        Self(ours.map(|(name, value)| (name, value.trim().to_owned())).collect())
    }

    /// Returns whether a signal is asked for: by `OTEL_TRACES_EXPORTER=otlp`, or where that is not set, by
    /// an endpoint. Decision records are asked for by their own setting, unless a variable says no.
    ///
    /// # Errors
    /// Another exporter or protocol is asked for than there is here.
    pub(super) fn is_asked(&self, signal: Signal) -> Result<bool, String> {
        if self.get("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true")) {
            return Ok(false);
        }
        let variable = format!("OTEL_{}_EXPORTER", signal.name());
        let asked = match self.get(&variable) {
            Some("none") => false,
            Some("otlp") => true,
            Some(other) => {
                return Err(format!("`{variable}` is `{other}`: write `otlp` or `none`"));
            }
            None => signal == Signal::Logs || self.of(signal, "ENDPOINT").is_some(),
        };
        match self.of(signal, "PROTOCOL") {
            Some(other) if asked && other != "grpc" => Err(format!(
                "`{other}` is asked for as the OTLP protocol: write `grpc`, and the collector's \
                 gRPC port (4317) in the endpoint"
            )),
            _ => Ok(asked),
        }
    }

    /// Reads `OTEL_EXPORTER_OTLP_TRACES_…`, else `OTEL_EXPORTER_OTLP_…`.
    pub(super) fn of(&self, signal: Signal, setting: &str) -> Option<&str> {
        self.get(&format!("OTEL_EXPORTER_OTLP_{}_{setting}", signal.name()))
            .or_else(|| self.get(&format!("OTEL_EXPORTER_OTLP_{setting}")))
    }

    /// Limits how long one sending takes.
    pub(super) fn timeout(&self, signal: Signal) -> Duration {
        self.of(signal, "TIMEOUT").and_then(millis).unwrap_or(TIMEOUT)
    }

    /// The interval at which metrics are sent. The SDK would read it by itself, and send without a pause
    /// where it is 0.
    pub(super) fn interval(&self) -> Duration {
        self.get("OTEL_METRIC_EXPORT_INTERVAL").and_then(millis).unwrap_or(INTERVAL)
    }

    /// Returns whether the environment names the service.
    pub(super) fn name_service(&self) -> bool {
        let attributes = self.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let mut attributes = attributes.split(',').filter_map(|one| one.split_once('='));
        self.get("OTEL_SERVICE_NAME").is_some()
            || attributes.any(|(name, _)| name.trim() == "service.name")
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Shows names without values: headers are often keys.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn millis(text: &str) -> Option<Duration> {
    let millis = text.parse().ok().filter(|millis| *millis > 0)?;
    Some(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(text: &str) -> Variables {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        Variables::new(pairs.map(|(name, value)| (format!("OTEL_{name}"), value.to_owned())))
    }

    #[test]
    fn a_signal_is_asked_for_by_its_exporter_or_an_endpoint() {
        for (text, traces, metrics) in [
            ("", Ok(false), Ok(false)),
            ("EXPORTER_OTLP_ENDPOINT=http://c:4317", Ok(true), Ok(true)),
            ("EXPORTER_OTLP_TRACES_ENDPOINT=http://c:4317", Ok(true), Ok(false)),
            ("TRACES_EXPORTER=otlp", Ok(true), Ok(false)),
            ("EXPORTER_OTLP_ENDPOINT=http://c:4317 TRACES_EXPORTER=none", Ok(false), Ok(true)),
            ("EXPORTER_OTLP_ENDPOINT=http://c:4317 SDK_DISABLED=TRUE", Ok(false), Ok(false)),
            ("EXPORTER_OTLP_ENDPOINT=", Ok(false), Ok(false)),
            ("METRICS_EXPORTER=prometheus", Ok(false), Err(())),
            ("TRACES_EXPORTER=otlp EXPORTER_OTLP_PROTOCOL=http/protobuf", Err(()), Ok(false)),
            ("TRACES_EXPORTER=otlp EXPORTER_OTLP_TRACES_PROTOCOL=grpc", Ok(true), Ok(false)),
        ] {
            let variables = variables(text);
            assert_eq!(variables.is_asked(Signal::Traces).map_err(drop), traces, "{text}");
            assert_eq!(variables.is_asked(Signal::Metrics).map_err(drop), metrics, "{text}");
        }
    }

    #[test]
    fn what_is_said_of_a_signal_goes_before_what_is_said_of_all() {
        let variables = variables(
            "EXPORTER_OTLP_TIMEOUT=5 EXPORTER_OTLP_TRACES_TIMEOUT=7 METRIC_EXPORT_INTERVAL=0",
        );
        assert_eq!(variables.timeout(Signal::Traces), Duration::from_millis(7));
        assert_eq!(variables.timeout(Signal::Metrics), Duration::from_millis(5));
        assert_eq!(variables.interval(), INTERVAL);
    }

    #[test]
    fn what_may_be_a_key_is_not_shown() {
        let shown = format!("{:?}", variables("EXPORTER_OTLP_HEADERS=api-key=s3cr3t"));
        assert!(shown.contains("HEADERS") && !shown.contains("s3cr3t"), "{shown}");
    }
}
