//! What the core really decides, journaled: accounting and a fresh start agree with the state, whatever was asked.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[allow(unused, reason = "of the story only its scratch directory is used")]
mod story;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_core::config::{PartitionConfig, PoolConfig};
use squall_core::job::{JobPhase, Role};
use squall_core::node::NodeState;
use squall_core::order::OrderState;
use squall_core::plan::plan;
use squall_core::views::{cost_so_far, job_state};
use squall_core::{Caller, Cluster, ClusterConfig, Command, decide};
use squall_journal::{Journal, Options, PreparedBlob, Reader};
use squall_types::agent::{EndCause, ExitStatus, Usage};
use squall_types::api::{AccountedJob, AccountingQuery, ArrayView, JobRef, JobState, JobUpdate, LedgerQuery};
use squall_types::offer::LaunchedInstance;
use squall_types::spec::ArraySpec;
use squall_types::*;
use std::collections::BTreeMap;

struct World {
    _dir: tempfile::TempDir,
    journal: Journal,
    cluster: Cluster,
    now: Timestamp,
    rng: ChaCha8Rng,
    submitted: u32,
    script: PreparedBlob,
}

impl World {
    fn new(seed: u64) -> World {
        let dir = story::scratch();
        let (journal, _) = Journal::open(dir.path(), Options::default()).unwrap();
        let offer = Offer {
            name: "small/here/on-demand".into(),
            price: HourlyPrice(1_000_000),
            shape: story::shape(),
            max_per_order: 4,
            ..Offer::default()
        };
        let cloud =
            PoolConfig { provisioner: "sim".into(), offers: vec![offer], max_nodes: 4, ..PoolConfig::default() };
        let own = PoolConfig { static_nodes: [("own-1".into(), story::shape())].into(), ..PoolConfig::default() };
        let partition =
            PartitionConfig { pools: vec!["own".into(), "cloud".into()], default: true, ..PartitionConfig::default() };
        let mut config = ClusterConfig {
            pools: [("own".into(), own), ("cloud".into(), cloud)].into(),
            partitions: [("main".into(), partition)].into(),
            ..ClusterConfig::default()
        };
        // Nothing is purged: every job can be compared.
        config.timing.min_job_age = Span::FOREVER;
        config.timing.ledger_age = Span::FOREVER;
        let mut world = World {
            _dir: dir,
            journal,
            cluster: Cluster::new(),
            now: Timestamp::from_secs(1_700_000_000),
            rng: ChaCha8Rng::seed_from_u64(seed),
            submitted: 0,
            script: PreparedBlob::new(b"#!/bin/sh\nsleep 60\n").unwrap(),
        };
        world.decide(&Caller::System, Command::Configure { config: Box::new(config) });
        world
    }

    fn decide(&mut self, caller: &Caller, command: Command) {
        let Ok(decision) = decide(&self.cluster, self.now, caller, &command) else { return };
        if decision.events.is_empty() {
            return;
        }
        let blobs = std::slice::from_ref(&self.script);
        self.journal.append_with_blobs(self.journal.epoch(), &decision.events, blobs).unwrap();
        decision.events.iter().for_each(|event| self.cluster.apply(event));
        assert_eq!(self.cluster.alarm, None);
    }

    fn step(&mut self) {
        self.now += Span::from_millis(self.rng.random_range(1..60_000));
        match self.rng.random_range(0..10) {
            0..=2 => self.submit(),
            3 => self.change(),
            4 => self.decide(&Caller::System, Command::Tick),
            5..=6 => self.plan(),
            7 => self.provider(),
            _ => self.agents(),
        }
    }

    fn submit(&mut self) {
        self.submitted += 1;
        let array = self.rng.random_bool(0.3).then(|| ArraySpec {
            indices: IndexSet::from_ranges(vec![(0, self.rng.random_range(1..6))]),
            limit: self.rng.random_bool(0.5).then_some(2),
            step: 1,
        });
        let target = JobId(self.rng.random_range(1..self.submitted + 2));
        let terms = vec![DependencyTerm {
            kind: if self.rng.random_bool(0.5) { DependencyKind::AfterOk } else { DependencyKind::AfterAny },
            target: Some(TargetJob { job: target, index: None }),
        }];
        let waits = self.rng.random_bool(0.2);
        let nodes = self.rng.random_range(1..3);
        let spec = JobSpec {
            name: format!("job{}", self.submitted),
            uid: Uid(1_000),
            user: "ann".to_owned(),
            script: Some(self.script.digest()),
            time_limit: Some(Span::from_mins(self.rng.random_range(1..30))),
            hold: self.rng.random_bool(0.1),
            ask: Ask {
                nodes: Some(NodeCount { min: nodes, max: nodes }),
                cpus: CpuAsk::PerTask(self.rng.random_range(1..40)),
                memory: MemoryAsk::PerNode(100),
                ..Ask::default()
            },
            dependency: if waits { Dependency { terms, any: false } } else { Dependency::default() },
            array,
            ..JobSpec::default()
        };
        let token = SubmitToken::new(format!("token{}", self.submitted));
        self.decide(&Caller::System, Command::Submit { spec: Box::new(spec), token, test_only: false });
    }

    fn change(&mut self) {
        let live: Vec<(JobId, Option<JobId>)> = self.cluster.live_jobs().map(|job| (job.id, job.array())).collect();
        let Some((job, array)) = live.get(self.rng.random_range(0..live.len().max(1))).copied() else { return };
        let some = IndexSet::from_ranges(vec![(0, self.rng.random_range(0..3))]);
        let elements = array.and(self.rng.random_bool(0.5).then_some(some));
        let job = JobRef { job: array.filter(|_| elements.is_some()).unwrap_or(job), elements, component: None };
        let update = JobUpdate {
            comment: Some(format!("changed at {}", self.now.0)),
            time_limit: Some(Span::from_mins(20)),
            ..JobUpdate::default()
        };
        let command = match self.rng.random_range(0..5) {
            0 => Command::Cancel { job, cron: false },
            1 => Command::Hold { job },
            2 => Command::Release { job },
            3 => Command::Requeue { job, hold: self.rng.random_bool(0.3) },
            _ => Command::Update { job, update: Box::new(update) },
        };
        let caller = if self.rng.random_bool(0.5) { Caller::Admin(Uid(0)) } else { Caller::User(Uid(1_000)) };
        self.decide(&caller, command);
    }

    fn plan(&mut self) {
        for step in plan(&self.cluster, self.now).steps {
            self.decide(&Caller::System, Command::Perform { step });
        }
    }

    /// What was ordered is delivered or not; what was retired is seen gone.
    fn provider(&mut self) {
        let placed: Vec<_> = self.cluster.open_orders().cloned().collect();
        for order in placed.into_iter().filter(|order| order.state == OrderState::Placed) {
            let instance = |name: &NodeName| LaunchedInstance {
                instance: InstanceId(format!("i-{name}-{}", order.id)),
                name: name.clone(),
            };
            let instances = order.request.names.iter().map(instance).collect();
            if self.rng.random_bool(0.2) {
                let failure = LaunchFailure::NoCapacity { scope: "here".to_owned() };
                self.decide(&Caller::System, Command::LaunchFailed { order: order.id, failure });
            } else {
                let launched = Launched { instances };
                self.decide(&Caller::System, Command::Launched { order: order.id, launched });
            }
        }
        let seen = self.cluster.live_nodes().filter(|node| !matches!(node.state, NodeState::Retiring { .. }));
        let seen = seen.filter(|_| self.rng.random_bool(0.97)).filter_map(|node| {
            Some(SeenInstance {
                instance: node.instance.clone()?,
                order: node.order,
                name: Some(node.name.clone()),
                launched_at: node.created_at,
                ending: false,
            })
        });
        let listing = Listing { instances: seen.collect(), complete: true };
        let (pool, asked_at) = (PoolName::from("cloud"), self.now);
        self.decide(&Caller::System, Command::Listed { pool, listing, asked_at });
    }

    fn agents(&mut self) {
        let nodes: Vec<NodeId> = self
            .cluster
            .live_nodes()
            .filter(|node| matches!(node.state, NodeState::Booting { .. }) || (node.is_static() && !node.contact))
            .map(|node| node.id)
            .collect();
        for node in nodes {
            let measured = Box::new(MeasuredNode { shape: story::shape(), ..MeasuredNode::default() });
            self.decide(&Caller::Node(node), Command::Register { node, measured });
        }
        let parts: Vec<_> = self
            .cluster
            .active_jobs()
            .flat_map(|job| {
                job.allocations().iter().enumerate().map(|(rank, held)| (job.run(), rank, held.node, job.phase.clone()))
            })
            .collect();
        for (run, rank, node, phase) in parts {
            let exit = ExitStatus { code: i32::from(self.rng.random_bool(0.3)), signal: 0 };
            let usage = Usage { user_cpu: Span::from_secs(3), ..Usage::default() };
            let end = |cause| {
                let ended_at = self.now;
                AttemptState::Ended(AttemptEnd { cause, exit, ended_at, usage, detail: String::new() })
            };
            let state = match phase {
                JobPhase::Bound(_) => AttemptState::Prepared,
                JobPhase::Running { .. } if rank == 0 && self.rng.random_bool(0.4) => end(EndCause::Exited),
                JobPhase::Running { .. } if self.rng.random_bool(0.03) => end(EndCause::Lost),
                JobPhase::Stopping { .. } => end(EndCause::Stopped),
                _ => continue,
            };
            self.decide(&Caller::Node(node), Command::Attempt { node, run, state });
        }
    }

    fn reader(&self) -> Reader {
        self.journal.reader()
    }
}

fn everything(reader: &Reader) -> Vec<AccountedJob> {
    let query = AccountingQuery { limit: 10_000, with_steps: true, ..AccountingQuery::default() };
    let page = reader.accounting(&query).unwrap();
    assert!(page.next.is_empty());
    page.jobs
}

/// What the state says of a job that accounting says as well.
fn agree(world: &World) {
    let reader = world.reader();
    let mut told: BTreeMap<JobId, Vec<AccountedJob>> = BTreeMap::new();
    everything(&reader).into_iter().for_each(|job| told.entry(job.job).or_default().push(job));
    for job in world.cluster.jobs.values() {
        let told = &told[&job.id][0];
        assert_eq!(told.state, job_state(job), "{job:?}\n{told:?}");
        assert_eq!((told.attempt, told.submitted_at), (job.attempt, job.submitted_at));
        assert_eq!(told.started_at, job.started_at(), "{job:?}\n{told:?}");
        assert_eq!((told.comment.as_str(), told.eligible_at), (job.spec.comment(), job.eligible_at));
        match &job.phase {
            JobPhase::Ended(end) => {
                assert_eq!((told.exit, told.reason, told.cancelled_by), (end.exit, end.reason, end.by));
                assert_eq!((told.ended_at, told.cost), (Some(end.ended_at), end.cost));
                assert_eq!(told.nodes.len(), if end.started_at.is_some() { end.nodes.len() } else { told.nodes.len() });
                let receipt: MicroUsd = reader.receipt(job.id).unwrap().iter().map(|line| line.amount).sum();
                assert_eq!(receipt, end.cost, "the lines of a receipt are its sum");
            }
            _ => assert_eq!(told.cost, job.charged.max(told.cost)),
        }
        if let Some(placement) = job.placement() {
            let names =
                placement.allocations.iter().map(|held| world.cluster.nodes.get(&held.node).unwrap().name.clone());
            assert_eq!(told.nodes, names.collect::<Vec<_>>());
            assert_eq!(told.time_limit, Some(placement.time_limit));
            assert_eq!(told.partition, placement.partition.to_string());
        }
        if let (Role::Pending { indices, .. }, false) = (&job.role, job.is_ended()) {
            assert!(matches!(&told.array, Some(ArrayView::Pending { indices: waiting, .. }) if waiting == indices));
        }
        assert!(told.steps.iter().all(|step| step.state != JobState::Running || !job.is_ended()));
        assert!(cost_so_far(&world.cluster, job, world.now) >= told.cost);
    }
    let nodes = reader.ledger(&LedgerQuery { limit: 10_000, ..LedgerQuery::default() }).unwrap().rows;
    assert_eq!(nodes.len(), world.cluster.nodes.len());
    for (row, node) in nodes.iter().zip(world.cluster.nodes.values()) {
        assert_eq!((&row.node, row.gone_at.is_some(), row.ready_at), (&node.name, node.is_gone(), node.ready_at));
        assert_eq!((row.launched_at, row.first_job_at), (node.launched_at, node.first_job_at));
        assert_eq!(row.caused_by, node.caused_by);
    }
    let totals = reader.totals().unwrap();
    assert_eq!((totals.spent, totals.nodes_gone), (world.cluster.counters.spent, world.cluster.counters.nodes_gone));
}

#[test]
fn accounting_agrees_with_everything_that_the_core_decides() {
    let (mut ended, mut requeued, mut cancelled) = (0, 0, 0);
    for seed in 0..10 {
        let mut world = World::new(seed);
        for step in 0..250 {
            world.step();
            if step % 50 == 49 {
                agree(&world);
            }
        }
        let totals = world.reader().totals().unwrap();
        ended += totals.ended(EndState::Completed);
        cancelled += totals.ended(EndState::Cancelled);
        requeued += totals.requeued;
        let dir = world._dir;
        drop(world.journal);
        let (_, recovered) = Journal::open(dir.path(), Options::default()).unwrap();
        assert_eq!(recovered.cluster.hash(), world.cluster.hash(), "seed {seed}");
    }
    println!("{ended} completed, {cancelled} cancelled, {requeued} requeued");
    assert!(ended > 100 && requeued > 20 && cancelled > 20, "{ended}, {requeued}, {cancelled}");
}
