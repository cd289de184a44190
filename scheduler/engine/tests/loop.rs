//! The loop from submission to a pool that is empty again, with a world that answers at once.

use squall_core::config::{PartitionConfig, PoolConfig};
use squall_core::job::JobPhase;
use squall_core::{Caller, Cluster, ClusterConfig, Command, Reply};
use squall_engine::{Answer, Ask, Engine, Input, Output, ProviderCall, ProviderReply, RequestId, SessionId};
use squall_types::agent::{AgentOrder, AgentReport, AssignedPhase, EndCause};
use squall_types::api::{JobRef, NodeAction};
use squall_types::ids::Run;
use squall_types::offer::LaunchedInstance;
use squall_types::*;
use std::collections::{BTreeMap, VecDeque};

/// A provider and agents that do what they are told, at once.
struct World {
    engine: Engine,
    now: Timestamp,
    wake_at: Option<Timestamp>,
    instances: BTreeMap<InstanceId, SeenInstance>,
    sessions: BTreeMap<SessionId, NodeId>,
    executed: BTreeMap<Run, u32>,
    answers: Vec<Answer>,
    /// What a batch script does: runs that end at once.
    ends_at_once: bool,
}

fn offer(gpus: u16) -> Offer {
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

fn config() -> ClusterConfig {
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
    fn new() -> Self {
        let mut world = World {
            engine: Engine::new(Cluster::new(), Epoch(1), "test"),
            now: Timestamp::from_secs(1_000_000),
            wake_at: None,
            instances: BTreeMap::new(),
            sessions: BTreeMap::new(),
            executed: BTreeMap::new(),
            answers: Vec::new(),
            ends_at_once: true,
        };
        let outputs = world.engine.start(world.now);
        world.perform(outputs);
        world.ask(Command::Configure { config: Box::new(config()) });
        world
    }

    fn ask(&mut self, command: Command) -> Answer {
        let outputs = self
            .engine
            .step(self.now, Input::Request { id: RequestId(1), caller: Caller::Admin(Uid(0)), ask: Ask::One(command) });
        self.perform(outputs);
        self.answers.pop().expect("every request is answered")
    }

    fn submit(&mut self, token: &str, change: impl FnOnce(&mut JobSpec)) -> Result<JobId, String> {
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

    fn perform(&mut self, outputs: Vec<Output>) {
        let mut todo: VecDeque<Output> = outputs.into();
        while let Some(output) = todo.pop_front() {
            let input = match output {
                Output::Append { batch, .. } => Input::Committed { batch },
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
                complete: true,
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
    fn agents_follow(&mut self) {
        let nodes: Vec<(NodeId, bool)> = self
            .engine
            .state()
            .live_nodes()
            .map(|node| (node.id, node.instance.as_ref().is_some_and(|instance| self.instances.contains_key(instance))))
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

    fn run_until(&mut self, end: Timestamp) {
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

#[test]
fn a_pool_grows_from_nothing_runs_the_queue_and_shrinks_to_nothing() {
    let mut world = World::new();
    let single = world.submit("a", |spec| spec.ask.gpus = GpuAsk::PerNode(1, None)).expect("fits");
    let gang = world
        .submit("b", |spec| {
            spec.ask.nodes = Some(NodeCount { min: 2, max: 2 });
            spec.ask.gpus = GpuAsk::PerNode(8, Some("h100".into()));
        })
        .expect("fits");
    let array = world
        .submit("c", |spec| {
            spec.ask.gpus = GpuAsk::PerNode(1, None);
            spec.array = Some(squall_types::spec::ArraySpec { indices: (0..24).collect(), limit: None, step: 1 });
        })
        .expect("fits");
    let after = world
        .submit("d", |spec| spec.dependency = format!("afterok:{array}").parse().expect("a dependency"))
        .expect("fits");
    assert_eq!((single, gang, array, after), (JobId(1), JobId(2), JobId(3), JobId(4)));
    world.run_until(world.now + Span::from_mins(3));
    let cluster = world.engine.committed();
    let states: Vec<_> = cluster
        .jobs
        .values()
        .map(|job| matches!(&job.phase, JobPhase::Ended(end) if end.state == EndState::Completed))
        .collect();
    assert_eq!(
        states,
        vec![true; 27],
        "{:#?}",
        cluster.jobs.values().map(|job| (job.id, &job.phase)).collect::<Vec<_>>()
    );
    assert!(world.executed.values().all(|count| *count == 1));
    assert_eq!(world.executed.len(), 27);
    world.run_until(world.now + Span::from_mins(30));
    assert_eq!(world.instances.len(), 0, "every machine was given back");
    let cluster = world.engine.committed();
    assert_eq!(cluster.live_nodes().count(), 0);
    assert!(cluster.counters.spent.0 > 0);
    assert_eq!(cluster.counters.jobs_ended, 27);
}

#[test]
fn a_job_that_no_shape_can_run_is_refused_with_what_would_work() {
    let mut world = World::new();
    let refused = world.submit("x", |spec| spec.ask.gpus = GpuAsk::PerNode(16, None));
    assert_eq!(refused, Err("the largest node type there has 8 GPUs".to_owned()));
    let refused = world.submit("y", |spec| spec.ask.nodes = Some(NodeCount { min: 5, max: 5 }));
    assert_eq!(
        refused,
        Err("at most 4 nodes can be had there at once, the largest with 16 CPUs and 8 GPUs".to_owned())
    );
}

#[test]
fn a_repeated_submission_is_the_same_job() {
    let mut world = World::new();
    assert_eq!(world.submit("same", |_| {}), world.submit("same", |_| {}));
}

#[test]
fn a_cancelled_job_ends_and_its_nodes_are_free() {
    let mut world = World::new();
    world.ends_at_once = false;
    let job = world.submit("long", |spec| spec.ask.gpus = GpuAsk::PerNode(8, None)).expect("fits");
    world.run_until(world.now + Span::from_mins(2));
    assert!(matches!(world.engine.committed().jobs.get(&job).map(|job| &job.phase), Some(JobPhase::Running { .. })));
    world.ask(Command::Cancel { job: JobRef { job, elements: None } });
    let ended = world.engine.committed().jobs.get(&job).map(|job| job.phase.clone());
    assert!(matches!(ended, Some(JobPhase::Ended(end)) if end.state == EndState::Cancelled));
    assert!(world.engine.committed().live_nodes().all(|node| node.is_empty()));
}

#[test]
fn a_node_that_vanishes_takes_its_job_back_to_the_queue() {
    let mut world = World::new();
    world.ends_at_once = false;
    let job = world.submit("long", |_| {}).expect("fits");
    world.run_until(world.now + Span::from_mins(2));
    world.instances.clear();
    world.agents_follow();
    world.run_until(world.now + Span::from_mins(12));
    let cluster = world.engine.committed();
    let attempt = cluster.jobs.get(&job).map(|job| job.attempt);
    assert_eq!(attempt, Some(Attempt(2)), "{:?}", cluster.jobs.get(&job).map(|job| &job.phase));
}

#[test]
fn a_node_that_is_powered_down_goes_when_its_job_has_ended_and_not_before() {
    let mut world = World::new();
    world.ends_at_once = false;
    let job = world.submit("long", |spec| spec.ask.gpus = GpuAsk::PerNode(8, None)).expect("fits");
    world.run_until(world.now + Span::from_mins(2));
    let node = world.engine.committed().live_nodes().next().expect("a node").name.clone();
    assert!(matches!(world.ask(Command::Node { node, action: NodeAction::PowerDown }), Answer::Done(_)));
    world.run_until(world.now + Span::from_secs(30));
    assert_eq!(world.instances.len(), 1, "a job still runs there");
    world.ask(Command::Cancel { job: JobRef { job, elements: None } });
    world.run_until(world.now + Span::from_secs(30));
    assert_eq!(world.instances.len(), 0, "far sooner than the idle rule would have it");
}
