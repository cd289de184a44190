//! Whatever the queue: nothing is granted twice, every job that fits somewhere ends, and no job that was promised a
//! start is delayed beyond it by what was placed after.

use proptest::prelude::*;
use squall_core::config::{PartitionConfig, PoolConfig};
use squall_core::job::JobPhase;
use squall_core::plan::plan;
use squall_core::{Caller, Cluster, ClusterConfig, Command, Reply, decide};
use squall_types::agent::EndCause;
use squall_types::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
struct Size {
    nodes: u32,
    cpus: u32,
    gpus: u16,
    minutes: i64,
    exclusive: bool,
}

fn size() -> impl Strategy<Value = Size> {
    (1u32..=3, 1u32..=8, 0u16..=4, 1i64..=30, prop::bool::weighted(0.1))
        .prop_map(|(nodes, cpus, gpus, minutes, exclusive)| Size { nodes, cpus, gpus, minutes, exclusive })
}

struct World {
    cluster: Cluster,
    now: Timestamp,
}

impl World {
    fn new(nodes: &[(u32, u16)]) -> Self {
        let shape = |(cpus, gpus): &(u32, u16)| Shape {
            cpus: *cpus,
            cores: *cpus,
            memory_mib: 64_000,
            gpus: Gpus(vec![GpuGroup { model: "t4".into(), count: *gpus, memory_mib: 16_000, declared: true }]),
            features: Default::default(),
        };
        let named = |(at, node)| (NodeName(format!("n{at}")), shape(node));
        let pool = PoolConfig { static_nodes: nodes.iter().enumerate().map(named).collect(), ..PoolConfig::default() };
        let partition = PartitionConfig { pools: vec!["own".into()], default: true, ..PartitionConfig::default() };
        let config = ClusterConfig {
            pools: [("own".into(), pool)].into(),
            partitions: [("main".into(), partition)].into(),
            ..ClusterConfig::default()
        };
        let mut world = World { cluster: Cluster::new(), now: Timestamp::from_secs(1_000) };
        world.decide(Command::Configure { config: Box::new(config) });
        let all: Vec<(NodeId, Shape)> = world.cluster.live_nodes().map(|node| (node.id, node.shape.clone())).collect();
        for (node, shape) in all {
            let measured = Box::new(MeasuredNode { shape, ..MeasuredNode::default() });
            world.decide(Command::Register { node, measured });
        }
        world
    }

    fn decide(&mut self, command: Command) -> Option<Reply> {
        let decision = decide(&self.cluster, self.now, &Caller::System, &command).ok()?;
        decision.events.iter().for_each(|event| self.cluster.apply(event));
        let violations = squall_core::check::check(&self.cluster);
        assert!(violations.is_empty(), "{violations:#?} after {command:?}");
        Some(decision.reply)
    }

    fn submit(&mut self, at: usize, size: &Size) -> Option<JobId> {
        let spec = JobSpec {
            name: format!("job{at}"),
            script: Some(BlobDigest([1; 32])),
            time_limit: Some(Span::from_mins(size.minutes)),
            ask: Ask {
                nodes: Some(NodeCount { min: size.nodes, max: size.nodes }),
                cpus: CpuAsk::PerTask(size.cpus),
                memory: MemoryAsk::PerNode(100),
                gpus: GpuAsk::PerNode(size.gpus, None),
                exclusive: size.exclusive,
                ..Ask::default()
            },
            ..JobSpec::default()
        };
        match self.decide(Command::Submit {
            spec: Box::new(spec),
            token: format!("t{at}").as_str().into(),
            test_only: false,
        }) {
            Some(Reply::Submitted { job, .. }) => Some(job),
            _ => None,
        }
    }

    /// Plans and performs; every step of a fresh plan must be possible.
    fn plan(&mut self) -> BTreeMap<JobId, Timestamp> {
        let plan = plan(&self.cluster, self.now);
        for step in plan.steps {
            assert!(self.decide(Command::Perform { step: step.clone() }).is_some(), "{step:?} was refused");
        }
        plan.notes.all().into_iter().filter_map(|(job, note)| note.start_at.map(|at| (job, at))).collect()
    }

    /// Gangs are prepared at once; what is at its limit ends.
    fn agents(&mut self) {
        let parts: Vec<_> = self
            .cluster
            .active_jobs()
            .flat_map(|job| {
                job.allocations().iter().enumerate().map(|(rank, held)| (job.run(), rank, held.node, job.phase.clone()))
            })
            .collect();
        for (run, rank, node, phase) in parts {
            let end = |cause| {
                AttemptState::Ended(AttemptEnd {
                    cause,
                    exit: Default::default(),
                    ended_at: self.now,
                    usage: Default::default(),
                    detail: String::new(),
                })
            };
            let state = match phase {
                JobPhase::Bound(_) => AttemptState::Prepared,
                JobPhase::Running { placement, started_at }
                    if started_at + placement.time_limit <= self.now && rank == 0 =>
                {
                    end(EndCause::Exited)
                }
                JobPhase::Stopping { .. } => end(EndCause::Stopped),
                _ => continue,
            };
            self.decide(Command::Attempt { node, run, state });
        }
    }

    fn next_end(&self) -> Option<Timestamp> {
        let ends = self.cluster.active_jobs().filter_map(|job| match &job.phase {
            JobPhase::Running { placement, started_at } => Some(*started_at + placement.time_limit),
            _ => None,
        });
        ends.min()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_promised_start_is_kept_and_every_job_that_fits_ends(
        nodes in prop::collection::vec((2u32..=16, 0u16..=4), 1..5),
        sizes in prop::collection::vec(size(), 1..20),
    ) {
        let mut world = World::new(&nodes);
        let jobs: Vec<JobId> = sizes.iter().enumerate().filter_map(|(at, size)| world.submit(at, size)).collect();
        let mut promised: BTreeMap<JobId, Timestamp> = BTreeMap::new();
        for _ in 0..200 {
            for (job, at) in world.plan() {
                promised.entry(job).or_insert(at);
            }
            world.agents();
            world.agents();
            match world.next_end() {
                Some(at) => world.now = world.now.max(at),
                None => break,
            }
            world.agents();
            world.agents();
        }
        for job in &jobs {
            let job = world.cluster.jobs.get(job).expect("young enough to be in memory");
            prop_assert!(job.is_ended(), "job {} never ended: {:?}", job.id, job.phase);
            if let (Some(started), Some(promise)) = (job.started_at(), promised.get(&job.id)) {
                prop_assert!(started <= *promise, "job {} was promised {promise:?} and started {started:?}", job.id);
            }
        }
    }
}
