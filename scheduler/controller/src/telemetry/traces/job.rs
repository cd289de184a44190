//! One job on its way: turns what happens to it into spans.

use super::Place;
use super::orders::{Orders, Told, order_id};
use super::span::{FinishedSpan, Note, context, dollars, key, status_of};
use super::stage::{Grant, Stage, Turn, note};
use super::steps::Steps;
use super::subject::Subject;
use opentelemetry::trace::{SpanContext, Status};
use squall_core::job::{JobEnd, Outcome};
use squall_types::agent::StepEnd;
use squall_types::{Allocation, AttemptEnd, JobId, NodeId, PartitionName, Reason, Timestamp};
use std::sync::Arc;

/// Links that one span bears.
const LINKS: usize = 32;

pub(super) struct JobTrace {
    pub place: Place,
    pub subject: Arc<Subject>,
    /// The array and its index there.
    pub element: Option<(JobId, u32)>,
    pub stage: Stage,
    pub attempts: u32,
    /// It was on its way when this process began.
    pub is_partial: bool,
    notes: Vec<Note>,
    /// To orders older than the job that it waits for too, for the span of the claim.
    links: Vec<SpanContext>,
    steps: Steps,
    made: u64,
}

impl JobTrace {
    pub fn new(place: Place, subject: Arc<Subject>, element: Option<(JobId, u32)>, stage: Stage) -> JobTrace {
        JobTrace {
            place,
            subject,
            element,
            stage,
            attempts: 0,
            is_partial: false,
            notes: Vec::new(),
            links: Vec::new(),
            steps: Steps::default(),
            made: 0,
        }
    }

    /// The submission is an instant: what is known of it is that it is on disk.
    pub fn submit_span(&self) -> FinishedSpan {
        let at = self.subject.submitted_at;
        self.subject.describe(self.place.child(None, super::ids(&self.place, "submit", 0), "submit", at, at))
    }

    pub fn note(&mut self, at: Timestamp, name: &'static str) {
        note(&mut self.notes, at, name);
    }

    /// Ends the stage, and begins the next.
    fn turn(&mut self, next: Stage, at: Timestamp, turn: &Turn, orders: &Orders, spans: &mut Vec<FinishedSpan>) {
        let stage = std::mem::replace(&mut self.stage, next);
        self.made += 1;
        if let Some(mut span) = stage.close(&self.place, orders, self.made, at, turn) {
            span.notes = std::mem::take(&mut self.notes);
            span.links = std::mem::take(&mut self.links);
            spans.push(span);
        }
    }

    pub fn claimed(
        &mut self,
        partition: &PartitionName,
        allocations: &[Allocation],
        at: Timestamp,
        orders: &mut Orders,
        spans: &mut Vec<FinishedSpan>,
    ) {
        let grant = Grant::new(0, partition, allocations);
        self.turn(Stage::Claiming { since: at, grant: grant.clone() }, at, &Turn::On, orders, spans);
        spans.push(self.decide_span("claim", &grant, orders, at));
        self.watch(allocations.iter().map(|held| held.node), Told::Nothing, orders, spans);
    }

    /// Follows the machines that it claims and that are on their way.
    pub fn watch(
        &mut self,
        nodes: impl Iterator<Item = NodeId>,
        told: Told,
        orders: &mut Orders,
        spans: &mut Vec<FinishedSpan>,
    ) {
        for node in nodes {
            let Some(order) = orders.watched(&self.place, node, told, spans) else { continue };
            let Some(owner) = orders.seen_by(order) else { continue };
            let link = context(owner.trace, order_id(owner, order));
            if self.links.len() < LINKS && !self.links.contains(&link) {
                self.links.push(link);
            }
        }
    }

    pub fn claim_dropped(&mut self, reason: Reason, at: Timestamp, orders: &Orders, spans: &mut Vec<FinishedSpan>) {
        self.turn(Stage::Waiting { since: at }, at, &Turn::Back(reason), orders, spans);
    }

    pub fn bound(&mut self, grant: Grant, at: Timestamp, orders: &Orders, spans: &mut Vec<FinishedSpan>) {
        self.attempts = grant.attempt;
        self.turn(Stage::Preparing { since: at, grant: grant.clone() }, at, &Turn::On, orders, spans);
        spans.push(self.decide_span("bind", &grant, orders, at));
    }

    pub fn started(&mut self, at: Timestamp, orders: &Orders, spans: &mut Vec<FinishedSpan>) {
        let Stage::Preparing { grant, .. } = &self.stage else { return };
        let next = Stage::Running { since: at, grant: grant.clone(), script_ended_at: None };
        self.turn(next, at, &Turn::On, orders, spans);
    }

    /// The plan that gave it its place: an instant, since plans are made within one step of the loop.
    fn decide_span(&self, decision: &'static str, grant: &Grant, orders: &Orders, at: Timestamp) -> FinishedSpan {
        let number = (at.0 as u64) << 16 | self.made & 0xffff;
        let span = self.place.child(None, super::ids(&self.place, "decide", number), "decide", at, at);
        grant.describe(orders, span).with("squall.decision", decision).with_status(Status::Ok)
    }

    /// The first end of a part is what the job's outcome follows from.
    pub fn part_ended(&mut self, end: &AttemptEnd) {
        if let Stage::Running { script_ended_at, .. } = &mut self.stage {
            script_ended_at.get_or_insert(end.ended_at);
        }
    }

    pub fn stopping(&mut self, outcome: &Outcome, at: Timestamp, orders: &Orders, spans: &mut Vec<FinishedSpan>) {
        let (Stage::Preparing { grant, .. } | Stage::Running { grant, .. }) = &self.stage else { return };
        let next = Stage::Ending { since: at, grant: grant.clone() };
        let turn = Turn::of_outcome(outcome);
        self.turn(next, at, &turn, orders, spans);
    }

    pub fn step_started(&mut self, step: squall_types::StepId, name: &str, nodes: usize, tasks: u32, at: Timestamp) {
        let Some(run) = self.stage.grant().filter(|grant| grant.attempt > 0).map(|grant| grant.run_span(&self.place))
        else {
            return;
        };
        self.steps.started(&self.place, (run, self.attempts), step, name, nodes, tasks, at);
    }

    pub fn step_ended(&mut self, end: &StepEnd, spans: &mut Vec<FinishedSpan>) {
        if end.run.attempt.0 == self.attempts {
            self.steps.ended(end, spans);
        }
    }

    pub fn requeued(&mut self, reason: Reason, at: Timestamp, orders: &Orders, spans: &mut Vec<FinishedSpan>) {
        self.steps.close(at, spans);
        self.turn(Stage::Waiting { since: at }, at, &Turn::Over(Status::Unset), orders, spans);
        self.note(at, if reason == Reason::None { "requeued" } else { reason.word() });
    }

    /// The last of its spans, and the one of the whole job.
    pub fn ended(mut self, end: &JobEnd, orders: &Orders, spans: &mut Vec<FinishedSpan>) {
        let at = end.ended_at;
        self.steps.close(at, spans);
        let status = status_of(end.state);
        let was_ending = matches!(self.stage, Stage::Ending { .. });
        let over = if was_ending { Turn::Over(Status::Ok) } else { Turn::Over(status.clone()) };
        self.turn(Stage::Waiting { since: at }, at, &over, orders, spans);
        if !was_ending {
            // It ended where it stood: nothing of it had to be stopped.
            spans.push(self.place.child(None, super::ids(&self.place, "end", 0), "end", at, at));
        }
        spans.push(self.root_span(end, status));
    }

    fn root_span(&self, end: &JobEnd, status: Status) -> FinishedSpan {
        let place = &self.place;
        let mut span = FinishedSpan {
            parent: if self.element.is_some() { None } else { self.subject.parent },
            parent_is_remote: true,
            ..place.child(None, place.root, "job", place.submitted_at, end.ended_at)
        };
        span = self.subject.describe(span).with(key::JOB_STATE, end.state.word());
        if let Some((array, index)) = self.element {
            span = span.with(key::JOB_ARRAY, i64::from(array.0)).with(key::JOB_INDEX, i64::from(index));
            span.links.push(context(self.subject.origin.trace, self.subject.root()));
        }
        if end.reason != Reason::None {
            span = span.with(key::REASON, end.reason.word());
        }
        if end.exit.signal != 0 {
            span = span.with(key::JOB_EXIT_SIGNAL, i64::from(end.exit.signal));
        }
        if self.is_partial {
            span = span.with(key::PARTIAL, true);
        }
        span.with(key::JOB_EXIT_CODE, i64::from(end.exit.code))
            .with(key::JOB_ATTEMPT, i64::from(self.attempts))
            .with(key::JOB_NODES, end.nodes.len() as i64)
            .with(key::JOB_COST, dollars(end.cost))
            .with_status(status)
    }
}
