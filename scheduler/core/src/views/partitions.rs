//! Partitions as `sinfo` and `scontrol show partition` tell of them, at zero nodes as at many.

use super::nodes::{Growth, growth};
use crate::cluster::Cluster;
use crate::config::PartitionConfig;
use crate::node::Node;
use squall_types::api::PartitionView;
use squall_types::{Offer, PartitionName, PoolName, Resources};
use std::collections::BTreeMap;

/// All partitions by name, with what exists and what could: a pool that can grow counts as its largest offer.
pub fn partition_views(cluster: &Cluster) -> Vec<PartitionView> {
    let growth = growth(cluster);
    let mut nodes: BTreeMap<&PoolName, Vec<&Node>> = BTreeMap::new();
    for node in cluster.live_nodes() {
        nodes.entry(&node.pool).or_default().push(node);
    }
    let views = cluster.config.partitions.iter().map(|(name, config)| {
        let existing = config.pools.iter().filter_map(|pool| nodes.get(pool)).flatten().copied().collect();
        let possible = config.pools.iter().filter_map(|pool| growth.get(pool)).collect();
        view(name, config, existing, possible)
    });
    views.collect()
}

fn view(
    name: &PartitionName,
    config: &PartitionConfig,
    existing: Vec<&Node>,
    possible: Vec<&Growth<'_>>,
) -> PartitionView {
    let existing_parts = existing.iter().map(|node| (node.shape.resources(), 1));
    let possible_parts = possible.iter().map(|growth| (largest(&growth.offers), growth.room));
    let parts: Vec<(Resources, u32)> = existing_parts.chain(possible_parts).collect();
    let total = |of: fn(&Resources) -> u32| {
        parts.iter().fold(0u32, |sum, (each, count)| sum.saturating_add(of(each).saturating_mul(*count)))
    };
    PartitionView {
        name: name.clone(),
        default: config.default,
        up: config.up,
        max_time: config.max_time,
        default_time: config.default_time,
        max_nodes: config.max_nodes,
        pools: config.pools.clone(),
        allow_accounts: config.allow_accounts.iter().cloned().collect(),
        deny_accounts: config.deny_accounts.iter().cloned().collect(),
        allow_groups: config.allow_groups.iter().cloned().collect(),
        allow_qos: config.allow_qos.iter().cloned().collect(),
        deny_qos: config.deny_qos.iter().cloned().collect(),
        qos: config.qos.clone(),
        priority_tier: config.priority_tier,
        nodes: existing.iter().map(|node| node.name.clone()).collect(),
        total_nodes: total(|_| 1),
        total_cpus: total(|each| each.cpus),
        total_gpus: total(|each| u32::from(each.gpus)),
        def_mem_per_cpu: config.def_mem_per_cpu,
        def_mem_per_gpu: config.def_mem_per_gpu,
        def_cpu_per_gpu: config.def_cpu_per_gpu,
    }
}

fn largest(offers: &[&Offer]) -> Resources {
    let sizes = offers.iter().map(|offer| offer.shape.resources());
    sizes.max_by_key(|each| (each.gpus, each.cpus, each.memory_mib)).unwrap_or_default()
}
