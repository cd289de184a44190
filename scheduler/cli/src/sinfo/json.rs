//! `sinfo --json` and `--yaml`: nodes as records, each with its partitions.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::show::json::{Answer, Member, Notation, Shape, Surroundings, Value, Version, node, partition, seconds};
use crate::show::node_state::{self, Share};
use squall_types::api::{NodeView, PartitionView};

/// What Slurm has for the least load of nodes that have not told theirs.
const NO_LOAD: i64 = 0xffff_fffe;

/// A node in one of its partitions, which has so much memory in all.
struct Place<'a> {
    partition: &'a PartitionView,
    memory_mib: u64,
    node: &'a NodeView,
}

pub fn print(
    invocation: &mut Invocation<'_>,
    notation: Notation,
    partitions: &[PartitionView],
    nodes: &[NodeView],
    wanted: impl Fn(&NodeView) -> bool,
) -> Result<i32, Failure> {
    let mut places = Vec::new();
    for partition in partitions {
        let memory_mib = partition::memory_of(partition, nodes);
        let of_it = nodes.iter().filter(|node| node.partitions.contains(&partition.name) && wanted(node));
        places.extend(of_it.map(|node| Place { partition, memory_mib, node }));
    }
    let shape = notation.shape;
    let surroundings = Surroundings::of(invocation, shape);
    Answer::list("sinfo", &places, &surroundings, |place| record(shape, place)).write(invocation, notation)
}

fn record<'a>(shape: Shape, place: &Place<'a>) -> Value<'a> {
    let node = place.node;
    let mut members = Vec::with_capacity(32);
    members.extend(nodes(node));
    members.extend(amounts(shape, node));
    members.extend(words(shape, node));
    members.extend([
        ("partition", partition::record(shape, place.partition, place.memory_mib)),
        ("pool", Value::Text(node.pool.as_str().into())),
        ("offer", Value::Text(node.offer.as_str().into())),
        ("price_micro_usd_per_hour", Value::Int(node.price.0)),
        ("cost_micro_usd", Value::Int(node.cost.0)),
    ]);
    Value::Object(members)
}

/// How much of `all` counts as allocated, idle, and neither.
fn shares(node: &NodeView, all: u32) -> [u32; 3] {
    match node_state::share(node) {
        Share::Allocated => [all, 0, 0],
        Share::Idle => [0, all, 0],
        Share::Other => [0, 0, all],
    }
}

fn nodes(node: &NodeView) -> [Member<'_>; 3] {
    let count = node.count.max(1);
    let [allocated, idle, other] = shares(node, count);
    let (host, port) = node::address(node);
    let named = if node.hostname.is_empty() { node.name.as_str() } else { &node.hostname };
    [
        ("port", port.into()),
        ("node", Value::object([("state", node::states(node))])),
        (
            "nodes",
            Value::object([
                ("allocated", allocated.into()),
                ("idle", idle.into()),
                ("other", other.into()),
                ("total", count.into()),
                ("hostnames", Value::words([named])),
                ("addresses", Value::words([host])),
                ("nodes", Value::words([node.name.as_str()])),
            ]),
        ),
    ]
}

/// The least and the most of one node.
fn both<'a>(amount: impl Into<Value<'a>>) -> Value<'a> {
    let amount = amount.into();
    Value::object([("minimum", amount.clone()), ("maximum", amount)])
}

fn amounts(shape: Shape, node: &NodeView) -> [Member<'_>; 7] {
    let (cores, threads) = node::cores_and_threads(node);
    let memory = node.shape.memory_mib;
    let free = shape.number(memory.saturating_sub(node.memory_used_mib));
    let cpus = node.shape.cpus.saturating_mul(node.count.max(1));
    let [_, _, other] = shares(node, cpus.saturating_sub(node.cpus_used));
    [
        (
            "cpus",
            Value::object([
                ("allocated", node.cpus_used.into()),
                ("idle", (cpus.saturating_sub(node.cpus_used) - other).into()),
                ("other", other.into()),
                ("total", cpus.into()),
                ("minimum", node.shape.cpus.into()),
                ("maximum", node.shape.cpus.into()),
                ("load", both(NO_LOAD)),
                ("per_node", Value::object([("max", shape.limit(None::<i64>))])),
            ]),
        ),
        ("sockets", both(1)),
        ("cores", both(cores)),
        ("threads", both(threads)),
        ("disk", both(0)),
        (
            "memory",
            Value::object([
                ("minimum", memory.into()),
                ("maximum", memory.into()),
                ("free", both(free)),
                ("allocated", node.memory_used_mib.into()),
            ]),
        ),
        ("weight", both(1)),
    ]
}

fn words(shape: Shape, node: &NodeView) -> [Member<'_>; 8] {
    let features: Vec<&str> = node.shape.features.iter().map(String::as_str).collect();
    let features = features.join(",");
    let specialized = Value::object([("cpus", shape.text("")), ("memory", Value::Int(0))]);
    [
        ("features", Value::object([("total", shape.text(features.clone())), ("active", shape.text(features))])),
        (
            "gres",
            Value::object([
                ("total", shape.text(node_state::gres(node))),
                ("used", shape.text(node_state::gres_used(node))),
            ]),
        ),
        ("cluster", shape.text("")),
        ("comment", shape.text("")),
        ("extra", shape.text("")),
        (
            "reason",
            Value::object([
                ("description", shape.text(&node.reason)),
                ("time", seconds(node.reason_at).into()),
                ("user", Value::Text(node.reason_by.as_str().into())),
            ]),
        ),
        ("reservation", shape.text("")),
        ("resource_spec", shape.since(Version::V42, specialized)),
    ]
}
