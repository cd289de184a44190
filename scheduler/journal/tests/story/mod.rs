//! A cluster's life from a seed: batches of events that fold without an alarm, with the scripts they name.
#![allow(dead_code, clippy::unwrap_used, reason = "a part of each test binary")]

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_core::config::{ClusterConfig, PoolConfig};
use squall_core::event::{Charge, ChargeKind, Event, What};
use squall_core::job::{HeldBy, JobEnd};
use squall_core::node::{DrainWhy, GoneWhy};
use squall_journal::PreparedBlob;
use squall_types::agent::{EndCause, ExitStatus, StepEnd, Usage};
use squall_types::ids::Run;
use squall_types::spec::ArraySpec;
use squall_types::*;
use std::collections::BTreeMap;

pub const STATIC_NODES: u64 = 4;

/// What belongs into one commit.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub events: Vec<Event>,
    pub blobs: Vec<PreparedBlob>,
}

pub struct Story {
    rng: ChaCha8Rng,
    pub now: Timestamp,
    next_job: u32,
    next_node: u64,
    next_order: u64,
    waiting: BTreeMap<JobId, JobSpec>,
    /// Elements that have no record of their own, by the record in which they wait.
    arrays: BTreeMap<JobId, (JobSpec, Vec<u32>)>,
    /// The arrays of groups.
    groups: BTreeMap<JobId, JobId>,
    running: BTreeMap<JobId, (u32, NodeId, Timestamp)>,
    attempts: BTreeMap<JobId, u32>,
    bought: Vec<(NodeId, OrderId)>,
    ended: Vec<JobId>,
    pub users: u32,
}

impl Story {
    pub fn new(seed: u64) -> Story {
        Story {
            rng: ChaCha8Rng::seed_from_u64(seed),
            now: Timestamp::from_secs(1_700_000_000),
            next_job: 1,
            next_node: 1,
            next_order: 1,
            waiting: BTreeMap::new(),
            arrays: BTreeMap::new(),
            groups: BTreeMap::new(),
            running: BTreeMap::new(),
            attempts: BTreeMap::new(),
            bought: Vec::new(),
            ended: Vec::new(),
            users: 5,
        }
    }

    /// The first batch: a configuration and machines of one's own.
    pub fn begin(&mut self) -> Batch {
        let mut config = ClusterConfig::default();
        config.pools.insert("lab".into(), PoolConfig::default());
        let mut events = vec![self.event(What::ConfigApplied { config: Box::new(config) })];
        for number in 0..STATIC_NODES {
            let node = self.node();
            let name = NodeName(format!("lab-{number}"));
            events.push(self.event(What::StaticNodeAdded { node, name, pool: "lab".into(), shape: shape() }));
        }
        Batch { events, blobs: Vec::new() }
    }

    /// One to eight things that happen together.
    pub fn batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..self.rng.random_range(1..=8) {
            self.something(&mut batch);
        }
        batch
    }

    fn something(&mut self, batch: &mut Batch) {
        self.now += Span::from_millis(self.rng.random_range(1..2_000));
        match self.rng.random_range(0..20) {
            0..=5 => self.submit(batch, None),
            6 => {
                let indices = IndexSet::from_iter(0..self.rng.random_range(2..9));
                self.submit(batch, Some(ArraySpec { indices, limit: Some(3), step: 1 }));
            }
            7..=10 => self.start(batch),
            11..=13 => self.finish(batch),
            14 => self.requeue(batch),
            15 => self.split(batch),
            16 => self.cancel(batch),
            17 => self.buy(batch),
            18 => self.retire(batch),
            _ => self.touch(batch),
        }
    }

    pub fn submit(&mut self, batch: &mut Batch, array: Option<ArraySpec>) {
        let job = self.job();
        let script =
            PreparedBlob::new(format!("#!/bin/sh\necho {}\n", self.rng.random_range(0..50)).as_bytes()).unwrap();
        let environment = PreparedBlob::new(&b"PATH=/usr/bin\0LANG=C\0".repeat(40)).unwrap();
        let uid = Uid(1_000 + self.rng.random_range(0..self.users));
        let spec = JobSpec {
            stdout: Some("logs/%j".to_owned()),
            name: format!("train-{}", job.0 % 7),
            uid,
            gid: Gid(100),
            user: format!("user{uid}"),
            account: AccountName(format!("project{}", uid.0 % 3)),
            partitions: vec!["main".into()],
            script: Some(script.digest()),
            environment: Some(environment.digest()),
            work_dir: "/home/user/experiment".to_owned(),
            submit_line: "sbatch --gpus=1 train.sh".to_owned(),
            time_limit: Some(Span::from_hours(1)),
            array: array.clone(),
            ..JobSpec::default()
        };
        batch.blobs.extend([script, environment]);
        match array {
            Some(array) => {
                self.arrays.insert(job, (spec.clone(), array.indices.iter().collect()));
            }
            None => {
                self.waiting.insert(job, spec.clone());
            }
        }
        let token = SubmitToken::new(format!("token-{job}"));
        let eligible_at = Some(self.now);
        self.push(
            batch,
            What::JobSubmitted { job, spec: Box::new(spec), token, terms: Vec::new(), eligible_at, het: None },
        );
    }

    pub fn start(&mut self, batch: &mut Batch) {
        let Some(job) = self.waiting.keys().next().copied() else { return };
        self.waiting.remove(&job);
        let attempt = self.attempts.entry(job).or_default();
        *attempt += 1;
        let run = Run { job, attempt: Attempt(*attempt) };
        let node = NodeId(1 + self.rng.random_range(0..STATIC_NODES));
        self.running.insert(job, (run.attempt.0, node, self.now));
        let allocations = vec![Allocation { node, cpus: 2, memory_mib: 1_024, gpus: Vec::new(), tasks: 1 }];
        let time_limit = Span::from_hours(1);
        self.push(batch, What::JobBound { run, partition: "main".into(), allocations, time_limit });
        self.push(batch, What::PartPrepared { run, node });
        self.push(batch, What::JobStarted { run });
        if self.rng.random_bool(0.5) {
            let (step, name) = (StepId(0), "hostname".to_owned());
            self.push(batch, What::StepStarted { run, step, name, nodes: vec![node], tasks: 1, cpus: 1 });
        }
    }

    pub fn finish(&mut self, batch: &mut Batch) {
        let Some((job, (attempt, node, since))) = self.running.pop_first() else { return };
        let run = Run { job, attempt: Attempt(attempt) };
        let exit = ExitStatus { code: self.rng.random_range(0..3), signal: 0 };
        let usage = Usage { user_cpu: Span::from_secs(9), system_cpu: Span::from_secs(1), max_rss_kib: 2_048 };
        let (started_at, ended_at) = (since, self.now);
        let end = StepEnd { run, step: StepId(0), exit, started_at, ended_at, usage };
        self.push(batch, What::StepEnded { node, end });
        let end = AttemptEnd { cause: EndCause::Exited, exit, ended_at, usage, detail: String::new() };
        self.push(batch, What::PartEnded { run, node, end });
        let state = if exit.code == 0 { EndState::Completed } else { EndState::Failed };
        let end = JobEnd {
            suspended: Default::default(),
            state,
            exit,
            reason: if exit.code == 0 { Reason::None } else { Reason::NonZeroExitCode },
            by: None,
            started_at: Some(since),
            ended_at,
            nodes: vec![node],
            cost: MicroUsd(17),
            partition: Some("main".into()),
        };
        let charges = vec![Charge { node, what: ChargeKind::Run, amount: MicroUsd(17) }];
        self.push(batch, What::JobEnded { job, end, charges });
        self.ended.push(job);
        if self.ended.len() > 20 {
            let jobs = self.ended.drain(..10).collect();
            self.push(batch, What::JobsPurged { jobs });
        }
    }

    fn requeue(&mut self, batch: &mut Batch) {
        let Some((job, (attempt, node, _))) = self.running.pop_first() else { return };
        let run = Run { job, attempt: Attempt(attempt) };
        self.push(batch, What::PartGone { run, node });
        let charges = vec![Charge { node, what: ChargeKind::Run, amount: MicroUsd(5) }];
        let (reason, not_before) = (Reason::NodeFailure, self.now);
        self.push(
            batch,
            What::JobRequeued { job, not_before, hold: None, reason, failure: true, charges, ended: None },
        );
        self.waiting.insert(job, JobSpec::default());
    }

    fn split(&mut self, batch: &mut Batch) {
        let Some((record, (spec, mut waiting))) = self.arrays.pop_first() else { return };
        let (array, group) = self.array_and_group(record);
        if waiting.len() > 3 {
            // One of the record's elements is split from it, and two more as a group.
            let indices = IndexSet::from_iter(waiting.split_off(waiting.len() - 2));
            let job = self.job();
            self.arrays.insert(job, (spec.clone(), indices.iter().collect()));
            self.groups.insert(job, array);
            self.push(batch, What::GroupSplit { array, indices, job, group });
        }
        let index = waiting.remove(0);
        let job = if waiting.is_empty() { record } else { self.job() };
        self.push(batch, What::ElementSplit { array, index, job, group });
        self.waiting.insert(job, spec.clone());
        if !waiting.is_empty() {
            self.arrays.insert(record, (spec, waiting));
        }
    }

    fn array_and_group(&self, record: JobId) -> (JobId, Option<JobId>) {
        let array = self.groups.get(&record).copied();
        (array.unwrap_or(record), array.map(|_| record))
    }

    fn cancel(&mut self, batch: &mut Batch) {
        let Some((record, (spec, mut waiting))) = self.arrays.pop_last() else { return };
        let (array, group) = self.array_and_group(record);
        let gone = IndexSet::from_iter(waiting.drain(..1));
        let all = waiting.is_empty();
        self.push(batch, What::ElementsCancelled { array, indices: gone, by: Some(Uid(1_000)), group });
        if !all {
            self.arrays.insert(record, (spec, waiting));
        }
    }

    fn buy(&mut self, batch: &mut Batch) {
        let order = OrderId(self.next_order);
        self.next_order += 1;
        let node = self.node();
        let name = NodeName(format!("cloud-{node}"));
        let offer = Offer { name: "a100/eu/spot".into(), price: HourlyPrice(3_600_000), ..Offer::default() };
        let request = LaunchOrder {
            order,
            pool: "cloud".into(),
            token: LaunchToken(format!("launch-{order}")),
            offer,
            names: vec![name],
            gang: false,
            die_at: self.now + Span::from_hours(24),
            tags: BTreeMap::new(),
            join: None,
        };
        let accept_by = self.now + Span::from_secs(60);
        let placed = What::OrderPlaced {
            request: Box::new(request),
            nodes: vec![node],
            for_job: None,
            accept_by,
            reserved_each: MicroUsd(1_000),
            paid_until: accept_by,
            budgets: Vec::new(),
        };
        self.push(batch, placed);
        let instances = vec![(node, InstanceId(format!("i-{node}")))];
        self.push(batch, What::OrderLaunched { order, instances, ready_by: accept_by });
        let measured = MeasuredNode { shape: shape(), ..MeasuredNode::default() };
        self.push(batch, What::NodeRegistered { node, measured, shape: shape() });
        self.bought.push((node, order));
    }

    fn retire(&mut self, batch: &mut Batch) {
        let Some((node, _)) = self.bought.pop() else { return };
        self.push(batch, What::NodeRetiring { node, why: DrainWhy::Idle });
        self.push(batch, What::NodeGone { node, why: GoneWhy::Retired, cost: MicroUsd(123) });
    }

    fn touch(&mut self, batch: &mut Batch) {
        let Some((job, spec)) = self.waiting.iter().next().map(|(job, spec)| (*job, spec.clone())) else { return };
        self.push(batch, What::JobHeld { job, by: HeldBy::User });
        self.push(batch, What::JobReleased { job });
        if spec.script.is_some() && spec.array.is_none() {
            let spec = JobSpec { comment: format!("at {}", self.now.0), ..spec };
            self.waiting.insert(job, spec.clone());
            let (terms, eligible_at, time_limit) = (Vec::new(), Some(self.now), None);
            self.push(batch, What::JobUpdated { job, spec: Box::new(spec), terms, eligible_at, time_limit });
        }
    }

    fn push(&mut self, batch: &mut Batch, what: What) {
        let event = self.event(what);
        batch.events.push(event);
    }

    fn event(&mut self, what: What) -> Event {
        what.at(self.now)
    }

    fn job(&mut self) -> JobId {
        self.next_job += 1;
        JobId(self.next_job - 1)
    }

    fn node(&mut self) -> NodeId {
        self.next_node += 1;
        NodeId(self.next_node - 1)
    }
}

pub fn shape() -> Shape {
    Shape { cpus: 64, cores: 32, memory_mib: 256_000, ..Shape::default() }
}

/// The whole story up to a number of batches.
pub fn story(seed: u64, batches: usize) -> Vec<Batch> {
    let mut story = Story::new(seed);
    let mut all = vec![story.begin()];
    all.extend((0..batches).map(|_| story.batch()).filter(|batch| !batch.events.is_empty()));
    all
}

/// A fresh number for tests that pick at random and say what they picked.
pub fn seed() -> u64 {
    std::env::var("SQUALL_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| rand::rng().next_u64())
}

/// Memory, where there is such a directory: for tests that sync thousands of times and prove nothing by it.
pub fn scratch() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}
