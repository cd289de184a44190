//! `squall export slurm.conf`: the cluster as tools see it that read Slurm's configuration. Squall reads no such file.

use super::wrong_call;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::show::node_state;
use squall_types::api::{ConfigEntry, NodeCondition, NodeView, PartitionView};
use squall_types::{PoolName, Span, hostlist, span_text};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Nodes that could be bought have names in the file up to so many of one shape.
const MOST_NAMED: u32 = 100_000;

pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    if !matches!(words, [what] if what == "slurm.conf") {
        return Err(wrong_call("export"));
    }
    let load = |error| Failure::load("slurm_load_ctl_conf", &error);
    let controller = invocation.controller;
    let (ping, entries) = (controller.ping().map_err(load)?, controller.configuration().map_err(load)?);
    let (nodes, partitions) = (controller.nodes().map_err(load)?, controller.partitions().map_err(load)?);
    let mut text = format!(
        "# The cluster {name} as slurm.conf would describe it, for tools that read one. Squall itself does not: what is\n\
         # changed here changes nothing. Nodes of State=CLOUD are bought when jobs need them.\n\
         ClusterName={name}\nSlurmctldHost={}\n",
        word(&ping.hostname),
        name = word(&ping.cluster),
    );
    general(&mut text, &entries);
    let names = nodes_of_pools(&mut text, &nodes);
    partitions.iter().for_each(|partition| of_partition(&mut text, partition, &names));
    invocation.out.write_all(text.as_bytes())?;
    Ok(0)
}

/// One value of one line: what could end it, or begin another, is left out.
fn word(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control() && !letter.is_whitespace() && !"#=\"'\\".contains(*letter))
        .collect()
}

fn general(text: &mut String, entries: &[ConfigEntry]) {
    let value = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let seconds = |key: &str| value(key).and_then(crate::scontrol::seconds).map(|seconds| seconds.to_string());
    let rows = [
        ("AuthType", Some("auth/squall".to_owned())),
        ("SelectType", Some("select/cons_tres".to_owned())),
        ("SelectTypeParameters", Some("CR_CPU_Memory".to_owned())),
        ("GresTypes", Some("gpu".to_owned())),
        ("AccountingStorageType", Some("accounting_storage/squall".to_owned())),
        ("AccountingStorageTRES", Some("gres/gpu".to_owned())),
        ("EnforcePartLimits", Some("ALL".to_owned())),
        ("FirstJobId", value("first_job").map(word)),
        ("MaxArraySize", value("limits.max_array_size").map(word)),
        ("MaxJobCount", value("limits.max_jobs").map(word)),
        ("MinJobAge", seconds("timing.min_job_age")),
        ("KillWait", seconds("timing.kill_wait")),
        ("SlurmdTimeout", seconds("timing.contact_timeout")),
    ];
    for (key, value) in rows {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key}={value}");
        }
    }
}

/// A line for each shape, and the names of the nodes of each pool.
fn nodes_of_pools(text: &mut String, nodes: &[NodeView]) -> BTreeMap<PoolName, Vec<String>> {
    let mut by_pool: BTreeMap<PoolName, Vec<String>> = BTreeMap::new();
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (there, absent): (Vec<&NodeView>, Vec<&NodeView>) =
        nodes.iter().partition(|node| node.condition != NodeCondition::PoweredDown);
    for node in there {
        let state = if node.instance.is_empty() { "UNKNOWN" } else { "CLOUD" };
        lines.entry(shape(node, state)).or_default().push(word(node.name.as_str()));
        by_pool.entry(node.pool.clone()).or_default().push(word(node.name.as_str()));
    }
    for node in absent {
        let known = by_pool.entry(node.pool.clone()).or_default();
        let free = (1..=u64::from(u32::MAX)).map(|number| format!("{}-{number}", word(node.pool.as_str())));
        let taken: std::collections::BTreeSet<String> = known.iter().cloned().collect();
        let new: Vec<String> =
            free.filter(|name| !taken.contains(name)).take(node.count.min(MOST_NAMED) as usize).collect();
        known.extend(new.iter().cloned());
        lines.entry(shape(node, "CLOUD")).or_default().extend(new);
    }
    for (shape, names) in lines.into_iter().filter(|(_, names)| !names.is_empty()) {
        let _ = writeln!(text, "NodeName={} {shape}", hostlist::compress(&names));
    }
    by_pool
}

fn shape(node: &NodeView, state: &str) -> String {
    let shape = &node.shape;
    let cores = if shape.cores == 0 { shape.cpus } else { shape.cores }.max(1);
    let threads = (shape.cpus / cores).max(1);
    let mut text = format!(
        "CPUs={} Boards=1 Sockets=1 CoresPerSocket={cores} ThreadsPerCore={threads} RealMemory={}",
        shape.cpus, shape.memory_mib
    );
    let gres = node_state::gres(node);
    if !gres.is_empty() {
        let _ = write!(text, " Gres={}", word(&gres));
    }
    let features: Vec<String> = shape.features.iter().map(|feature| word(feature)).collect();
    if !features.is_empty() {
        let _ = write!(text, " Feature={}", features.join(","));
    }
    text + " State=" + state
}

fn of_partition(text: &mut String, partition: &PartitionView, names: &BTreeMap<PoolName, Vec<String>>) {
    let all: Vec<&String> = partition.pools.iter().filter_map(|pool| names.get(pool)).flatten().collect();
    let time = |limit: Option<Span>, none: &str| limit.map_or_else(|| none.to_owned(), span_text::clock);
    let nodes = if all.is_empty() { "\"\"".to_owned() } else { hostlist::compress(&all) };
    let _ = write!(
        text,
        "PartitionName={} Nodes={nodes} Default={} MaxTime={} DefaultTime={} PriorityTier={} State={}",
        word(partition.name.as_str()),
        if partition.default { "YES" } else { "NO" },
        time(partition.max_time, "UNLIMITED"),
        time(partition.default_time, "NONE"),
        partition.priority_tier,
        if partition.up { "UP" } else { "DOWN" },
    );
    if let Some(nodes) = partition.max_nodes {
        let _ = write!(text, " MaxNodes={nodes}");
    }
    if let Some(mib) = partition.def_mem_per_cpu {
        let _ = write!(text, " DefMemPerCPU={mib}");
    }
    if let Some(mib) = partition.def_mem_per_gpu {
        let _ = write!(text, " DefMemPerGPU={mib}");
    }
    if let Some(cpus) = partition.def_cpu_per_gpu {
        let _ = write!(text, " DefCpuPerGPU={cpus}");
    }
    let accounts: Vec<String> = partition.allow_accounts.iter().map(|account| word(account.as_str())).collect();
    if !accounts.is_empty() {
        let _ = write!(text, " AllowAccounts={}", accounts.join(","));
    }
    text.push('\n');
}
