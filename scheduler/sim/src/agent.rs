//! The agent's process: the real duties, with a ledger that loses what was not synced, killed at any moment.

use crate::describe;
use crate::happening::{AgentId, End, Happening, MachineId};
use crate::machine::{Origin, Stage};
use crate::points::Point;
use crate::tally::Fault;
use crate::world::World;
use squall_engine::SessionId;
use squall_types::agent::{AgentOrder, AgentReport};
use squall_types::ids::Run;
use squall_types::{AttemptState, Epoch, Span, Timestamp};
use squalld::duty::{Duty, DutyConfig, DutyInput, DutyOutput, Found, Record, RecordId, Remains};
use std::collections::VecDeque;
use std::sync::Arc;

/// A service manager starts a dead agent again after so long, in milliseconds.
const RESTART: (i64, i64) = (500, 20_000);
/// An agent that was refused tries again after so long.
const AFTER_REFUSAL: Span = Span::from_secs(30);

pub struct Agent {
    pub id: AgentId,
    pub duty: Duty,
    pub session: Option<SessionId>,
    /// Written and not synced.
    pub writing: VecDeque<(RecordId, Record)>,
    written_at: Timestamp,
    tick_at: Option<Timestamp>,
    pub stopped: bool,
    waiting: Vec<DutyInput>,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Agent({:?})", self.id)
    }
}

impl World {
    pub fn start_agent(&mut self, id: MachineId, boot: u32) {
        let now = self.now;
        let agent = AgentId(self.fresh_id());
        let damaged = self.chance(self.scenario.weather.record_damaged);
        let machine = &mut self.machines[id.0];
        if !machine.powered || machine.boot != boot || machine.agent.is_some() {
            return;
        }
        if damaged && damage(&mut machine.records) {
            self.tally.count(Fault::AgentRecordDamaged, "start");
        }
        let config = DutyConfig {
            self_end: matches!(machine.origin, Origin::Bought { .. }),
            die_at: machine.die_at,
            ..DutyConfig::default()
        };
        let duty = Duty::restore(config, machine.measured(), machine.now(now), machine.records.clone());
        let examine = duty.to_examine();
        machine.agent = Some(Agent {
            id: agent,
            duty,
            session: None,
            writing: VecDeque::new(),
            written_at: now,
            tick_at: None,
            stopped: false,
            waiting: Vec::new(),
        });
        let joined = machine.joined.is_some();
        self.trace.say(now, "agent starts", agent.0, || format!("machine {}, agent {}", id.0, agent.0));
        for (run, _) in examine {
            let after = self.dice.millis(1, 500);
            self.schedule(after, Happening::Examined { machine: id, agent, run });
        }
        if joined {
            self.redial(id, agent)
        } else {
            self.ask_to_join(id, agent)
        }
        self.aim_tick(id);
    }

    /// It looks for what its records say may have been executed.
    pub fn examined(&mut self, id: MachineId, agent: AgentId, run: Run) {
        if !self.is_running(id, agent) {
            return;
        }
        let found = self.look_for(id, run);
        self.duty(id, DutyInput::Found { run, found });
        if self.is_running(id, agent) && self.strikes(Point::AgentExamining, Fault::KillAgent) {
            self.agent_dies(id, End::Agent);
        }
    }

    fn look_for(&mut self, id: MachineId, run: Run) -> Found {
        let examined = self.machines[id.0].agent.as_ref().map(|agent| agent.duty.to_examine()).unwrap_or_default();
        let remains = examined.into_iter().find(|(other, _)| *other == run).map(|(_, remains)| remains);
        let machine = &mut self.machines[id.0];
        let boot = machine.boot;
        let restarted = || Found::Lost { detail: "the node restarted".to_owned() };
        let Some(execution) = machine.runs.get_mut(&run) else {
            return if let Some(Remains::BeforeBoot(_)) = remains { restarted() } else { Found::NeverBegan };
        };
        let launch = match remains {
            Some(Remains::Launched(launch)) => launch,
            Some(Remains::BeforeBoot(launch)) => {
                return match &execution.state {
                    Stage::Ended(end) if launch == execution.launch => Found::Ended(end.clone()),
                    _ => restarted(),
                };
            }
            Some(Remains::Accepted) => return Found::NeverBegan,
            Some(Remains::Damaged) | None => {
                // Nothing of it may stay alive.
                let state = execution.state.clone();
                self.process_dies_now(id, run);
                return match state {
                    Stage::Ended(end) => Found::Ended(end),
                    _ => Found::Lost { detail: "its record was damaged".to_owned() },
                };
            }
        };
        // The claim of a shim is lost with the machine: nothing would show that it was there.
        let claimed = execution.boot == boot || matches!(execution.state, Stage::Ended(_));
        if launch != execution.launch || !claimed {
            return Found::NeverBegan;
        }
        match execution.state.clone() {
            Stage::Starting | Stage::Void => {
                execution.state = Stage::Void;
                Found::NeverBegan
            }
            Stage::Alive { began } => Found::Running(began),
            Stage::Ended(end) => Found::Ended(end),
        }
    }

    /// Gives an input to the duties of a machine's agent and performs what they say, one by one.
    pub fn duty(&mut self, id: MachineId, input: DutyInput) {
        let now = self.now;
        let machine = &mut self.machines[id.0];
        let clock = machine.now(now);
        let Some(agent) = &mut machine.agent else { return };
        if agent.stopped {
            return agent.waiting.push(input);
        }
        let life = agent.id;
        let obeyed = agent.duty.epoch();
        let stale = matches!(
            &input,
            DutyInput::Order(AgentOrder::FullSet { epoch, .. } | AgentOrder::Delta { epoch, .. }) if *epoch < obeyed
        );
        let outputs = agent.duty.step(clock, input);
        let (obeyed, durable) = (agent.duty.epoch(), epoch_of(&machine.records));
        if outputs.iter().any(begins) && (stale || durable < obeyed) {
            self.wrong(format!("C3: machine {} obeys epoch {obeyed} (stale: {stale}, durable: {durable})", id.0));
        }
        for output in outputs {
            let (before, after) = points(&output);
            if self.agent_shot(id, before) {
                return;
            }
            self.perform_duty(id, life, output);
            if !self.is_running(id, life) || self.agent_shot(id, after) {
                return;
            }
        }
        self.aim_tick(id);
    }

    fn agent_shot(&mut self, id: MachineId, point: Option<Point>) -> bool {
        let shot = point.is_some_and(|point| self.strikes(point, Fault::KillAgent));
        if shot {
            self.agent_dies(id, End::Agent);
        }
        shot
    }

    fn perform_duty(&mut self, id: MachineId, agent: AgentId, output: DutyOutput) {
        self.trace.say(self.now, "duty", agent.0, || describe::short(format!("machine {} {output:?}", id.0)));
        match output {
            DutyOutput::Persist { id: record, record: content } => {
                let after = self.dice.millis(1, 30);
                let Some(agent) = &mut self.machines[id.0].agent else { return };
                let awaited = content.is_awaited();
                agent.writing.push_back((record, content));
                // It becomes durable with a later one.
                if !awaited {
                    return;
                }
                agent.written_at = agent.written_at.max(self.now + after);
                let (at, life) = (agent.written_at, agent.id);
                self.schedule_at(at, Happening::Recorded { machine: id, agent: life, record });
            }
            DutyOutput::Prepare { assignment } => {
                let well = !self.chance(self.scenario.weather.prepare_fails);
                let after = self.dice.millis(5, 1500);
                self.schedule(after, Happening::Prepared { machine: id, agent, run: assignment.run, well });
            }
            DutyOutput::StartShim { assignment, launch } => {
                self.start_shim(id, agent, Arc::unwrap_or_clone(assignment), launch)
            }
            DutyOutput::StopShim { run, why, .. } => self.terminate(id, run, why),
            DutyOutput::Freeze { run } => self.freeze(id, run),
            DutyOutput::Thaw { run } => self.thaw(id, run),
            DutyOutput::Kill { run } => self.kill(id, run),
            DutyOutput::Signal { .. } | DutyOutput::Abandon { .. } => {}
            DutyOutput::Report(report) => {
                self.check_report(id, &report);
                if let Some(session) = self.machines[id.0].agent_session() {
                    self.say(session, report);
                }
            }
            DutyOutput::Forget { run } => self.forget_run(id, run),
            DutyOutput::PowerOff { why } => self.powers_itself_off(id, why),
            DutyOutput::Quit { why } => {
                self.trace.say(self.now, "quits", agent.0, || why);
                self.agent_dies_for(id, AFTER_REFUSAL);
            }
            DutyOutput::Reconnect => {
                if let Some(session) = self.machines[id.0].agent_session() {
                    self.close(session, End::Agent);
                }
            }
            DutyOutput::Refuse(_) => {}
        }
    }

    /// J6: an end that is told is durable: no crash takes it back.
    fn check_report(&mut self, id: MachineId, report: &AgentReport) {
        let AgentReport::Attempt { run, state: AttemptState::Ended(_) } = report else { return };
        let over = |record: &Record| match record {
            Record::Run { run: other, stage } => other == run && matches!(**stage, squalld::duty::Stage::Ended(_)),
            // Repeated for a run that is remembered only as one that was here.
            Record::Forgotten { run: other } => other.job == run.job && other.attempt >= run.attempt,
            _ => false,
        };
        if !self.machines[id.0].records.iter().any(over) {
            self.wrong(format!("J6: machine {} reports the end of {run} before it is durable", id.0));
        }
    }

    /// A record and all before it are durable.
    pub fn recorded(&mut self, id: MachineId, agent: AgentId, record: RecordId) {
        if !self.is_running(id, agent) {
            return;
        }
        let machine = &mut self.machines[id.0];
        let Some(agent) = &mut machine.agent else { return };
        let durable = agent.writing.iter().take_while(|(first, _)| *first <= record).count();
        machine.records.extend(agent.writing.drain(..durable).map(|(_, content)| content));
        self.duty(id, DutyInput::Persisted(record));
    }

    fn aim_tick(&mut self, id: MachineId) {
        let machine = &mut self.machines[id.0];
        let (booted_at, now) = (machine.booted_at, self.now);
        let Some(agent) = &mut machine.agent else { return };
        let Some(wake) = agent.duty.next_wake() else { return };
        let at = (booted_at + wake).max(now + Span(1));
        if agent.tick_at.is_none_or(|before| at < before || before <= now) {
            agent.tick_at = Some(at);
            let agent = agent.id;
            self.schedule_at(at, Happening::Tick { machine: id, agent });
        }
    }

    pub fn agent_tick(&mut self, id: MachineId, agent: AgentId) {
        let now = self.now;
        if !self.is_running(id, agent) {
            return;
        }
        let due = |agent: &mut Agent| agent.tick_at.take_if(|at| *at <= now).is_some();
        if self.machines[id.0].agent.as_mut().is_some_and(due) {
            self.duty(id, DutyInput::Tick);
        }
    }

    pub fn agent_connected(&mut self, id: MachineId, agent: AgentId) {
        if self.is_running(id, agent) {
            self.duty(id, DutyInput::Connected);
        }
    }

    pub fn agent_ordered(&mut self, id: MachineId, agent: AgentId, order: AgentOrder) {
        if self.is_running(id, agent) {
            self.duty(id, DutyInput::Order(order));
        }
    }

    pub fn agent_disconnected(&mut self, id: MachineId, agent: AgentId, session: SessionId) {
        if !self.is_running(id, agent) || self.machines[id.0].agent_session() != Some(session) {
            return;
        }
        self.machines[id.0].set_session(None);
        self.duty(id, DutyInput::Disconnected);
        self.redial(id, agent);
    }

    pub fn stop_agent(&mut self, id: MachineId, pause: Span) {
        let Some(agent) = &mut self.machines[id.0].agent else { return };
        agent.stopped = true;
        let agent = agent.id;
        self.schedule(pause, Happening::ResumeAgent { machine: id, agent });
    }

    pub fn resume_agent(&mut self, id: MachineId, agent: AgentId) {
        if !self.is_running(id, agent) {
            return;
        }
        let Some(agent) = &mut self.machines[id.0].agent else { return };
        agent.stopped = false;
        for input in std::mem::take(&mut agent.waiting) {
            self.duty(id, input);
        }
        self.duty(id, DutyInput::Tick);
    }

    /// SIGKILL: what it wrote and did not sync may be lost; what it started lives on.
    pub fn agent_dies(&mut self, id: MachineId, _end: End) {
        let after = self.dice.millis(RESTART.0, RESTART.1);
        self.agent_dies_for(id, Span(after.0));
    }

    pub fn agent_dies_for(&mut self, id: MachineId, down: Span) {
        let survive = self.dice.chance(self.scenario.weather.records_survive);
        let machine = &mut self.machines[id.0];
        let Some(agent) = machine.agent.take() else { return };
        self.trace.say(self.now, "agent dies", agent.id.0, || format!("machine {}, agent {}", id.0, agent.id.0));
        if survive {
            machine.records.extend(agent.writing.into_iter().map(|(_, record)| record));
        } else if !agent.writing.is_empty() {
            self.tally.count(Fault::AgentLosesRecords, "crash");
        }
        if let Some(session) = agent.session {
            self.end_dies(session, End::Agent);
        }
        let (powered, boot) = (self.machines[id.0].powered, self.machines[id.0].boot);
        if powered {
            self.orphan_starting(id);
            self.schedule(down, Happening::StartAgent { machine: id, boot });
        }
    }
}

/// The highest epoch that is durable on a machine.
fn epoch_of(records: &[Record]) -> Epoch {
    let epoch = |record: &Record| match record {
        Record::Node(node) => Some(node.epoch),
        _ => None,
    };
    records.iter().filter_map(epoch).max().unwrap_or_default()
}

/// Whether something is begun, or cleared away.
fn begins(output: &DutyOutput) -> bool {
    match output {
        DutyOutput::Persist { record: Record::Run { stage, .. }, .. } => {
            matches!(**stage, squalld::duty::Stage::Accepted(_))
        }
        DutyOutput::Prepare { .. } | DutyOutput::StartShim { .. } | DutyOutput::Forget { .. } => true,
        _ => false,
    }
}

/// Where an agent can die before and after an output is performed.
fn points(output: &DutyOutput) -> (Option<Point>, Option<Point>) {
    match output {
        DutyOutput::Persist { record: Record::Run { stage, .. }, .. } => match **stage {
            squalld::duty::Stage::Ended(_) => (Some(Point::AgentEnding), None),
            _ => (None, Some(Point::AgentRecording)),
        },
        DutyOutput::Prepare { .. } => (Some(Point::AgentPreparing), None),
        DutyOutput::StartShim { .. } => (Some(Point::AgentStarting), Some(Point::AgentStarting)),
        DutyOutput::Report(_) => (Some(Point::AgentReporting), None),
        DutyOutput::Forget { .. } => (Some(Point::AgentForgetting), None),
        _ => (None, None),
    }
}

/// Makes the last record of a run unreadable; `false` where there is none.
fn damage(records: &mut [Record]) -> bool {
    let Some(at) = records.iter().rposition(|record| matches!(record, Record::Run { .. })) else { return false };
    let Record::Run { run, .. } = records[at] else { return false };
    let later =
        records[at + 1..].iter().any(|record| matches!(record, Record::Forgotten { run: other } if *other == run));
    if later {
        return false;
    }
    for record in records.iter_mut() {
        if matches!(record, Record::Run { run: other, .. } if *other == run) {
            *record = Record::Damaged { run };
        }
    }
    true
}
