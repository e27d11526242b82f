//! Sending metrics at intervals.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_sdk::Resource;
use prometheus::Registry;
use tokio::{sync::oneshot, task::JoinHandle, time::MissedTickBehavior};
use tonic::{Request, Status, transport::Channel};

use super::{
    endpoint::Endpoint,
    otlp_metrics::{self, Period},
};

/// Sends the metrics of a registry until it is finished.
#[derive(Debug)]
pub(super) struct MetricsPush {
    sender: Arc<Sender>,
    interval: Duration,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    finish: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

#[derive(Debug)]
struct Sender {
    endpoint: Endpoint,
    client: MetricsServiceClient<Channel>,
    resource: Resource,
    start: u64,
}

impl MetricsPush {
    pub fn new(endpoint: Endpoint, resource: Resource, interval: Duration) -> Self {
        let client = MetricsServiceClient::new(endpoint.channel());
        let sender = Arc::new(Sender { endpoint, client, resource, start: nanos() });
        Self { sender, interval, running: None }
    }

    /// Begins to send.
    pub fn start(&mut self, registry: Registry) {
        let (finish, finished) = oneshot::channel();
        let sending = run(Arc::clone(&self.sender), registry, self.interval, finished);
        self.running = Some(Running { finish, ended: tokio::spawn(sending) });
    }

    /// Sends for the last time.
    pub async fn finish(self) {
        if let Some(Running { finish, ended }) = self.running {
            let _ = finish.send(());
            let _ = ended.await;
        }
    }
}

async fn run(
    sender: Arc<Sender>,
    registry: Registry,
    interval: Duration,
    mut finished: oneshot::Receiver<()>,
) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            _ = &mut finished => true,
        };
        match sender.send(&registry).await {
            Ok(()) => {
                if failing {
                    tracing::info!("metrics are sent again");
                }
                failing = false;
            }
            // Said once and not at each interval. The collector's own words are left out: they could
            // be anything.
            Err(status) => {
                let endpoint = sender.endpoint.address();
                if failing && !is_last {
                    tracing::debug!(endpoint, "metrics are not sent: {}", status.code());
                } else {
                    tracing::warn!(endpoint, "metrics are not sent: {}", status.code());
                }
                failing = true;
            }
        }
        if is_last {
            return;
        }
    }
}

impl Sender {
    async fn send(&self, registry: &Registry) -> Result<(), Status> {
        let registry = registry.clone();
        // It reads files of the system and waits for locks.
        let families = tokio::task::spawn_blocking(move || registry.gather()).await;
        let families = families.map_err(|error| Status::internal(error.to_string()))?;
        let period = Period { start: self.start, now: nanos() };
        let mut request = Request::new(otlp_metrics::request(&families, &self.resource, period));
        *request.metadata_mut() = self.endpoint.metadata().clone();
        request.set_timeout(self.endpoint.timeout());
        self.client.clone().export(request).await?;
        Ok(())
    }
}

fn nanos() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
