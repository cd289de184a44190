//! The world: one clock, one queue of what is due, and everything that things happen to.

use crate::controller::Process;
use crate::dice::{Dice, Stream};
use crate::disk::Disk;
use crate::happening::{Happening, MachineId, ProcessId, RpcId};
use crate::machine::Machine;
use crate::network::Session;
use crate::oracle::{Executions, History, Promises};
use crate::points::{Point, Snipers};
use crate::rpc::Rpc;
use crate::scenario::{Scenario, Site};
use crate::tally::{Fault, Tally};
use crate::trace::Trace;
use squall_core::{Cluster, ClusterConfig};
use squall_engine::SessionId;
use squall_provisioner_sim::Cloud;
use squall_types::{JobId, NodeId, NodeName, PoolName, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Happenings at one instant, beyond which something goes round in circles.
const MAX_AT_ONCE: u32 = 20_000;
/// Happenings of one run.
const MAX_HAPPENINGS: u64 = 3_000_000;

/// A cloud and when it is due next.
pub struct SiteState {
    pub pool: PoolName,
    pub cloud: Cloud,
    pub due_at: Option<Timestamp>,
    /// Its faults that are in the tally.
    pub counted: BTreeMap<&'static str, u64>,
    pub struck: u64,
}

pub struct World {
    pub now: Timestamp,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    scheduled: u64,
    happened: u64,
    pub scenario: Scenario,
    pub dice: Dice,
    pub trace: Trace,
    pub tally: Tally,
    pub snipers: Snipers,

    pub disk: Disk,
    /// What a fold over the durable events gives.
    pub shadow: Cluster,
    pub history: History,
    pub executions: Executions,
    pub promises: Promises,

    pub processes: BTreeMap<ProcessId, Process>,
    pub leader: Option<ProcessId>,
    /// The configuration file.
    pub config: ClusterConfig,
    pub disk_refuses: bool,
    pub disk_reserve: bool,
    /// The journal says of itself that it is a restored backup, until the event that moves the ids is durable.
    pub restored: bool,
    pub next_id: u64,

    pub sessions: BTreeMap<SessionId, Session>,
    pub machines: Vec<Machine>,
    pub sites: Vec<SiteState>,
    pub rpcs: BTreeMap<RpcId, Rpc>,
    /// The job of each submission, once its client was told.
    pub jobs: BTreeMap<usize, JobId>,
    /// Machines that bear another's identity.
    pub clones: BTreeSet<MachineId>,

    /// Nodes that an admin said to be dead, or that two machines claim to be: whoever did that answers for them.
    pub excused: BTreeSet<NodeId>,
    /// The names of those that an admin said to be dead: a request that comes late may meet the name under a new id.
    pub declared: BTreeSet<NodeName>,
    pub restorations: u32,

    pub healed: bool,
    pub over: bool,
    pub violations: Vec<String>,
}

impl World {
    pub fn new(mut scenario: Scenario, keep_lines: bool) -> Self {
        let start = scenario.start;
        let sites = std::mem::take(&mut scenario.sites);
        let site = |(number, site): (usize, Site)| SiteState {
            pool: site.pool,
            cloud: Cloud::new(site.cloud, site.faults, scenario.seed.wrapping_mul(31).wrapping_add(number as u64)),
            due_at: None,
            counted: BTreeMap::new(),
            struck: 0,
        };
        World {
            now: start,
            queue: BTreeMap::new(),
            scheduled: 0,
            happened: 0,
            dice: Dice::new(scenario.seed, Stream::World),
            trace: Trace::new(start, keep_lines),
            tally: Tally::default(),
            snipers: Snipers::new(std::mem::take(&mut scenario.snipers)),
            disk: Disk::default(),
            shadow: Cluster::new(),
            history: History::default(),
            executions: Executions::default(),
            promises: Promises::default(),
            processes: BTreeMap::new(),
            leader: None,
            config: scenario.config.clone(),
            disk_refuses: false,
            disk_reserve: false,
            restored: false,
            next_id: 0,
            sessions: BTreeMap::new(),
            machines: Vec::new(),
            sites: sites.into_iter().enumerate().map(site).collect(),
            rpcs: BTreeMap::new(),
            jobs: BTreeMap::new(),
            clones: BTreeSet::new(),
            excused: BTreeSet::new(),
            declared: BTreeSet::new(),
            restorations: 0,
            healed: false,
            over: false,
            violations: Vec::new(),
            scenario,
        }
    }

    /// Runs until everything is over, or something is wrong.
    pub fn run(&mut self) {
        self.set_up();
        let mut at_once = 0;
        while let Some(((at, _), happening)) = self.queue.pop_first() {
            at_once = if at > self.now { 0 } else { at_once + 1 };
            self.now = self.now.max(at);
            self.happened += 1;
            if at_once > MAX_AT_ONCE || self.happened > MAX_HAPPENINGS {
                self.wrong(format!("M9: hot loop: {at_once} happenings at once, {} in all", self.happened));
            }
            self.happen(happening);
            if self.over || !self.violations.is_empty() {
                return;
            }
        }
        self.wrong("nothing is due any more, and it is not over".to_owned());
    }

    fn set_up(&mut self) {
        self.schedule(Span::ZERO, Happening::StartController);
        let machines = self.scenario.machines.clone();
        for (name, shape) in machines {
            self.add_static_machine(name, shape);
        }
        for number in 0..self.scenario.acts.len() {
            let at = self.scenario.acts[number].0;
            self.schedule_at(at, Happening::Act(number));
        }
        for number in 0..self.scenario.chaos.len() {
            let at = self.scenario.chaos[number].0;
            self.schedule_at(at, Happening::Chaos(number));
        }
        if self.scenario.kinds.restore {
            let after = self.dice.secs(30, 300);
            self.schedule(after, Happening::Backup);
        }
        self.schedule_at(self.scenario.heal_at, Happening::Heal);
    }

    pub fn schedule(&mut self, after: Span, happening: Happening) {
        self.schedule_at(self.now + after, happening);
    }

    pub fn schedule_at(&mut self, at: Timestamp, happening: Happening) {
        self.scheduled += 1;
        self.queue.insert((at.max(self.now), self.scheduled), happening);
    }

    pub fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub fn wrong(&mut self, text: String) {
        self.trace.say(self.now, "WRONG", 0, || text.clone());
        self.violations.push(text);
    }

    pub fn wrongs(&mut self, texts: Vec<String>) {
        texts.into_iter().for_each(|text| self.wrong(text));
    }

    /// A chance that is none after the healing.
    pub fn chance(&mut self, permille: u32) -> bool {
        !self.healed && self.dice.chance(permille)
    }

    /// How long a message takes.
    pub fn delay(&mut self) -> Span {
        let most = if self.healed { 50 } else { self.scenario.weather.delay.0 };
        // Most are quick, whatever the worst.
        let most = if self.dice.chance(900) { most.min(20) } else { most };
        self.dice.millis(1, most)
    }

    /// Whether whoever passes here is to die.
    pub fn strikes(&mut self, point: Point, fault: Fault) -> bool {
        let struck = !self.healed && self.snipers.strike(point);
        if struck {
            self.tally.count(fault, point.name());
        }
        struck
    }

    pub fn happened(&self) -> u64 {
        self.happened
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::StartController => self.start_controller(),
            Happening::Resume(process) => self.resume(process),
            Happening::Feed { process, input } => self.feed(process, *input),
            Happening::Wake(process) => self.wake(process),
            Happening::Gathered(process) => self.take_in(process),
            Happening::Synced { process, batch } => self.synced(process, batch),
            Happening::Effect { process, call, pool, verb } => self.take_effect(process, call, &pool, verb),
            Happening::CloudDue(site) => self.cloud_due(site),
            Happening::Up(session) => self.up(session),
            Happening::Down(session) => self.down(session),
            Happening::Replayed { session, order } => self.replayed(session, *order),
            Happening::Broken { session, end } => self.broken(session, end),
            Happening::Dial { machine, agent } => self.dial(machine, agent),
            Happening::PowerOn(machine) => self.power_on(machine),
            Happening::StartAgent { machine, boot } => self.start_agent(machine, boot),
            Happening::ResumeAgent { machine, agent } => self.resume_agent(machine, agent),
            Happening::Tick { machine, agent } => self.agent_tick(machine, agent),
            Happening::Recorded { machine, agent, record } => self.recorded(machine, agent, record),
            Happening::Examined { machine, agent, run } => self.examined(machine, agent, run),
            Happening::Prepared { machine, agent, run, well } => self.prepared(machine, agent, run, well),
            Happening::Execute { machine, boot, agent, run, launch } => {
                self.execute(machine, boot, agent, run, launch);
            }
            Happening::ExecuteFailed { machine, agent, run } => self.execute_failed(machine, agent, run),
            Happening::Executed { machine, agent, run } => self.executed(machine, agent, run),
            Happening::ProcessEnds { machine, boot, run, launch, exit, by_itself } => {
                self.process_ends(machine, boot, run, launch, exit, by_itself);
            }
            Happening::EndSeen { machine, agent, run } => self.end_seen(machine, agent, run),
            Happening::StepEnds { machine, boot, run, step } => self.step_ends(machine, boot, run, step),
            Happening::HealthClears(machine) => self.health(machine, String::new()),
            Happening::Act(number) => self.act(number),
            Happening::Send(rpc) => self.rpc_arrives(rpc),
            Happening::Answered { rpc, answer } => self.answered(rpc, &answer),
            Happening::TimedOut { rpc, tries } => self.timed_out(rpc, tries),
            Happening::FinishAllocation(run) => self.finish_allocation(run),
            Happening::LaunchStep { run, left } => self.launch_step(run, left),
            Happening::Chaos(number) => self.chaos(number),
            Happening::DiskHasReserve => self.disk_reserve(false),
            Happening::CloneIsFound(machine) => self.scrap(machine),
            Happening::Backup => self.disk.take_backup(),
            Happening::Heal => self.heal(),
            Happening::Look { since } => self.look(since),
        }
    }
}
