//! A node as `scontrol show node` writes it.

use super::value::{Member, Value};
use super::version::{Shape, Version};
use crate::show::{amounts, node_state};
use squall_types::api::NodeView;

/// What Slurm has for the load of a node that has not told it.
const NO_LOAD: i64 = 0xffff_fffe;

pub fn record(shape: Shape, node: &NodeView) -> Value<'_> {
    let mut members = Vec::with_capacity(80);
    members.extend(machine(shape, node));
    members.extend(state(shape, node));
    members.extend(in_use(shape, node));
    members.extend(not_here(shape));
    members.extend(own(node));
    Value::Object(members)
}

/// Its state with what is added to it.
pub fn states(node: &NodeView) -> Value<'_> {
    let words = node_state::words(node);
    Value::words([words.base].into_iter().chain(words.flags.iter().copied()))
}

/// Cores, and hardware threads of each.
pub fn cores_and_threads(node: &NodeView) -> (u32, u32) {
    let shape = &node.shape;
    let cores = if shape.cores == 0 { shape.cpus } else { shape.cores };
    (cores, (shape.cpus / cores.max(1)).max(1))
}

/// Where it is reached: host and port.
pub fn address(node: &NodeView) -> (&str, u16) {
    let (host, port) = node.address.rsplit_once(':').unwrap_or((&node.address, "0"));
    (host, port.parse().unwrap_or(0))
}

fn machine(shape: Shape, node: &NodeView) -> [Member<'_>; 22] {
    let (cores, threads) = cores_and_threads(node);
    let (host, port) = address(node);
    let features = || Value::words(&node.shape.features);
    [
        ("architecture", Value::Text("x86_64".into())),
        ("boards", Value::Int(1)),
        ("boot_time", shape.moment(node.ready_at)),
        ("cores", cores.into()),
        ("cpus", node.shape.cpus.into()),
        ("effective_cpus", node.shape.cpus.into()),
        ("features", features()),
        ("active_features", features()),
        ("gres", shape.text(node_state::gres(node))),
        ("name", Value::Text(node.name.as_str().into())),
        ("address", shape.text(host)),
        ("hostname", shape.text(&node.hostname)),
        ("operating_system", shape.text(&node.os)),
        ("partitions", Value::words(node.partitions.iter().map(|name| name.as_str()))),
        ("port", port.into()),
        ("real_memory", node.shape.memory_mib.into()),
        ("slurmd_start_time", shape.moment(node.ready_at)),
        ("sockets", Value::Int(1)),
        ("threads", threads.into()),
        ("version", shape.text(&node.agent_version)),
        ("instance_id", shape.since(Version::V40, shape.text(&node.instance))),
        ("instance_type", shape.since(Version::V40, shape.text(&node.offer))),
    ]
}

fn state(shape: Shape, node: &NodeView) -> [Member<'_>; 6] {
    [
        ("state", states(node)),
        ("next_state_after_reboot", Value::words(["INVALID"])),
        ("reason", shape.text(&node.reason)),
        ("reason_changed_at", shape.moment(node.reason_at)),
        ("reason_set_by_user", shape.text(&node.reason_by)),
        ("resume_after", shape.number(0)),
    ]
}

fn in_use(shape: Shape, node: &NodeView) -> [Member<'_>; 9] {
    let all = &node.shape;
    let gpus = all.gpus.count();
    let gpus = if gpus > 0 { format!(",gres/gpu={gpus}") } else { String::new() };
    let tres = format!("cpu={},mem={},billing={}{gpus}", all.cpus, amounts::rounded(all.memory_mib), all.cpus);
    [
        ("free_mem", shape.number(all.memory_mib.saturating_sub(node.memory_used_mib))),
        ("gres_used", shape.text(node_state::gres_used(node))),
        ("alloc_memory", node.memory_used_mib.into()),
        ("alloc_cpus", node.cpus_used.into()),
        ("alloc_idle_cpus", all.cpus.saturating_sub(node.cpus_used).into()),
        ("tres", shape.text(tres)),
        ("tres_used", shape.text(allocated(node))),
        (
            "tres_weighted",
            match shape.version {
                Version::V43 => shape.given_up(Value::Decimal(0.0)),
                _ => Value::Decimal(node.cpus_used.into()),
            },
        ),
        ("weight", Value::Int(1)),
    ]
}

/// `cpu=4,mem=8G,gres/gpu=2`: what jobs hold there; empty where that is nothing.
pub fn allocated(node: &NodeView) -> String {
    if node.cpus_used == 0 && node.gpus_used.is_empty() {
        return String::new();
    }
    let memory = match node.memory_used_mib {
        0 => String::new(),
        mib => format!(",mem={}", amounts::rounded(mib)),
    };
    let gpus = if node.gpus_used.is_empty() { String::new() } else { format!(",gres/gpu={}", node.gpus_used.len()) };
    format!("cpu={}{memory}{gpus}", node.cpus_used)
}

/// What Slurm has and Squall does not, as Slurm writes it where there is none.
fn not_here<'a>(shape: Shape) -> [Member<'a>; 23] {
    let nothing = || shape.text("");
    let load = match shape.version {
        Version::V39 => shape.perhaps(None::<i64>),
        _ => Value::Int(NO_LOAD),
    };
    let energy = Value::object([
        ("average_watts", Value::Int(0)),
        ("base_consumed_energy", Value::Int(0)),
        ("consumed_energy", Value::Int(0)),
        ("current_watts", shape.perhaps(None::<i64>)),
        ("previous_consumed_energy", Value::Int(0)),
        ("last_collected", Value::Int(0)),
    ]);
    [
        ("burstbuffer_network_address", nothing()),
        ("cluster_name", nothing()),
        ("comment", nothing()),
        ("cpu_binding", Value::Int(0)),
        ("cpu_load", load),
        ("energy", energy),
        ("external_sensors", shape.given_up(Value::Object(Vec::new()))),
        ("extra", nothing()),
        ("gres_drained", Value::Text("N/A".into())),
        ("last_busy", shape.moment(None)),
        ("mcs_label", nothing()),
        ("owner", Value::Text("".into())),
        ("power", shape.given_up(Value::Object(Vec::new()))),
        ("reservation", nothing()),
        ("specialized_cores", Value::Int(0)),
        ("specialized_cpus", nothing()),
        ("specialized_memory", Value::Int(0)),
        ("temporary_disk", Value::Int(0)),
        ("gpu_spec", shape.since(Version::V41, nothing())),
        ("res_cores_per_gpu", shape.since(Version::V41, Value::Int(0))),
        ("tls_cert_last_renewal", shape.since(Version::V43, shape.moment(None))),
        ("cert_flags", shape.since(Version::V43, Value::NONE)),
        ("topology", shape.since(Version::V43, nothing())),
    ]
}

/// What Slurm does not have.
fn own(node: &NodeView) -> [Member<'_>; 4] {
    [
        ("pool", Value::Text(node.pool.as_str().into())),
        ("price_micro_usd_per_hour", Value::Int(node.price.0)),
        ("cost_micro_usd", Value::Int(node.cost.0)),
        ("could_be_bought", if node.instance.is_empty() { node.count } else { 0 }.into()),
    ]
}
