//! A collector of OTLP on a port of its own, which keeps what it is sent.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{
            ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::{Metric, metric::Data},
    trace::v1::Span,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Request, Response, Status,
    metadata::MetadataMap,
    transport::{Identity, ServerTlsConfig},
};

use super::pki::Pair;

/// The exports that were sent.
#[derive(Debug, Default)]
struct Received {
    spans: Vec<Span>,
    logs: Vec<LogRecord>,
    /// The answer to log records that are not to be kept, and its count.
    logs_refused: Option<Code>,
    refusals: usize,
    /// Log records of each request that are not wanted.
    logs_unwanted: usize,
    /// The last state of each metric.
    metrics: BTreeMap<String, Metric>,
    resources: Vec<Attributes>,
    metadata: Vec<MetadataMap>,
}

/// Attributes as text.
pub type Attributes = BTreeMap<String, String>;

/// A running collector. It ends when it is dropped.
pub struct Collector {
    pub address: SocketAddr,
    scheme: &'static str,
    received: Keeper,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Debug, Clone, Default)]
struct Keeper(Arc<Mutex<Received>>);

impl Collector {
    pub fn start() -> Self {
        Self::with(None)
    }

    /// One that speaks TLS with that certificate.
    pub fn start_tls(pair: &Pair) -> Self {
        Self::with(Some(pair))
    }

    fn with(pair: Option<&Pair>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let received = Keeper::default();
        let mut server = tonic::transport::Server::builder();
        if let Some(pair) = pair {
            let tls = ServerTlsConfig::new().identity(Identity::from_pem(&pair.cert, &pair.key));
            server = server.tls_config(tls).unwrap();
        }
        let serving = server
            .add_service(
                TraceServiceServer::new(received.clone()).max_decoding_message_size(64 << 20),
            )
            .add_service(MetricsServiceServer::new(received.clone()))
            .add_service(LogsServiceServer::new(received.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        runtime.spawn(serving);
        let scheme = if pair.is_some() { "https" } else { "http" };
        Self { address, scheme, received, _runtime: runtime }
    }

    /// The variable that sends everything here.
    pub fn endpoint(&self) -> (&'static str, String) {
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}://{}", self.scheme, self.address))
    }

    pub fn spans(&self) -> Vec<Span> {
        self.received.0.lock().unwrap().spans.clone()
    }

    pub fn logs(&self) -> Vec<LogRecord> {
        self.received.0.lock().unwrap().logs.clone()
    }

    /// Takes no log records any more but answers with that, or takes them again.
    pub fn refuse_logs(&self, code: Option<Code>) {
        self.received.0.lock().unwrap().logs_refused = code;
    }

    /// The number of log exports that were answered with an error.
    pub fn refusals(&self) -> usize {
        self.received.0.lock().unwrap().refusals
    }

    /// Throws so many log records of each request away, and says so.
    pub fn throw_logs_away(&self, unwanted: usize) {
        self.received.0.lock().unwrap().logs_unwanted = unwanted;
    }

    pub fn metric(&self, name: &str) -> Option<Metric> {
        self.received.0.lock().unwrap().metrics.get(name).cloned()
    }

    /// Every resource that something was sent of, and what came with each sending.
    pub fn senders(&self) -> (Vec<Attributes>, Vec<MetadataMap>) {
        let received = self.received.0.lock().unwrap();
        (received.resources.clone(), received.metadata.clone())
    }
}

/// Attributes as text.
pub fn attributes(sent: &[KeyValue]) -> Attributes {
    let text = |pair: &KeyValue| match pair.value.as_ref().unwrap().value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    sent.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

/// The attributes of each series of a metric.
pub fn series(metric: &Metric) -> Vec<Attributes> {
    match metric.data.as_ref().unwrap() {
        Data::Sum(sum) => sum.data_points.iter().map(|one| attributes(&one.attributes)).collect(),
        Data::Gauge(gauge) => {
            gauge.data_points.iter().map(|one| attributes(&one.attributes)).collect()
        }
        Data::Histogram(histogram) => {
            histogram.data_points.iter().map(|one| attributes(&one.attributes)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tonic::async_trait]
impl TraceService for Keeper {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.0.lock().unwrap();
        received.metadata.push(request.metadata().clone());
        for sent in request.into_inner().resource_spans {
            received.resources.push(attributes(&sent.resource.unwrap().attributes));
            received.spans.extend(sent.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Keeper {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let mut received = self.0.lock().unwrap();
        if let Some(code) = received.logs_refused {
            received.refusals += 1;
            return Err(Status::new(code, "s3cr3t"));
        }
        received.metadata.push(request.metadata().clone());
        for sent in request.into_inner().resource_logs {
            received.resources.push(attributes(&sent.resource.unwrap().attributes));
            let logs = sent.scope_logs.into_iter().flat_map(|scope| scope.log_records);
            let unwanted = received.logs_unwanted;
            received.logs.extend(logs.skip(unwanted));
        }
        let partial_success = (received.logs_unwanted > 0).then(|| ExportLogsPartialSuccess {
            rejected_log_records: received.logs_unwanted.try_into().unwrap(),
            ..ExportLogsPartialSuccess::default()
        });
        Ok(Response::new(ExportLogsServiceResponse { partial_success }))
    }
}

#[tonic::async_trait]
impl MetricsService for Keeper {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut received = self.0.lock().unwrap();
        received.metadata.push(request.metadata().clone());
        for sent in request.into_inner().resource_metrics {
            received.resources.push(attributes(&sent.resource.unwrap().attributes));
            for metric in sent.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                received.metrics.insert(metric.name.clone(), metric);
            }
        }
        Ok(Response::new(Default::default()))
    }
}
