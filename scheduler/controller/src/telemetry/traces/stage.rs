//! How far a job is, and the span that each part of its way becomes when it is over.

use super::Place;
use super::orders::Orders;
use super::span::{FinishedSpan, Note, key, status_of};
use opentelemetry::trace::{SpanId, Status};
use squall_core::job::Outcome;
use squall_types::{Allocation, NodeId, PartitionName, Reason, Timestamp};

/// Each variant holds only the facts that are true in it.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    Waiting {
        since: Timestamp,
    },
    /// Claims nodes of which some are on their way.
    Claiming {
        since: Timestamp,
        grant: Grant,
    },
    /// Bound: the nodes of a gang prepare.
    Preparing {
        since: Timestamp,
        grant: Grant,
    },
    Running {
        since: Timestamp,
        grant: Grant,
        script_ended_at: Option<Timestamp>,
    },
    /// The outcome is decided, and what it started is being ended.
    Ending {
        since: Timestamp,
        grant: Grant,
    },
}

/// Where an attempt runs or is to run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grant {
    /// 0 for a claim.
    pub attempt: u32,
    pub partition: PartitionName,
    pub nodes: Vec<NodeId>,
    pub cpus: u64,
    pub memory_mib: u64,
    pub gpus: u64,
}

impl Grant {
    pub fn new(attempt: u32, partition: &PartitionName, allocations: &[Allocation]) -> Grant {
        Grant {
            attempt,
            partition: partition.clone(),
            nodes: allocations.iter().map(|held| held.node).collect(),
            cpus: allocations.iter().map(|held| u64::from(held.cpus)).sum(),
            memory_mib: allocations.iter().map(|held| held.memory_mib).sum(),
            gpus: allocations.iter().map(|held| held.gpus.len() as u64).sum(),
        }
    }

    pub fn describe(&self, orders: &Orders, span: FinishedSpan) -> FinishedSpan {
        let span = match self.attempt {
            0 => span,
            attempt => span.with(key::JOB_ATTEMPT, i64::from(attempt)),
        };
        span.with_text(key::JOB_PARTITION, self.partition.as_str())
            .with_nodes(self.nodes.iter().map(|node| orders.name(*node)), self.nodes.len())
            .with(key::JOB_CPUS, self.cpus as i64)
            .with(key::JOB_MEMORY, self.memory_mib as i64)
            .with(key::JOB_GPUS, self.gpus as i64)
    }

    pub fn run_span(&self, place: &Place) -> SpanId {
        super::ids(place, "run", u64::from(self.attempt))
    }
}

/// What ends a stage.
#[derive(Clone, Debug)]
pub(super) enum Turn {
    /// It went on as it should.
    On,
    /// The job is over, or its attempt is.
    Over(Status),
    /// Back to waiting, for this reason.
    Back(Reason),
}

impl Turn {
    pub fn of_outcome(outcome: &Outcome) -> Turn {
        match outcome {
            Outcome::End { state, .. } => Turn::Over(status_of(*state)),
            Outcome::Requeue { reason, failure: true, .. } => Turn::Over(Status::error(reason.word())),
            Outcome::Requeue { .. } => Turn::Over(Status::Unset),
        }
    }

    fn close(&self, span: FinishedSpan) -> FinishedSpan {
        match self {
            Turn::On => span.with_status(Status::Ok),
            Turn::Over(status) => span.with_status(status.clone()),
            Turn::Back(reason) => span.with(key::REASON, reason.word()).failed(reason.word()),
        }
    }
}

impl Stage {
    pub fn since(&self) -> Timestamp {
        match self {
            Stage::Waiting { since }
            | Stage::Claiming { since, .. }
            | Stage::Preparing { since, .. }
            | Stage::Running { since, .. }
            | Stage::Ending { since, .. } => *since,
        }
    }

    pub fn grant(&self) -> Option<&Grant> {
        match self {
            Stage::Waiting { .. } => None,
            Stage::Claiming { grant, .. }
            | Stage::Preparing { grant, .. }
            | Stage::Running { grant, .. }
            | Stage::Ending { grant, .. } => Some(grant),
        }
    }

    /// The span of this stage, which is over at `at`. A node alone has nobody to prepare with, so that has no span.
    pub fn close(&self, place: &Place, orders: &Orders, made: u64, at: Timestamp, turn: &Turn) -> Option<FinishedSpan> {
        let since = self.since();
        let numbered = |kind| super::ids(place, kind, (since.0 as u64) << 16 | made & 0xffff);
        let child = |id, name, until: Timestamp| place.child(None, id, name, since, until);
        let span = match self {
            // That somebody else was first, or that it was taken back, is no failure of waiting.
            Stage::Waiting { .. } => child(numbered("wait"), "wait", at),
            Stage::Claiming { grant, .. } => {
                turn.close(grant.describe(orders, child(numbered("configure"), "configure", at)))
            }
            Stage::Preparing { grant, .. } if grant.nodes.len() < 2 && matches!(turn, Turn::On) => return None,
            Stage::Preparing { grant, .. } => {
                let id = super::ids(place, "prepare", u64::from(grant.attempt));
                turn.close(grant.describe(orders, child(id, "prepare", at)))
            }
            Stage::Running { grant, script_ended_at, .. } => {
                // After an outage the end is older than the news of it.
                let until = script_ended_at.map_or(at, |ended_at| ended_at.clamp(since, at));
                turn.close(grant.describe(orders, child(grant.run_span(place), "run", until)))
            }
            Stage::Ending { grant, .. } => {
                let id = super::ids(place, "end", u64::from(grant.attempt));
                turn.close(child(id, "end", at).with(key::JOB_ATTEMPT, i64::from(grant.attempt)))
            }
        };
        Some(span)
    }
}

/// What happens within a stage is noted on its span; so many times at most.
pub(super) const NOTES: usize = 32;

pub(super) fn note(notes: &mut Vec<Note>, at: Timestamp, name: &'static str) {
    if notes.len() < NOTES {
        notes.push(Note { at, name, attributes: Vec::new() });
    }
}
