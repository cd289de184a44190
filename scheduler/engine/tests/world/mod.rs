//! A world around the engine in which providers and agents answer at once.
#![allow(dead_code, reason = "each test file uses a part")]

use squall_core::config::{PartitionConfig, PoolConfig};
use squall_core::{Caller, Cluster, ClusterConfig, Command, Reply};
use squall_engine::{Answer, Ask, Engine, Input, Output, ProviderCall, ProviderReply, RequestId, SessionId};
use squall_types::agent::{AgentOrder, AgentReport, AssignedPhase, EndCause};
use squall_types::ids::Run;
use squall_types::offer::{LaunchFailure, LaunchedInstance};
use squall_types::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A provider and agents that do what they are told, at once.
pub struct World {
    pub engine: Engine,
    pub now: Timestamp,
    pub wake_at: Option<Timestamp>,
    pub instances: BTreeMap<InstanceId, SeenInstance>,
    pub sessions: BTreeMap<SessionId, NodeId>,
    pub executed: BTreeMap<Run, u32>,
    pub answers: Vec<Answer>,
    /// What a batch script does: runs that end at once.
    pub ends_at_once: bool,
    /// What every launch is answered instead of being carried out.
    pub launch_fails: Option<LaunchFailure>,
    /// Whether listings say that they are complete.
    pub lists_all: bool,
    /// Machines whose agents are cut off.
    pub silent: BTreeSet<NodeId>,
    /// Events that were written, batch by batch.
    pub batches: Vec<usize>,
}

pub fn offer(gpus: u16) -> Offer {
    let gpus = Gpus(vec![GpuGroup { model: "h100".into(), count: gpus, memory_mib: 81_559, declared: true }]);
    Offer {
        name: "big".into(),
        instance_type: "big".into(),
        price: HourlyPrice(36_000_000),
        shape: Shape { cpus: 16, cores: 8, memory_mib: 64_000, gpus, features: Default::default() },
        typical_boot: Span::from_secs(60),
        max_per_order: 8,
        ..Offer::default()
    }
}

pub fn config() -> ClusterConfig {
    let pool = PoolConfig {
        provisioner: "test".to_owned(),
        offers: vec![offer(8)],
        max_nodes: 4,
        idle_after: Span::from_mins(5),
        ..PoolConfig::default()
    };
    let partition = PartitionConfig { pools: vec!["cloud".into()], default: true, ..PartitionConfig::default() };
    ClusterConfig {
        pools: [("cloud".into(), pool)].into(),
        partitions: [("gpu".into(), partition)].into(),
        ..ClusterConfig::default()
    }
}

impl World {
    pub fn new() -> Self {
        World::configured(config())
    }

    pub fn configured(config: ClusterConfig) -> Self {
        let mut world = World {
            engine: Engine::new(Cluster::new(), Epoch(1), "test"),
            now: Timestamp::from_secs(1_000_000),
            wake_at: None,
            instances: BTreeMap::new(),
            sessions: BTreeMap::new(),
            executed: BTreeMap::new(),
            answers: Vec::new(),
            ends_at_once: true,
            launch_fails: None,
            lists_all: true,
            silent: BTreeSet::new(),
            batches: Vec::new(),
        };
        let outputs = world.engine.start(world.now);
        world.perform(outputs);
        world.ask(Command::Configure { config: Box::new(config) });
        world
    }

    pub fn ask(&mut self, command: Command) -> Answer {
        self.ask_all(Ask::One(command))
    }

    pub fn ask_all(&mut self, ask: Ask) -> Answer {
        let request = Input::Request { id: RequestId(1), caller: Caller::Admin(Uid(0)), ask };
        let outputs = self.engine.step(self.now, request);
        self.perform(outputs);
        self.answers.pop().expect("every request is answered")
    }

    pub fn submit(&mut self, token: &str, change: impl FnOnce(&mut JobSpec)) -> Result<JobId, String> {
        let mut spec = JobSpec {
            name: token.to_owned(),
            script: Some(BlobDigest([0; 32])),
            time_limit: Some(Span::from_hours(1)),
            ..JobSpec::default()
        };
        change(&mut spec);
        match self.ask(Command::Submit { spec: Box::new(spec), token: token.into(), test_only: false }) {
            Answer::Done(Reply::Submitted { job, .. }) => Ok(job),
            Answer::Refused(refusal) => Err(refusal.limit),
            other => panic!("{other:?}"),
        }
    }

    pub fn perform(&mut self, outputs: Vec<Output>) {
        let mut todo: VecDeque<Output> = outputs.into();
        while let Some(output) = todo.pop_front() {
            let input = match output {
                Output::Append { batch, events } => {
                    self.batches.push(events.len());
                    Input::Committed { batch }
                }
                Output::Reply { reply, .. } => {
                    self.answers.push(reply);
                    continue;
                }
                Output::Call { call, verb, .. } => Input::Provider { call, reply: self.provide(verb) },
                Output::WakeAt(at) => {
                    self.wake_at = Some(at);
                    continue;
                }
                Output::Tell { session, order } => {
                    for report in self.agent(session, order) {
                        todo.extend(self.engine.step(self.now, Input::AgentSaid { session, report }));
                    }
                    continue;
                }
                Output::Close { session, .. } => Input::AgentClosed { session },
                Output::Published => continue,
                Output::Alert { text } => panic!("{text}"),
            };
            todo.extend(self.engine.step(self.now, input));
            assert_eq!(squall_core::check::check(self.engine.state()), Vec::<String>::new());
        }
    }

    fn provide(&mut self, verb: ProviderCall) -> ProviderReply {
        match verb {
            ProviderCall::Offers => ProviderReply::Offers(Ok(vec![offer(8)])),
            ProviderCall::Launch(_) if self.launch_fails.is_some() => {
                ProviderReply::Launched(Err(self.launch_fails.clone().expect("just asked")))
            }
            ProviderCall::Launch(order) => {
                let named = |name: &NodeName| LaunchedInstance {
                    instance: InstanceId(format!("i-{name}")),
                    name: name.clone(),
                };
                let instances: Vec<LaunchedInstance> = order.names.iter().map(named).collect();
                for LaunchedInstance { instance, name } in &instances {
                    let seen = SeenInstance {
                        instance: instance.clone(),
                        order: Some(order.order),
                        name: Some(name.clone()),
                        launched_at: self.now,
                        ending: false,
                    };
                    self.instances.insert(instance.clone(), seen);
                }
                ProviderReply::Launched(Ok(Launched { instances }))
            }
            ProviderCall::Retire(gone) => {
                self.instances.retain(|instance, _| !gone.contains(instance));
                ProviderReply::Retired(Ok(()))
            }
            ProviderCall::List => ProviderReply::Listed(Ok(Listing {
                instances: self.instances.values().cloned().collect(),
                complete: self.lists_all,
            })),
        }
    }

    fn agent(&mut self, _session: SessionId, order: AgentOrder) -> Vec<AgentReport> {
        let duties = match order {
            AgentOrder::FullSet { assignments, .. } => assignments,
            AgentOrder::Delta { changed, .. } => changed,
            _ => Vec::new(),
        };
        let mut reports = Vec::new();
        for duty in duties {
            let run = duty.run;
            let end = |cause| {
                AttemptState::Ended(AttemptEnd {
                    cause,
                    exit: Default::default(),
                    ended_at: self.now,
                    usage: Default::default(),
                    detail: String::new(),
                })
            };
            match duty.phase {
                AssignedPhase::Prepare => reports.push(AgentReport::Attempt { run, state: AttemptState::Prepared }),
                AssignedPhase::Run { .. } => {
                    if duty.detail.rank == 0 {
                        *self.executed.entry(run).or_default() += 1;
                    }
                    reports.push(AgentReport::Attempt { run, state: AttemptState::Running { since: self.now } });
                    if self.ends_at_once && duty.detail.rank == 0 {
                        reports.push(AgentReport::Attempt { run, state: end(EndCause::Exited) });
                    }
                }
                AssignedPhase::Stop { .. } => reports.push(AgentReport::Attempt { run, state: end(EndCause::Stopped) }),
            }
        }
        reports
    }

    /// Agents of machines that boot come up, agents of machines that are gone fall silent.
    pub fn agents_follow(&mut self) {
        let nodes: Vec<(NodeId, bool)> = self
            .engine
            .state()
            .live_nodes()
            .map(|node| {
                let there = node.instance.as_ref().is_some_and(|instance| self.instances.contains_key(instance));
                (node.id, there && !self.silent.contains(&node.id))
            })
            .collect();
        for (node, alive) in nodes {
            let session = SessionId(node.0);
            let connected = self.sessions.contains_key(&session);
            if alive && !connected {
                self.sessions.insert(session, node);
                let outputs =
                    self.engine.step(self.now, Input::AgentOpened { session, node, incarnation: "one".to_owned() });
                self.perform(outputs);
                let measured = MeasuredNode { shape: offer(8).shape, ..MeasuredNode::default() };
                let hello = AgentReport::Hello {
                    epoch: Epoch(1),
                    generation: Generation(0),
                    measured,
                    attempts: vec![],
                    steps: vec![],
                };
                let outputs = self.engine.step(self.now, Input::AgentSaid { session, report: hello });
                self.perform(outputs);
            } else if !alive && connected {
                self.sessions.remove(&session);
                let outputs = self.engine.step(self.now, Input::AgentClosed { session });
                self.perform(outputs);
            }
        }
    }

    pub fn run_until(&mut self, end: Timestamp) {
        let mut turns = 0;
        while let Some(at) = self.wake_at.filter(|at| *at <= end) {
            turns += 1;
            assert!(turns < 100_000, "the engine never rests");
            self.now = self.now.max(at);
            self.heartbeats();
            let outputs = self.engine.step(self.now, Input::Wake);
            self.perform(outputs);
            self.agents_follow();
        }
        self.now = end;
    }

    fn heartbeats(&mut self) {
        for session in self.sessions.keys().copied().collect::<Vec<_>>() {
            let outputs = self.engine.step(self.now, Input::AgentSaid { session, report: AgentReport::Heartbeat });
            self.perform(outputs);
        }
    }
}
