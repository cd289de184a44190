//! Whether any configured shape could ever run a job, and if not, the number that refuses it and what would work.

use super::market::{admissible, candidates, missing_mount};
use super::place::{Mode, Room, may_use, mode, most_units};
use super::topology::Location;
use crate::cluster::Cluster;
use crate::kept::KeptSpec;
use squall_types::size::mib;
use squall_types::{Ask, GpuAsk, MemoryAsk, NodeCount, NodeId, PartitionName, PoolName, Shape};
use std::collections::BTreeSet;

/// Why a job can never run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    pub slurm: String,
    pub asked: String,
    pub limit: String,
    pub try_this: String,
}

/// A shape that nodes of a pool have or could have, and how many of them there can be.
struct Possible {
    shape: Shape,
    names: Vec<String>,
    count: u32,
    /// To be bought: all offers of a pool together bring no more than its maximum.
    bought: bool,
}

/// `None` where the job could run on an empty cluster with everything bought that may be.
pub fn misfit(cluster: &Cluster, spec: &KeptSpec) -> Option<Misfit> {
    let candidates = candidates(cluster, spec);
    if candidates.is_empty() {
        return Some(no_candidates(cluster, spec));
    }
    if candidates.iter().any(|(partition, pool)| plainly_runs_on(cluster, spec, partition, pool)) {
        return None;
    }
    let mut shapes = Vec::new();
    for (partition, pool) in &candidates {
        let possible = possible(cluster, spec, partition, pool);
        if runs_on(spec, &possible, cluster.config.partitions.get(*partition).and_then(|config| config.max_nodes)) {
            return None;
        }
        shapes.extend(possible);
    }
    Some(explain(spec, &candidates, &shapes))
}

/// The usual case, without a look at every machine: enough of them take an even share each.
fn plainly_runs_on(cluster: &Cluster, spec: &KeptSpec, partition: &PartitionName, pool: &PoolName) -> bool {
    let (nodes, units) = match mode(spec, true) {
        Mode::One { units } => (1, units),
        Mode::Gang { nodes, units } => (nodes, units),
        Mode::Any => return false,
    };
    let Some(config) = cluster.config.pools.get(pool) else { return false };
    let each = spec.ask.units().per_node.unwrap_or(units);
    let takes =
        |name: &str, shape: &Shape| each >= units && may_use(spec, name, shape) && spec.ask.need(shape, each).is_some();
    let there = config.static_nodes.keys().filter_map(|name| cluster.node_named(name));
    let mut taking = there.filter(|node| takes(node.name.as_str(), &node.shape));
    if taking.by_ref().take(nodes as usize).count() == nodes as usize {
        return true;
    }
    let known = cluster.pools.get(pool).into_iter().flat_map(|state| state.offers.values());
    let bought = known.filter(|known| !known.withdrawn).map(|known| &known.offer);
    config.max_nodes >= nodes
        && bought.filter(|offer| admissible(cluster, spec, partition, offer).is_ok()).any(|offer| {
            let mut shape = offer.shape.clone();
            shape.features.extend(config.features.iter().cloned());
            takes("", &shape)
        })
}

fn possible(cluster: &Cluster, spec: &KeptSpec, partition: &PartitionName, pool: &PoolName) -> Vec<Possible> {
    let Some(config) = cluster.config.pools.get(pool) else { return Vec::new() };
    let mut found: Vec<Possible> = Vec::new();
    let with_features = |shape: &Shape| {
        let mut shape = shape.clone();
        shape.features.extend(config.features.iter().cloned());
        shape
    };
    for (name, shape) in &config.static_nodes {
        // What its agent measured is the truth; before that, what was configured.
        let measured = cluster.node_named(name).map(|node| node.shape.clone());
        let shape = measured.unwrap_or_else(|| with_features(shape));
        found.push(Possible { shape, names: vec![name.to_string()], count: 1, bought: false });
    }
    let known = cluster.pools.get(pool).into_iter().flat_map(|state| state.offers.values());
    for offer in known.filter(|known| !known.withdrawn).map(|known| &known.offer) {
        if admissible(cluster, spec, partition, offer).is_ok() {
            found.push(Possible {
                shape: with_features(&offer.shape),
                names: Vec::new(),
                count: config.max_nodes,
                bought: true,
            });
        }
    }
    // Nodes that exist already and keep their names.
    for node in cluster.live_nodes_of(pool).filter(|node| !node.is_static()) {
        if spec.node_list.iter().any(|name| name == node.name.as_str()) {
            found.push(Possible {
                shape: node.shape.clone(),
                names: vec![node.name.to_string()],
                count: 1,
                bought: false,
            });
        }
    }
    found
}

fn runs_on(spec: &KeptSpec, possible: &[Possible], max_nodes: Option<u32>) -> bool {
    let units = spec.ask.units();
    let least = spec.ask.min_nodes().min(units.total.max(1));
    let most = spec.ask.max_nodes().min(max_nodes.unwrap_or(u32::MAX));
    let listed = |name: &String| possible.iter().any(|one| one.names.contains(name));
    if !spec.node_list.iter().all(listed) {
        return false;
    }
    let matches = |shape: &Shape| spec.constraint.as_ref().is_none_or(|constraint| constraint.matches(&shape.features));
    let excluded = |one: &Possible| !one.names.is_empty() && one.names.iter().all(|name| spec.exclude.contains(name));
    let mut left = possible.iter().filter(|one| one.bought).map(|one| one.count).max().unwrap_or(0);
    let mut caps: Vec<(u32, u32, bool)> = possible
        .iter()
        .filter(|one| matches(&one.shape) && !excluded(one))
        .map(|one| (cap(spec, &one.shape), one.count, one.bought))
        .filter(|(cap, count, _)| *cap > 0 && *count > 0)
        .collect();
    caps.sort_unstable_by(|a, b| b.cmp(a));
    let (mut nodes, mut sum) = (0u64, 0u64);
    for (cap, count, bought) in caps {
        let count = if bought { count.min(left) } else { count };
        let wanted = (u64::from(units.total).saturating_sub(sum))
            .div_ceil(u64::from(cap))
            .max(u64::from(least).saturating_sub(nodes));
        let taken = wanted.min(u64::from(count));
        left -= if bought { taken as u32 } else { 0 };
        nodes += taken;
        sum += taken * u64::from(cap);
        if sum >= u64::from(units.total) && nodes >= u64::from(least) {
            return nodes <= u64::from(most);
        }
    }
    false
}

/// A preferred feature that no node has, nor any that could be bought.
pub fn unknown_preference(cluster: &Cluster, spec: &KeptSpec) -> Option<Misfit> {
    let prefer = spec.prefer.as_ref()?;
    // Hardly ever is one unknown: what is there is not gone through to the end before that.
    let unknown = prefer.names().into_iter().find(|name| !every_feature(cluster).any(|known| known == *name))?;
    let known = every_feature(cluster).collect();
    Some(Misfit {
        slurm: "Invalid preferred feature specification".to_owned(),
        asked: format!("--prefer={prefer}"),
        limit: format!("no node has {unknown}; features there: {}", listed(&known)),
        try_this: String::new(),
    })
}

/// Of all pools and nodes, many of them many times.
fn every_feature(cluster: &Cluster) -> impl Iterator<Item = &str> {
    let of_pools = cluster.config.pools.iter().flat_map(|(name, config)| {
        let offers = cluster.pools.get(name).into_iter().flat_map(|state| state.offers.values());
        let offers = offers.filter(|known| !known.withdrawn).flat_map(|known| features(&known.offer.shape));
        let own = config.static_nodes.values().flat_map(features);
        config.features.iter().map(String::as_str).chain(offers).chain(own)
    });
    of_pools.chain(cluster.live_nodes().flat_map(|node| features(&node.shape)))
}

fn features(shape: &Shape) -> impl Iterator<Item = &str> {
    shape.features.iter().map(String::as_str)
}

fn listed(names: &BTreeSet<&str>) -> String {
    if names.is_empty() { "none".to_owned() } else { names.iter().copied().collect::<Vec<_>>().join(", ") }
}

fn cap(spec: &KeptSpec, shape: &Shape) -> u32 {
    let gpus = (0..shape.gpus.count()).collect();
    most_units(
        spec,
        &Room {
            node: NodeId(0),
            name: "",
            shape,
            free: shape.resources(),
            gpus,
            empty: true,
            location: Location::default(),
        },
    )
}

fn no_candidates(cluster: &Cluster, spec: &KeptSpec) -> Misfit {
    let asked =
        format!("--partition={}", spec.partitions.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(","));
    let misfit = |slurm: &str, limit: String, try_this: String| Misfit {
        slurm: slurm.to_owned(),
        asked: asked.clone(),
        limit,
        try_this,
    };
    for name in &spec.partitions {
        let Some(partition) = cluster.config.partitions.get(name) else { continue };
        if !partition.up {
            return misfit(
                "Required partition not available (inactive or drain)",
                format!("partition \"{name}\" is down"),
                String::new(),
            );
        }
        if let Some(most) = partition.max_nodes.filter(|most| spec.ask.min_nodes() > *most) {
            return Misfit {
                slurm: "Node count specification invalid".to_owned(),
                asked: format!("--nodes={}", spec.ask.min_nodes()),
                limit: format!("partition \"{name}\" allows {most} nodes a job (MaxNodes)"),
                try_this: format!("--nodes={most}"),
            };
        }
        for pool in &partition.pools {
            if let Some(path) = cluster.config.pools.get(pool).and_then(|config| missing_mount(config, spec)) {
                let mounted =
                    cluster.config.pools.get(pool).map(|config| config.file_systems.join(", ")).unwrap_or_default();
                return Misfit {
                    slurm: "Requested node configuration is not available".to_owned(),
                    asked: format!("files under {path}"),
                    limit: format!("pool \"{pool}\" mounts {mounted}"),
                    try_this: "--chdir and --output under one of these".to_owned(),
                };
            }
        }
    }
    misfit(
        "Requested node configuration is not available",
        "no pool of that partition is configured".to_owned(),
        String::new(),
    )
}

/// The first number that no shape satisfies, from what is asked of one node to how many nodes there are.
fn explain(spec: &KeptSpec, candidates: &[(&PartitionName, &PoolName)], shapes: &[Possible]) -> Misfit {
    let places: BTreeSet<&str> = candidates.iter().map(|(partition, _)| partition.as_str()).collect();
    let place = places.into_iter().collect::<Vec<_>>().join(",");
    let misfit = |asked: String, limit: String, try_this: String| Misfit {
        slurm: "Requested node configuration is not available".to_owned(),
        asked: format!("{asked} in partition \"{place}\""),
        limit,
        try_this,
    };
    let most = |of: &dyn Fn(&Shape) -> u64| shapes.iter().map(|one| of(&one.shape)).max().unwrap_or(0);
    if let Some(name) = spec.node_list.iter().find(|name| !shapes.iter().any(|one| one.names.contains(name))) {
        return misfit(
            format!("--nodelist={name}"),
            "no node of that name exists or is configured there".to_owned(),
            String::new(),
        );
    }
    if let Some(constraint) = &spec.constraint
        && !shapes.iter().any(|one| constraint.matches(&one.shape.features))
    {
        let known = shapes.iter().flat_map(|one| features(&one.shape)).collect();
        let limit = format!("features there: {}", listed(&known));
        return misfit(format!("--constraint={constraint}"), limit, String::new());
    }
    let model = spec.ask.gpus.model();
    let models: BTreeSet<&str> =
        shapes.iter().flat_map(|one| one.shape.gpus.0.iter().map(|group| group.model.as_str())).collect();
    if let Some(model) = model.filter(|model| !models.contains(model.as_str())) {
        let limit = format!("GPU models there: {}", listed(&models));
        return misfit(format!("--gres=gpu:{model}"), limit, String::new());
    }
    let gpus = most(&|shape| shape.gpus.indices(model).count() as u64);
    let (per_node, total) = gpus_asked(&spec.ask);
    if per_node > gpus {
        let largest = shapes.iter().filter(|one| one.shape.gpus.indices(model).count() as u64 == gpus);
        let count = largest.map(|one| u64::from(one.count)).max().unwrap_or(0).max(1);
        let nodes = total.max(per_node).div_ceil(gpus.max(1));
        let mut limit = format!("the largest node type there has {gpus} GPUs");
        if nodes > count && gpus > 0 {
            limit.push_str(&format!(", and at most {count} of it can be had at once"));
        }
        // Where not even all nodes together have so many, the most that can be had is what would work.
        let split = total.max(per_node).div_ceil(nodes.max(1)).min(gpus);
        let nodes = nodes.min(count);
        let try_this = if gpus > 0 { format!("--nodes={nodes} --gpus-per-node={split}") } else { String::new() };
        return misfit(format!("--gpus-per-node={per_node}"), limit, try_this);
    }
    let cpus = most(&|shape| u64::from(shape.cpus));
    let one = |shape: &Shape| spec.ask.need(shape, spec.ask.units().per_node.unwrap_or(1)).is_some();
    if !shapes.iter().any(|possible| one(&possible.shape)) {
        let memory = most(&|shape| shape.memory_mib);
        if let MemoryAsk::PerNode(asked) = spec.ask.memory
            && asked > memory
        {
            return misfit(
                format!("--mem={}", mib(asked)),
                format!("the largest node type there has {}", mib(memory)),
                format!("--mem={}", mib(memory)),
            );
        }
        return misfit(
            format!("{} on one node", describe(&spec.ask)),
            format!("the largest node type there has {cpus} CPUs, {} of memory and {gpus} GPUs", mib(memory)),
            String::new(),
        );
    }
    let count: u64 = shapes.iter().map(|one| u64::from(one.count)).max().unwrap_or(0);
    let NodeCount { min, .. } = spec.ask.nodes.unwrap_or(NodeCount { min: 1, max: 1 });
    let try_this = if u64::from(min) > count && count > 0 { format!("--nodes={count}") } else { String::new() };
    misfit(
        describe(&spec.ask),
        format!("at most {count} nodes can be had there at once, the largest with {cpus} CPUs and {gpus} GPUs"),
        try_this,
    )
}

/// GPUs asked of one node, and in all.
fn gpus_asked(ask: &Ask) -> (u64, u64) {
    match &ask.gpus {
        GpuAsk::None => (0, 0),
        GpuAsk::PerNode(each, _) => (u64::from(*each), u64::from(*each) * u64::from(ask.min_nodes())),
        GpuAsk::PerTask(each, _) => (u64::from(*each), u64::from(*each) * u64::from(ask.task_count())),
        GpuAsk::Total(total, _) => {
            let nodes = ask.nodes.map_or(u64::from(*total), |count| u64::from(count.max.max(1)));
            (u64::from(*total).div_ceil(nodes.max(1)), u64::from(*total))
        }
    }
}

fn describe(ask: &Ask) -> String {
    let mut parts = Vec::new();
    if let Some(nodes) = ask.nodes {
        parts.push(format!("--nodes={}", nodes.min));
    }
    if let Some(tasks) = ask.tasks {
        parts.push(format!("--ntasks={tasks}"));
    }
    match ask.cpus {
        squall_types::CpuAsk::PerTask(cpus) => parts.push(format!("--cpus-per-task={cpus}")),
        squall_types::CpuAsk::PerGpu(cpus) => parts.push(format!("--cpus-per-gpu={cpus}")),
        squall_types::CpuAsk::Share => {}
    }
    match ask.memory {
        MemoryAsk::PerNode(amount) => parts.push(format!("--mem={}", mib(amount))),
        MemoryAsk::PerCpu(amount) => parts.push(format!("--mem-per-cpu={}", mib(amount))),
        MemoryAsk::PerGpu(amount) => parts.push(format!("--mem-per-gpu={}", mib(amount))),
        MemoryAsk::Share => {}
    }
    match &ask.gpus {
        GpuAsk::None => {}
        GpuAsk::PerNode(count, _) => parts.push(format!("--gpus-per-node={count}")),
        GpuAsk::PerTask(count, _) => parts.push(format!("--gpus-per-task={count}")),
        GpuAsk::Total(count, _) => parts.push(format!("--gpus={count}")),
    }
    if parts.is_empty() { "one task".to_owned() } else { parts.join(" ") }
}
