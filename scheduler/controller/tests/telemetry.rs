//! The controller's binary and an OTLP receiver: a job's trace arrives, from submission to end, with the launch in it, and
//! metrics arrive that are those of Prometheus.

#![allow(clippy::unwrap_used)]

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use squall_proto::client::Client;
use squall_proto::connect::Target;
use squall_types::api::{JobAction, JobFilter, JobRef, SubmitRequest};
use squall_types::{JobSpec, SubmitToken};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

/// What is waited for comes much sooner, except on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// What arrived.
#[derive(Clone, Default)]
struct Receiver {
    spans: Arc<Mutex<Vec<(String, Span)>>>,
    logs: Arc<Mutex<Vec<String>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    /// Told of each of the last.
    exported: Arc<Notify>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let service = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            let service = format!("{:?}", service.and_then(|attribute| attribute.value));
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                self.spans.lock().unwrap().push((service.clone(), span));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        for resource in request.into_inner().resource_logs {
            for record in resource.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
                self.logs.lock().unwrap().push(format!("{:?}", record.body));
            }
        }
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        assert_eq!(request.metadata().get("x-site").unwrap(), "a b");
        self.metrics.lock().unwrap().push(request.into_inner());
        self.exported.notify_one();
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// Each series as Prometheus writes it, and its value; of histograms how many values there were.
fn series(request: &ExportMetricsServiceRequest) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    let key = |name: &str, attributes: &[KeyValue]| {
        let label = |one: &KeyValue| match one.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(text)) => format!("{}=\"{text}\"", one.key),
            other => panic!("{other:?} is no label"),
        };
        match attributes {
            [] => name.to_owned(),
            labels => format!("{name}{{{}}}", labels.iter().map(label).collect::<Vec<_>>().join(",")),
        }
    };
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    for metric in scopes.flat_map(|scope| &scope.metrics) {
        let mut numbers = |points: &[NumberDataPoint]| {
            for point in points {
                let Some(number_data_point::Value::AsDouble(value)) = point.value else { panic!("{point:?}") };
                assert!(point.time_unix_nano > 0);
                found.insert(key(&metric.name, &point.attributes), value);
            }
        };
        match metric.data.as_ref().unwrap() {
            Data::Gauge(gauge) => numbers(&gauge.data_points),
            Data::Sum(sum) => {
                assert!(sum.is_monotonic && metric.name.ends_with("_total"), "{}", metric.name);
                numbers(&sum.data_points);
            }
            Data::Histogram(histogram) => {
                assert_eq!(metric.unit, "s");
                for point in &histogram.data_points {
                    assert_eq!(point.explicit_bounds[..3], [0.01, 0.05, 0.2], "bounds are in seconds");
                    assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
                    found.insert(key(&format!("{}_count", metric.name), &point.attributes), point.count as f64);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    found
}

/// What a scrape finds, by series, without the parts of histograms.
async fn scraped(port: u16) -> BTreeMap<String, f64> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut connection = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    connection.write_all(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n").await.unwrap();
    let mut told = String::new();
    connection.read_to_string(&mut told).await.unwrap();
    let body = told.split_once("\r\n\r\n").unwrap().1;
    let lines =
        body.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{") && !line.contains("_sum{"));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        r#"
cluster = "c1"
[controller]
state_dir = "{dir}/state"
socket = "{dir}/ctld.sock"
listen = "127.0.0.1:0"
disk_reserve = "1M"
[timing]
batch_idle = "0s"
batch_max = "0s"
[partitions.cloud]
pools = ["cloud"]
default_time = "10m"
[pools.cloud]
provisioner = "sim"
max_nodes = 2
[pools.cloud.offers.big]
cpus = 4
memory = "8G"
price = 1.5
"#
    )
}

/// Ended with the test, whatever happens to it.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The controller's first answer: before it nothing tells that it comes.
async fn answering(target: &Target) -> Client {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(client) = Client::connect(target).await
            && client.ping().await.is_ok()
        {
            return client;
        }
        assert!(Instant::now() < deadline, "the controller never answered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Looks whenever metrics have arrived.
async fn on_export<T>(receiver: &Receiver, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            receiver.exported.notified().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("it never came: {what}"))
}

#[tokio::test]
async fn a_jobs_trace_arrives_from_submission_to_end_with_the_launch_in_it() {
    let receiver = Receiver::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(receiver.clone()))
        .add_service(LogsServiceServer::new(receiver.clone()))
        .add_service(MetricsServiceServer::new(receiver.clone()))
        .serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener));
    tokio::spawn(server);

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("squall.toml");
    let port = free_port();
    let listen = format!("listen = \"127.0.0.1:0\"\nmetrics = \"127.0.0.1:{port}\"");
    let text = configuration(dir.path()).replace("listen = \"127.0.0.1:0\"", &listen);
    std::fs::write(&file, text).unwrap();
    let daemon = Command::new(env!("CARGO_BIN_EXE_squallctld"))
        .args(["run", "--config"])
        .arg(&file)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .env("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-site=a%20b")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "200")
        .env("OTEL_SERVICE_NAME", "squall-under-test")
        .spawn()
        .unwrap();
    let mut daemon = Daemon(daemon);
    let target = Target::unix(&dir.path().join("ctld.sock")).unwrap();
    let client = answering(&target).await;

    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let spec = JobSpec {
        name: "train".to_owned(),
        work_dir: "/tmp".to_owned(),
        trace_parent: Some(given.to_owned()),
        ..JobSpec::default()
    };
    let script = Some(b"#!/bin/sh\ntrue\n".to_vec());
    let token = SubmitToken::new("one");
    let request = SubmitRequest { spec: spec.into(), script, token, ..SubmitRequest::default() };
    let job = client.submit(request).await.unwrap().job;
    // Its machine is launched, and boots for ever: what a simulated cloud sells runs nothing.
    on_export(&receiver, "the launch", async || {
        let nodes = client.nodes().await.ok()?;
        nodes.iter().any(|node| !node.instance.is_empty()).then_some(())
    })
    .await;
    // Whoever asks, and however: the same series with the same values, but for those that grow with time.
    let moves = |name: &str| {
        ["_seconds", "_dollars", "_seconds_total", "_dollars_total"]
            .iter()
            .any(|end| name.split('{').next().unwrap().ends_with(end))
    };
    let same = on_export(&receiver, "the same metrics", async || {
        let sent = receiver.metrics.lock().unwrap().last().map(series)?;
        let scraped = scraped(port).await;
        let names = sent.keys().eq(scraped.keys());
        let values = sent.iter().all(|(name, value)| moves(name) || scraped.get(name) == Some(value));
        (names && values).then_some(sent)
    })
    .await;
    assert_eq!(same["squall_jobs{partition=\"cloud\",state=\"configuring\"}"], 1.0, "{same:?}");
    assert!(same["squall_provider_call_seconds_count{pool=\"cloud\",verb=\"launch\",outcome=\"ok\"}"] >= 1.0);

    let filter = JobFilter { jobs: vec![JobRef::from(job)], ..JobFilter::default() };
    client.act(filter, JobAction::Cancel).await.unwrap();
    let told = Command::new("kill").arg(daemon.0.id().to_string()).status().unwrap();
    assert!(told.success());
    let status = tokio::task::spawn_blocking(move || daemon.0.wait().unwrap()).await.unwrap();
    assert!(status.success(), "{status}");

    let spans = receiver.spans.lock().unwrap().clone();
    let names: Vec<&str> = spans.iter().map(|(_, span)| span.name.as_str()).collect();
    for wanted in ["submit", "wait", "decide", "configure", "launch", "end", "job"] {
        assert!(names.contains(&wanted), "{wanted} is not among {names:?}");
    }
    let trace = hex::decode("0af7651916cd43dd8448eb211c80319c").unwrap();
    for (service, span) in &spans {
        assert!(service.contains("squall-under-test"), "{service}");
        assert_eq!(span.trace_id, trace, "{}", span.name);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    }
    let root = spans.iter().map(|(_, span)| span).find(|span| span.name == "job").unwrap();
    assert_eq!(root.parent_span_id, hex::decode("b7ad6b7169203331").unwrap());
    let wait = spans.iter().map(|(_, span)| span).find(|span| span.name == "wait").unwrap();
    assert_eq!(wait.parent_span_id, root.span_id);
    let logs = receiver.logs.lock().unwrap().clone();
    assert!(logs.iter().any(|body| body.contains("controller started")), "{logs:?}");
}

#[tokio::test]
async fn metrics_arrive_over_http_and_the_last_ones_at_the_end() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let kept = bodies.clone();
    let take = move |body: axum::body::Bytes| {
        kept.lock().unwrap().push(ExportMetricsServiceRequest::decode(body).unwrap());
        std::future::ready(())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/v1/metrics", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("squall.toml");
    std::fs::write(&file, configuration(dir.path())).unwrap();
    let daemon = Command::new(env!("CARGO_BIN_EXE_squallctld"))
        .args(["run", "--config"])
        .arg(&file)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .envs([("OTEL_TRACES_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "none")])
        .env("OTEL_METRIC_EXPORT_INTERVAL", "3600000")
        .spawn()
        .unwrap();
    let mut daemon = Daemon(daemon);
    answering(&Target::unix(&dir.path().join("ctld.sock")).unwrap()).await;
    assert!(Command::new("kill").arg(daemon.0.id().to_string()).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || daemon.0.wait().unwrap()).await.unwrap();
    assert!(status.success(), "{status}");
    let bodies = bodies.lock().unwrap();
    assert_eq!(bodies.len(), 1, "none before the interval, one at the end");
    assert_eq!(series(&bodies[0])["squall_controller_epoch"], 1.0);
}

#[test]
fn a_receiver_that_hangs_up_changes_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (called, calls) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        listener.incoming().for_each(|_| {
            let _ = called.send(());
        })
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("squall.toml");
    std::fs::write(&file, configuration(dir.path())).unwrap();
    let daemon = Command::new(env!("CARGO_BIN_EXE_squallctld"))
        .args(["run", "--config"])
        .arg(&file)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_METRIC_EXPORT_INTERVAL", "200")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .spawn()
        .unwrap();
    let mut daemon = Daemon(daemon);
    let socket = dir.path().join("ctld.sock");
    let mut heard = 0;
    while heard < 3 || !socket.exists() {
        calls.recv_timeout(PATIENCE).expect("it tries again and again");
        heard += 1;
    }
    assert!(Command::new("kill").arg(daemon.0.id().to_string()).status().unwrap().success());
    let status = daemon.0.wait().unwrap();
    assert!(status.success(), "{status}");
}
