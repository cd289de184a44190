//! The controller's binary and an OTLP receiver: a job's trace arrives, from submission to end, with the launch in it.

#![allow(clippy::unwrap_used)]

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use squall_proto::client::Client;
use squall_proto::connect::Target;
use squall_types::api::{JobAction, JobFilter, JobRef, SubmitRequest};
use squall_types::{JobSpec, SubmitToken};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::{Request, Response, Status};

/// What arrived.
#[derive(Clone, Default)]
struct Receiver {
    spans: Arc<Mutex<Vec<(String, Span)>>>,
    logs: Arc<Mutex<Vec<String>>>,
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

async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..300 {
        if let Some(found) = check().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it never came: {what}");
}

#[tokio::test]
async fn a_jobs_trace_arrives_from_submission_to_end_with_the_launch_in_it() {
    let receiver = Receiver::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(receiver.clone()))
        .add_service(LogsServiceServer::new(receiver.clone()))
        .serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener));
    tokio::spawn(server);

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("squall.toml");
    std::fs::write(&file, configuration(dir.path())).unwrap();
    let daemon = Command::new(env!("CARGO_BIN_EXE_squallctld"))
        .args(["run", "--config"])
        .arg(&file)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .env("OTEL_SERVICE_NAME", "squall-under-test")
        .spawn()
        .unwrap();
    let mut daemon = Daemon(daemon);
    let target = Target::unix(&dir.path().join("ctld.sock")).unwrap();
    let client = eventually("the controller answers", async || {
        let client = Client::connect(&target).await.ok()?;
        client.ping().await.ok().map(|_| client)
    })
    .await;

    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let spec = JobSpec {
        name: "train".to_owned(),
        work_dir: "/tmp".to_owned(),
        trace_parent: Some(given.to_owned()),
        ..JobSpec::default()
    };
    let script = Some(b"#!/bin/sh\ntrue\n".to_vec());
    let token = SubmitToken::new("one");
    let request = SubmitRequest { spec, script, token, ..SubmitRequest::default() };
    let job = client.submit(request).await.unwrap().job;
    // Its machine is launched, and boots for ever: what a simulated cloud sells runs nothing.
    eventually("the launch", async || {
        let nodes = client.nodes().await.ok()?;
        nodes.iter().any(|node| !node.instance.is_empty()).then_some(())
    })
    .await;
    let filter = JobFilter { jobs: vec![JobRef { job, elements: None }], ..JobFilter::default() };
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

#[test]
fn a_receiver_that_is_gone_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("squall.toml");
    std::fs::write(&file, configuration(dir.path())).unwrap();
    let daemon = Command::new(env!("CARGO_BIN_EXE_squallctld"))
        .args(["run", "--config"])
        .arg(&file)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .spawn()
        .unwrap();
    let mut daemon = Daemon(daemon);
    let socket = dir.path().join("ctld.sock");
    let up = (0..300).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        socket.exists()
    });
    assert!(up, "the controller never came up");
    std::thread::sleep(Duration::from_millis(500));
    assert!(Command::new("kill").arg(daemon.0.id().to_string()).status().unwrap().success());
    let status = daemon.0.wait().unwrap();
    assert!(status.success(), "{status}");
}
