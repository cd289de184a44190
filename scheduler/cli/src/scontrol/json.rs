//! `scontrol show` in JSON or YAML: jobs as `squeue` has them, nodes and partitions.

use super::node;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::show::json::{Notation, answer, limit, moment, number};
use crate::show::{amounts, ids, node_state};
use serde_json::{Value, json};
use squall_types::Span;
use squall_types::api::{JobDetail, NodeView, PartitionView};

pub fn jobs(invocation: &mut Invocation<'_>, notation: Notation, jobs: &[JobDetail]) -> Result<i32, Failure> {
    let now = invocation.now();
    let record = |detail: &JobDetail| crate::squeue::json::record(&detail.view, now);
    write(invocation, notation, "jobs", jobs.iter().map(record).collect())
}

pub fn nodes(invocation: &mut Invocation<'_>, notation: Notation, nodes: &[&NodeView]) -> Result<i32, Failure> {
    write(invocation, notation, "nodes", nodes.iter().map(|node| of_node(node)).collect())
}

pub fn partitions(
    invocation: &mut Invocation<'_>,
    notation: Notation,
    partitions: &[&PartitionView],
) -> Result<i32, Failure> {
    write(invocation, notation, "partitions", partitions.iter().map(|partition| of_partition(partition)).collect())
}

fn write(
    invocation: &mut Invocation<'_>,
    notation: Notation,
    records: &str,
    values: Vec<Value>,
) -> Result<i32, Failure> {
    notation.write(invocation.out, &answer(records, values, "scontrol"))?;
    Ok(0)
}

fn of_node(node: &NodeView) -> Value {
    let shape = &node.shape;
    let words = node_state::words(node);
    let states: Vec<&str> = [words.base].into_iter().chain(words.flags.iter().copied()).collect();
    let cores = if shape.cores == 0 { shape.cpus } else { shape.cores };
    let (host, port) = node.address.rsplit_once(':').unwrap_or((&node.address, "0"));
    let gpus = |count: usize| if count > 0 { format!(",gres/gpu={count}") } else { String::new() };
    json!({
        "name": node.name,
        "architecture": "x86_64",
        "address": host,
        "hostname": node.hostname,
        "port": port.parse::<u16>().unwrap_or(0),
        "state": states,
        "partitions": node.partitions,
        "boards": 1,
        "sockets": 1,
        "cores": cores,
        "threads": (shape.cpus / cores.max(1)).max(1),
        "cpus": shape.cpus,
        "effective_cpus": shape.cpus,
        "alloc_cpus": node.cpus_used,
        "alloc_idle_cpus": shape.cpus.saturating_sub(node.cpus_used),
        "real_memory": shape.memory_mib,
        "alloc_memory": node.memory_used_mib,
        "free_mem": number(Some(shape.memory_mib.saturating_sub(node.memory_used_mib))),
        "features": shape.features,
        "active_features": shape.features,
        "gres": node_state::gres(node),
        "gres_used": node_state::gres_used(node),
        "tres": format!(
            "cpu={},mem={},billing={}{}",
            shape.cpus,
            amounts::rounded(shape.memory_mib),
            shape.cpus,
            gpus(shape.gpus.count().into())
        ),
        "tres_used": node::allocated(node),
        "boot_time": moment(node.ready_at),
        "slurmd_start_time": moment(node.ready_at),
        "operating_system": node.os,
        "version": node.agent_version,
        "reason": node.reason,
        "reason_set_by_user": node.reason_by,
        "reason_changed_at": moment(node.reason_at),
        "comment": "",
        "instance_id": node.instance,
        "instance_type": node.offer,
        "pool": node.pool,
        "price_micro_usd_per_hour": node.price,
        "cost_micro_usd": node.cost,
        "could_be_bought": if node.instance.is_empty() { node.count } else { 0 },
    })
}

fn minutes(span: Option<Span>) -> Option<u64> {
    span.filter(|span| *span < Span::FOREVER).map(|span| (span.as_secs() / 60) as u64)
}

fn of_partition(partition: &PartitionView) -> Value {
    let accounts: Vec<&str> = partition.allow_accounts.iter().map(|name| name.as_str()).collect();
    json!({
        "name": partition.name,
        "is_default": partition.default,
        "partition": { "state": [if partition.up { "UP" } else { "DOWN" }] },
        "accounts": { "allowed": accounts.join(","), "deny": "" },
        "nodes": { "configured": ids::nodes(&partition.nodes), "total": partition.total_nodes },
        "cpus": { "total": partition.total_cpus },
        "gpus": { "total": partition.total_gpus },
        "maximums": {
            "time": limit(minutes(partition.max_time)),
            "nodes": limit(partition.max_nodes.map(u64::from)),
        },
        "minimums": { "nodes": 0 },
        "defaults": {
            "time": number(minutes(partition.default_time)),
            "memory_per_cpu": partition.def_mem_per_cpu,
            "memory_per_gpu": partition.def_mem_per_gpu,
            "cpus_per_gpu": partition.def_cpu_per_gpu,
        },
        "priority": { "tier": partition.priority_tier },
        "pools": partition.pools,
    })
}
