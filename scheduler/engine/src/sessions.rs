//! Agents: who is connected, what each was told, what each said.
//!
//! Level-triggered: an agent that connects says everything that it runs and is told everything that it should; then
//! only differences. Silence closes a node to new work and ends nothing.

use crate::Engine;
use crate::io::{Output, SessionId};
use squall_core::duties::{assignments, is_settled};
use squall_core::job::Part;
use squall_core::{Caller, Command};
use squall_types::agent::{AgentOrder, AgentReport, EndCause, StepEnd};
use squall_types::ids::Run;
use squall_types::{Assignment, AttemptEnd, AttemptState, Epoch, Generation, MeasuredNode, NodeId, StepId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(crate) struct Sessions {
    open: BTreeMap<SessionId, Session>,
    by_node: BTreeMap<NodeId, SessionId>,
    /// No session was last heard before. What was heard only grows, so all of them are looked at once in a while.
    heard_by_all: Timestamp,
    /// Those that were told to keep runs that are not known, until everything is known again.
    keeping: BTreeSet<SessionId>,
}

struct Session {
    node: NodeId,
    incarnation: String,
    heard_at: Timestamp,
    /// What the agent was told; `None` before its hello.
    told: Option<Told>,
}

#[derive(Default)]
struct Told {
    generation: Generation,
    assignments: BTreeMap<Run, Assignment>,
    die_at: Option<Timestamp>,
    retiring: bool,
}

impl Sessions {
    pub fn of_node(&self, node: NodeId) -> Option<SessionId> {
        let session = self.by_node.get(&node)?;
        self.open.get(session).filter(|open| open.told.is_some()).map(|_| *session)
    }

    pub fn any_keeps_unknown(&self) -> bool {
        !self.keeping.is_empty()
    }

    /// Not before this has any of them been silent for too long.
    pub fn first_silence(&self, timeout: squall_types::Span) -> Option<Timestamp> {
        (!self.open.is_empty()).then(|| self.heard_by_all + timeout)
    }
}

impl Engine {
    pub(crate) fn agent_opened(&mut self, session: SessionId, node: NodeId, incarnation: String) {
        if self.cluster.nodes.get(&node).is_none_or(|node| node.is_gone()) {
            let why = format!("node {node} is not in the ledger any more");
            return self.batches.send(Output::Close { session, why });
        }
        if let Some(other) = self.sessions.by_node.get(&node).copied() {
            let same = self.sessions.open.get(&other).is_some_and(|open| open.incarnation == incarnation);
            if !same {
                // Two living agents with one identity: a cloned image, or a restart whose old connection still stands.
                let why = "another agent with this identity is connected".to_owned();
                let text = format!("node {node}: a second agent with its identity was refused");
                self.batches.send(Output::Alert { text });
                return self.batches.send(Output::Close { session, why });
            }
            self.sessions.open.remove(&other);
            self.batches.send(Output::Close { session: other, why: "replaced by a newer connection".to_owned() });
        }
        self.sessions.by_node.insert(node, session);
        self.sessions.open.insert(session, Session { node, incarnation, heard_at: self.now, told: None });
    }

    pub(crate) fn agent_closed(&mut self, session: SessionId) {
        if let Some(open) = self.sessions.open.remove(&session) {
            self.sessions.by_node.remove(&open.node);
            self.note(&Command::Contact { node: open.node, contact: false });
        }
    }

    /// An agent that was not heard for too long has no contact, whatever its connection says.
    pub(crate) fn silent_agents(&mut self) {
        let timeout = self.cluster.config.timing.contact_timeout;
        if self.sessions.first_silence(timeout).is_none_or(|at| at > self.now) {
            return;
        }
        let silent =
            |(session, open): (&SessionId, &Session)| (open.heard_at + timeout <= self.now).then_some(*session);
        let silent: Vec<SessionId> = self.sessions.open.iter().filter_map(silent).collect();
        for session in silent {
            self.batches.send(Output::Close { session, why: "nothing was heard for too long".to_owned() });
            self.agent_closed(session);
        }
        let heard = self.sessions.open.values().map(|open| open.heard_at);
        self.sessions.heard_by_all = heard.min().unwrap_or(self.now);
    }

    pub(crate) fn agent_said(&mut self, session: SessionId, report: AgentReport) {
        let Some(open) = self.sessions.open.get_mut(&session) else { return };
        open.heard_at = self.now;
        let (node, greeted) = (open.node, open.told.is_some());
        match report {
            AgentReport::Hello { epoch, generation, measured, attempts, steps } => {
                self.hello(session, node, (epoch, generation), measured, attempts, steps);
            }
            // Nothing counts before the hello.
            _ if !greeted => {}
            AgentReport::Heartbeat => {}
            AgentReport::Attempt { run, state } => self.attempt_news(session, node, run, &state),
            AgentReport::Step(end) => self.step_news(session, node, end),
            AgentReport::Health { fault } => self.note(&Command::Health { node, fault }),
        }
    }

    fn hello(
        &mut self,
        session: SessionId,
        node: NodeId,
        (epoch, generation): (Epoch, Generation),
        measured: MeasuredNode,
        attempts: Vec<(Run, AttemptState)>,
        steps: Vec<StepEnd>,
    ) {
        if epoch > self.epoch {
            let why = format!("this controller has epoch {}, the agent has obeyed {epoch}", self.epoch);
            self.batches.send(Output::Alert { text: format!("node {node}: {why}") });
            return self.refuse(session, why);
        }
        let register = Command::Register { node, measured: Box::new(measured) };
        if let Err(refusal) = self.decide(&Caller::System, &register) {
            return self.refuse(session, refusal.to_string());
        }
        for (run, state) in &attempts {
            self.attempt_news(session, node, *run, state);
        }
        steps.into_iter().for_each(|end| self.step_news(session, node, end));
        self.forgotten_parts(node, &attempts);
        // Above everything that this epoch said before, also to a hello before this one that the agent had not heard an
        // answer to; an agent counts anew in a new epoch.
        let known = if epoch == self.epoch { generation } else { Generation(0) };
        let told = self.sessions.open.get(&session).and_then(|open| Some(open.told.as_ref()?.generation));
        self.full_set(session, node, Generation(told.map_or(known, |told| told.max(known)).0 + 1));
    }

    fn refuse(&mut self, session: SessionId, why: String) {
        self.batches.hold(Output::Tell { session, order: AgentOrder::Refused { why: why.clone() } });
        self.batches.hold(Output::Close { session, why });
        self.agent_closed(session);
    }

    /// A part that the agent had prepared and knows nothing of any more was lost with its records.
    fn forgotten_parts(&mut self, node: NodeId, attempts: &[(Run, AttemptState)]) {
        let held = self.cluster.nodes.get(&node).map(|node| node.held.keys().copied().collect::<Vec<_>>());
        for run in held.unwrap_or_default() {
            let known = attempts.iter().any(|(told, _)| *told == run);
            let prepared = self.cluster.jobs.get(&run.job).and_then(|job| job.placement()).is_some_and(|placement| {
                let mut parts = placement.allocations.iter().zip(&placement.parts);
                parts.any(|(held, part)| held.node == node && matches!(part, Part::Prepared))
            });
            if prepared && !known {
                let end = AttemptEnd {
                    cause: EndCause::Lost,
                    exit: Default::default(),
                    ended_at: self.now,
                    usage: Default::default(),
                    detail: "its agent lost its records".to_owned(),
                };
                self.note(&Command::Attempt { node, run, state: AttemptState::Ended(end) });
            }
        }
    }

    fn full_set(&mut self, session: SessionId, node: NodeId, generation: Generation) {
        let Some(record) = self.cluster.nodes.get(&node) else { return };
        let die_at = (!record.is_static()).then_some(record.die_at);
        let keep_unknown = self.cluster.counters.settled_by.is_some_and(|at| at > self.now);
        let duties = assignments(&self.cluster, node);
        let told = Told {
            generation,
            assignments: duties.iter().map(|duty| (duty.run, duty.clone())).collect(),
            die_at,
            retiring: false,
        };
        let order = AgentOrder::FullSet {
            epoch: self.epoch,
            generation: told.generation,
            assignments: duties,
            die_at,
            keep_unknown,
        };
        if let Some(open) = self.sessions.open.get_mut(&session) {
            open.told = Some(told);
            if keep_unknown {
                self.sessions.keeping.insert(session);
            }
            self.batches.hold(Output::Tell { session, order });
        }
        self.stale_nodes.insert(node);
    }

    fn attempt_news(&mut self, session: SessionId, node: NodeId, run: Run, state: &AttemptState) {
        self.note(&Command::Attempt { node, run, state: state.clone() });
        // A result may be forgotten when the ledger has it, or never will want it.
        if matches!(state, AttemptState::Ended(_)) && is_settled(&self.cluster, node, run) {
            let order = AgentOrder::Acknowledged { runs: vec![run], steps: Vec::new() };
            let output = Output::Tell { session, order };
            if squall_core::canary::active("acknowledged_before_commit") {
                self.batches.send(output);
            } else {
                self.batches.hold(output);
            }
        }
    }

    fn step_news(&mut self, session: SessionId, node: NodeId, end: StepEnd) {
        let step: (Run, StepId) = (end.run, end.step);
        self.note(&Command::StepEnded { node, end });
        let order = AgentOrder::Acknowledged { runs: Vec::new(), steps: vec![step] };
        self.batches.hold(Output::Tell { session, order });
    }

    /// Long enough after a restored backup, what nobody knows is no longer kept.
    pub(crate) fn settle(&mut self) {
        if self.cluster.counters.settled_by.is_some_and(|at| at > self.now) {
            return;
        }
        for session in std::mem::take(&mut self.sessions.keeping) {
            let told = |open: &Session| Some((open.node, open.told.as_ref()?.generation));
            if let Some((node, generation)) = self.sessions.open.get(&session).and_then(told) {
                self.full_set(session, node, Generation(generation.0 + 1));
            }
        }
    }

    /// Says to each agent what changed for it since it was last told.
    pub(crate) fn tell_agents(&mut self) {
        for node in std::mem::take(&mut self.stale_nodes) {
            let Some(session) = self.sessions.of_node(node) else { continue };
            let Some(record) = self.cluster.nodes.get(&node).filter(|node| node.contact && !node.is_gone()) else {
                // What runs there was declared dead: its agent has to say anew what does, if it may come back at all.
                self.batches.hold(Output::Close { session, why: "the node was declared down".to_owned() });
                self.agent_closed(session);
                continue;
            };
            let die_at = (!record.is_static()).then_some(record.die_at);
            let retiring = matches!(record.state, squall_core::node::NodeState::Retiring { .. });
            let duties: BTreeMap<Run, Assignment> =
                assignments(&self.cluster, node).into_iter().map(|duty| (duty.run, duty)).collect();
            let Some(told) = self.sessions.open.get_mut(&session).and_then(|open| open.told.as_mut()) else { continue };
            let die_at = if squall_core::canary::active("die_at_untold") { told.die_at } else { die_at };
            let changed: Vec<Assignment> =
                duties.values().filter(|duty| told.assignments.get(&duty.run) != Some(duty)).cloned().collect();
            let removed: Vec<Run> = told.assignments.keys().filter(|run| !duties.contains_key(run)).copied().collect();
            let retire = retiring && !std::mem::replace(&mut told.retiring, retiring);
            if !changed.is_empty() || !removed.is_empty() || told.die_at != die_at {
                told.generation = Generation(told.generation.0 + 1);
                told.assignments = duties;
                told.die_at = die_at;
                let (epoch, generation) = (self.epoch, told.generation);
                let order = AgentOrder::Delta { epoch, generation, changed, removed, die_at };
                self.batches.hold(Output::Tell { session, order });
            }
            if retire {
                self.batches.hold(Output::Tell { session, order: AgentOrder::Retire });
            }
        }
    }
}
