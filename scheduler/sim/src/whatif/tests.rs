//! The engine on small traces.

use super::*;
use squall_core::config::{PartitionConfig, PoolConfig};
use squall_types::{GpuGroup, Gpus, HourlyPrice, Offer, Shape, Span};

fn shape() -> Shape {
    let gpus = Gpus(vec![GpuGroup { model: "g".into(), count: 8, memory_mib: 0, declared: true }]);
    Shape { cpus: 64, cores: 64, memory_mib: 64_000, gpus, features: Default::default() }
}

fn setup(max_nodes: u32) -> Setup {
    let offer = Offer {
        name: "big".into(),
        instance_type: "big".into(),
        price: HourlyPrice(36_000_000),
        shape: shape(),
        typical_boot: Span::from_secs(60),
        max_per_order: 8,
        ..Offer::default()
    };
    let pool = PoolConfig { provisioner: "sim".to_owned(), offers: vec![offer], max_nodes, ..PoolConfig::default() };
    let partition = PartitionConfig { pools: vec!["gpu".into()], default: true, ..PartitionConfig::default() };
    let config = ClusterConfig {
        pools: [("gpu".into(), pool)].into(),
        partitions: [("gpu".into(), partition)].into(),
        ..ClusterConfig::default()
    };
    Setup { name: "test".to_owned(), config, seed: 1 }
}

/// `(submit, runs for, nodes, GPUs on each)` in seconds; the limit is the run time.
fn work(jobs: &[(i64, i64, u32, u16)]) -> Vec<Work> {
    let job = |(number, (submit, runs, nodes, gpus)): (usize, &(i64, i64, u32, u16))| Work {
        name: format!("j{number}"),
        account: "a".into(),
        uid: squall_types::Uid(1000),
        user: "ann".to_owned(),
        submit_after: Span::from_secs(*submit),
        runs_for: Span::from_secs(*runs),
        limit: Some(Span::from_secs(*runs)),
        demand: Demand { nodes: *nodes, gpus_per_node: *gpus, cpus_per_node: None, mem_mib_per_node: None },
    };
    jobs.iter().enumerate().map(job).collect()
}

fn played(setup: &Setup, work: &[Work]) -> Outcome {
    simulate(setup, work, &mut |_| {}).unwrap()
}

#[test]
fn a_job_waits_for_its_node_and_the_node_is_given_back() {
    let outcome = played(&setup(4), &work(&[(0, 600, 1, 8)]));
    assert_eq!((outcome.ends.completed, outcome.nodes.launches, outcome.nodes.orders), (1, 1, 1));
    assert!((45_000..130_000).contains(&outcome.wait.max_ms), "a boot of 45 to 120 s: {:?}", outcome.wait);
    assert_eq!(outcome.turnaround.max_ms, outcome.wait.max_ms + 600_000);
    let time = outcome.gpu_hours;
    assert_eq!(time.used, 1.33, "8 GPUs for 10 minutes");
    let sum = time.used + time.booting + time.idle + time.beside + time.ending;
    assert!((sum - time.bought).abs() < 0.03, "{time:?}");
    assert!(time.booting >= 0.1 && time.idle > 0.6, "five minutes idle: {time:?}");
    let cost = time.bought * 4.5e6;
    assert!((outcome.cost_micro_usd as f64 - cost).abs() < 50_000.0, "{} is not {cost}", outcome.cost_micro_usd);
}

#[test]
fn a_gang_runs_once_and_whole_and_what_waits_behind_it_uses_its_nodes() {
    let outcome = played(&setup(2), &work(&[(0, 600, 2, 8), (10, 60, 1, 8), (10, 60, 1, 8), (20, 60, 1, 3)]));
    assert_eq!((outcome.ends.completed, outcome.ends.restarts, outcome.nodes.peak), (4, 0, 2));
    assert_eq!(outcome.nodes.launches, 2, "warm nodes are used again");
    assert_eq!(outcome.gpu_hours.used, 2.98, "16 for 10 minutes, 19 for one");
    assert_eq!(outcome.peak_queued_jobs, 4);
}

#[test]
fn machines_of_ones_own_are_there_and_cost_nothing() {
    let mut setup = setup(0);
    let pool = setup.config.pools.get_mut(&"gpu".into()).unwrap();
    *pool =
        PoolConfig { static_nodes: [("n1".into(), shape()), ("n2".into(), shape())].into(), ..PoolConfig::default() };
    let outcome = played(&setup, &work(&[(0, 100, 2, 8), (50, 100, 1, 1)]));
    assert_eq!((outcome.ends.completed, outcome.cost_micro_usd, outcome.nodes.peak), (2, 0, 2));
    assert!((50_000..50_500).contains(&outcome.wait.max_ms), "{:?}", outcome.wait);
}

#[test]
fn a_budget_that_is_used_up_leaves_jobs_that_say_why() {
    use squall_core::config::{BudgetConfig, BudgetPeriod, BudgetScope};
    let mut setup = setup(4);
    let limit = squall_types::MicroUsd::from_dollars(40);
    let budget = BudgetConfig { scope: BudgetScope::Cluster, limit, period: BudgetPeriod::Total };
    setup.config.budgets.insert("all".into(), budget);
    let outcome = played(&setup, &work(&[(0, 600, 1, 8), (3600, 600, 1, 8)]));
    assert_eq!((outcome.ends.completed, outcome.ends.unfinished + outcome.ends.refused), (1, 1), "{outcome:?}");
    assert!(!outcome.reasons.is_empty());
    assert!(outcome.cost_micro_usd <= 40_000_000);
}

#[test]
fn nothing_waits_for_long_without_a_cap_and_every_history_is_the_same_twice() {
    let jobs = (0..200).map(|n| (n * 37, 60 + (n * 7919) % 4000, 1 + (n % 13 == 0) as u32, 1 + (n % 8) as u16));
    let work = work(&jobs.collect::<Vec<_>>());
    let outcome = played(&setup(500), &work);
    assert_eq!(outcome.ends.completed, 200);
    assert!(outcome.wait.max_ms < 150_000, "nobody waits longer than for a boot: {:?}", outcome.wait);
    assert_eq!(outcome, played(&setup(500), &work));
}
