//! Nodes as `sinfo` and `scontrol show node` tell of them, and those that could be bought.

use crate::cluster::Cluster;
use crate::config::PoolConfig;
use crate::cost::node_cost;
use crate::job::JobPhase;
use crate::node::{DrainWhy, HoldOwner, Node, NodeState};
use squall_types::api::{NodeCondition, NodeView};
use squall_types::{CapacityKind, MicroUsd, NodeName, Offer, PartitionName, PoolName, Timestamp};
use std::collections::BTreeMap;

/// Nodes that are not gone, then one record for each offer of each pool that can still grow.
pub fn node_views(cluster: &Cluster, now: Timestamp) -> Vec<NodeView> {
    let partitions = partitions_by_pool(cluster);
    let of = |pool: &PoolName| partitions.get(pool).cloned().unwrap_or_default();
    let mut views: Vec<NodeView> =
        cluster.live_nodes().map(|node| live_view(cluster, node, of(&node.pool), now)).collect();
    for view in &mut views {
        view.switches = cluster.switches_above(&view.name).to_vec();
    }
    for (pool, growth) in growth(cluster) {
        views.extend(growth.offers.iter().map(|offer| absent_view(cluster, pool, offer, growth.room, of(pool), now)));
    }
    views
}

/// How far a pool can grow, and by what.
pub(super) struct Growth<'a> {
    pub offers: Vec<&'a Offer>,
    /// Never 0.
    pub room: u32,
}

/// The pools that could buy another node, by name. What stops them for the moment does not count.
pub(super) fn growth(cluster: &Cluster) -> BTreeMap<&PoolName, Growth<'_>> {
    let mut bought: BTreeMap<&PoolName, u32> = BTreeMap::new();
    for node in cluster.live_nodes().filter(|node| !node.is_static()) {
        *bought.entry(&node.pool).or_default() += 1;
    }
    let live = u32::try_from(cluster.live_node_count()).unwrap_or(u32::MAX);
    let left = cluster.config.limits.max_nodes.saturating_sub(live);
    let pools = cluster.config.pools.iter().filter_map(|(name, pool)| {
        let room = pool.max_nodes.saturating_sub(bought.get(name).copied().unwrap_or(0)).min(left);
        let offers = offers_of(cluster, name, pool);
        (room > 0 && !offers.is_empty() && !pool.provisioner.is_empty()).then_some((name, Growth { offers, room }))
    });
    pools.collect()
}

/// What the provider last said, or the configuration where it has not spoken yet.
fn offers_of<'a>(cluster: &'a Cluster, name: &PoolName, pool: &'a PoolConfig) -> Vec<&'a Offer> {
    match cluster.pools.get(name) {
        Some(state) if !state.offers.is_empty() => {
            state.offers.values().filter(|known| !known.withdrawn).map(|known| &known.offer).collect()
        }
        _ => pool.offers.iter().collect(),
    }
}

pub fn node_condition(cluster: &Cluster, node: &Node) -> NodeCondition {
    let quarantined = node.is_held_by(HoldOwner::Quarantine);
    match node.state {
        _ if quarantined => NodeCondition::Quarantined,
        NodeState::Draining { why: DrainWhy::Quarantined, .. } => NodeCondition::Quarantined,
        NodeState::Ordered | NodeState::Booting { .. } => NodeCondition::PoweringUp,
        NodeState::Retiring { .. } => NodeCondition::PoweringDown,
        NodeState::Gone { .. } => NodeCondition::Down,
        NodeState::Draining { why: DrainWhy::Idle | DrainWhy::GangGivenBack, .. } if node.is_empty() => {
            NodeCondition::PoweringDown
        }
        _ if !node.contact => NodeCondition::Down,
        NodeState::Draining { .. } => closed(node),
        NodeState::Ready { .. } if !node.holds.is_empty() => closed(node),
        NodeState::Ready { .. } => at_work(cluster, node),
    }
}

fn closed(node: &Node) -> NodeCondition {
    if node.held.is_empty() { NodeCondition::Drained } else { NodeCondition::Draining }
}

fn at_work(cluster: &Cluster, node: &Node) -> NodeCondition {
    if node.is_empty() {
        return NodeCondition::Idle;
    }
    let stopping = |job| matches!(cluster.jobs.get(job).map(|job| &job.phase), Some(JobPhase::Stopping { .. }));
    if node.claims.is_empty() && node.held.keys().all(|run| stopping(&run.job)) {
        return NodeCondition::Completing;
    }
    // As in Slurm, CPUs decide.
    if node.taken().cpus >= node.shape.cpus { NodeCondition::Allocated } else { NodeCondition::Mixed }
}

fn live_view(cluster: &Cluster, node: &Node, partitions: Vec<PartitionName>, now: Timestamp) -> NodeView {
    let taken = node.taken();
    let mut gpus_used: Vec<u16> =
        node.held.values().chain(node.claims.values()).flat_map(|held| held.gpus.iter().copied()).collect();
    gpus_used.sort_unstable();
    let mut jobs: Vec<_> = node.held.keys().map(|run| run.job).chain(node.claims.keys().copied()).collect();
    jobs.sort_unstable();
    jobs.dedup();
    let (reason, reason_by, reason_at) = why_closed(node);
    let measured = node.measured.as_ref();
    let mut shape = node.shape.clone();
    shape.features.extend(pool_features(cluster, &node.pool));
    NodeView {
        name: node.name.clone(),
        pool: node.pool.clone(),
        partitions,
        condition: node_condition(cluster, node),
        contact: node.contact,
        reason,
        reason_by,
        reason_at,
        shape,
        cpus_used: taken.cpus,
        memory_used_mib: taken.memory_mib,
        gpus_used,
        jobs,
        instance: node.instance.as_ref().map(|instance| instance.0.clone()).unwrap_or_default(),
        offer: node.offer.name.0.clone(),
        kind: if node.is_static() { CapacityKind::Owned } else { node.offer.kind },
        price: node.offer.price,
        cost: node_cost(node, now),
        created_at: node.created_at,
        ready_at: node.ready_at,
        address: measured.map(|measured| measured.address.clone()).unwrap_or_default(),
        hostname: measured.map(|measured| measured.hostname.clone()).unwrap_or_default(),
        agent_version: measured.map(|measured| measured.agent_version.clone()).unwrap_or_default(),
        os: measured.map(|measured| measured.os.clone()).unwrap_or_default(),
        count: 1,
        switches: Vec::new(),
    }
}

/// Reason, by whom and since when: of all holds, or else of its being drained.
fn why_closed(node: &Node) -> (String, String, Option<Timestamp>) {
    if !node.holds.is_empty() {
        let join = |parts: Vec<&str>| parts.join("; ");
        let reasons = join(node.holds.iter().map(|hold| hold.reason.as_str()).collect());
        let owners = join(node.holds.iter().map(|hold| hold.owner.word()).collect());
        return (reasons, owners, node.holds.iter().map(|hold| hold.at).min());
    }
    match node.state {
        NodeState::Draining { why, since } | NodeState::Retiring { why, since } => {
            (why.words().to_owned(), "squall".to_owned(), Some(since))
        }
        _ => Default::default(),
    }
}

fn absent_view(
    cluster: &Cluster,
    pool: &PoolName,
    offer: &Offer,
    room: u32,
    partitions: Vec<PartitionName>,
    now: Timestamp,
) -> NodeView {
    let mut shape = offer.shape.clone();
    shape.features.extend(pool_features(cluster, pool));
    let broken = cluster.pools.get(pool).and_then(|state| state.broken.clone());
    NodeView {
        name: NodeName::new(pool.as_str()),
        pool: pool.clone(),
        partitions,
        condition: NodeCondition::PoweredDown,
        contact: false,
        reason_by: broken.as_ref().map(|_| "squall".to_owned()).unwrap_or_default(),
        reason: broken.unwrap_or_default(),
        reason_at: None,
        shape,
        cpus_used: 0,
        memory_used_mib: 0,
        gpus_used: Vec::new(),
        jobs: Vec::new(),
        instance: String::new(),
        offer: offer.name.0.clone(),
        kind: offer.kind,
        price: offer.price,
        cost: MicroUsd::ZERO,
        created_at: now,
        ready_at: None,
        address: String::new(),
        hostname: String::new(),
        agent_version: String::new(),
        os: String::new(),
        count: room,
        switches: Vec::new(),
    }
}

fn pool_features(cluster: &Cluster, pool: &PoolName) -> impl Iterator<Item = String> {
    cluster.config.pools.get(pool).into_iter().flat_map(|pool| pool.features.iter().cloned())
}

fn partitions_by_pool(cluster: &Cluster) -> BTreeMap<&PoolName, Vec<PartitionName>> {
    let mut partitions: BTreeMap<&PoolName, Vec<PartitionName>> = BTreeMap::new();
    for (name, config) in &cluster.config.partitions {
        for pool in &config.pools {
            partitions.entry(pool).or_default().push(name.clone());
        }
    }
    partitions
}

impl DrainWhy {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            DrainWhy::Idle => "idle for longer than keeping it is worth",
            DrainWhy::BootFailed => "its agent did not register in time",
            DrainWhy::Quarantined => "it is not what was bought",
            DrainWhy::Money => "no budget covers another quantum",
            DrainWhy::Config => "closed by the configuration or an admin",
            DrainWhy::SpotNotice => "its provider announced its end",
            DrainWhy::DieAt => "too near the end of its recorded lifetime",
            DrainWhy::GangGivenBack => "its gang was given back",
        }
    }
}
