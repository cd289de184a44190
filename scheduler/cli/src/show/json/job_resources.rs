//! What a job asks for of each kind, and what it holds.

use super::value::{Member, Value};
use super::version::{Shape, Version};
use crate::show::asked::{switches, wish};
use crate::show::{amounts, ids};
use squall_types::MemoryAsk;
use squall_types::api::{AllocationView, JobDetail, JobState};

pub(super) fn size(shape: Shape, detail: &JobDetail) -> [Member<'_>; 23] {
    let (view, spec) = (&detail.view, &detail.spec);
    let ask = &spec.ask;
    let (per_cpu, per_node) = match ask.memory {
        MemoryAsk::PerCpu(mib) => (Some(mib), None),
        MemoryAsk::PerNode(_) | MemoryAsk::PerGpu(_) | MemoryAsk::Share => (None, Some(view.min_memory_mib)),
    };
    let asked = |name| wish(spec, name).and_then(|text| text.parse::<u32>().ok());
    [
        ("cores_per_socket", shape.perhaps(asked("cores-per-socket"))),
        ("cpus", shape.number(view.cpus)),
        ("cpus_per_task", shape.number(amounts::cpus_per_task(ask))),
        ("job_size_str", Value::NONE),
        ("max_cpus", shape.number(0)),
        ("max_nodes", shape.number(ask.nodes.map_or(0, |nodes| nodes.max))),
        ("memory_per_cpu", shape.perhaps(per_cpu)),
        ("memory_per_node", shape.perhaps(per_node)),
        ("minimum_cpus_per_node", shape.number(view.min_cpus)),
        ("minimum_tmp_disk_per_node", shape.number(0)),
        ("node_count", shape.number(view.node_count)),
        ("sockets_per_board", Value::Int(0)),
        ("sockets_per_node", shape.perhaps(asked("sockets-per-node"))),
        ("tasks", shape.number(view.tasks)),
        ("tasks_per_board", shape.number(0)),
        ("tasks_per_core", shape.limit(asked("ntasks-per-core"))),
        ("tasks_per_node", shape.number(ask.tasks_per_node.unwrap_or(0))),
        ("tasks_per_socket", shape.limit(asked("ntasks-per-socket"))),
        ("tasks_per_tres", shape.number(asked("ntasks-per-gpu").unwrap_or(0))),
        ("threads_per_core", shape.perhaps(asked("threads-per-core"))),
        ("minimum_switches", shape.until(Version::V41, Value::Int(switches(&detail.spec).into()))),
        ("required_switches", shape.since(Version::V42, Value::Int(switches(&detail.spec).into()))),
        ("maximum_switch_wait_time", Value::Int(0)),
    ]
}

/// `--switches`, without the time.
pub(super) fn resources(shape: Shape, detail: &JobDetail) -> [Member<'_>; 14] {
    let (view, spec) = (&detail.view, &detail.spec);
    let held = detail.allocations.iter().map(|part| part.gres.as_str()).filter(|gres| !gres.is_empty());
    // A job that is still being configured has named its nodes and holds none of them yet.
    let claims = view.state == JobState::Configuring;
    let (alone, alone_word) = if view.exclusive { (Some("none"), Some("true")) } else { (None, None) };
    let flags = Value::words(["DETAIL", "LOCAL"]);
    [
        ("batch_host", shape.text(view.nodes.first().map_or("", |node| node.as_str()))),
        ("contiguous", spec.wishes.iter().any(|wish| wish == "contiguous").into()),
        ("excluded_nodes", shape.text(&view.exc_nodes)),
        ("features", shape.text(&view.constraint)),
        ("gres_detail", Value::words(held)),
        ("job_resources", job_resources(shape, detail)),
        ("nodes", shape.text(ids::nodes(&view.nodes))),
        ("prefer", shape.text(&view.prefer)),
        ("required_nodes", shape.text(&view.req_nodes)),
        ("scheduled_nodes", shape.text(if claims { ids::nodes(&view.nodes) } else { String::new() })),
        ("shared", Value::words(alone)),
        ("exclusive", shape.until(Version::V41, Value::words(alone_word))),
        ("oversubscribe", shape.until(Version::V41, (!view.exclusive).into())),
        ("show_flags", shape.until(Version::V41, flags)),
    ]
}

/// What it holds on each of its nodes. Which cores those are is the node's affair, so none is named.
fn job_resources(shape: Shape, detail: &JobDetail) -> Value<'_> {
    let parts = &detail.allocations;
    if parts.is_empty() {
        let empty = if shape.version <= Version::V40 { Value::Object(Vec::new()) } else { Value::Null };
        return shape.given_up(empty);
    }
    let nodes: Vec<_> = parts.iter().map(|part| part.node.clone()).collect();
    let list = Value::Text(ids::nodes(&nodes).into());
    let cpus: u32 = parts.iter().map(|part| part.cpus).sum();
    if shape.version <= Version::V40 {
        return Value::object([
            ("nodes", list),
            ("allocated_cores", Value::Int(0)),
            ("allocated_cpus", cpus.into()),
            ("allocated_hosts", parts.len().into()),
            ("allocated_nodes", Value::list(parts.iter().map(of_node_before_v41))),
        ]);
    }
    let select = if detail.view.exclusive { "RESERVED" } else { "ONE_ROW" };
    let nodes = Value::object([
        ("count", parts.len().into()),
        ("select_type", Value::words([select])),
        ("list", list),
        ("whole", detail.view.exclusive.into()),
        ("allocation", Value::list(parts.iter().enumerate().map(of_node))),
    ]);
    Value::object([
        ("select_type", Value::words(["CPU", "MEMORY"])),
        ("nodes", nodes),
        ("cpus", cpus.into()),
        ("threads_per_core", shape.perhaps(None::<i64>)),
    ])
}

fn of_node_before_v41(part: &AllocationView) -> Value<'_> {
    Value::object([
        ("sockets", Value::Object(Vec::new())),
        ("nodename", Value::Text(part.node.as_str().into())),
        ("cpus_used", Value::Int(0)),
        ("memory_used", Value::Int(0)),
        ("memory_allocated", part.memory_mib.into()),
    ])
}

fn of_node((index, part): (usize, &AllocationView)) -> Value<'_> {
    Value::object([
        ("index", index.into()),
        ("name", Value::Text(part.node.as_str().into())),
        ("cpus", Value::object([("count", part.cpus.into()), ("used", Value::Int(0))])),
        ("memory", Value::object([("used", Value::Int(0)), ("allocated", part.memory_mib.into())])),
        ("sockets", Value::NONE),
    ])
}
