//! Machines: power, boots, the disk that outlives an agent, and what runs whether or not an agent watches.

use crate::agent::Agent;
use crate::happening::{AgentId, End, Happening, MachineId};
use crate::network::Cut;
use crate::tally::Fault;
use crate::world::World;
use squall_engine::SessionId;
use squall_types::ids::Run;
use squall_types::{
    Assignment, AttemptEnd, InstanceId, MeasuredNode, NodeId, NodeName, OrderId, Shape, Span, Timestamp,
};
use squalld::duty::{DutyInput, Now, Record};
use std::collections::BTreeMap;

/// What a machine is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Named in the configuration.
    Static,
    /// Bought: the site's number, what the cloud calls it, and its order.
    Bought { site: usize, instance: InstanceId, order: OrderId },
}

#[derive(Debug)]
pub struct Machine {
    pub origin: Origin,
    /// As its user data or its configuration says.
    pub name: NodeName,
    pub shape: Shape,
    pub powered: bool,
    /// Taken away: it never starts again.
    pub scrapped: bool,
    /// Raised at each start: what is due for an earlier one is void.
    pub boot: u32,
    pub booted_at: Timestamp,
    /// Its wall clock less the true one.
    pub skew: Span,
    pub die_at: Option<Timestamp>,
    pub cut: Cut,
    // On its disk.
    pub key: String,
    pub joined: Option<(NodeId, NodeName)>,
    pub records: Vec<Record>,
    pub runs: BTreeMap<Run, Execution>,
    pub agent: Option<Agent>,
}

/// A shim and what it started: lives and dies without the agent.
#[derive(Clone, Debug)]
pub struct Execution {
    pub assignment: Assignment,
    pub launch: u32,
    pub boot: u32,
    pub state: Stage,
    pub ignores_term: bool,
    pub terminated: bool,
    pub killed: bool,
    pub freezer: Freezer,
}

/// What time a process did not run.
#[derive(Clone, Debug, Default)]
pub struct Freezer {
    /// Since when it is frozen.
    pub since: Option<Timestamp>,
    /// All that is over.
    pub before: Span,
    /// Of that, what its own end was not put off by yet.
    pub owed: Span,
    /// It would have ended while it was frozen: what is left for it to run, and how it ends.
    pub rest: Option<(Span, squall_types::ExitStatus)>,
}

impl Freezer {
    /// How long it has not run by `now`.
    pub fn by(&self, now: Timestamp) -> Span {
        self.before + self.since.map_or(Span::ZERO, |since| now.since(since))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// On its way to execute.
    Starting,
    /// Proved that it never will.
    Void,
    Alive {
        began: Now,
    },
    Ended(AttemptEnd),
}

impl Machine {
    pub fn now(&self, now: Timestamp) -> Now {
        Now { wall: now + self.skew, uptime: now.since(self.booted_at) }
    }

    pub fn agent_session(&self) -> Option<SessionId> {
        self.agent.as_ref()?.session
    }

    pub fn set_session(&mut self, session: Option<SessionId>) {
        if let Some(agent) = &mut self.agent {
            agent.session = session;
        }
    }

    pub fn measured(&self) -> MeasuredNode {
        MeasuredNode {
            shape: self.shape.clone(),
            hostname: self.name.to_string(),
            address: format!("{}:7000", self.name),
            agent_version: "simulated".to_owned(),
            boot_id: format!("boot {}", self.boot),
            os: String::new(),
            clock_skew: self.skew,
        }
    }
}

impl World {
    pub fn add_static_machine(&mut self, name: NodeName, shape: Shape) {
        let skew = self.dice.millis(-500, 500);
        let machine = self.add_machine(Origin::Static, name, shape, None, skew);
        self.power_on(machine);
    }

    pub fn add_machine(
        &mut self,
        origin: Origin,
        name: NodeName,
        shape: Shape,
        die_at: Option<Timestamp>,
        skew: Span,
    ) -> MachineId {
        let id = MachineId(self.machines.len());
        self.machines.push(Machine {
            origin,
            name,
            shape,
            powered: false,
            scrapped: false,
            boot: 0,
            booted_at: self.now,
            skew,
            die_at,
            cut: Cut::default(),
            key: format!("key {}", id.0),
            joined: None,
            records: Vec::new(),
            runs: BTreeMap::new(),
            agent: None,
        });
        id
    }

    /// It starts; its agent follows.
    pub fn power_on(&mut self, id: MachineId) {
        let machine = &mut self.machines[id.0];
        if machine.powered || machine.scrapped {
            return;
        }
        machine.powered = true;
        machine.boot += 1;
        machine.booted_at = self.now;
        let boot = machine.boot;
        self.trace.say(self.now, "boots", id.0 as u64, || format!("machine {}, {}", id.0, self.machines[id.0].name));
        let after = self.dice.millis(100, 5000);
        self.schedule(after, Happening::StartAgent { machine: id, boot });
    }

    /// Everything on it ends at once; its disk stays.
    pub fn power_off(&mut self, id: MachineId) {
        let now = self.now;
        if !self.machines[id.0].powered {
            return;
        }
        self.trace.say(now, "is off", id.0 as u64, || format!("machine {}, {}", id.0, self.machines[id.0].name));
        self.machines[id.0].powered = false;
        self.agent_dies(id, End::Agent);
        let runs: Vec<Run> = self.machines[id.0].runs.keys().copied().collect();
        for run in runs {
            self.executions.ended(id.0, run);
        }
    }

    pub fn scrap(&mut self, id: MachineId) {
        self.machines[id.0].scrapped = true;
        self.power_off(id);
    }

    pub fn reboot(&mut self, id: MachineId, down: Span) {
        let state = self.agent_state(id);
        self.tally.count(if down < Span::from_secs(5) { Fault::Reboot } else { Fault::PowerLoss }, state);
        self.power_off(id);
        self.schedule(down, Happening::PowerOn(id));
    }

    pub fn health(&mut self, id: MachineId, fault: String) {
        if self.machines[id.0].agent.is_some() {
            self.duty(id, DutyInput::Fault(fault));
        }
    }

    pub fn is_running(&self, machine: MachineId, agent: AgentId) -> bool {
        self.machines[machine.0].agent.as_ref().is_some_and(|running| running.id == agent)
    }

    /// Those that exist now, for a chance to pick from.
    pub fn powered_machines(&self) -> Vec<MachineId> {
        let powered = self.machines.iter().enumerate().filter(|(_, machine)| machine.powered);
        powered.map(|(id, _)| MachineId(id)).collect()
    }

    /// In what a machine is when something happens to it.
    pub fn agent_state(&self, id: MachineId) -> &'static str {
        let machine = &self.machines[id.0];
        let Some(agent) = &machine.agent else { return "without agent" };
        let stage = |wanted: fn(&Stage) -> bool| machine.runs.values().any(|run| wanted(&run.state));
        match () {
            () if agent.session.is_none() => "not connected",
            () if !agent.writing.is_empty() => "record under way",
            () if stage(|stage| *stage == Stage::Starting) => "shim starting",
            () if stage(|stage| matches!(stage, Stage::Alive { .. })) => "job running",
            () if stage(|stage| matches!(stage, Stage::Ended(_))) => "job ended",
            () => "idle",
        }
    }
}
