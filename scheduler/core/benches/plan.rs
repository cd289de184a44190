//! The from-scratch plan over sizes: full nodes with a deep queue, and an idle cluster that an array fills.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use squall_core::config::{PartitionConfig, PoolConfig};
use squall_core::plan::{Step, plan};
use squall_core::{Caller, Cluster, ClusterConfig, Command, decide};
use squall_types::spec::ArraySpec;
use squall_types::*;
use std::hint::black_box;

const NOW: Timestamp = Timestamp::from_secs(1_000);

fn apply(cluster: &mut Cluster, command: Command) {
    let decision = decide(cluster, NOW, &Caller::System, &command).expect("the benchmark asks for what is possible");
    decision.events.iter().for_each(|event| cluster.apply(event));
}

fn cluster(nodes: usize) -> Cluster {
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
    let mut cluster = Cluster::new();
    apply(&mut cluster, Command::Configure { config: Box::new(config) });
    let ids: Vec<NodeId> = cluster.live_nodes().map(|node| node.id).collect();
    for node in ids {
        let measured = Box::new(MeasuredNode { shape: shape.clone(), ..MeasuredNode::default() });
        apply(&mut cluster, Command::Register { node, measured });
    }
    cluster
}

fn submit(cluster: &mut Cluster, name: &str, change: impl FnOnce(&mut JobSpec)) {
    let mut spec = JobSpec {
        name: name.to_owned(),
        script: Some(BlobDigest([1; 32])),
        time_limit: Some(Span::from_hours(1)),
        ..JobSpec::default()
    };
    change(&mut spec);
    apply(cluster, Command::Submit { spec: Box::new(spec), token: name.into(), test_only: false });
}

fn array(spec: &mut JobSpec, elements: u32) {
    spec.array = Some(ArraySpec { indices: (0..elements).collect(), limit: None, step: 1 });
}

fn fill(cluster: &mut Cluster) {
    let nodes = cluster.live_node_count() as u32;
    submit(cluster, "full", |spec| {
        spec.ask.gpus = GpuAsk::PerNode(8, None);
        array(spec, nodes);
    });
    for step in plan(cluster, NOW).steps {
        apply(cluster, Command::Perform { step });
    }
}

fn deep_queue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("10,000 pending on 1,000 full nodes, classes");
    group.sample_size(10);
    for classes in [1u32, 50, 500] {
        let mut cluster = cluster(1_000);
        fill(&mut cluster);
        for at in 0..10_000u32 {
            submit(&mut cluster, &format!("job{at}"), |spec| {
                spec.ask.gpus = GpuAsk::PerNode(1 + (at % 8) as u16 % classes as u16, None);
                spec.time_limit = Some(Span::from_mins(i64::from(10 + at % classes)));
            });
        }
        group.bench_with_input(BenchmarkId::from_parameter(classes), &cluster, |bencher, cluster| {
            bencher.iter(|| black_box(plan(cluster, NOW)).steps.len());
        });
    }
    group.finish();
}

fn idle_cluster(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("an array of one-node tasks on as many idle nodes");
    group.sample_size(10);
    for nodes in [100u32, 1_000] {
        let mut cluster = cluster(nodes as usize);
        submit(&mut cluster, "array", |spec| {
            spec.ask.gpus = GpuAsk::PerNode(8, None);
            array(spec, nodes);
        });
        group.bench_with_input(BenchmarkId::from_parameter(nodes), &cluster, |bencher, cluster| {
            bencher.iter(|| {
                let binds =
                    black_box(plan(cluster, NOW)).steps.into_iter().filter(|step| matches!(step, Step::Bind { .. }));
                assert_eq!(binds.count(), nodes as usize);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, deep_queue, idle_cluster);
criterion_main!(benches);
