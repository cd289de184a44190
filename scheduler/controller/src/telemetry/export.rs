//! Finished spans of jobs on their way to an OTLP receiver.

use super::traces::{FinishedSpan, JobTraces, Sampling};
use opentelemetry::trace::{Event as SpanEvent, Link, SpanContext, SpanId, SpanKind, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor};
use squall_core::{Cluster, Event};
use squall_types::Timestamp;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Follows committed events on a thread of its own, until their sender is gone.
pub(super) fn follow(
    processor: Arc<BatchSpanProcessor>,
    recovered: &Cluster,
    sampling: Sampling,
) -> (UnboundedSender<Arc<[Event]>>, JoinHandle<()>) {
    let (sender, mut batches) = unbounded_channel::<Arc<[Event]>>();
    let mut traces = JobTraces::recovered(recovered, sampling);
    let thread = std::thread::Builder::new().name("job-traces".to_owned()).spawn(move || {
        let scope = InstrumentationScope::builder("squall.jobs").with_version(env!("CARGO_PKG_VERSION")).build();
        let mut spans = Vec::new();
        while let Some(events) = batches.blocking_recv() {
            events.iter().for_each(|event| traces.observe(event, &mut spans));
            // A full queue drops spans and never waits: the controller does not feel a slow receiver.
            spans.drain(..).for_each(|span| processor.on_end(exported(span, &scope)));
        }
    });
    (sender, thread.expect("a thread can be started at start-up"))
}

fn exported(span: FinishedSpan, scope: &InstrumentationScope) -> SpanData {
    let mut events = SpanEvents::default();
    events.events = span
        .notes
        .into_iter()
        .map(|note| SpanEvent::new(note.name, system_time(note.at), note.attributes, 0))
        .collect();
    let mut links = SpanLinks::default();
    links.links = span.links.into_iter().map(|context| Link::new(context, Vec::<KeyValue>::new(), 0)).collect();
    SpanData {
        span_context: SpanContext::new(span.trace, span.span, TraceFlags::SAMPLED, false, TraceState::NONE),
        parent_span_id: span.parent.unwrap_or(SpanId::INVALID),
        parent_span_is_remote: span.parent_is_remote,
        span_kind: SpanKind::Internal,
        name: span.name.into(),
        start_time: system_time(span.began_at),
        end_time: system_time(span.ended_at),
        attributes: span.attributes,
        dropped_attributes_count: 0,
        events,
        links,
        status: span.status,
        instrumentation_scope: scope.clone(),
    }
}

fn system_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
}
