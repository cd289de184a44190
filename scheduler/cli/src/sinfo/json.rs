//! `sinfo --json` and `--yaml`: nodes as records, each with its partitions.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::show::json::{Notation, answer, limit, moment, number};
use crate::show::node_state;
use serde_json::{Value, json};
use squall_types::api::{NodeView, PartitionView};

pub fn print(
    invocation: &mut Invocation<'_>,
    notation: Notation,
    partitions: &[PartitionView],
    nodes: &[&NodeView],
) -> Result<i32, Failure> {
    let mut records = Vec::new();
    for partition in partitions {
        let of_partition = nodes.iter().filter(|node| node.partitions.contains(&partition.name));
        records.extend(of_partition.map(|node| record(partition, node)));
    }
    let text = answer("sinfo", records, "sinfo");
    notation.write(invocation.out, &text)?;
    Ok(0)
}

fn record(partition: &PartitionView, node: &NodeView) -> Value {
    let words = node_state::words(node);
    let states: Vec<&str> = [words.base].into_iter().chain(words.flags.iter().copied()).collect();
    let cpus = u64::from(node.shape.cpus) * u64::from(node.count.max(1));
    let used = u64::from(node.cpus_used);
    json!({
        "node": { "state": states },
        "nodes": {
            "total": node.count.max(1),
            "hostnames": [node.name.as_str()],
            "addresses": [node.address.as_str()],
            "nodes": [node.name.as_str()],
        },
        "cpus": { "allocated": used, "idle": cpus.saturating_sub(used), "total": cpus },
        "memory": {
            "minimum": node.shape.memory_mib,
            "maximum": node.shape.memory_mib,
            "allocated": node.memory_used_mib,
        },
        "gres": { "total": node_state::gres(node), "used": node_state::gres_used(node) },
        "features": { "total": node.shape.features, "active": node.shape.features },
        "partition": {
            "name": partition.name,
            "partition": { "state": [if partition.up { "UP" } else { "DOWN" }] },
            "maximums": {
                "time": limit(partition.max_time.map(|span| (span.as_secs() / 60) as u64)),
                "nodes": limit(partition.max_nodes.map(u64::from)),
            },
            "defaults": { "time": number(partition.default_time.map(|span| (span.as_secs() / 60) as u64)) },
            "nodes": { "total": partition.total_nodes },
            "cpus": { "total": partition.total_cpus },
        },
        "reason": { "description": node.reason, "time": moment(node.reason_at), "user": node.reason_by },
        "pool": node.pool,
        "offer": node.offer,
        "price_micro_usd_per_hour": node.price,
        "cost_micro_usd": node.cost,
    })
}
