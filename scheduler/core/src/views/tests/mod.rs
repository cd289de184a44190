//! Small clusters built by events alone.

mod jobs;
mod nodes;
mod reasons;

use crate::cluster::Cluster;
use crate::config::{ClusterConfig, PartitionConfig, PoolConfig};
use crate::event::What;
use squall_types::ids::Run;
use squall_types::spec::ArraySpec;
use squall_types::*;

/// Milliseconds are easier to read in seconds.
fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn shape(cpus: u32, gpus: u16) -> Shape {
    let group = GpuGroup { model: "h100".into(), count: gpus, memory_mib: 81_559, declared: true };
    let gpus = Gpus(if gpus > 0 { vec![group] } else { Vec::new() });
    Shape { cpus, cores: cpus, memory_mib: 131_072, gpus, features: Default::default() }
}

/// $36 an hour: a cent a second.
fn offer() -> Offer {
    Offer {
        name: "big/a/on-demand".into(),
        price: HourlyPrice(36_000_000),
        shape: shape(64, 8),
        max_per_order: 8,
        ..Offer::default()
    }
}

/// Partition `gpu` buys up to four nodes of 64 CPUs and 8 GPUs; `own` has the machine `n1` with 16 CPUs.
struct Stage(Cluster);

impl Stage {
    fn new() -> Stage {
        let gpu = PoolConfig {
            provisioner: "sim".to_owned(),
            offers: vec![offer()],
            max_nodes: 4,
            features: ["nvlink".to_owned()].into(),
            ..PoolConfig::default()
        };
        let own = PoolConfig { static_nodes: [("n1".into(), shape(16, 0))].into(), ..PoolConfig::default() };
        let partition = |pool: &str| PartitionConfig { pools: vec![pool.into()], ..PartitionConfig::default() };
        let config = ClusterConfig {
            cluster: "stage".to_owned(),
            pools: [("h100".into(), gpu), ("own".into(), own)].into(),
            partitions: [
                ("gpu".into(), PartitionConfig { default: true, ..partition("h100") }),
                ("own".into(), partition("own")),
                ("down".into(), PartitionConfig { up: false, ..partition("own") }),
            ]
            .into(),
            ..ClusterConfig::default()
        };
        let mut stage = Stage(Cluster::new());
        stage.happens(0, What::ConfigApplied { config: Box::new(config) });
        let (name, pool) = ("n1".into(), "own".into());
        stage.happens(0, What::StaticNodeAdded { node: NodeId(1), name, pool, shape: shape(16, 0) });
        stage.happens(0, What::NodeContact { node: NodeId(1), contact: true });
        stage
    }

    fn happens(&mut self, secs: i64, what: What) {
        self.0.apply(&what.at(at(secs)));
        assert_eq!(self.0.alarm, None);
    }

    fn submit(&mut self, secs: i64, job: u32, spec: JobSpec) {
        let terms = vec![crate::job::TermState::Waiting; spec.dependency.terms.len()];
        let eligible_at = terms.is_empty().then(|| at(secs));
        let token = SubmitToken::new(format!("token-{job}"));
        let what = What::JobSubmitted { job: JobId(job), spec: Box::new(spec), token, terms, eligible_at, het: None };
        self.happens(secs, what);
    }

    /// Node 2, `h100-1`, ordered for job 1 and launched.
    fn buy(&mut self, secs: i64) {
        let request = LaunchOrder {
            order: OrderId(1),
            pool: "h100".into(),
            token: "order-1".into(),
            offer: offer(),
            names: vec!["h100-1".into()],
            gang: false,
            die_at: at(secs + 86_400),
            tags: Default::default(),
            join: None,
        };
        let placed = What::OrderPlaced {
            request: Box::new(request),
            nodes: vec![NodeId(2)],
            for_job: Some(JobId(1)),
            accept_by: at(secs + 300),
            reserved_each: MicroUsd::from_dollars(36),
            paid_until: at(secs + 3600),
            budgets: Vec::new(),
        };
        self.happens(secs, placed);
        let instances = vec![(NodeId(2), "i-1".into())];
        self.happens(secs, What::OrderLaunched { order: OrderId(1), instances, ready_by: at(secs + 900) });
    }

    fn register(&mut self, secs: i64) {
        let measured = MeasuredNode { hostname: "ip-10-0-0-2".to_owned(), ..MeasuredNode::default() };
        self.happens(secs, What::NodeRegistered { node: NodeId(2), measured, shape: shape(64, 8) });
    }

    fn bind(&mut self, secs: i64, job: u32, held: Allocation) -> Run {
        let attempt = Attempt(self.0.jobs.get(&JobId(job)).expect("it was submitted").attempt.0 + 1);
        let run = Run { job: JobId(job), attempt };
        let partition = if held.node == NodeId(1) { "own".into() } else { "gpu".into() };
        let time_limit = Span::from_hours(1);
        self.happens(secs, What::JobBound { run, partition, allocations: vec![held], time_limit });
        run
    }
}

fn part(node: u64, cpus: u32, gpus: &[u16]) -> Allocation {
    Allocation { node: NodeId(node), cpus, memory_mib: u64::from(cpus) * 2048, gpus: gpus.to_vec(), tasks: 1 }
}

fn spec(partition: &str) -> JobSpec {
    JobSpec { name: "train".to_owned(), uid: Uid(1001), partitions: vec![partition.into()], ..JobSpec::default() }
}

fn array(partition: &str, last: u32, limit: Option<u32>) -> JobSpec {
    let indices = IndexSet::from_ranges(vec![(0, last)]);
    JobSpec { array: Some(ArraySpec { indices, limit, step: 1 }), ..spec(partition) }
}
