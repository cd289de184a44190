//! What Slurm's own metrics call the same things.

use super::families::{Families, Kind};
use squall_core::Cluster;
use squall_core::node::Node;
use squall_core::views::{job_state, node_condition};
use squall_types::api::{JobState, NodeCondition};
use std::collections::BTreeMap;

/// One number about a node.
type Fact = fn(&Node) -> f64;

pub(super) fn write(out: &mut Families, cluster: &Cluster) {
    jobs(out, cluster);
    nodes(out, cluster);
}

fn jobs(out: &mut Families, cluster: &Cluster) {
    let (mut pending, mut running, mut suspended, mut completing, mut cpus, mut memory) = (0, 0, 0, 0, 0, 0);
    let mut by_user: BTreeMap<&str, u64> = BTreeMap::new();
    let mut by_account: BTreeMap<&str, u64> = BTreeMap::new();
    let mut by_partition: BTreeMap<&str, u64> = BTreeMap::new();
    for job in cluster.live_jobs() {
        let waiting = job.count();
        for partition in &job.spec.partitions {
            *by_partition.entry(partition.as_str()).or_default() += waiting;
        }
        match job_state(job) {
            JobState::Pending => {
                pending += waiting;
                *by_user.entry(&job.spec.user).or_default() += waiting;
                *by_account.entry(job.spec.account.as_str()).or_default() += waiting;
            }
            JobState::Running => running += 1,
            JobState::Completing => completing += 1,
            JobState::Suspended => suspended += 1,
            JobState::Configuring | JobState::Ended(_) => {}
        }
        let held = job.placement().map_or(&[][..], |placement| &placement.allocations);
        cpus += held.iter().map(|held| u64::from(held.cpus)).sum::<u64>();
        memory += held.iter().map(|held| held.memory_mib).sum::<u64>();
    }
    let total = pending + running + suspended + completing;
    let gauges = [
        ("slurm_jobs", "Jobs that have not ended.", total),
        ("slurm_jobs_pending", "Jobs that wait.", pending),
        ("slurm_jobs_running", "Jobs that run.", running),
        ("slurm_jobs_suspended", "Jobs whose processes are stopped.", suspended),
        ("slurm_jobs_completing", "Jobs that are being ended.", completing),
        ("slurm_jobs_cpus_alloc", "CPUs that jobs hold.", cpus),
        ("slurm_jobs_memory_alloc", "Memory that jobs hold, in bytes.", memory << 20),
    ];
    for (name, help, value) in gauges {
        out.one(Kind::Gauge, name, help, value as f64);
    }
    let tables = [
        ("slurm_user_jobs_pending", "Jobs of a user that wait.", "username", by_user),
        ("slurm_account_jobs_pending", "Jobs of an account that wait.", "account", by_account),
        ("slurm_partition_jobs", "Jobs of a partition.", "partition", by_partition),
    ];
    for (name, help, label, values) in tables {
        let mut family = out.family(Kind::Gauge, name, help);
        values.iter().for_each(|(value, count)| family.sample(&[(label, value)], *count as f64));
    }
}

fn nodes(out: &mut Families, cluster: &Cluster) {
    let (mut idle, mut mixed, mut allocated, mut down, mut drained) = (0, 0, 0, 0, 0);
    for node in cluster.live_nodes() {
        match node_condition(cluster, node) {
            NodeCondition::Idle => idle += 1,
            NodeCondition::Mixed => mixed += 1,
            NodeCondition::Allocated | NodeCondition::Completing => allocated += 1,
            NodeCondition::Down | NodeCondition::Quarantined => down += 1,
            NodeCondition::Draining | NodeCondition::Drained => drained += 1,
            NodeCondition::PoweredDown | NodeCondition::PoweringUp | NodeCondition::PoweringDown => {}
        }
    }
    let gauges = [
        ("slurm_nodes_idle", "Nodes without work.", idle),
        ("slurm_nodes_mixed", "Nodes that are partly used.", mixed),
        ("slurm_nodes_alloc", "Nodes that are fully used.", allocated),
        ("slurm_nodes_down", "Nodes without contact, or not what was bought.", down),
        ("slurm_nodes_drain", "Nodes that are closed to new work.", drained),
    ];
    for (name, help, value) in gauges {
        out.one(Kind::Gauge, name, help, f64::from(value));
    }
    let facts: [(&str, &str, Fact); 4] = [
        ("slurm_node_cpus", "CPUs of a node.", |node| f64::from(node.shape.cpus)),
        ("slurm_node_cpus_alloc", "CPUs of a node that jobs hold.", |node| f64::from(node.taken().cpus)),
        ("slurm_node_memory_bytes", "Memory of a node.", |node| (node.shape.memory_mib << 20) as f64),
        ("slurm_node_memory_alloc_bytes", "Memory of a node that jobs hold.", |node| {
            (node.taken().memory_mib << 20) as f64
        }),
    ];
    for (name, help, value) in facts {
        let mut family = out.family(Kind::Gauge, name, help);
        for node in cluster.live_nodes() {
            family.sample(&[("node", node.name.as_str())], value(node));
        }
    }
}
