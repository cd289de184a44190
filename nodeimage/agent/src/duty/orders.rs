//! What the controller says, and what of it is obeyed.

use super::life::{self, Life, Live, Phase};
use super::{Duty, DutyOutput, MAX_DEFERRED, MAX_RUNS, Now, Record, RecordId, Refusal, Stage};
use crate::canary;
use squall_types::agent::{
    AgentOrder, AgentReport, AssignedPhase, Assignment, AttemptEnd, AttemptState, SignalTarget, StopWhy,
};
use squall_types::ids::Run;
use squall_types::{Epoch, Generation, Span, StepId, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Duty {
    pub(super) fn ordered(&mut self, now: Now, order: AgentOrder) {
        if !self.link.connected {
            return;
        }
        if self.epoch_record > self.durable {
            if self.link.deferred.len() >= MAX_DEFERRED {
                self.out.push(DutyOutput::Reconnect);
            } else {
                self.link.deferred.push_back(order);
            }
            return;
        }
        match order {
            AgentOrder::FullSet { epoch, generation, assignments, die_at, keep_unknown } => {
                if epoch > self.node.epoch {
                    self.node.epoch = epoch;
                    self.generation = Generation(0);
                    let record = self.persist(Record::Node(self.node));
                    if !canary::active(canary::EPOCH_NOT_PERSISTED) {
                        self.epoch_record = record;
                    }
                    let order = AgentOrder::FullSet { epoch, generation, assignments, die_at, keep_unknown };
                    self.link.deferred.push_back(order);
                    self.take_deferred(now);
                    return;
                }
                if self.current(epoch, generation, generation >= self.generation) {
                    self.full_set(now, generation, assignments, die_at, keep_unknown);
                }
            }
            AgentOrder::Delta { epoch, generation, changed, removed, die_at } => {
                if self.synced() && self.current(epoch, generation, generation > self.generation) {
                    self.delta(now, generation, changed, &removed, die_at);
                }
            }
            AgentOrder::Acknowledged { runs, steps } if self.synced() => self.acknowledged(&runs, &steps),
            AgentOrder::Signal { run, target, signal } if self.synced() => self.signalled(run, target, signal),
            AgentOrder::Retire if self.synced() => self.retiring = true,
            AgentOrder::Refused { why } => self.out.push(DutyOutput::Quit { why }),
            AgentOrder::Acknowledged { .. } | AgentOrder::Signal { .. } | AgentOrder::Retire => {}
        }
    }

    pub(super) fn take_deferred(&mut self, now: Now) {
        while self.epoch_record <= self.durable
            && let Some(order) = self.link.deferred.pop_front()
        {
            self.ordered(now, order);
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.out.push(DutyOutput::Refuse(refusal));
    }

    /// Whether the full set of this connection was taken. What carries no epoch is believed only then.
    fn synced(&mut self) -> bool {
        if !self.link.synced {
            self.refuse(Refusal::NotSynced);
        }
        self.link.synced
    }

    fn current(&mut self, epoch: Epoch, generation: Generation, newer: bool) -> bool {
        if canary::active(canary::ACCEPT_LOWER_EPOCH) {
            return true;
        }
        if epoch != self.node.epoch {
            self.link.synced = false;
            self.refuse(Refusal::StaleEpoch { epoch, seen: self.node.epoch });
            return false;
        }
        if !newer {
            self.refuse(Refusal::StaleGeneration { generation, seen: self.generation });
        }
        newer
    }

    fn full_set(
        &mut self,
        now: Now,
        generation: Generation,
        assignments: Vec<Assignment>,
        die_at: Option<Timestamp>,
        keep_unknown: bool,
    ) {
        self.generation = generation;
        self.link.synced = true;
        self.bound_moved(now, die_at);
        let wanted: BTreeSet<Run> = assignments.iter().map(|assignment| assignment.run).collect();
        let unwanted: Vec<Run> = self
            .lives
            .iter()
            // What has begun may be kept; what has not never begins for a controller that does not know it.
            .filter(|(run, life)| !(wanted.contains(run) || keep_unknown && life.has_begun()))
            .map(|(run, _)| *run)
            .collect();
        for run in unwanted {
            self.removed(now, run);
        }
        for assignment in assignments {
            self.assigned(now, assignment);
        }
    }

    fn delta(
        &mut self,
        now: Now,
        generation: Generation,
        changed: Vec<Assignment>,
        removed: &[Run],
        die_at: Option<Timestamp>,
    ) {
        self.generation = generation;
        self.bound_moved(now, die_at);
        for run in removed {
            self.removed(now, *run);
        }
        for assignment in changed {
            self.assigned(now, assignment);
        }
    }

    /// The controller does not want this run, or knows that it ended.
    fn removed(&mut self, now: Now, run: Run) {
        match self.lives.get_mut(&run) {
            Some(Life::Ended(_)) => self.forget(run),
            Some(Life::Live(live)) => {
                if !matches!(live.assignment.phase, AssignedPhase::Stop { .. }) {
                    let grace = live.assignment.detail.kill_wait;
                    Arc::make_mut(&mut live.assignment).phase = AssignedPhase::Stop { why: StopWhy::Cancelled, grace };
                    self.update_record(run);
                }
                self.advance(now, run);
            }
            Some(Life::Ending { .. } | Life::Damaged) | None => {}
        }
    }

    fn assigned(&mut self, now: Now, assignment: Assignment) {
        let run = assignment.run;
        match self.lives.get_mut(&run) {
            Some(Life::Live(live)) => {
                let same_grant = live.assignment.allocation == assignment.allocation;
                let changed = live.merge(now, assignment);
                if !same_grant {
                    self.refuse(Refusal::AllocationChanged(run));
                }
                let written = self.last_record;
                self.advance(now, run);
                // Going on has often written it down already.
                if changed && self.last_record == written {
                    self.update_record(run);
                }
            }
            Some(Life::Ended(end)) => {
                let state = AttemptState::Ended(end.clone());
                self.report(now, AgentReport::Attempt { run, state });
            }
            Some(Life::Ending { .. } | Life::Damaged) => {}
            None => self.new_run(now, assignment),
        }
    }

    fn new_run(&mut self, now: Now, assignment: Assignment) {
        let run = assignment.run;
        if self.forgotten.get(&run.job).is_some_and(|highest| run.attempt <= *highest)
            && !canary::active(canary::ACCEPT_OLD_ATTEMPT)
        {
            // The result is gone, since it was acknowledged; that it can run nothing any more is certain.
            self.refuse(Refusal::Forgotten(run));
            let end = life::lost(now.wall, "it was over here, and acknowledged".to_owned());
            self.report(now, AgentReport::Attempt { run, state: AttemptState::Ended(end) });
            return;
        }
        if self.lives.len() >= MAX_RUNS {
            // An end that cannot be written down cannot be reported: the next full set asks again.
            self.refuse(Refusal::Run(run, format!("this node keeps {MAX_RUNS} runs, its limit")));
            return;
        }
        if matches!(assignment.phase, AssignedPhase::Stop { .. }) {
            self.finish(now, run, life::never_ran(now.wall, String::new()));
            return;
        }
        if let Some((end, detail)) = self.objection(now, &assignment) {
            self.refuse(Refusal::Run(run, detail));
            self.finish(now, run, end);
            return;
        }
        let record = self.persist(Record::Run { run, stage: Box::new(Stage::Accepted(assignment.clone())) });
        let live = Live { accepting: Some(record), ..Live::new(assignment, Phase::Accepted) };
        self.lives.insert(run, Life::Live(Box::new(live)));
        self.advance(now, run);
    }

    /// Why a new run cannot be taken, if so: an end for the controller, a text for the log.
    fn objection(&self, now: Now, assignment: &Assignment) -> Option<(AttemptEnd, String)> {
        let run = assignment.run;
        if self.retiring || self.over {
            let detail = "this node is being given back".to_owned();
            return Some((life::never_ran(now.wall, detail.clone()), detail));
        }
        let failed = |detail: String| Some((life::launch_failed(now.wall, detail.clone()), detail));
        for (other, life) in &self.lives {
            if other.job == run.job && other.attempt > run.attempt && !canary::active(canary::ACCEPT_OLD_ATTEMPT) {
                return failed(format!("attempt {} of job {} is already known here", other.attempt, run.job));
            }
            if other.job == run.job && life.holds() {
                return failed(format!("attempt {} of job {} is not over here", other.attempt, run.job));
            }
            if let Life::Live(live) = life
                && !canary::active(canary::ACCEPT_OVERLAP)
                && let Some(gpu) =
                    live.assignment.allocation.gpus.iter().find(|gpu| assignment.allocation.gpus.contains(gpu))
            {
                return failed(format!("GPU {gpu} of this node is held by {other}"));
            }
        }
        None
    }

    fn acknowledged(&mut self, runs: &[Run], steps: &[(Run, StepId)]) {
        for run in runs {
            if let Some(Life::Ended(_)) = self.lives.get(run) {
                self.forget(*run);
            }
        }
        for (run, step) in steps {
            if self.steps.remove(&(*run, *step)).is_some() {
                self.persist(Record::StepForgotten { run: *run, step: *step });
            }
        }
    }

    fn signalled(&mut self, run: Run, target: SignalTarget, signal: i32) {
        if let Some(Live { phase: Phase::Running { .. }, .. }) = self.live(run) {
            self.out.push(DutyOutput::Signal { run, target, signal });
        }
    }

    fn bound_moved(&mut self, now: Now, die_at: Option<Timestamp>) {
        if die_at.is_some() && die_at != self.node.die_at {
            self.node.die_at = die_at;
            let _: RecordId = self.persist(Record::Node(self.node));
        }
        self.aim_bound(now);
    }

    /// Turns the bound into `uptime`, so that a later jump of the wall clock does not move it.
    pub(super) fn aim_bound(&mut self, now: Now) {
        self.dies_at = self.node.die_at.map(|at| now.uptime + Span(at.0.saturating_sub(now.wall.0)));
    }
}
