//! Machines and stand-ins for their agents: they prepare what they are told, run it for its time, end it at its limit.

use super::figures::Fate;
use super::meter::Gauge;
use super::world::{Happening, MESSAGE, World};
use squall_core::Command;
use squall_engine::{Input, SessionId};
use squall_types::agent::{AgentOrder, AgentReport, AssignedPhase, AssignmentDetail, EndCause, StopWhy};
use squall_types::ids::Run;
use squall_types::{
    Assignment, AttemptEnd, AttemptState, Epoch, Generation, HourlyPrice, InstanceId, MeasuredNode, NodeId, NodeName,
    OrderId, Shape, Span,
};
use std::collections::BTreeMap;

/// From a duty to everything being set up for it.
const PREPARE: Span = Span::from_millis(20);

/// Where a machine is in its life, as its owner pays for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Booting,
    Up,
    /// To be given back.
    Ending,
    Gone,
}

/// What of a job is on one machine.
struct Part {
    job: usize,
    /// Of the first machine of a job: it decides how long all run.
    leads: bool,
    limit: Span,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Preparing,
    /// Told to run before all was set up, as jobs of one node are.
    ToRun,
    Prepared,
    Running,
    Over,
}

pub(super) struct Machine {
    name: NodeName,
    shape: Shape,
    instance: Option<InstanceId>,
    order: Option<OrderId>,
    price: HourlyPrice,
    pub life: Life,
    connected: bool,
    parts: BTreeMap<Run, Part>,
    /// What it counts as in the meter.
    counted: Option<Counted>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    Booting,
    Idle,
    Busy,
    Ending,
}

impl Counted {
    fn gauges(self) -> (Gauge, Gauge) {
        match self {
            Counted::Booting => (Gauge::BootingNodes, Gauge::BootingGpus),
            Counted::Idle => (Gauge::IdleNodes, Gauge::IdleGpus),
            Counted::Busy => (Gauge::BusyNodes, Gauge::BusyGpus),
            Counted::Ending => (Gauge::EndingNodes, Gauge::EndingGpus),
        }
    }
}

impl Machine {
    pub fn bought(name: NodeName, shape: Shape, instance: InstanceId, order: OrderId, price: HourlyPrice) -> Machine {
        let (instance, order) = (Some(instance), Some(order));
        Machine {
            name,
            shape,
            instance,
            order,
            price,
            life: Life::Booting,
            connected: false,
            parts: BTreeMap::new(),
            counted: None,
        }
    }

    fn owned(name: NodeName, shape: Shape) -> Machine {
        Machine {
            name,
            shape,
            instance: None,
            order: None,
            price: HourlyPrice(0),
            life: Life::Up,
            connected: false,
            parts: BTreeMap::new(),
            counted: None,
        }
    }

    pub fn join(&self) -> Command {
        let name = Some(self.name.clone());
        Command::Join { order: self.order, name, instance: self.instance.clone(), key: format!("key of {}", self.name) }
    }

    fn counts_as(&self) -> Option<Counted> {
        match self.life {
            Life::Booting => Some(Counted::Booting),
            Life::Up if self.parts.values().any(|part| part.stage != Stage::Over) => Some(Counted::Busy),
            Life::Up => Some(Counted::Idle),
            Life::Ending => Some(Counted::Ending),
            Life::Gone => None,
        }
    }
}

impl World<'_> {
    pub fn own_machines(&mut self) {
        let own = |pool: &squall_core::config::PoolConfig| -> Vec<Machine> {
            pool.static_nodes.iter().map(|(name, shape)| Machine::owned(name.clone(), shape.clone())).collect()
        };
        let own: Vec<Machine> = self.configured_pools().flat_map(own).collect();
        for machine in own {
            let number = self.machines.len();
            self.add_machine(machine);
            self.ask_to_join(number);
        }
    }

    pub fn add_machine(&mut self, machine: Machine) {
        self.meter.add(self.now, Gauge::Rate, machine.price.0);
        self.machines.push(machine);
        self.count(self.machines.len() - 1);
    }

    /// Brings the meter up to what a machine is now.
    fn count(&mut self, machine: usize) {
        let Machine { shape, counted, .. } = &self.machines[machine];
        let (gpus, before, after) = (i64::from(shape.gpus.count()), *counted, self.machines[machine].counts_as());
        if before == after {
            return;
        }
        self.machines[machine].counted = after;
        for (counted, sign) in before.map(|before| (before, -1)).into_iter().chain(after.map(|after| (after, 1))) {
            let (nodes, of_gpus) = counted.gauges();
            self.meter.add(self.now, nodes, sign);
            self.meter.add(self.now, of_gpus, sign * gpus);
        }
    }

    pub fn lives(&mut self, machine: usize, life: Life) {
        self.machines[machine].life = life;
        self.count(machine);
    }

    /// It has its place in the cluster: it connects and says what it has.
    pub fn joined(&mut self, machine: usize, node: NodeId) {
        let Machine { life, shape, name, .. } = &self.machines[machine];
        if *life == Life::Gone {
            return;
        }
        let measured = MeasuredNode {
            shape: shape.clone(),
            hostname: name.to_string(),
            agent_version: "simulated".to_owned(),
            boot_id: "1".to_owned(),
            ..MeasuredNode::default()
        };
        self.machines[machine].connected = true;
        let session = SessionId(machine as u64);
        self.feed(Input::AgentOpened { session, node, incarnation: "1".to_owned() });
        let hello = AgentReport::Hello {
            epoch: Epoch(0),
            generation: Generation(0),
            measured,
            attempts: Vec::new(),
            steps: Vec::new(),
        };
        self.schedule(MESSAGE, Happening::Said { machine, report: Box::new(hello) });
    }

    pub fn said(&mut self, machine: usize, report: AgentReport) {
        if self.machines[machine].connected {
            self.feed(Input::AgentSaid { session: SessionId(machine as u64), report });
        }
    }

    fn report(&mut self, machine: usize, run: Run, state: AttemptState) {
        let report = Box::new(AgentReport::Attempt { run, state });
        self.schedule(MESSAGE, Happening::Said { machine, report });
    }

    pub fn told(&mut self, machine: usize, order: AgentOrder) {
        match order {
            AgentOrder::FullSet { assignments, .. } => {
                assignments.into_iter().for_each(|assignment| self.assigned(machine, assignment));
            }
            AgentOrder::Delta { changed, removed, .. } => {
                changed.into_iter().for_each(|assignment| self.assigned(machine, assignment));
                for run in removed {
                    self.machines[machine].parts.remove(&run);
                }
                self.count(machine);
            }
            AgentOrder::Refused { why } => {
                self.wrong.get_or_insert(format!("{} is refused: {why}", self.machines[machine].name));
            }
            AgentOrder::Acknowledged { .. } | AgentOrder::Signal { .. } | AgentOrder::Retire => {}
        }
    }

    fn assigned(&mut self, machine: usize, assignment: Assignment) {
        let Assignment { run, phase, detail, .. } = assignment;
        let stage = self.machines[machine].parts.get(&run).map(|part| part.stage);
        match (phase, stage) {
            (AssignedPhase::Prepare, None) => self.prepare(machine, run, &detail, Stage::Preparing),
            (AssignedPhase::Run { .. }, None) => self.prepare(machine, run, &detail, Stage::ToRun),
            (AssignedPhase::Run { .. }, Some(Stage::Preparing)) => self.stage(machine, run, Stage::ToRun),
            (AssignedPhase::Run { .. }, Some(Stage::Prepared)) => self.begins(machine, run),
            (AssignedPhase::Stop { .. }, None) => self.report(machine, run, end(EndCause::NeverRan, self.now)),
            (AssignedPhase::Stop { why, .. }, Some(stage)) if stage != Stage::Over => self.stopped(machine, run, why),
            _ => {}
        }
    }

    fn prepare(&mut self, machine: usize, run: Run, detail: &AssignmentDetail, stage: Stage) {
        let Some(job) = self.jobs.get(&run.job).copied() else {
            self.wrong.get_or_insert(format!("job {} was never submitted", run.job));
            return;
        };
        let part = Part { job, leads: detail.rank == 0, limit: detail.time_limit, stage };
        self.machines[machine].parts.insert(run, part);
        self.count(machine);
        self.schedule(MESSAGE + PREPARE, Happening::Prepared { machine, run });
    }

    fn stage(&mut self, machine: usize, run: Run, stage: Stage) {
        if let Some(part) = self.machines[machine].parts.get_mut(&run) {
            part.stage = stage;
        }
    }

    pub fn prepared(&mut self, machine: usize, run: Run) {
        match self.machines[machine].parts.get(&run).map(|part| part.stage) {
            Some(Stage::Preparing) => {
                self.stage(machine, run, Stage::Prepared);
                self.report(machine, run, AttemptState::Prepared);
            }
            Some(Stage::ToRun) => self.begins(machine, run),
            _ => {}
        }
    }

    fn begins(&mut self, machine: usize, run: Run) {
        let now = self.now;
        let Some(part) = self.machines[machine].parts.get_mut(&run) else { return };
        part.stage = Stage::Running;
        let (job, leads, limit) = (part.job, part.leads, part.limit);
        if !leads {
            return;
        }
        self.unqueued(job);
        self.ledger.began(job, now);
        self.changed_at = now;
        self.meter.add(now, Gauge::RunningJobs, 1);
        self.meter.add(now, Gauge::UsedGpus, self.work[job].demand.gpus() as i64);
        let runs_for = self.work[job].runs_for.min(limit);
        self.schedule(runs_for, Happening::Ends { machine, run });
    }

    /// Its script ends, or its time is up.
    pub fn ends(&mut self, machine: usize, run: Run) {
        let Some(part) = self.machines[machine].parts.get(&run).filter(|part| part.stage == Stage::Running) else {
            return;
        };
        let timed_out = self.work[part.job].runs_for > part.limit;
        let (cause, fate) = match timed_out {
            true => (EndCause::TimeLimit, Fate::TimedOut),
            false => (EndCause::Exited, Fate::Completed),
        };
        let job = part.job;
        self.over(machine, run);
        self.settle(job, fate);
        self.report(machine, run, end(cause, self.now));
    }

    fn stopped(&mut self, machine: usize, run: Run, why: StopWhy) {
        let Some(part) = self.machines[machine].parts.get(&run) else { return };
        let (job, led) = (part.job, part.leads && part.stage == Stage::Running);
        self.over(machine, run);
        if led {
            match why {
                StopWhy::Requeued | StopWhy::NodeFailed | StopWhy::Preempted | StopWhy::BudgetExhausted => {
                    self.queued(job);
                }
                StopWhy::TimeLimit => self.settle(job, Fate::TimedOut),
                StopWhy::Cancelled | StopWhy::Ended => self.settle(job, Fate::Stopped),
            }
        }
        self.report(machine, run, end(EndCause::Stopped, self.now));
    }

    /// Nothing of it runs on this machine any more.
    fn over(&mut self, machine: usize, run: Run) {
        let now = self.now;
        let Some(part) = self.machines[machine].parts.get_mut(&run) else { return };
        let ran = std::mem::replace(&mut part.stage, Stage::Over) == Stage::Running;
        let (job, leads) = (part.job, part.leads);
        if ran && leads {
            self.changed_at = now;
            self.meter.add(now, Gauge::RunningJobs, -1);
            self.meter.add(now, Gauge::UsedGpus, -(self.work[job].demand.gpus() as i64));
        }
        self.count(machine);
    }

    fn settle(&mut self, job: usize, fate: Fate) {
        self.ledger.ended(job, self.now, fate);
        self.settled += 1;
    }

    /// The machine is gone, with what ran on it: that waits again.
    pub fn machine_gone(&mut self, machine: usize) {
        let runs: Vec<Run> = self.machines[machine].parts.keys().copied().collect();
        for run in runs {
            let part = &self.machines[machine].parts[&run];
            let lost = (part.leads && part.stage == Stage::Running).then_some(part.job);
            self.over(machine, run);
            lost.into_iter().for_each(|job| self.queued(job));
        }
        self.machines[machine].parts.clear();
        self.meter.add(self.now, Gauge::Rate, -self.machines[machine].price.0);
        self.lives(machine, Life::Gone);
        if std::mem::take(&mut self.machines[machine].connected) {
            self.feed(Input::AgentClosed { session: SessionId(machine as u64) });
        }
    }
}

fn end(cause: EndCause, at: squall_types::Timestamp) -> AttemptState {
    AttemptState::Ended(AttemptEnd {
        cause,
        exit: Default::default(),
        ended_at: at,
        usage: Default::default(),
        detail: String::new(),
    })
}
