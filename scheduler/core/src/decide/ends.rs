//! Attempts that end, and what becomes of their jobs.

use super::draft::Draft;
use crate::cost::{cost_down, share_of};
use crate::event::{Charge, ChargeKind, What};
use crate::job::{HeldBy, Job, JobEnd, JobPhase, Outcome, Part, Placement};
use squall_types::agent::{EndCause, StopWhy};
use squall_types::ids::Run;
use squall_types::{AttemptEnd, EndState, ExitStatus, HetPlace, JobId, JobKind, NodeId, Reason, Span, Timestamp, Uid};

impl Draft<'_> {
    /// The one end of a job. `placement` is that of its last attempt.
    pub fn end(
        &mut self,
        id: JobId,
        state: EndState,
        exit: ExitStatus,
        reason: Reason,
        by: Option<Uid>,
        placement: Option<&Placement>,
    ) {
        let Some(job) = self.job(id) else { return };
        if job.is_ended() {
            return;
        }
        let (started_at, before) = (job.started_at(), job.charged);
        let charges = placement.map(|placement| self.charges(id, placement)).unwrap_or_default();
        let nodes = placement.map(|placement| placement.allocations.iter().map(|held| held.node).collect());
        let cost = charges.iter().map(|charge| charge.amount).sum();
        let end = JobEnd {
            state,
            exit,
            reason,
            by,
            started_at,
            ended_at: self.now,
            nodes: nodes.unwrap_or_default(),
            cost: before + cost,
            partition: placement.map(|placement| placement.partition.clone()),
            suspended: placement.map_or(Span::ZERO, |placement| placement.suspended_by(self.now)),
        };
        self.emit(What::JobEnded { job: id, end, charges });
        self.wake_dependants(id);
        self.carry_along(id, StopWhy::Ended, &Outcome::End { state, exit, reason, by });
    }

    /// What the attempt that is over owes: its share of each node, and the boot of nodes bought for the job.
    pub fn charges(&self, id: JobId, placement: &Placement) -> Vec<Charge> {
        let mut charges = Vec::new();
        for (held, part) in placement.allocations.iter().zip(&placement.parts) {
            let Some(node) = self.cluster.nodes.get(&held.node) else { continue };
            let until = match part {
                Part::Ended { at, .. } | Part::Gone(at) => *at,
                _ => self.now,
            };
            let whole = cost_down(node.offer.price, until.since(placement.bound_at));
            let amount = share_of(&node.shape, held).of_money(whole);
            if amount.0 > 0 {
                charges.push(Charge { node: node.id, what: ChargeKind::Run, amount });
            }
            // The first attempt of the job that caused a node bears its boot.
            if let (Some(launched_at), Some(ready_at)) = (node.launched_at, node.ready_at)
                && node.caused_by == Some(id)
                && node.first_job_at == Some(placement.bound_at)
            {
                let amount = cost_down(node.offer.price, ready_at.since(launched_at));
                if amount.0 > 0 {
                    charges.push(Charge { node: node.id, what: ChargeKind::Boot, amount });
                }
            }
        }
        charges
    }

    /// A part is dead: its agent said so.
    pub fn part_ended(&mut self, run: Run, node: NodeId, end: &AttemptEnd) {
        let Some(rank) = self.live_part(run, node) else { return };
        self.emit(What::PartEnded { run, node, end: end.clone() });
        self.part_is_dead(run, rank, Some(end));
    }

    /// A part is dead: its machine can run nothing any more.
    pub fn part_gone(&mut self, run: Run, node: NodeId) {
        let Some(rank) = self.live_part(run, node) else { return };
        self.emit(What::PartGone { run, node });
        self.part_is_dead(run, rank, None);
    }

    fn live_part(&self, run: Run, node: NodeId) -> Option<usize> {
        let placement = self.placement(run)?;
        let rank = placement.allocations.iter().position(|held| held.node == node)?;
        (!placement.parts[rank].is_dead()).then_some(rank)
    }

    fn part_is_dead(&mut self, run: Run, rank: usize, end: Option<&AttemptEnd>) {
        let Some(job) = self.job(run.job) else { return };
        match &job.phase {
            JobPhase::Bound(_) | JobPhase::Running { .. } => {
                let (why, outcome) = self.outcome_of(job, rank, end);
                // `--no-kill`: the rest goes on without a node that failed, unless it held the batch script. What never
                // began is begun with all of its nodes or not at all.
                let runs = matches!(job.phase, JobPhase::Running { .. });
                let bears_script = rank == 0 && job.het().is_none_or(HetPlace::is_leader);
                if why == StopWhy::NodeFailed && !bears_script && runs && job.spec.no_kill {
                    return;
                }
                // What fails by no fault of its own takes all components with it.
                let failed = matches!(why, StopWhy::NodeFailed | StopWhy::Requeued);
                let run = if failed { self.run_of_whole(run) } else { run };
                self.stop(run, why, outcome);
            }
            JobPhase::Stopping { .. } => self.settle(run),
            _ => {}
        }
    }

    fn outcome_of(&self, job: &Job, rank: usize, end: Option<&AttemptEnd>) -> (StopWhy, Outcome) {
        let ended = |state, exit, reason| Outcome::End { state, exit, reason, by: None };
        let Some(end) = end else { return (StopWhy::NodeFailed, self.failed(job, Reason::NodeFailure)) };
        let first = rank == 0 && job.spec.kind == JobKind::Batch;
        match end.cause {
            EndCause::Exited if first && end.exit == ExitStatus::default() => {
                (StopWhy::Ended, ended(EndState::Completed, end.exit, Reason::None))
            }
            EndCause::Exited if first => {
                let reason = if end.exit.signal == 0 { Reason::NonZeroExitCode } else { Reason::RaisedSignal };
                (StopWhy::Ended, ended(EndState::Failed, end.exit, reason))
            }
            EndCause::TimeLimit => {
                (StopWhy::TimeLimit, ended(EndState::Timeout, ExitStatus::default(), Reason::TimeLimit))
            }
            EndCause::OutOfMemory => (StopWhy::Ended, ended(EndState::OutOfMemory, end.exit, Reason::OutOfMemory)),
            EndCause::LaunchFailed => (StopWhy::Requeued, self.failed(job, Reason::JobLaunchFailure)),
            EndCause::Lost | EndCause::NeverRan | EndCause::Stopped | EndCause::Exited => {
                (StopWhy::NodeFailed, self.failed(job, Reason::NodeFailure))
            }
        }
    }

    /// An attempt failed by no fault of the job: it comes back unless it says not, later each time, then held.
    pub fn failed(&self, job: &Job, reason: Reason) -> Outcome {
        let leader = self.job(self.cluster.leader_of(job.id)).unwrap_or(job);
        let may_come_back = job.het().is_none_or(|place| self.is_whole(place));
        let job = leader;
        let by_partition = |placement: &Placement| {
            self.cluster.config.partitions.get(&placement.partition).is_none_or(|config| config.requeue)
        };
        let may = job.spec.requeue.unwrap_or_else(|| job.placement().is_none_or(by_partition));
        if !may || !may_come_back || job.spec.kind != JobKind::Batch {
            return Outcome::End { state: EndState::NodeFail, exit: ExitStatus::default(), reason, by: None };
        }
        let hold =
            (job.failures.saturating_add(1) >= self.cluster.config.limits.max_requeues).then_some(HeldBy::System);
        let reason = if hold.is_some() { Reason::JobHoldMaxRequeue } else { reason };
        Outcome::Requeue { not_before: self.backoff(job.failures), hold, reason, failure: true }
    }

    /// When the next try may be, after so many failures.
    pub fn backoff(&self, failures: u32) -> Timestamp {
        let timing = &self.cluster.config.timing;
        let delay = timing.requeue_after.times(1i64 << failures.min(20)).min(timing.requeue_max);
        self.now + delay.max(Span::ZERO)
    }
}
