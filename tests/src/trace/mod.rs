//! The trace of a job that a real agent ran on a node that was bought for it, as it arrives at an OTLP receiver.

mod receiver;

use crate::stage::{Stage, elastic};
use opentelemetry_proto::tonic::trace::v1::Span;
use receiver::{Receiver, attribute, hex};

const SCRIPT: &str = "\
#!/bin/sh
echo \"$TRACEPARENT\" > \"traceparent-$1\"
srun --ntasks=1 sh -c 'echo \"$TRACEPARENT\"' > \"traceparent-step-$1\"
";
/// What a client could be part of.
const GIVEN_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const GIVEN_SPAN: &str = "b7ad6b7169203331";

#[test]
fn a_jobs_trace_tells_its_way_from_submission_to_end_with_the_launch_of_its_node() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let receiver = Receiver::default();
    let endpoint = runtime.block_on(receiver.listen());
    let stage = Stage::set(|dir| elastic(dir, 1))
        .with_variable("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .with_variable("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    stage.script("job.sh", SCRIPT);
    stage.up();

    let first = stage.call(&["sbatch", "--parsable", "--wait", "job.sh", "own"]).good();
    let mut sbatch = stage.command(stage.path("bin/sbatch"));
    sbatch.args(["--parsable", "--wait", "job.sh", "given"]);
    sbatch.env("TRACEPARENT", format!("00-{GIVEN_TRACE}-{GIVEN_SPAN}-01"));
    assert!(sbatch.output().expect("sbatch can be executed").status.success());
    stage.ends_empty();

    // What a job was told is where its run stands.
    let told = stage.read("traceparent-own");
    let ["00", trace, span, "01"] = told.trim().split('-').collect::<Vec<_>>()[..] else { panic!("{told:?}") };
    assert_eq!(stage.read("traceparent-step-own"), told, "a step is told the same");
    let spans = receiver.trace(trace);
    let one = |name: &str| find(&spans, name);
    let root = one("job");
    assert!(root.parent_span_id.is_empty(), "it begins the trace");
    assert_eq!(attribute(root, "squall.job.id").as_deref(), Some(first.trim()));
    for name in ["submit", "wait", "order", "configure", "run", "end"] {
        assert_eq!(one(name).parent_span_id, root.span_id, "{name}");
        assert!(within(one(name), root), "{name}");
    }
    for name in ["launch", "boot", "join"] {
        assert_eq!(one(name).parent_span_id, one("order").span_id, "{name}");
    }
    assert_eq!(hex(&one("run").span_id), span, "the job's own spans go below its run");
    assert_eq!(one("step").parent_span_id, one("run").span_id);
    let way = ["submit", "launch", "boot", "join", "run", "end"];
    for pair in way.windows(2) {
        let (before, after) = (one(pair[0]), one(pair[1]));
        let in_order = before.end_time_unix_nano <= after.end_time_unix_nano
            && before.start_time_unix_nano <= after.start_time_unix_nano;
        assert!(in_order, "{} comes before {}", pair[0], pair[1]);
    }

    // A client that is part of a trace has its job in it.
    let told = stage.read("traceparent-given");
    assert!(told.starts_with(&format!("00-{GIVEN_TRACE}-")), "{told:?}");
    let spans = receiver.trace(GIVEN_TRACE);
    assert_eq!(hex(&find(&spans, "job").parent_span_id), GIVEN_SPAN);
    assert!(told.contains(&hex(&find(&spans, "run").span_id)), "{told:?}");
}

#[track_caller]
fn find<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name} is not among {names:?}"))
}

fn within(inner: &Span, outer: &Span) -> bool {
    outer.start_time_unix_nano <= inner.start_time_unix_nano && inner.end_time_unix_nano <= outer.end_time_unix_nano
}
