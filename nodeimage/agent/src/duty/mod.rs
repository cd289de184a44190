//! The agent's judgement, as a state machine: what happened goes in, what to do comes out.
//!
//! ```text
//! order: Accepted ─► Preparing ─► Prepared ─► Committing ─► Starting ─► Running ─┐
//!           └────────────┴────────────┴───────────┴─ never ran ──────────────────┴► Ending ─► Ended ─► forgotten
//! ```
//!
//! What holds whatever the order of inputs:
//! - A run is executed only after a durable record says that it may have been; after a restart such a
//!   run is examined, and executed only if it is proved that it never began.
//! - That a run was accepted is being written down while it is prepared, and is durable before anybody hears that it is.
//! - Of what was let loose before the machine booted nobody says that it never began: claims of shims are lost with the machine.
//! - An end is reported only when it is durable, and kept until the controller acknowledges it. That a
//!   run existed is remembered longer than its result, so that a repeated order cannot execute it twice.
//! - Only the highest epoch seen is obeyed, and only once that epoch is durable.
//! - No run begins without contact; no run ends for the lack of it, but at its own limit.
//! - A GPU is never held by two live runs.
//! - What a run was frozen does not count against its limit, also if the agent dies meanwhile: nothing is frozen before a
//!   durable record says since when.
//!
//! Time is an argument: limits run on `uptime`, which no correction of the wall clock touches.

mod exchange;
mod life;
mod orders;
mod record;
#[cfg(test)]
pub(crate) mod tests;
mod timers;

pub use exchange::{DutyInput, DutyOutput, PowerOffWhy, Refusal};
pub use record::{Found, NodeRecord, Pause, Record, RecordId, Remains, Stage};

use crate::canary;
use life::{Life, Live, Phase};
use minicbor::{Decode, Encode};
use squall_types::agent::{AgentOrder, AgentReport, Assignment, AttemptEnd, AttemptState, MeasuredNode, StepEnd};
use squall_types::ids::Run;
use squall_types::{Attempt, Epoch, Generation, JobId, Span, StepId, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Runs that one node keeps, ended ones that are not acknowledged included.
pub const MAX_RUNS: usize = 4096;
/// Results of steps that are kept for the controller; the oldest go first.
pub const MAX_STEPS: usize = 16_384;
/// Jobs of which it is remembered that they were here.
pub const MAX_FORGOTTEN: usize = 16_384;
/// Orders that wait for an epoch to be durable.
pub const MAX_DEFERRED: usize = 1024;

/// Both clocks of the machine, read together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Now {
    /// For people and for the controller.
    #[n(0)]
    pub wall: Timestamp,
    /// Since the machine booted, sleep included: what limits are counted by.
    #[n(1)]
    pub uptime: Span,
}

/// What differs between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DutyConfig {
    /// A bought machine: it powers itself off when it is alone with nothing to wait for, or past its bound.
    pub self_end: bool,
    /// The bound it was launched with; orders may move it.
    pub die_at: Option<Timestamp>,
    /// The longest silence towards the controller.
    pub heartbeat: Span,
    /// How long a bought machine without jobs and results waits for a controller.
    pub alone_after: Span,
    /// How long it waits where it holds results that nobody has acknowledged.
    pub results_kept: Span,
}

impl Default for DutyConfig {
    fn default() -> Self {
        DutyConfig {
            self_end: false,
            die_at: None,
            heartbeat: Span::from_secs(10),
            alone_after: Span::from_mins(10),
            results_kept: Span::from_hours(1),
        }
    }
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct Duty {
    config: DutyConfig,
    measured: MeasuredNode,
    fault: String,
    node: NodeRecord,
    generation: Generation,
    lives: BTreeMap<Run, Life>,
    steps: BTreeMap<(Run, StepId), StepEnd>,
    /// The highest attempt of each job whose result was acknowledged here.
    forgotten: BTreeMap<JobId, Attempt>,
    link: Link,
    last_record: RecordId,
    durable: RecordId,
    /// The record of the present epoch: nothing is obeyed before it is durable.
    epoch_record: RecordId,
    /// The bound on `uptime`, taken from the wall clock when it was last told.
    dies_at: Option<Span>,
    retiring: bool,
    over: bool,
    /// When a run was last live here, or a controller last in contact.
    busy_at: Span,
    said_at: Span,
    out: Vec<DutyOutput>,
}

/// How far the conversation on the present connection has come.
#[derive(Clone, Debug, Default)]
struct Link {
    connected: bool,
    greeted: bool,
    /// The full set was taken: deltas make sense, and work may begin.
    synced: bool,
    /// They wait until the epoch is durable.
    deferred: VecDeque<AgentOrder>,
}

impl Duty {
    /// Takes up what the ledger holds. Each run in [`Duty::to_examine`] is then to be answered with
    /// `DutyInput::Found`, before or after connecting; the first `Hello` waits for it.
    pub fn restore(config: DutyConfig, measured: MeasuredNode, now: Now, records: Vec<Record>) -> Duty {
        let mut duty = Duty {
            config,
            measured,
            fault: String::new(),
            node: NodeRecord::default(),
            generation: Generation(0),
            lives: BTreeMap::new(),
            steps: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            link: Link::default(),
            last_record: RecordId(0),
            durable: RecordId(0),
            epoch_record: RecordId(0),
            dies_at: None,
            retiring: false,
            over: false,
            busy_at: now.uptime,
            said_at: now.uptime,
            out: Vec::new(),
        };
        for record in records {
            match record {
                Record::Node(node) => duty.node = node,
                Record::Run { run, stage } => {
                    duty.lives.insert(run, Life::restored(*stage));
                }
                Record::Step(step) => {
                    duty.steps.insert((step.run, step.step), step);
                }
                Record::StepForgotten { run, step } => {
                    duty.steps.remove(&(run, step));
                }
                Record::Forgotten { run } => {
                    duty.lives.remove(&run);
                    duty.remember_forgotten(run);
                }
                Record::Damaged { run } => {
                    duty.lives.insert(run, Life::Damaged);
                }
            }
        }
        duty.node.die_at = duty.node.die_at.or(config.die_at);
        duty.aim_bound(now);
        duty
    }

    /// Takes one input, and says what to do, in order.
    pub fn step(&mut self, now: Now, input: DutyInput) -> Vec<DutyOutput> {
        match input {
            DutyInput::Connected => {
                self.link = Link { connected: true, ..Link::default() };
                self.greet(now);
            }
            DutyInput::Disconnected => {
                self.link = Link::default();
                self.busy_at = now.uptime;
            }
            DutyInput::Order(order) => self.ordered(now, order),
            DutyInput::Persisted(id) => self.persisted(now, id),
            DutyInput::Found { run, found } => self.found(now, run, found),
            DutyInput::Prepared { run } => {
                if let Some(live) = self.live_mut(run)
                    && live.phase == Phase::Preparing
                {
                    live.phase = Phase::Prepared;
                    self.say_prepared(now, run);
                    self.advance(now, run);
                }
            }
            DutyInput::PrepareFailed { run, detail } | DutyInput::ShimFailed { run, detail } => {
                if self.live(run).is_some_and(|live| matches!(live.phase, Phase::Preparing | Phase::Starting)) {
                    self.finish(now, run, life::launch_failed(now.wall, detail));
                }
            }
            DutyInput::ShimStarted { run, began } => self.shim_started(now, run, began),
            DutyInput::ShimEnded { run, end } => {
                if let Some(live) = self.live(run)
                    && live.may_have_begun()
                {
                    let end = live.judge(end);
                    self.finish(now, run, end);
                }
            }
            DutyInput::StepEnded(step) => self.step_ended(now, step),
            DutyInput::Measured(measured) => self.measured = measured,
            DutyInput::Fault(fault) => {
                if fault != self.fault {
                    self.fault.clone_from(&fault);
                    self.report(now, AgentReport::Health { fault });
                }
            }
            DutyInput::Tick => {}
        }
        self.tick(now);
        std::mem::take(&mut self.out)
    }

    /// Runs that an earlier agent wrote down and that were not over, and of which nobody has said yet what was found.
    pub fn to_examine(&self) -> Vec<(Run, Remains)> {
        let boot = &self.measured.boot_id;
        let remains = |life: &Life| match life {
            Life::Live(live) if live.phase == Phase::Examining => Some(live.remains(boot)),
            Life::Damaged => Some(Remains::Damaged),
            _ => None,
        };
        self.lives.iter().filter_map(|(run, life)| Some((*run, remains(life)?))).collect()
    }

    /// Whether all that the run needs is set up: what is started in it finds its cell.
    pub fn is_prepared(&self, run: Run) -> bool {
        self.live(run).is_some_and(|live| {
            matches!(live.phase, Phase::Prepared | Phase::Committing(_) | Phase::Starting | Phase::Running { .. })
        })
    }

    /// The assignment of a run that is not over.
    pub fn assignment(&self, run: Run) -> Option<&Arc<Assignment>> {
        self.live(run).map(|live| &live.assignment)
    }

    /// Runs that are not over, with their assignments.
    pub fn assignments(&self) -> impl Iterator<Item = &Arc<Assignment>> {
        self.lives.values().filter_map(|life| match life {
            Life::Live(live) => Some(&live.assignment),
            _ => None,
        })
    }

    /// Since when a run is being executed.
    pub fn running_since(&self, run: Run) -> Option<Now> {
        self.live(run).and_then(|live| match live.phase {
            Phase::Running { began, .. } => Some(began),
            _ => None,
        })
    }

    /// The highest epoch seen.
    pub fn epoch(&self) -> Epoch {
        self.node.epoch
    }

    /// Whether a controller was greeted and its full set taken on the present connection.
    pub fn in_contact(&self) -> bool {
        self.link.synced
    }

    /// No run is live.
    pub fn idle(&self) -> bool {
        !self.lives.values().any(Life::holds)
    }

    /// Says everything that it knows of, once that is certain: a run that is missing in `Hello` has
    /// not been executed here.
    fn greet(&mut self, now: Now) {
        if !self.link.connected || self.link.greeted || self.lives.values().any(Life::is_uncertain) {
            return;
        }
        self.link.greeted = true;
        self.report(
            now,
            AgentReport::Hello {
                epoch: self.node.epoch,
                generation: self.generation,
                measured: self.measured.clone(),
                attempts: self.lives.iter().filter_map(|(run, life)| Some((*run, life.state()?))).collect(),
                steps: self.steps.values().cloned().collect(),
            },
        );
        // Also where there is none: one that the controller holds against the node may have gone in silence.
        self.report(now, AgentReport::Health { fault: self.fault.clone() });
    }

    /// Says it where somebody listens; where nobody does, the next `Hello` says it.
    fn report(&mut self, now: Now, report: AgentReport) {
        if self.link.greeted {
            self.said_at = now.uptime;
            self.out.push(DutyOutput::Report(report));
        }
    }

    fn persist(&mut self, record: Record) -> RecordId {
        self.last_record.0 += 1;
        self.out.push(DutyOutput::Persist { id: self.last_record, record });
        self.last_record
    }

    fn persisted(&mut self, now: Now, id: RecordId) {
        self.durable = self.durable.max(id);
        let due: Vec<Run> = self
            .lives
            .iter()
            .filter(|(_, life)| life.waits_for().is_some_and(|waits| waits <= self.durable))
            .map(|(run, _)| *run)
            .collect();
        for run in due {
            self.recorded(now, run);
        }
        self.freeze_recorded();
        self.take_deferred(now);
        self.greet(now);
    }

    fn found(&mut self, now: Now, run: Run, found: Found) {
        let end = match (self.lives.get_mut(&run), found) {
            (Some(Life::Damaged), Found::Ended(end)) => Some(end),
            (Some(Life::Damaged), _) => Some(life::lost(now.wall, "its record on this node was damaged".to_owned())),
            (Some(Life::Live(live)), found) if live.phase == Phase::Examining => match found {
                Found::NeverBegan => {
                    live.phase = Phase::Accepted;
                    None
                }
                Found::Prepared => {
                    live.phase = Phase::Prepared;
                    None
                }
                _ if canary::active(canary::RESTART_BEGUN_RUN) => {
                    live.phase = Phase::Accepted;
                    None
                }
                Found::Running(began) => {
                    live.phase = Phase::Running { began, stopping: None };
                    // What the agent before this one did last is not known.
                    self.out.push(match live.pause.since {
                        Some(_) => DutyOutput::Freeze { run },
                        None => DutyOutput::Thaw { run },
                    });
                    None
                }
                Found::Ended(end) => Some(live.judge(end)),
                Found::Lost { detail } => Some(life::lost(now.wall, detail)),
            },
            _ => return,
        };
        match end {
            Some(end) => self.finish(now, run, end),
            None => self.advance(now, run),
        }
        self.greet(now);
    }

    fn shim_started(&mut self, now: Now, run: Run, began: Now) {
        let Some(live) = self.live_mut(run) else { return };
        if live.phase != Phase::Starting {
            return;
        }
        live.phase = Phase::Running { began, stopping: None };
        self.report(now, AgentReport::Attempt { run, state: AttemptState::Running { since: began.wall } });
        self.advance(now, run);
    }

    fn step_ended(&mut self, now: Now, step: StepEnd) {
        self.persist(Record::Step(step.clone()));
        if self.steps.len() >= MAX_STEPS
            && let Some(((run, step), _)) = self.steps.pop_first()
        {
            self.persist(Record::StepForgotten { run, step });
        }
        self.steps.insert((step.run, step.step), step.clone());
        self.report(now, AgentReport::Step(step));
    }

    /// The run is over: the end is written down, and reported once that is durable.
    fn finish(&mut self, now: Now, run: Run, end: AttemptEnd) {
        self.busy_at = now.uptime;
        let record = self.persist(Record::Run { run, stage: Box::new(Stage::Ended(end.clone())) });
        self.lives.insert(run, Life::Ending { end, record });
        if canary::active(canary::REPORT_BEFORE_PERSIST) {
            self.recorded(now, run);
        }
    }

    fn forget(&mut self, run: Run) {
        self.lives.remove(&run);
        self.remember_forgotten(run);
        self.persist(Record::Forgotten { run });
        self.out.push(DutyOutput::Forget { run });
    }

    fn remember_forgotten(&mut self, run: Run) {
        let attempt = self.forgotten.entry(run.job).or_insert(run.attempt);
        *attempt = run.attempt.max(*attempt);
        if self.forgotten.len() > MAX_FORGOTTEN {
            self.forgotten.pop_first();
        }
    }

    fn live(&self, run: Run) -> Option<&Live> {
        match self.lives.get(&run) {
            Some(Life::Live(live)) => Some(live),
            _ => None,
        }
    }

    fn live_mut(&mut self, run: Run) -> Option<&mut Live> {
        match self.lives.get_mut(&run) {
            Some(Life::Live(live)) => Some(live),
            _ => None,
        }
    }
}
