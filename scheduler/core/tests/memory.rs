//! What a job that waits costs in memory, counted at the allocator: what grows here grows with every job of a site.

use squall_core::config::{PartitionConfig, PoolConfig};
use squall_core::{Caller, Cluster, ClusterConfig, Command, decide};
use squall_types::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const JOBS: u32 = 10_000;

/// So many bytes a job that has a name, a script, an environment and a submit line of its own.
const BYTES: usize = 800;
/// Each costs the allocator some bytes more.
const ALLOCATIONS: usize = 5;

/// As `sbatch` submits it, with everything that the controller adds.
fn distinct(number: u32) -> Command {
    let digest = |salt: u8| {
        let mut bytes = [salt; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        BlobDigest(bytes)
    };
    let spec = JobSpec {
        name: format!("job-{number}"),
        uid: Uid(1_000),
        gid: Gid(1_000),
        user: "alice".to_owned(),
        account: "physics".into(),
        partitions: vec!["batch".into()],
        script: Some(digest(1)),
        environment: Some(digest(2)),
        work_dir: "/home/alice/sweep".to_owned(),
        stdout: Some("/dev/null".to_owned()),
        umask: 0o22,
        time_limit: Some(Span::from_hours(1)),
        submit_host: "login1".to_owned(),
        submit_line: format!("sbatch --parsable -o/dev/null -J job-{number} --wrap sleep {number}"),
        trace_parent: Some(format!("00-{number:032x}-{number:016x}-01")),
        ..JobSpec::default()
    };
    Command::Submit { spec: Box::new(spec), token: SubmitToken::new(format!("{number:032x}")), test_only: false }
}

fn site() -> Cluster {
    let shape = Shape { cpus: 4, cores: 4, memory_mib: 8_000, ..Shape::default() };
    let pool = PoolConfig { static_nodes: [("n1".into(), shape)].into(), ..PoolConfig::default() };
    let partition = PartitionConfig { pools: vec!["own".into()], default: true, ..PartitionConfig::default() };
    let config = ClusterConfig {
        pools: [("own".into(), pool)].into(),
        partitions: [("batch".into(), partition)].into(),
        ..ClusterConfig::default()
    };
    after(&Cluster::new(), &Command::Configure { config: Box::new(config) })
}

fn after(cluster: &Cluster, command: &Command) -> Cluster {
    decide(cluster, Timestamp::from_secs(1_000), &Caller::System, command).expect("it is possible").after
}

/// Bytes and allocations a job, of what is still there.
fn each<T>(make: impl FnOnce() -> T) -> (usize, usize, T) {
    let region = Region::new(COUNTING);
    let made = make();
    let stats = region.change();
    let bytes = stats.bytes_allocated - stats.bytes_deallocated;
    let allocations = stats.allocations - stats.deallocations;
    (bytes / JOBS as usize, allocations / JOBS as usize, made)
}

#[test]
fn a_pending_job_costs_few_bytes() {
    let empty = site();
    let (bytes, allocations, full) =
        each(|| (0..JOBS).fold(empty.clone(), |cluster, number| after(&cluster, &distinct(number))));
    eprintln!("{bytes} bytes in {allocations} allocations a job");
    assert_eq!(full.jobs.len(), JOBS as usize);
    assert!(bytes <= BYTES, "{bytes} bytes a job, {BYTES} are allowed");
    assert!(allocations <= ALLOCATIONS, "{allocations} allocations a job, {ALLOCATIONS} are allowed");

    // What a start reads from a snapshot is no larger.
    let stored = full.to_snapshot();
    drop(full);
    let (again, ..) = each(|| Cluster::from_snapshot(&stored).expect("it was just written"));
    eprintln!("{again} bytes a job from a snapshot");
    assert!(again <= BYTES, "{again} bytes a job after a start, {BYTES} are allowed");
}
