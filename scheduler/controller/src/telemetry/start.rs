//! Logs to standard error, and what OpenTelemetry's environment variables ask for.

use super::export;
use super::switches::Switches;
use crate::settings::{LogFormat, TelemetrySettings};
use opentelemetry::KeyValue;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanProcessor};
use squall_core::{Cluster, Event};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// Spans of jobs that wait to be sent; further ones are dropped. Many jobs may end in one commit.
const QUEUED_SPANS: usize = 65_536;
/// How long a stop waits for what is still to be sent.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);
/// What sends telemetry must not become telemetry itself.
const SILENT: &str = "h2=off,hyper=off,hyper_util=off,tonic=off,tower=off,reqwest=off,opentelemetry=off";

/// Changes what is logged while the process runs.
pub type Relog = Arc<dyn Fn(&str) + Send + Sync>;

/// As the subscriber of a process is one, so is what leaves it.
static JOBS: OnceLock<JobSpans> = OnceLock::new();

struct JobSpans {
    processor: Arc<BatchSpanProcessor>,
    switches: Switches,
    followers: Mutex<Vec<JoinHandle<()>>>,
}

/// What was started, for the end of the process.
pub struct Telemetry {
    relog: Relog,
    logs: Option<SdkLoggerProvider>,
}

/// Begins to log, and to send where the environment says so. Has to be called within a tokio runtime, which performs
/// the sending over gRPC. Another subscriber, where this is a part of a larger program, stays.
pub fn start(service: &'static str, cluster: &str, settings: &TelemetrySettings) -> Telemetry {
    let switches = Switches::from_env();
    let resource = resource(service, cluster);
    let mut problems = Vec::new();
    let logs = switches.logs.then(|| LogExporter::builder().build()).and_then(|exporter| match exporter {
        Ok(exporter) => {
            Some(SdkLoggerProvider::builder().with_resource(resource.clone()).with_batch_exporter(exporter).build())
        }
        Err(error) => {
            problems.push(format!("logs are not sent: {error}"));
            None
        }
    });
    let relog = subscribe(settings, logs.as_ref());
    if switches.traces {
        match SpanExporter::builder().build() {
            Ok(exporter) => {
                let mut config = BatchConfigBuilder::default();
                if std::env::var_os("OTEL_BSP_MAX_QUEUE_SIZE").is_none() {
                    config = config.with_max_queue_size(QUEUED_SPANS);
                }
                let mut processor = BatchSpanProcessor::new(exporter, config.build());
                processor.set_resource(&resource);
                let jobs = JobSpans { processor: Arc::new(processor), switches, followers: Mutex::default() };
                drop(JOBS.set(jobs));
            }
            Err(error) => problems.push(format!("traces are not sent: {error}")),
        }
    }
    for problem in problems {
        tracing::warn!(reason = %problem, "telemetry");
    }
    Telemetry { relog, logs }
}

/// Follows a controller's committed events from the state that it starts with, where traces are sent at all.
pub fn follow(recovered: &Cluster) -> Option<UnboundedSender<Arc<[Event]>>> {
    let jobs = JOBS.get()?;
    let (events, thread) = export::follow(jobs.processor.clone(), recovered, jobs.switches.sampling);
    jobs.followers.lock().expect("no code panics while it holds the list").push(thread);
    Some(events)
}

impl Telemetry {
    pub fn relog(&self) -> Relog {
        self.relog.clone()
    }

    /// Sends what is left, for a bounded time. A receiver that is gone is a line in the log.
    pub fn stop(self) {
        if let Some(jobs) = JOBS.get() {
            let followers: Vec<_> =
                jobs.followers.lock().expect("no code panics while it holds the list").drain(..).collect();
            // Their senders went with the loop; one that was cut off has nothing to wait for.
            let until = std::time::Instant::now() + FLUSH_WITHIN;
            while followers.iter().any(|follower| !follower.is_finished()) && std::time::Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            if let Err(error) = jobs.processor.shutdown_with_timeout(FLUSH_WITHIN) {
                tracing::warn!(%error, "the last spans were not sent");
            }
        }
        if let Some(logs) = &self.logs
            && let Err(error) = logs.shutdown_with_timeout(FLUSH_WITHIN)
        {
            tracing::warn!(%error, "the last log records were not sent");
        }
    }
}

/// The same about this process as its other signals say.
pub(super) fn about(service: &'static str, cluster: &str) -> Vec<(String, String)> {
    resource(service, cluster).iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` have the last word.
fn resource(service: &'static str, cluster: &str) -> Resource {
    let own = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("squall.cluster", cluster.to_owned()),
    ];
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some()
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|text| text.contains("service.name="));
    let resource = Resource::builder().with_attributes(own);
    if named { resource.build() } else { resource.with_service_name(service).build() }
}

fn subscribe(settings: &TelemetrySettings, logs: Option<&SdkLoggerProvider>) -> Relog {
    let filter = EnvFilter::try_new(&settings.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let console: Box<dyn Layer<Registry> + Send + Sync> = match settings.log_format {
        LogFormat::Text => fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .with_target(false)
            .boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
    };
    let sent = logs.map(|logs| {
        let directives = format!("{},{SILENT}", settings.log);
        let filter = EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new(format!("info,{SILENT}")));
        OpenTelemetryTracingBridge::new(logs).with_filter(filter)
    });
    let _ = tracing_subscriber::registry().with(console.with_filter(filter)).with(sent).try_init();
    Arc::new(move |directives| match EnvFilter::try_new(directives) {
        Ok(filter) => {
            if let Err(error) = handle.reload(filter) {
                tracing::warn!(%error, "what is logged stays as it was");
            }
        }
        Err(error) => tracing::warn!(%error, "what is logged stays as it was"),
    })
}
