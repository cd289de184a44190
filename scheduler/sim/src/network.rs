//! Connections between agents and controllers: in order, late, cut one way or both, and found dead by each end on
//! its own.

use crate::happening::{AgentId, End, Happening, MachineId, ProcessId};
use crate::tally::Fault;
use crate::world::World;
use squall_engine::{Input, SessionId};
use squall_types::agent::{AgentOrder, AgentReport};
use squall_types::{NodeId, Span, Timestamp};
use std::collections::VecDeque;

/// How long an end hears nothing before it takes the connection for dead.
const KEEPALIVE: (i64, i64) = (10, 25);
/// Before an agent dials again.
const REDIAL: (i64, i64) = (500, 5000);

/// What an agent's end sends.
#[derive(Debug)]
pub enum Upward {
    Say(Box<AgentReport>),
    Close,
}

#[derive(Debug)]
pub enum Downward {
    Accepted,
    Order(AgentOrder),
    Close,
}

#[derive(Debug)]
pub struct Session {
    pub node: NodeId,
    pub machine: MachineId,
    pub agent: AgentId,
    pub process: ProcessId,
    up: VecDeque<Upward>,
    down: VecDeque<Downward>,
    up_at: Timestamp,
    down_at: Timestamp,
    /// Each end that still takes it for open.
    agent_open: bool,
    controller_open: bool,
}

/// Until when a machine's packets do not arrive.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cut {
    pub up_until: Timestamp,
    pub down_until: Timestamp,
}

impl World {
    /// An agent tries to reach a controller.
    pub fn redial(&mut self, machine: MachineId, agent: AgentId) {
        let after = self.dice.millis(REDIAL.0, REDIAL.1);
        self.schedule(after, Happening::Dial { machine, agent });
    }

    pub fn dial(&mut self, machine: MachineId, agent: AgentId) {
        if !self.is_running(machine, agent) || self.machines[machine.0].agent_session().is_some() {
            return;
        }
        let cut = self.machines[machine.0].cut;
        if cut.up_until > self.now || cut.down_until > self.now {
            return self.redial(machine, agent);
        }
        let Some(process) = self.reachable_controller() else { return self.redial(machine, agent) };
        let Some(node) = self.node_of(machine, process) else {
            // Its name means nothing to this controller: it asks to join again.
            self.machines[machine.0].joined = None;
            return self.ask_to_join(machine, agent);
        };
        let session = SessionId(self.fresh_id());
        self.trace.say(self.now, "connects", session.0, || {
            format!("machine {} as node {node}, session {}", machine.0, session.0)
        });
        self.sessions.insert(
            session,
            Session {
                node,
                machine,
                agent,
                process,
                up: VecDeque::new(),
                down: VecDeque::new(),
                up_at: self.now,
                down_at: self.now,
                agent_open: true,
                controller_open: true,
            },
        );
        self.machines[machine.0].set_session(Some(session));
        if let Some(process) = self.processes.get_mut(&process) {
            process.sessions.insert(session);
        }
        self.tell_down(session, Downward::Accepted);
        let incarnation = agent.0.to_string();
        self.feed(process, Input::AgentOpened { session, node, incarnation });
    }

    /// Mostly the leader; where one was replaced and lives on, an agent may still find it.
    fn reachable_controller(&mut self) -> Option<ProcessId> {
        let running: Vec<ProcessId> =
            self.processes.iter().filter(|(_, process)| !process.stopped).map(|(id, _)| *id).collect();
        match self.leader.filter(|leader| running.contains(leader)) {
            Some(leader) if self.healed || self.dice.chance(700) => Some(leader),
            _ if running.is_empty() => None,
            _ => Some(*self.dice.pick(&running)),
        }
    }

    fn node_of(&self, machine: MachineId, process: ProcessId) -> Option<NodeId> {
        let name = &self.machines[machine.0].joined.as_ref()?.1;
        let engine = &self.processes.get(&process)?.engine;
        engine.committed().node_named(name).map(|node| node.id)
    }

    pub fn say(&mut self, session: SessionId, report: AgentReport) {
        self.tell_up(session, Upward::Say(Box::new(report)));
    }

    pub fn tell(&mut self, session: SessionId, order: AgentOrder) {
        self.tell_down(session, Downward::Order(order));
    }

    fn tell_up(&mut self, id: SessionId, message: Upward) {
        let delay = self.delay();
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.up.push_back(message);
        session.up_at = session.up_at.max(self.now + delay);
        let at = session.up_at;
        self.schedule_at(at, Happening::Up(id));
    }

    fn tell_down(&mut self, id: SessionId, message: Downward) {
        let delay = self.delay();
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.down.push_back(message);
        session.down_at = session.down_at.max(self.now + delay);
        let at = session.down_at;
        self.schedule_at(at, Happening::Down(id));
    }

    /// One message arrives at the controller, unless the way is cut: then it waits for the cut to end.
    pub fn up(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let cut_until = self.machines[session.machine.0].cut.up_until;
        if cut_until > self.now {
            return self.schedule_at(cut_until + Span(1), Happening::Up(id));
        }
        let Some(message) = session.up.pop_front() else { return };
        let (process, open) = (session.process, session.controller_open);
        match message {
            _ if !open => self.resets(id, End::Agent),
            Upward::Say(report) => self.feed(process, Input::AgentSaid { session: id, report: *report }),
            Upward::Close => self.controller_end_closes(id),
        }
    }

    pub fn down(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let cut_until = self.machines[session.machine.0].cut.down_until;
        if cut_until > self.now {
            return self.schedule_at(cut_until + Span(1), Happening::Down(id));
        }
        let Some(message) = session.down.pop_front() else { return };
        let (machine, agent, open) = (session.machine, session.agent, session.agent_open);
        match message {
            _ if !open => self.resets(id, End::Controller),
            Downward::Accepted => self.agent_connected(machine, agent),
            Downward::Order(order) => {
                self.may_come_again(id, &order);
                self.agent_ordered(machine, agent, order);
            }
            Downward::Close => self.agent_end_closes(id),
        }
    }

    /// Sets and deltas bear their epoch and generation, so that a late copy of one does no harm.
    fn may_come_again(&mut self, session: SessionId, order: &AgentOrder) {
        let numbered = matches!(order, AgentOrder::FullSet { .. } | AgentOrder::Delta { .. });
        if numbered && self.chance(self.scenario.weather.replayed) {
            let after = if self.dice.chance(500) { self.dice.millis(0, 2000) } else { self.dice.secs(2, 300) };
            self.schedule(after, Happening::Replayed { session, order: Box::new(order.clone()) });
        }
    }

    pub fn replayed(&mut self, session: SessionId, order: AgentOrder) {
        let Some(at) = self.sessions.get(&session).filter(|at| at.agent_open) else { return };
        let (machine, agent) = (at.machine, at.agent);
        if !self.healed {
            self.tally.count(Fault::Replayed, self.agent_state(machine));
            self.agent_ordered(machine, agent, order);
        }
    }

    /// Nobody listens at the other end any more: its host says so to whoever spoke.
    fn resets(&mut self, id: SessionId, speaker: End) {
        let after = self.delay();
        self.schedule(after, Happening::Broken { session: id, end: speaker });
    }

    /// One end closes in good order: the other hears of it after everything that was said before.
    pub fn close(&mut self, id: SessionId, end: End) {
        match end {
            End::Controller => {
                self.tell_down(id, Downward::Close);
                self.controller_end_closes(id);
            }
            End::Agent => {
                self.tell_up(id, Upward::Close);
                self.agent_end_closes(id);
            }
        }
    }

    /// The process at one end is dead. Its host says so, where packets get through.
    pub fn end_dies(&mut self, id: SessionId, end: End) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let cut = self.machines[session.machine.0].cut;
        let powered = self.machines[session.machine.0].powered;
        let (other, told) = match end {
            End::Controller => {
                session.controller_open = false;
                session.up.clear();
                (End::Agent, cut.down_until <= self.now)
            }
            End::Agent => {
                session.agent_open = false;
                session.down.clear();
                (End::Controller, cut.up_until <= self.now && powered)
            }
        };
        // What was sent and has not arrived may be lost with the connection.
        let after = if told { self.dice.millis(0, 100) } else { self.dice.secs(KEEPALIVE.0, KEEPALIVE.1) };
        self.schedule(after, Happening::Broken { session: id, end: other });
    }

    /// Each end finds out on its own.
    pub fn breaks(&mut self, id: SessionId) {
        for end in [End::Controller, End::Agent] {
            let after = if self.dice.chance(500) { self.delay() } else { self.dice.secs(0, KEEPALIVE.1) };
            self.schedule(after, Happening::Broken { session: id, end });
        }
    }

    pub fn broken(&mut self, id: SessionId, end: End) {
        match end {
            End::Controller => self.controller_end_closes(id),
            End::Agent => self.agent_end_closes(id),
        }
    }

    fn controller_end_closes(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.controller_open) else { return };
        session.controller_open = false;
        session.up.clear();
        let process = session.process;
        self.forget_if_dead(id);
        if let Some(process) = self.processes.get_mut(&process) {
            process.sessions.remove(&id);
        }
        self.feed(process, Input::AgentClosed { session: id });
    }

    fn agent_end_closes(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.agent_open) else { return };
        session.agent_open = false;
        session.down.clear();
        let (machine, agent) = (session.machine, session.agent);
        self.forget_if_dead(id);
        self.agent_disconnected(machine, agent, id);
    }

    fn forget_if_dead(&mut self, id: SessionId) {
        let dead = |session: &Session| !session.agent_open && !session.controller_open;
        if self.sessions.get(&id).is_some_and(dead) {
            self.sessions.remove(&id);
        }
    }

    /// The way between a machine and the controllers is cut; connections that stand die of it if it lasts.
    pub fn cut(&mut self, machine: MachineId, up: bool, down: bool, lasting: Span) {
        let until = self.now + lasting;
        let cut = &mut self.machines[machine.0].cut;
        if up {
            cut.up_until = cut.up_until.max(until);
        }
        if down {
            cut.down_until = cut.down_until.max(until);
        }
        let fault = match (up, down) {
            (true, true) => Fault::CutBoth,
            (true, false) => Fault::CutUp,
            _ => Fault::CutDown,
        };
        let state = self.agent_state(machine);
        self.tally.count(fault, state);
        let sessions: Vec<SessionId> =
            self.sessions.iter().filter(|(_, session)| session.machine == machine).map(|(id, _)| *id).collect();
        for session in sessions {
            for end in [End::Controller, End::Agent] {
                // A ping needs both ways: either cut is noticed at both ends.
                let noticed = self.dice.secs(KEEPALIVE.0, KEEPALIVE.1);
                if noticed < lasting {
                    self.schedule(noticed, Happening::Broken { session, end });
                }
            }
        }
    }
}
