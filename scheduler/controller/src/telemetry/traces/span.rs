//! A span that is over, and the names of what it carries.

use opentelemetry::trace::{SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use squall_types::{EndState, HourlyPrice, MicroUsd, Timestamp};

/// Nodes that one span names; their number is always told.
const NAMED_NODES: usize = 64;
/// Longest text that an attribute carries, in bytes.
const TEXT: usize = 1024;

/// Names of attributes. No standard has any for batch jobs; these follow its manner.
pub mod key {
    pub const JOB: &str = "squall.job.id";
    pub const JOB_NAME: &str = "squall.job.name";
    pub const JOB_KIND: &str = "squall.job.kind";
    pub const JOB_USER: &str = "squall.job.user";
    pub const JOB_UID: &str = "squall.job.uid";
    pub const JOB_ACCOUNT: &str = "squall.job.account";
    pub const JOB_PARTITION: &str = "squall.job.partition";
    pub const JOB_ARRAY: &str = "squall.job.array.id";
    pub const JOB_INDEX: &str = "squall.job.array.index";
    pub const JOB_ATTEMPT: &str = "squall.job.attempt";
    pub const JOB_STATE: &str = "squall.job.state";
    pub const JOB_EXIT_CODE: &str = "squall.job.exit.code";
    pub const JOB_EXIT_SIGNAL: &str = "squall.job.exit.signal";
    pub const JOB_COST: &str = "squall.job.cost_usd";
    pub const JOB_CPUS: &str = "squall.job.cpus";
    pub const JOB_MEMORY: &str = "squall.job.memory_mib";
    pub const JOB_GPUS: &str = "squall.job.gpus";
    pub const JOB_NODES: &str = "squall.job.nodes";
    pub const STEP: &str = "squall.step.id";
    pub const STEP_NAME: &str = "squall.step.name";
    pub const STEP_TASKS: &str = "squall.step.tasks";
    pub const ARRAY_ELEMENTS: &str = "squall.array.elements";
    pub const ARRAY_COMPLETED: &str = "squall.array.completed";
    pub const REASON: &str = "squall.reason";
    pub const NODE: &str = "squall.node";
    pub const NODES: &str = "squall.nodes";
    pub const POOL: &str = "squall.pool";
    pub const ORDER: &str = "squall.order";
    pub const ORDERED: &str = "squall.order.nodes";
    pub const DELIVERED: &str = "squall.order.delivered";
    pub const INSTANCE: &str = "squall.instance";
    pub const OFFER: &str = "squall.offer";
    pub const INSTANCE_TYPE: &str = "squall.offer.instance_type";
    pub const SCOPE: &str = "squall.offer.scope";
    pub const CAPACITY: &str = "squall.offer.capacity";
    pub const PRICE: &str = "squall.price_usd_per_hour";
    /// The controller was restarted meanwhile: what it did not know any more is missing.
    pub const PARTIAL: &str = "squall.trace.partial";
}

/// A span with explicit ids and times, ready to be exported.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedSpan {
    pub trace: TraceId,
    pub span: SpanId,
    pub parent: Option<SpanId>,
    /// The parent is a client's span.
    pub parent_is_remote: bool,
    pub name: &'static str,
    pub began_at: Timestamp,
    pub ended_at: Timestamp,
    pub attributes: Vec<KeyValue>,
    pub notes: Vec<Note>,
    pub links: Vec<SpanContext>,
    pub status: Status,
}

/// Something that happened while a span was open.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    pub at: Timestamp,
    pub name: &'static str,
    pub attributes: Vec<KeyValue>,
}

impl FinishedSpan {
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    pub fn with_text(self, key: &'static str, text: &str) -> Self {
        if text.is_empty() { self } else { self.with(key, cut(text)) }
    }

    pub fn with_nodes(self, names: impl Iterator<Item = String>, count: usize) -> Self {
        let names: Vec<StringValue> = names.take(NAMED_NODES).map(StringValue::from).collect();
        self.with(key::NODES, Value::Array(Array::String(names))).with(key::JOB_NODES, count as i64)
    }

    pub fn with_status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    pub fn failed(self, why: impl Into<String>) -> Self {
        let why: String = why.into();
        self.with_status(Status::error(cut(&why)))
    }
}

/// A failure is an error; what somebody asked to end is neither good nor bad.
pub fn status_of(state: EndState) -> Status {
    match state {
        EndState::Completed => Status::Ok,
        EndState::Cancelled => Status::Unset,
        failed => Status::error(failed.word()),
    }
}

pub fn context(trace: TraceId, span: SpanId) -> SpanContext {
    SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE)
}

pub fn dollars(amount: MicroUsd) -> f64 {
    amount.0 as f64 / 1e6
}

pub fn dollars_per_hour(price: HourlyPrice) -> f64 {
    price.0 as f64 / 1e6
}

/// At most [`TEXT`] bytes, whole characters.
fn cut(text: &str) -> String {
    let end = text.char_indices().map(|(at, char)| at + char.len_utf8()).take_while(|end| *end <= TEXT).last();
    text[..end.unwrap_or(0)].to_owned()
}
