//! A cluster of machines with eight GPUs, built by the commands that build real ones.

use squall_core::config::{PartitionConfig, PoolConfig};
use squall_core::plan::{Step, plan};
use squall_core::{Caller, Cluster, ClusterConfig, Command, decide};
use squall_types::accounts::{AccountsEdit, EditKind, Entity, Setting};
use squall_types::agent::EndCause;
use squall_types::spec::ArraySpec;
use squall_types::*;
use std::collections::BTreeMap;

pub struct Site {
    pub cluster: Cluster,
    pub now: Timestamp,
}

/// One of so many classes of jobs for one node: of 1 to 8 GPUs, and told apart by their time limits.
pub fn single(spec: &mut JobSpec, class: u32, classes: u32) {
    spec.ask.gpus = GpuAsk::PerNode(if classes == 1 { 8 } else { 1 + (class % 8) as u16 }, None);
    spec.time_limit = Some(Span::from_secs(i64::from(600 + class)));
}

pub fn per_node(spec: &mut JobSpec, gpus: u16) {
    spec.ask.gpus = GpuAsk::PerNode(gpus, None);
}

impl Site {
    pub fn new(nodes: u32) -> Self {
        let gpus = Gpus(vec![GpuGroup { model: "h100".into(), count: 8, memory_mib: 81_559, declared: false }]);
        let shape = Shape { cpus: 96, cores: 48, memory_mib: 1_000_000, gpus, features: Default::default() };
        let pool = PoolConfig {
            static_nodes: (0..nodes).map(|at| (NodeName(format!("n{at}")), shape.clone())).collect(),
            ..PoolConfig::default()
        };
        let partition = PartitionConfig { pools: vec!["own".into()], default: true, ..PartitionConfig::default() };
        let config = ClusterConfig {
            pools: [("own".into(), pool)].into(),
            partitions: [("gpu".into(), partition)].into(),
            ..ClusterConfig::default()
        };
        let mut site = Site { cluster: Cluster::new(), now: Timestamp::from_secs(1_000) };
        site.apply(Command::Configure { config: Box::new(config) });
        let ids: Vec<NodeId> = site.cluster.live_nodes().map(|node| node.id).collect();
        for node in ids {
            let measured = Box::new(MeasuredNode { shape: shape.clone(), ..MeasuredNode::default() });
            site.apply(Command::Register { node, measured });
        }
        site
    }

    /// Every node full of jobs of one GPU that end at times of their own, so that no two nodes are free together.
    pub fn fill(&mut self, each: u32) {
        let jobs = self.cluster.live_node_count() as u32 * each;
        for at in 0..jobs {
            self.submit(&format!("running{at}"), |spec| {
                spec.ask.gpus = GpuAsk::PerNode((8 / each) as u16, None);
                // Spread over some hours without a pattern that nodes share.
                spec.time_limit = Some(Span::from_secs(i64::from(3_600 + at.wrapping_mul(2_654_435_761) % 20_000)));
            });
        }
        let steps = plan(&self.cluster, self.now).steps;
        assert_eq!(steps.len(), jobs as usize, "all of them fit");
        self.perform(steps);
    }

    pub fn submit(&mut self, name: &str, change: impl FnOnce(&mut JobSpec)) {
        let mut spec = JobSpec {
            name: name.to_owned(),
            script: Some(BlobDigest([1; 32])),
            time_limit: Some(Span::from_hours(1)),
            ..JobSpec::default()
        };
        change(&mut spec);
        self.apply(Command::Submit { spec: Box::new(spec), token: name.into(), test_only: false });
    }

    pub fn array(&mut self, name: &str, elements: u32, change: impl FnOnce(&mut JobSpec)) {
        self.submit(name, |spec| {
            spec.array = Some(ArraySpec { indices: (0..elements).collect(), limit: None, step: 1 });
            change(spec);
        });
    }

    /// Sets a limit for everybody together.
    pub fn limit(&mut self, setting: &str) {
        let settings = vec![Setting::parse(setting).expect("a setting is NAME=VALUE")];
        let edit = AccountsEdit { kind: EditKind::Modify, entity: Entity::Account("root".into()), settings };
        self.apply(Command::EditAccounts { edits: vec![edit], uids: BTreeMap::new() });
    }

    pub fn perform(&mut self, steps: Vec<Step>) {
        steps.into_iter().for_each(|step| self.apply(Command::Perform { step }));
    }

    pub fn later(&mut self, millis: i64) {
        self.now += Span::from_millis(millis);
    }

    /// The first running job ends before its time.
    pub fn end_one(&mut self) {
        let job = self.cluster.active_jobs().next().expect("some job runs");
        let (run, node) = (job.run(), job.allocations()[0].node);
        let end = AttemptEnd {
            cause: EndCause::Exited,
            exit: Default::default(),
            ended_at: self.now,
            usage: Default::default(),
            detail: String::new(),
        };
        self.apply(Command::Attempt { node, run, state: AttemptState::Ended(end) });
    }

    fn apply(&mut self, command: Command) {
        let decision = decide(&self.cluster, self.now, &Caller::System, &command);
        self.cluster = decision.expect("the benchmark asks for what is possible").after;
    }
}
