//! Sending log records to a collector.
//!
//! This calls the collector's service itself instead of using the SDK's log exporter and its batch
//! processor. Those do not say how many records the collector rejected or why a batch was not taken,
//! and drop records uncounted when their queue is full. The decision log counts each of its records as
//! written, dropped or failed, and shows the reason.

use opentelemetry_proto::{
    tonic::{
        collector::logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
        logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
        resource::v1::Resource,
    },
    transform::common::tonic::ResourceAttributesWithSchema,
};
use tonic::{Request, Status, transport::Channel};

use super::{Signal, Variables, endpoint::CollectorEndpoint, resource, scope};

/// Sends log records.
#[derive(Debug)]
pub struct LogSender {
    endpoint: CollectorEndpoint,
    client: LogsServiceClient<Channel>,
    resource: Resource,
}

/// Log records that are ready to be sent.
#[derive(Debug, Clone)]
pub struct Logs(ExportLogsServiceRequest);

impl LogSender {
    /// Creates a sender to the collector that the variables name. It connects when something is sent.
    ///
    /// Needs a tokio runtime around it.
    ///
    /// # Errors
    /// The variables are wrong, or say not to send.
    pub fn new(variables: &Variables) -> Result<Self, String> {
        if !variables.is_asked(Signal::Logs)? {
            return Err("`OTEL_SDK_DISABLED` or `OTEL_LOGS_EXPORTER` says not to".to_owned());
        }
        let endpoint = CollectorEndpoint::new(variables, Signal::Logs)?;
        let client = LogsServiceClient::new(endpoint.channel());
        let attributes = ResourceAttributesWithSchema::from(&resource(variables)).attributes.0;
        let resource = Resource { attributes, ..Resource::default() };
        Ok(Self { endpoint, client, resource })
    }

    /// The address of the collector, without a password that may be in it.
    #[must_use]
    pub fn address(&self) -> &str {
        self.endpoint.address()
    }

    /// Puts records into the form in which they are sent.
    #[must_use]
    pub fn pack(&self, log_records: Vec<LogRecord>) -> Logs {
        let scope = Some((scope(), None).into());
        let resource_logs = ResourceLogs {
            resource: Some(self.resource.clone()),
            scope_logs: vec![ScopeLogs { scope, log_records, ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        };
        Logs(ExportLogsServiceRequest { resource_logs: vec![resource_logs] })
    }

    /// Sends records, once. Returns how many of them the collector rejected.
    ///
    /// # Errors
    /// The records did not arrive.
    pub async fn send(&self, logs: &Logs) -> Result<usize, Status> {
        let mut request = Request::new(logs.0.clone());
        *request.metadata_mut() = self.endpoint.metadata().clone();
        request.set_timeout(self.endpoint.timeout());
        let response = self.client.clone().export(request).await?.into_inner();
        let rejected = response.partial_success.map_or(0, |partial| partial.rejected_log_records);
        Ok(usize::try_from(rejected).unwrap_or(0))
    }
}
