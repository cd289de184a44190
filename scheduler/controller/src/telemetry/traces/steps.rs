//! Steps of a running attempt, each a span below its run.

use super::Place;
use super::span::{FinishedSpan, key};
use opentelemetry::trace::{SpanId, Status};
use squall_types::agent::StepEnd;
use squall_types::{StepId, Timestamp};
use std::collections::BTreeMap;

/// Steps that one job has spans for, over its whole life; loops of `srun` may have very many.
const STEPS_PER_JOB: u32 = 1_000;

#[derive(Default)]
pub(super) struct Steps {
    open: BTreeMap<StepId, OpenStep>,
    told: u32,
}

struct OpenStep {
    span: FinishedSpan,
    nodes_left: usize,
}

impl Steps {
    pub fn started(
        &mut self,
        place: &Place,
        (run, attempt): (SpanId, u32),
        step: StepId,
        name: &str,
        nodes: usize,
        tasks: u32,
        at: Timestamp,
    ) {
        if self.told >= STEPS_PER_JOB {
            return;
        }
        self.told += 1;
        let id = super::ids(place, "step", u64::from(attempt) << 32 | u64::from(step.0));
        let span = place
            .child(Some(run), id, "step", at, at)
            .with(key::JOB_ATTEMPT, i64::from(attempt))
            .with(key::STEP, step.suffix())
            .with_text(key::STEP_NAME, name)
            .with(key::STEP_TASKS, i64::from(tasks))
            .with_status(Status::Ok);
        self.open.insert(step, OpenStep { span, nodes_left: nodes });
    }

    /// On one of its nodes. The worst of its exits is the step's.
    pub fn ended(&mut self, end: &StepEnd, spans: &mut Vec<FinishedSpan>) {
        let Some(step) = self.open.get_mut(&end.step) else { return };
        step.span.ended_at = step.span.ended_at.max(end.ended_at);
        if end.exit.signal != 0 {
            step.span.status = Status::error(format!("signal {}", end.exit.signal));
        } else if end.exit.code != 0 && step.span.status == Status::Ok {
            step.span.status = Status::error(format!("exit code {}", end.exit.code));
        }
        step.nodes_left = step.nodes_left.saturating_sub(1);
        if step.nodes_left == 0 {
            spans.extend(self.open.remove(&end.step).map(|step| step.span));
        }
    }

    /// The attempt is over: what nobody said the end of ends with it.
    pub fn close(&mut self, at: Timestamp, spans: &mut Vec<FinishedSpan>) {
        for step in std::mem::take(&mut self.open).into_values() {
            let ended_at = at.max(step.span.began_at);
            spans.push(FinishedSpan { ended_at, ..step.span }.with_status(Status::Unset));
        }
    }
}
