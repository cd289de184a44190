//! Metrics on their way to an OTLP receiver, from time to time.

mod wire;

use super::start::about;
use super::switches::Switches;
use crate::metrics::{Source, otlp};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wire::{Receiver, Sending};

/// `OTEL_METRIC_EXPORT_INTERVAL` where it says nothing.
const EVERY: Duration = Duration::from_secs(60);
/// A shorter interval would walk all jobs all the time.
const LEAST_EVERY: Duration = Duration::from_millis(100);

/// What sends a controller's metrics.
pub struct MetricsPush {
    source: Source,
    receiver: Receiver,
    about: Vec<(String, String)>,
    every: Duration,
    began_at: u64,
}

impl MetricsPush {
    /// Where the environment asks for it.
    pub fn from_env(service: &'static str, cluster: &str, source: Source) -> Option<Arc<MetricsPush>> {
        if !Switches::from_env().metrics {
            return None;
        }
        let get = |name: &str| std::env::var(name).ok();
        let receiver = match Receiver::read(get) {
            Ok(receiver) => receiver,
            Err(problem) => {
                tracing::warn!(reason = %problem, "metrics are not sent");
                return None;
            }
        };
        let every = wire::millis(get, "OTEL_METRIC_EXPORT_INTERVAL").unwrap_or(EVERY).max(LEAST_EVERY);
        tracing::info!(receiver = %receiver, every_ms = every.as_millis(), "metrics are sent");
        let about = about(service, cluster);
        Some(Arc::new(MetricsPush { source, receiver, about, every, began_at: nanos() }))
    }

    /// Sends again and again until it is aborted. A receiver that is gone is one line in the log, and another when it is
    /// back; what it missed is in the next message, since counters only grow.
    pub async fn run(self: Arc<Self>) {
        let mut sending = Sending::default();
        let mut failed = false;
        loop {
            tokio::time::sleep(self.every).await;
            match self.send(&mut sending).await {
                Err(problem) if !failed => {
                    tracing::warn!(receiver = %self.receiver, reason = %problem, "metrics are not received");
                    failed = true;
                }
                Err(_) => {}
                Ok(()) => {
                    if failed {
                        tracing::info!(receiver = %self.receiver, "metrics are received again");
                    }
                    failed = false;
                }
            }
        }
    }

    /// The last values, before the process ends.
    pub async fn finish(&self) {
        if let Err(problem) = self.send(&mut Sending::default()).await {
            tracing::warn!(receiver = %self.receiver, reason = %problem, "the last metrics are not received");
        }
    }

    async fn send(&self, sending: &mut Sending) -> Result<(), String> {
        let (source, about, from) = (self.source.clone(), self.about.clone(), self.began_at);
        // The walk over all jobs takes a while in a large cluster.
        let gathered = tokio::task::spawn_blocking(move || -> ExportMetricsServiceRequest {
            otlp::request(source.gather(), &about, otlp::Span { from, to: nanos() })
        });
        let request = gathered.await.map_err(|error| error.to_string())?;
        sending.send(&self.receiver, request).await
    }
}

fn nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
