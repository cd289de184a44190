//! A partition as `scontrol show partition` writes it, and as `sinfo` has it with each of its nodes.

use super::shape::minutes;
use super::value::{Member, Value};
use super::version::{Shape, Version};
use crate::show::{amounts, ids};
use squall_types::api::{NodeView, PartitionView};
use std::fmt::Display;

/// `memory_mib` is that of all of its nodes.
pub fn record(shape: Shape, partition: &PartitionView, memory_mib: u64) -> Value<'_> {
    let mut members = Vec::with_capacity(32);
    members.extend(admission(shape, partition));
    members.extend(size(shape, partition, memory_mib));
    members.extend(limits(shape, partition));
    members.extend(not_here(shape));
    members.extend([
        ("is_default", partition.default.into()),
        ("gpus", Value::object([("total", partition.total_gpus.into())])),
        ("pools", Value::words(partition.pools.iter().map(|pool| pool.as_str()))),
    ]);
    Value::Object(members)
}

fn admission(shape: Shape, partition: &PartitionView) -> [Member<'_>; 3] {
    fn list<'a, T: Display>(shape: Shape, names: &[T]) -> Value<'a> {
        shape.text(names.iter().map(T::to_string).collect::<Vec<_>>().join(","))
    }
    let own = partition.qos.as_ref().map_or("", |qos| qos.as_str());
    [
        (
            "accounts",
            Value::object([
                ("allowed", list(shape, &partition.allow_accounts)),
                ("deny", list(shape, &partition.deny_accounts)),
            ]),
        ),
        ("groups", Value::object([("allowed", list(shape, &partition.allow_groups))])),
        (
            "qos",
            Value::object([
                ("allowed", list(shape, &partition.allow_qos)),
                ("deny", list(shape, &partition.deny_qos)),
                ("assigned", shape.text(own)),
            ]),
        ),
    ]
}

fn size(shape: Shape, partition: &PartitionView, memory_mib: u64) -> [Member<'_>; 6] {
    let state = Value::words([if partition.up { "UP" } else { "DOWN" }]);
    [
        ("name", Value::Text(partition.name.as_str().into())),
        (
            "nodes",
            Value::object([
                ("allowed_allocation", shape.text("")),
                ("configured", shape.text(ids::nodes(&partition.nodes))),
                ("total", partition.total_nodes.into()),
            ]),
        ),
        ("cpus", Value::object([("task_binding", Value::Int(0)), ("total", partition.total_cpus.into())])),
        (
            "tres",
            Value::object([
                ("billing_weights", shape.text("")),
                ("configured", shape.text(tres(partition, memory_mib))),
            ]),
        ),
        ("partition", shape.since(Version::V40, Value::object([("state", state)]))),
        ("priority", Value::object([("job_factor", Value::Int(1)), ("tier", partition.priority_tier.into())])),
    ]
}

/// Of all nodes that it has and could have, in MiB.
pub fn memory_of(partition: &PartitionView, nodes: &[NodeView]) -> u64 {
    let of_it = nodes.iter().filter(|node| node.partitions.contains(&partition.name));
    of_it.map(|node| node.shape.memory_mib.saturating_mul(u64::from(node.count.max(1)))).sum()
}

/// All that it has and could have.
pub fn tres(partition: &PartitionView, memory_mib: u64) -> String {
    let (cpus, nodes) = (partition.total_cpus, partition.total_nodes);
    amounts::tres(cpus, memory_mib, nodes, partition.total_gpus)
}

/// `DefCpuPerGPU=4,DefMemPerGPU=8192`; empty where there is none.
pub fn job_defaults(partition: &PartitionView) -> String {
    let per_gpu = [
        partition.def_cpu_per_gpu.map(|cpus| format!("DefCpuPerGPU={cpus}")),
        partition.def_mem_per_gpu.map(|mib| format!("DefMemPerGPU={mib}")),
    ];
    per_gpu.into_iter().flatten().collect::<Vec<_>>().join(",")
}

fn limits(shape: Shape, partition: &PartitionView) -> [Member<'_>; 3] {
    let per_cpu = partition.def_mem_per_cpu;
    let v40 = |value| shape.since(Version::V40, value);
    let no_number = || shape.perhaps(None::<i64>);
    let per_node = || if per_cpu.is_none() { shape.number(0) } else { no_number() };
    let oversubscribe = Value::object([("jobs", Value::Int(1)), ("flags", Value::NONE)]);
    [
        (
            "defaults",
            Value::object([
                ("memory_per_cpu", per_cpu.unwrap_or(0).into()),
                ("partition_memory_per_cpu", v40(shape.perhaps(per_cpu))),
                ("partition_memory_per_node", v40(per_node())),
                ("time", shape.perhaps(minutes(partition.default_time))),
                ("job", shape.text(job_defaults(partition))),
                ("memory_per_gpu", partition.def_mem_per_gpu.map_or(Value::Null, Value::from)),
                ("cpus_per_gpu", partition.def_cpu_per_gpu.map_or(Value::Null, Value::from)),
            ]),
        ),
        (
            "maximums",
            Value::object([
                ("cpus_per_node", shape.limit(None::<i64>)),
                ("cpus_per_socket", shape.limit(None::<i64>)),
                ("memory_per_cpu", Value::Int(0)),
                ("partition_memory_per_cpu", v40(no_number())),
                ("partition_memory_per_node", v40(shape.number(0))),
                ("nodes", shape.limit(partition.max_nodes)),
                ("shares", Value::Int(1)),
                ("oversubscribe", v40(oversubscribe)),
                ("time", shape.minutes(partition.max_time)),
                ("over_time_limit", no_number()),
            ]),
        ),
        ("minimums", Value::object([("nodes", Value::Int(0))])),
    ]
}

/// What Slurm has and Squall does not, as Slurm writes it where there is none.
fn not_here<'a>(shape: Shape) -> [Member<'a>; 8] {
    let no_number = || shape.perhaps(None::<i64>);
    [
        ("alternate", shape.text("")),
        ("cluster", shape.text("")),
        ("grace_time", Value::Int(0)),
        ("node_sets", shape.text("")),
        ("select_type", shape.since(Version::V41, Value::NONE)),
        ("suspend_time", no_number()),
        ("timeouts", Value::object([("resume", no_number()), ("suspend", no_number())])),
        ("topology", shape.since(Version::V43, shape.text(""))),
    ]
}
