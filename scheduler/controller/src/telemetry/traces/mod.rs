//! One trace for each job, made of what is committed.
//!
//! ```text
//! job ─┬─ submit ─ wait ─ decide ─ configure ─ decide ─ prepare ─ run ─ end      (again from wait on after a requeue)
//!      │                                                           └─ step …
//!      └─ order ─┬─ launch                                          (for each order whose machines it waits for)
//!                └─ boot ─ join …
//! ```
//!
//! A pure state machine: events in, finished spans out, with the times of the events. Ids follow from what is stored
//! (see [`TraceParent`](super::TraceParent)), so that a controller that takes over goes on in the same traces. What is
//! kept is bounded by [`TRACED_JOBS`](crate::limits::TRACED_JOBS); a job above it has no trace.

mod array;
mod job;
mod orders;
mod recovered;
mod span;
mod stage;
mod steps;
mod subject;

pub use span::{FinishedSpan, Note, key};

use super::trace_parent::{root_span, span_id, trace_of};
use crate::limits::TRACED_JOBS;
use array::ArrayTrace;
use job::JobTrace;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, Status, TraceId};
use orders::{Arrival, Orders};
use squall_core::job::JobEnd;
use squall_core::node::DrainWhy;
use squall_core::{Event, What};
use squall_types::{EndState, JobId, JobSpec, SubmitToken, Timestamp};
use stage::{Grant, Stage};
use std::collections::BTreeMap;
use std::sync::Arc;
use subject::Subject;

/// Which jobs have a trace, of those whose clients sent none that decides it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    All,
    None,
    /// This share of them, chosen by the id of the trace.
    Share(f64),
}

/// Where a job stands: what all of its spans have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    job: JobId,
    trace: TraceId,
    root: SpanId,
    submitted_at: Timestamp,
}

/// The traces of all jobs that have not ended.
pub struct JobTraces {
    jobs: BTreeMap<JobId, JobTrace>,
    arrays: BTreeMap<JobId, ArrayTrace>,
    /// The array of each element that has a record and has not ended, whether or not it has a trace.
    elements: BTreeMap<JobId, JobId>,
    orders: Orders,
    sampling: Sampling,
    left_out: u64,
}

impl JobTraces {
    pub fn new(sampling: Sampling) -> JobTraces {
        JobTraces {
            jobs: BTreeMap::new(),
            arrays: BTreeMap::new(),
            elements: BTreeMap::new(),
            orders: Orders::default(),
            sampling,
            left_out: 0,
        }
    }

    /// Jobs and arrays whose trace is open.
    pub fn open(&self) -> usize {
        self.jobs.len() + self.arrays.len()
    }

    /// Orders that are followed.
    pub fn open_orders(&self) -> usize {
        self.orders.len()
    }

    /// Jobs that had no trace because too many were open.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Takes in one event and adds the spans that it finishes.
    pub fn observe(&mut self, event: &Event, spans: &mut Vec<FinishedSpan>) {
        self.of_job(event, spans);
        self.of_machine(event, spans);
    }

    fn of_job(&mut self, event: &Event, spans: &mut Vec<FinishedSpan>) {
        let at = event.at;
        match &event.what {
            What::JobSubmitted { job, spec, token, eligible_at, .. } => {
                self.submitted(*job, spec, token, *eligible_at, at, spans);
            }
            What::ElementSplit { array, index, job, .. } => self.split(*array, *index, *job),
            What::JobClaimed { job, partition, allocations } => {
                if let Some(trace) = self.jobs.get_mut(job) {
                    trace.claimed(partition, allocations, at, &mut self.orders, spans);
                }
            }
            What::ClaimDropped { job, reason, .. } => {
                if let Some(trace) = self.jobs.get_mut(job) {
                    trace.claim_dropped(*reason, at, &self.orders, spans);
                }
            }
            What::JobBound { run, partition, allocations, .. } => {
                if let Some(trace) = self.jobs.get_mut(&run.job) {
                    trace.bound(Grant::new(run.attempt.0, partition, allocations), at, &self.orders, spans);
                }
            }
            What::JobStarted { run } => {
                if let Some(trace) = self.jobs.get_mut(&run.job) {
                    trace.started(at, &self.orders, spans);
                }
            }
            What::PartEnded { run, end, .. } => {
                if let Some(trace) = self.jobs.get_mut(&run.job) {
                    trace.part_ended(end);
                }
            }
            What::PartGone { run, .. } => self.note(run.job, at, "node gone"),
            What::JobStopping { run, outcome, .. } => {
                if let Some(trace) = self.jobs.get_mut(&run.job) {
                    trace.stopping(outcome, at, &self.orders, spans);
                }
            }
            What::JobEnded { job, end, .. } => self.ended(*job, end, spans),
            What::JobRequeued { job, reason, .. } => {
                if let Some(trace) = self.jobs.get_mut(job) {
                    trace.requeued(*reason, at, &self.orders, spans);
                }
            }
            What::JobHeld { job, .. } => self.note(*job, at, "held"),
            What::JobReleased { job } => self.note(*job, at, "released"),
            What::JobUpdated { job, .. } => self.note(*job, at, "updated"),
            What::DependencyChanged { job, eligible_at, .. } => {
                self.note(*job, at, if eligible_at.is_some() { "eligible" } else { "dependency changed" });
            }
            What::ElementsCancelled { array, indices, .. } => {
                if let Some(trace) = self.arrays.get_mut(array) {
                    trace.waiting_ended(indices.len(), EndState::Cancelled);
                    self.close_array(*array, at, spans);
                }
            }
            What::StepStarted { run, step, name, nodes, tasks, .. } => {
                if let Some(trace) = self.jobs.get_mut(&run.job) {
                    trace.step_started(*step, name, nodes.len(), *tasks, at);
                }
            }
            What::StepEnded { end, .. } => {
                if let Some(trace) = self.jobs.get_mut(&end.run.job) {
                    trace.step_ended(end, spans);
                }
            }
            // An array is over with the last of its elements, which may be long after its own record.
            What::JobsPurged { jobs } => jobs.iter().for_each(|job| {
                self.jobs.remove(job);
                self.elements.remove(job);
            }),
            _ => {}
        }
    }

    fn of_machine(&mut self, event: &Event, spans: &mut Vec<FinishedSpan>) {
        let at = event.at;
        match &event.what {
            What::OrderPlaced { request, nodes, .. } => self.orders.placed(request, nodes, at),
            What::OrderLaunched { order, instances, .. } => self.orders.launched(*order, instances, at, spans),
            What::OrderFailed { order, failure, .. } => self.orders.failed(*order, failure.to_string(), at, spans),
            What::StaticNodeAdded { node, name, .. } | What::NodeAdopted { node, name, .. } => {
                self.orders.node_added(*node, name);
            }
            What::NodeJoined { node, instance, .. } => self.orders.joined(*node, instance.as_ref(), at),
            What::NodeRegistered { node, .. } => self.orders.arrived(*node, Arrival::Ready, at, spans),
            What::NodeRetiring { node, why } => {
                let why = match why {
                    DrainWhy::BootFailed => "its agent did not come in time",
                    _ => "given back before it was ready",
                };
                self.orders.arrived(*node, Arrival::Failed(why), at, spans);
            }
            What::NodeGone { node, why, .. } => {
                let how = match why {
                    squall_core::node::GoneWhy::NeverLaunched => Arrival::NeverLaunched,
                    why => Arrival::Failed(why.words()),
                };
                self.orders.arrived(*node, how, at, spans);
                self.orders.forget_node(*node);
            }
            _ => {}
        }
    }

    fn submitted(
        &mut self,
        job: JobId,
        spec: &JobSpec,
        token: &SubmitToken,
        eligible_at: Option<Timestamp>,
        at: Timestamp,
        spans: &mut Vec<FinishedSpan>,
    ) {
        let Some(subject) = Subject::new(spec, token, at).map(Arc::new) else { return };
        let place = Place::of(job, &subject, None);
        if !self.keeps(&subject, place.trace) || !self.has_room() {
            return;
        }
        let trace = JobTrace::new(place, subject.clone(), None, Stage::Waiting { since: at });
        spans.push(trace.submit_span());
        if let Some(array) = &spec.array {
            self.arrays.insert(job, ArrayTrace::new(place, subject, array.indices.len()));
            return;
        }
        let trace = self.jobs.entry(job).or_insert(trace);
        if eligible_at.is_none_or(|eligible_at| eligible_at > at) {
            trace.note(at, "not eligible yet");
        }
    }

    /// An element has its own trace from its submission on, though it shows only when it is about to start.
    fn split(&mut self, array: JobId, index: u32, job: JobId) {
        let Some(whole) = self.arrays.get_mut(&array) else { return };
        whole.element_split();
        let subject = whole.subject.clone();
        let place = Place::of(job, &subject, Some(index));
        self.elements.insert(job, array);
        if self.has_room() {
            let stage = Stage::Waiting { since: subject.submitted_at };
            self.jobs.insert(job, JobTrace::new(place, subject, Some((array, index)), stage));
        }
    }

    fn ended(&mut self, job: JobId, end: &JobEnd, spans: &mut Vec<FinishedSpan>) {
        if let Some(trace) = self.jobs.remove(&job) {
            trace.ended(end, &self.orders, spans);
        }
        // The last element of an array goes by the array's own id, but has a record of its own.
        let element_of = self.elements.remove(&job);
        let array = element_of.unwrap_or(job);
        if let Some(whole) = self.arrays.get_mut(&array) {
            match element_of {
                Some(_) => whole.element_ended(end.state),
                None => whole.waiting_ended(whole.waiting, end.state),
            }
            self.close_array(array, end.ended_at, spans);
        }
    }

    fn close_array(&mut self, array: JobId, at: Timestamp, spans: &mut Vec<FinishedSpan>) {
        if self.arrays.get(&array).is_some_and(ArrayTrace::is_over) {
            spans.extend(self.arrays.remove(&array).map(|whole| whole.span(at)));
        }
    }

    fn note(&mut self, job: JobId, at: Timestamp, name: &'static str) {
        if let Some(trace) = self.jobs.get_mut(&job) {
            trace.note(at, name);
        }
    }

    fn has_room(&mut self) -> bool {
        let room = self.open() < TRACED_JOBS;
        self.left_out += u64::from(!room);
        room
    }

    /// A client that records its trace wants the job in it; what begins here is ours to choose.
    fn keeps(&self, subject: &Subject, trace: TraceId) -> bool {
        match self.sampling {
            Sampling::All => true,
            Sampling::None => false,
            Sampling::Share(_) if subject.parent.is_some() => true,
            Sampling::Share(share) => {
                let bytes = trace.to_bytes();
                let low = u64::from_be_bytes(bytes[8..].try_into().expect("half of sixteen bytes")) >> 1;
                (low as f64) < share.clamp(0.0, 1.0) * (1u64 << 63) as f64
            }
        }
    }
}

impl Place {
    fn of(job: JobId, subject: &Subject, element: Option<u32>) -> Place {
        let trace = trace_of(subject.origin, element);
        Place { job, trace, root: root_span(trace, &subject.token), submitted_at: subject.submitted_at }
    }

    /// A span of this job, below `parent` or the job's own.
    fn child(
        &self,
        parent: Option<SpanId>,
        span: SpanId,
        name: &'static str,
        began_at: Timestamp,
        ended_at: Timestamp,
    ) -> FinishedSpan {
        FinishedSpan {
            trace: self.trace,
            span,
            parent: Some(parent.unwrap_or(self.root)),
            parent_is_remote: false,
            name,
            began_at,
            ended_at: ended_at.max(began_at),
            attributes: vec![KeyValue::new(key::JOB, i64::from(self.job.0))],
            notes: Vec::new(),
            links: Vec::new(),
            status: Status::Unset,
        }
    }
}

/// The id of one of a job's spans.
fn ids(place: &Place, kind: &'static str, number: u64) -> SpanId {
    span_id(place.trace, kind, place.job.0, number)
}

#[cfg(test)]
mod tests;
