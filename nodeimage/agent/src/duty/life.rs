//! The life of one run on this node.

use super::{Duty, DutyOutput, Now, Pause, Record, RecordId, Remains, Stage};
use crate::canary;
use squall_types::agent::{
    AgentReport, AssignedPhase, Assignment, AttemptEnd, AttemptState, EndCause, ExitStatus, StopWhy, Usage,
};
use squall_types::ids::Run;
use squall_types::{Span, Timestamp};
use std::sync::Arc;

/// What is known of a run.
#[derive(Clone, Debug)]
pub(super) enum Life {
    Live(Box<Live>),
    /// Its record cannot be read; what it left is being cleared away.
    Damaged,
    /// Over, and being written down.
    Ending {
        end: AttemptEnd,
        record: RecordId,
    },
    /// Over and durable: reported until acknowledged.
    Ended(AttemptEnd),
}

/// A run that is not over.
#[derive(Clone, Debug)]
pub(super) struct Live {
    /// As last ordered; once it stops, its phase says why.
    pub assignment: Arc<Assignment>,
    pub launch: u32,
    /// Of the machine when that launch was let loose.
    pub boot: String,
    pub warned: bool,
    pub pause: Pause,
    /// It is frozen when this is durable.
    pub freezes: Option<RecordId>,
    /// That it was accepted, while that is not durable. Preparations do not wait for it: they execute nothing.
    pub accepting: Option<RecordId>,
    pub phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing was done for it yet.
    Accepted,
    Preparing,
    Prepared,
    /// That it may have been executed is being written down.
    Committing(RecordId),
    /// The shim was told to execute.
    Starting,
    /// After a restart: how far it came is being looked for.
    Examining,
    Running {
        began: Now,
        stopping: Option<Stopping>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopping {
    /// On `uptime`; moves on each time that it kills.
    pub kill_at: Span,
}

impl Life {
    pub fn restored(stage: Stage) -> Life {
        match stage {
            Stage::Accepted(assignment) => Life::Live(Box::new(Live::new(assignment, Phase::Examining))),
            Stage::Starting { assignment, launch, warned, pause, boot } => {
                Life::Live(Box::new(Live { launch, warned, pause, boot, ..Live::new(assignment, Phase::Examining) }))
            }
            Stage::Ended(end) => Life::Ended(end),
        }
    }

    /// Whether it still holds its grant.
    pub fn holds(&self) -> bool {
        matches!(self, Life::Live(_) | Life::Damaged)
    }

    /// Executed perhaps, or over.
    pub fn has_begun(&self) -> bool {
        match self {
            Life::Live(live) => live.may_have_begun(),
            Life::Damaged | Life::Ending { .. } | Life::Ended(_) => true,
        }
    }

    /// Executed perhaps, and how it stands cannot be said yet.
    pub fn is_uncertain(&self) -> bool {
        match self {
            Life::Live(live) => live.phase == Phase::Examining,
            Life::Damaged | Life::Ending { .. } => true,
            Life::Ended(_) => false,
        }
    }

    /// What the controller is told of it; `None` where there is nothing to tell yet.
    pub fn state(&self) -> Option<AttemptState> {
        match self {
            Life::Live(live) => match live.phase {
                Phase::Accepted | Phase::Preparing | Phase::Examining => None,
                Phase::Prepared | Phase::Committing(_) if live.accepting.is_some() => None,
                Phase::Prepared | Phase::Committing(_) | Phase::Starting => Some(AttemptState::Prepared),
                Phase::Running { began, .. } => Some(AttemptState::Running { since: began.wall }),
            },
            Life::Damaged | Life::Ending { .. } => None,
            Life::Ended(end) => Some(AttemptState::Ended(end.clone())),
        }
    }

    pub fn waits_for(&self) -> Option<RecordId> {
        match self {
            Life::Live(live) => live.accepting.or(match live.phase {
                Phase::Committing(record) => Some(record),
                _ => None,
            }),
            Life::Ending { record, .. } => Some(*record),
            _ => None,
        }
    }
}

impl Live {
    pub fn new(assignment: Assignment, phase: Phase) -> Live {
        let (pause, boot) = (Pause::default(), String::new());
        let assignment = Arc::new(assignment);
        Live { assignment, launch: 0, boot, warned: false, pause, freezes: None, accepting: None, phase }
    }

    pub fn wants_only_preparation(&self) -> bool {
        self.assignment.phase == AssignedPhase::Prepare
    }

    /// What is to be found out of it after a restart, on a machine with this boot.
    pub fn remains(&self, boot: &str) -> Remains {
        match self.launch {
            0 => Remains::Accepted,
            launch if self.boot.is_empty() || self.boot == boot => Remains::Launched(launch),
            launch if canary::active(canary::CLAIM_OUTLIVES_BOOT) => Remains::Launched(launch),
            launch => Remains::BeforeBoot(launch),
        }
    }

    pub fn may_have_begun(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Examining | Phase::Running { .. })
    }

    /// The stage that the ledger should show now.
    pub fn stage(&self) -> Stage {
        match self.phase {
            Phase::Accepted | Phase::Preparing | Phase::Prepared => Stage::Accepted((*self.assignment).clone()),
            Phase::Committing(_) | Phase::Starting | Phase::Examining | Phase::Running { .. } => {
                let (launch, warned, pause, boot) = (self.launch, self.warned, self.pause, self.boot.clone());
                Stage::Starting { assignment: (*self.assignment).clone(), launch, warned, pause, boot }
            }
        }
    }

    /// The end as it is to be reported: who was told to stop did not just exit.
    pub fn judge(&self, mut end: AttemptEnd) -> AttemptEnd {
        if end.cause == EndCause::Exited
            && let AssignedPhase::Stop { why, .. } = self.assignment.phase
        {
            end.cause = match why {
                StopWhy::Ended => EndCause::Exited,
                StopWhy::TimeLimit => EndCause::TimeLimit,
                _ => EndCause::Stopped,
            };
        }
        end
    }

    /// Takes over what a newer order says; never steps back from a later phase. True where it changed.
    pub fn merge(&mut self, now: Now, newer: Assignment) -> bool {
        let rank = |phase: &AssignedPhase| match phase {
            AssignedPhase::Prepare => 0,
            AssignedPhase::Run { .. } => 1,
            AssignedPhase::Stop { .. } => 2,
        };
        let before = self.assignment.clone();
        let assignment = Arc::make_mut(&mut self.assignment);
        match (&mut assignment.phase, newer.phase) {
            // The first reason stays; the grace may only become shorter.
            (AssignedPhase::Stop { grace, .. }, AssignedPhase::Stop { grace: shorter, .. }) => {
                *grace = shorter.min(*grace);
                if let Phase::Running { stopping: Some(stopping), .. } = &mut self.phase {
                    stopping.kill_at = stopping.kill_at.min(now.uptime + shorter);
                }
            }
            (phase, wanted) if rank(&wanted) >= rank(phase) => *phase = wanted,
            _ => {}
        }
        assignment.detail = newer.detail;
        assignment.credential = newer.credential;
        let changed = *assignment != *before;
        if !changed {
            // Whoever looks whether it is the same sees at once that it is.
            self.assignment = before;
        }
        changed
    }
}

impl Duty {
    /// A record of this run has become durable.
    pub(super) fn recorded(&mut self, now: Now, run: Run) {
        let durable = self.durable;
        let waits = |record: RecordId| record > durable && !canary::active(canary::EXEC_BEFORE_PERSIST);
        match self.lives.get_mut(&run) {
            Some(Life::Live(live)) => {
                live.accepting = live.accepting.filter(|record| waits(*record));
                match live.phase {
                    Phase::Committing(record) if waits(record) => {}
                    // Executes only if nothing has changed meanwhile; otherwise it stands where it stood.
                    Phase::Committing(_)
                        if self.link.synced
                            && matches!(live.assignment.phase, AssignedPhase::Run { suspended: false, .. }) =>
                    {
                        live.phase = Phase::Starting;
                        let assignment = live.assignment.clone();
                        self.out.push(DutyOutput::StartShim { assignment, launch: live.launch });
                    }
                    Phase::Committing(_) => live.phase = Phase::Prepared,
                    _ => {}
                }
                self.say_prepared(now, run);
                self.advance(now, run);
            }
            Some(Life::Ending { end, .. }) => {
                let end = end.clone();
                self.lives.insert(run, Life::Ended(end.clone()));
                self.report(now, AgentReport::Attempt { run, state: AttemptState::Ended(end) });
                if canary::active(canary::FORGET_BEFORE_ACK) {
                    self.forget(run);
                }
            }
            _ => {}
        }
    }

    /// Goes as far with the run as its orders and its phase allow.
    pub(super) fn advance(&mut self, now: Now, run: Run) {
        let may_begin = self.link.synced && !self.over;
        let Some(Life::Live(live)) = self.lives.get_mut(&run) else { return };
        match (live.phase, live.assignment.phase) {
            (Phase::Accepted | Phase::Preparing | Phase::Prepared, AssignedPhase::Stop { why, .. }) => {
                if live.phase == Phase::Preparing {
                    self.out.push(DutyOutput::Abandon { run });
                }
                self.finish(now, run, never_ran(now.wall, format!("stopped before it began: {}", stop_text(why))));
            }
            (Phase::Accepted, AssignedPhase::Prepare | AssignedPhase::Run { .. }) if may_begin => {
                live.phase = Phase::Preparing;
                let assignment = live.assignment.clone();
                self.out.push(DutyOutput::Prepare { assignment });
            }
            (Phase::Prepared, AssignedPhase::Run { suspended: false, .. }) if may_begin => {
                live.launch += 1;
                live.boot.clone_from(&self.measured.boot_id);
                live.phase = Phase::Committing(RecordId(u64::MAX));
                let stage = Box::new(live.stage());
                let record = self.persist(Record::Run { run, stage });
                if let Some(live) = self.live_mut(run) {
                    live.phase = Phase::Committing(record);
                }
                if canary::active(canary::EXEC_BEFORE_PERSIST) {
                    self.recorded(now, run);
                }
            }
            (Phase::Running { stopping: None, .. }, AssignedPhase::Run { suspended, .. })
                if suspended != live.pause.since.is_some() =>
            {
                self.pause(now, run, suspended);
            }
            (Phase::Running { began, stopping: None }, AssignedPhase::Stop { why, grace }) => {
                live.pause.end(now);
                live.phase = Phase::Running { began, stopping: Some(Stopping { kill_at: now.uptime + grace }) };
                self.out.push(DutyOutput::StopShim { run, why, grace });
            }
            _ => {}
        }
    }

    /// Its time stands still from the order on, its processes once that is written down.
    fn pause(&mut self, now: Now, run: Run, suspended: bool) {
        let Some(live) = self.live_mut(run) else { return };
        if suspended {
            live.pause.since = Some(now.uptime);
        } else {
            live.pause.end(now);
            live.freezes = None;
            self.out.push(DutyOutput::Thaw { run });
        }
        self.update_record(run);
        let record = self.last_record;
        if let Some(live) = self.live_mut(run).filter(|_| suspended) {
            live.freezes = Some(record);
        }
    }

    /// What is to be frozen, and of which that is durable now.
    pub(super) fn freeze_recorded(&mut self) {
        for (run, life) in &mut self.lives {
            let Life::Live(live) = life else { continue };
            if live.freezes.take_if(|record| *record <= self.durable).is_some() && live.pause.since.is_some() {
                self.out.push(DutyOutput::Freeze { run: *run });
            }
        }
    }

    /// Writes down what changed in a live run. Nothing waits for it but what waited before.
    pub(super) fn update_record(&mut self, run: Run) {
        let Some(live) = self.live(run) else { return };
        let record = Record::Run { run, stage: Box::new(live.stage()) };
        let id = self.persist(record);
        if let Some(Live { phase: Phase::Committing(waits), .. }) = self.live_mut(run) {
            *waits = id;
        }
    }

    /// The part of a gang is set up, and that it is here survives this machine.
    pub(super) fn say_prepared(&mut self, now: Now, run: Run) {
        let ready = |live: &Live| live.phase == Phase::Prepared && live.wants_only_preparation();
        if self.live(run).is_some_and(|live| ready(live) && live.accepting.is_none()) {
            self.report(now, AgentReport::Attempt { run, state: AttemptState::Prepared });
        }
    }
}

fn stop_text(why: StopWhy) -> &'static str {
    match why {
        StopWhy::Cancelled => "it was cancelled",
        StopWhy::TimeLimit => "its time was over",
        StopWhy::Requeued => "it was requeued",
        StopWhy::NodeFailed => "another of its nodes failed",
        StopWhy::Preempted => "it was preempted",
        StopWhy::Ended => "the job had ended",
        StopWhy::BudgetExhausted => "its budget was exhausted",
    }
}

fn end(cause: EndCause, ended_at: Timestamp, detail: String) -> AttemptEnd {
    AttemptEnd { cause, exit: ExitStatus::default(), ended_at, usage: Usage::default(), detail }
}

pub(super) fn never_ran(at: Timestamp, detail: String) -> AttemptEnd {
    end(EndCause::NeverRan, at, detail)
}

pub(super) fn launch_failed(at: Timestamp, detail: String) -> AttemptEnd {
    end(EndCause::LaunchFailed, at, detail)
}

pub(super) fn lost(at: Timestamp, detail: String) -> AttemptEnd {
    end(EndCause::Lost, at, detail)
}
