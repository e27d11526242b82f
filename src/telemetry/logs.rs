//! Sending log records to a collector.

use opentelemetry_proto::tonic::{
    collector::logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
    common::v1::InstrumentationScope,
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
};
use tonic::{Request, Status, transport::Channel};

use super::{Signal, Variables, endpoint::Endpoint, otlp_metrics, resource};

/// Sends log records.
#[derive(Debug)]
pub struct LogSender {
    endpoint: Endpoint,
    client: LogsServiceClient<Channel>,
    resource: Resource,
}

/// Log records on their way.
#[derive(Debug, Clone)]
pub struct Logs(ExportLogsServiceRequest);

impl LogSender {
    /// A sender to the collector that the variables name. It connects when something is sent.
    ///
    /// Needs a runtime around it.
    ///
    /// # Errors
    /// What is wrong with the variables, or that they say not to send.
    pub fn new(variables: &Variables) -> Result<Self, String> {
        if !variables.is_asked(Signal::Logs)? {
            return Err("`OTEL_SDK_DISABLED` or `OTEL_LOGS_EXPORTER` says not to".to_owned());
        }
        let endpoint = Endpoint::new(variables, Signal::Logs)?;
        let client = LogsServiceClient::new(endpoint.channel());
        Ok(Self { endpoint, client, resource: otlp_metrics::proto(&resource(variables)) })
    }

    /// Where it sends to, without what may be a password in it.
    #[must_use]
    pub fn address(&self) -> &str {
        self.endpoint.address()
    }

    /// Puts records into the form in which they are sent.
    #[must_use]
    pub fn pack(&self, log_records: Vec<LogRecord>) -> Logs {
        let scope = InstrumentationScope {
            name: "humbaba".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_logs = ScopeLogs { scope: Some(scope), log_records, ..ScopeLogs::default() };
        let resource_logs = ResourceLogs {
            resource: Some(self.resource.clone()),
            scope_logs: vec![scope_logs],
            ..ResourceLogs::default()
        };
        Logs(ExportLogsServiceRequest { resource_logs: vec![resource_logs] })
    }

    /// Sends records, once. How many of them the collector did not want.
    ///
    /// # Errors
    /// They did not arrive.
    pub async fn send(&self, logs: &Logs) -> Result<usize, Status> {
        let mut request = Request::new(logs.0.clone());
        *request.metadata_mut() = self.endpoint.metadata().clone();
        request.set_timeout(self.endpoint.timeout());
        let answer = self.client.clone().export(request).await?.into_inner();
        let refused = answer.partial_success.map_or(0, |partial| partial.rejected_log_records);
        Ok(usize::try_from(refused).unwrap_or(0))
    }
}
