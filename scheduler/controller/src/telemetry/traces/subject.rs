//! What a job is, for its root span: taken from its submission and shared by the elements of an array.

use super::super::trace_parent::{TraceParent, root_span};
use super::span::{FinishedSpan, key};
use opentelemetry::trace::SpanId;
use squall_types::{JobKind, JobSpec, SubmitToken, Timestamp};

#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub token: SubmitToken,
    pub submitted_at: Timestamp,
    /// As the submission stored it.
    pub origin: TraceParent,
    /// The client's span, where it sent one.
    pub parent: Option<SpanId>,
    name: String,
    kind: JobKind,
    user: String,
    uid: u32,
    account: String,
    partitions: String,
    gpus: i64,
}

impl Subject {
    /// `None` where the job belongs to a trace that nobody records, or to none.
    pub fn new(spec: &JobSpec, token: &SubmitToken, submitted_at: Timestamp) -> Option<Subject> {
        let origin = TraceParent::parse(spec.trace_parent.as_deref()?)?;
        if !origin.sampled {
            return None;
        }
        let own = origin.span == root_span(origin.trace, token);
        let partitions: Vec<&str> = spec.partitions.iter().map(|name| name.as_str()).collect();
        Some(Subject {
            token: token.clone(),
            submitted_at,
            origin,
            parent: (!own).then_some(origin.span),
            name: spec.name.clone(),
            kind: spec.kind,
            user: spec.user.clone(),
            uid: spec.uid.0,
            account: spec.account.0.clone(),
            partitions: partitions.join(","),
            gpus: i64::from(squall_core::views::Size::asked(&spec.ask, None).gpus),
        })
    }

    /// The span of the submission as a whole: a job, or an array.
    pub fn root(&self) -> SpanId {
        root_span(self.origin.trace, &self.token)
    }

    pub fn describe(&self, span: FinishedSpan) -> FinishedSpan {
        let kind = match self.kind {
            JobKind::Batch => "batch",
            JobKind::Interactive => "interactive",
        };
        span.with_text(key::JOB_NAME, &self.name)
            .with(key::JOB_KIND, kind)
            .with_text(key::JOB_USER, &self.user)
            .with(key::JOB_UID, i64::from(self.uid))
            .with_text(key::JOB_ACCOUNT, &self.account)
            .with_text(key::JOB_PARTITION, &self.partitions)
            .with(key::JOB_GPUS, self.gpus)
    }
}
