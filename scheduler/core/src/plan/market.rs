//! What could be bought for a job, and what forbids each purchase.

use crate::cluster::Cluster;
use crate::config::{BudgetScope, PoolConfig};
use crate::kept::KeptSpec;
use squall_types::{
    BudgetName, CapacityKind, MicroUsd, Offer, PartitionName, PoolName, Reason, Shape, Span, Timestamp,
};
use std::collections::BTreeMap;

/// One offer of one pool, with the shape that its nodes will have.
#[derive(Clone, Debug)]
pub struct Buyable<'a> {
    pub pool: &'a PoolName,
    pub config: &'a PoolConfig,
    pub offer: &'a Offer,
    pub shape: Shape,
    /// Why nothing of it may be bought now, whoever asks.
    pub closed: Option<Obstacle>,
}

/// What forbids a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    pub reason: Reason,
    /// With numbers.
    pub text: String,
    pub until: Option<Timestamp>,
}

/// Everything that is offered, and what a plan has already taken of limits and money.
pub struct Market<'a> {
    pub offers: Vec<Buyable<'a>>,
}

/// Limits that shrink while a plan is made.
#[derive(Clone, Debug, Default)]
pub struct Spending {
    pub nodes: BTreeMap<PoolName, u32>,
    pub money: BTreeMap<BudgetName, MicroUsd>,
}

impl<'a> Market<'a> {
    /// Cheapest first within a pool; the order of pools is the partition's.
    pub fn new(cluster: &'a Cluster, now: Timestamp) -> Self {
        let mut offers = Vec::new();
        for (pool, state) in cluster.pools.iter() {
            let Some(config) = cluster.config.pools.get(pool) else { continue };
            for known in state.offers.values().filter(|known| !known.withdrawn) {
                let mut shape = known.offer.shape.clone();
                shape.features.extend(config.features.iter().cloned());
                let cooling = known.cool_until.filter(|until| *until > now);
                let closed = state.closed_until.filter(|until| *until > now);
                let obstacle = |reason, text: String, until| Some(Obstacle { reason, text, until });
                let closed = if let Some(alarm) = &cluster.alarm {
                    obstacle(Reason::ProvisionerFailed, format!("launching is stopped by an alarm: {alarm}"), None)
                } else if let Some(why) = &state.broken {
                    obstacle(
                        Reason::ProvisionerFailed,
                        format!("pool {pool} buys nothing until it is reconfigured: {why}"),
                        None,
                    )
                } else if let Some(quota) = &state.quota {
                    let text = format!("quota `{}` allows {}, {} are in use", quota.name, quota.limit, quota.used);
                    obstacle(Reason::ProviderQuota, text, Some(quota.until))
                } else if let Some(until) = closed {
                    let text = format!("{} boots in pool {pool} failed in a row", state.boot_failures);
                    obstacle(Reason::NoCapacity, text, Some(until))
                } else if let Some(until) = cooling {
                    obstacle(
                        Reason::NoCapacity,
                        format!("no capacity for {} ({} tries)", known.offer.name, known.failures),
                        Some(until),
                    )
                } else {
                    None
                };
                offers.push(Buyable { pool, config, offer: &known.offer, shape, closed });
            }
        }
        offers.sort_by(|a, b| (a.pool, a.offer.price, &a.offer.name).cmp(&(b.pool, b.offer.price, &b.offer.name)));
        Market { offers }
    }

    pub fn of_pool(&self, pool: &PoolName) -> impl Iterator<Item = (usize, &Buyable<'a>)> {
        let from = self.offers.partition_point(|buyable| buyable.pool < pool);
        let rest = self.offers.iter().enumerate().skip(from);
        rest.take_while(move |(_, buyable)| buyable.pool == pool)
    }
}

/// Whether this job may use such an offer at all, whatever is free of it.
pub fn admissible(
    cluster: &Cluster,
    spec: &KeptSpec,
    partition: &PartitionName,
    offer: &Offer,
) -> Result<(), Obstacle> {
    let forbidden = |text: String| Err(Obstacle { reason: Reason::BadConstraints, text, until: None });
    let spot = spec.allow_spot || cluster.config.partitions.get(partition).is_some_and(|config| config.spot);
    if offer.kind == CapacityKind::Spot && !spot {
        return forbidden(format!("{} is interruptible: neither the job nor the partition allows that", offer.name));
    }
    if let Some(most) = spec.max_price
        && offer.price > most
    {
        return forbidden(format!("{} costs {}, --max-price is {most}", offer.name, offer.price));
    }
    Ok(())
}

/// A limit that forbids a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Nodes of the pool.
    Pool { live: u32 },
    /// Nodes of all pools.
    Cluster { live: u32 },
    /// Nodes that one order may bring.
    Order,
    /// What the job may cost.
    Cost(MicroUsd),
    /// What is left of a budget, and what would be reserved.
    Budget { name: BudgetName, left: MicroUsd, needed: MicroUsd },
}

impl Shortage {
    pub fn reason(&self) -> Reason {
        match self {
            Shortage::Pool { .. } | Shortage::Cluster { .. } | Shortage::Order => Reason::PoolLimit,
            Shortage::Cost(_) | Shortage::Budget { .. } => Reason::BudgetExhausted,
        }
    }

    /// With numbers.
    pub fn obstacle(&self, cluster: &Cluster, spec: &KeptSpec, buyable: &Buyable<'_>, count: u32) -> Obstacle {
        let (pool, offer) = (buyable.pool, &buyable.offer.name);
        let text = match self {
            Shortage::Pool { live } => {
                let most = buyable.config.max_nodes;
                format!("pool {pool} has {live} of at most {most} nodes, {count} more are needed")
            }
            Shortage::Cluster { live } => {
                format!("all pools have {live} nodes, at most {} are allowed", cluster.config.limits.max_nodes)
            }
            Shortage::Order => {
                let most = buyable.offer.max_per_order;
                format!("one order of {offer} brings at most {most} nodes, {count} are needed")
            }
            Shortage::Cost(cost) => {
                let most = spec.max_cost.unwrap_or_default();
                format!("{count} × {offer} for its time limit cost {cost}, --max-cost is {most}")
            }
            Shortage::Budget { name, left, needed } => {
                let limit = cluster.config.budgets.get(name).map(|budget| budget.limit).unwrap_or_default();
                format!("budget {name}: {left} of {limit} left, {count} × {offer} reserve {needed}")
            }
        };
        Obstacle { reason: self.reason(), text, until: None }
    }
}

/// Whether `count` more nodes of this offer may be bought for this job now, and with whose money.
pub fn affordable(
    cluster: &Cluster,
    spending: &Spending,
    spec: &KeptSpec,
    partition: &PartitionName,
    buyable: &Buyable<'_>,
    count: u32,
) -> Result<Vec<BudgetName>, Shortage> {
    let pool = buyable.pool;
    let live = cluster.live_node_count_of(pool) as u32 + spending.nodes.get(pool).copied().unwrap_or(0);
    if live + count > buyable.config.max_nodes {
        return Err(Shortage::Pool { live });
    }
    let live = cluster.live_node_count() as u32 + spending.nodes.values().sum::<u32>();
    if live + count > cluster.config.limits.max_nodes {
        return Err(Shortage::Cluster { live });
    }
    if count > buyable.offer.max_per_order.max(1) && buyable.config.gang_launch && buyable.offer.max_per_order > 0 {
        return Err(Shortage::Order);
    }
    if let (Some(most), Some(time)) = (spec.max_cost, spec.time_limit) {
        let cost = buyable.offer.price.cost_of(time + buyable.offer.typical_boot).times(i64::from(count));
        if cost > most {
            return Err(Shortage::Cost(cost));
        }
    }
    let each = reservation(buyable);
    let names = budgets_for(cluster, spec, partition, pool);
    for name in &names {
        let Some(budget) = cluster.config.budgets.get(name) else { continue };
        let left = cluster.budgets.get(name).map_or(budget.limit, |state| state.left(budget));
        let left = left - spending.money.get(name).copied().unwrap_or_default();
        let needed = each.times(i64::from(count));
        if needed > left {
            return Err(Shortage::Budget { name: name.clone(), left, needed });
        }
    }
    Ok(names)
}

/// What one node of it reserves when it is ordered.
pub fn reservation(buyable: &Buyable<'_>) -> MicroUsd {
    buyable.offer.price.cost_of(buyable.config.prepaid.max(buyable.offer.minimum_billed))
}

impl Spending {
    pub fn spend(&mut self, buyable: &Buyable<'_>, count: u32, budgets: &[BudgetName]) {
        *self.nodes.entry(buyable.pool.clone()).or_default() += count;
        for name in budgets {
            *self.money.entry(name.clone()).or_default() += reservation(buyable).times(i64::from(count));
        }
    }
}

/// The budgets that a purchase for this job draws on.
pub fn budgets_for(cluster: &Cluster, spec: &KeptSpec, partition: &PartitionName, pool: &PoolName) -> Vec<BudgetName> {
    let covers = |scope: &BudgetScope| match scope {
        BudgetScope::Cluster => true,
        BudgetScope::Pool(name) => name == pool,
        BudgetScope::Partition(name) => name == partition,
        BudgetScope::Account(name) => *name == spec.account,
        BudgetScope::User(uid) => *uid == spec.uid,
    };
    cluster.config.budgets.iter().filter(|(_, budget)| covers(&budget.scope)).map(|(name, _)| name.clone()).collect()
}

/// The pools that a job may use, with the partition that lets it, in order of preference.
pub fn candidates<'a>(cluster: &'a Cluster, spec: &'a KeptSpec) -> Vec<(&'a PartitionName, &'a PoolName)> {
    let mut found = Vec::new();
    for name in &spec.partitions {
        let Some((name, partition)) = cluster.config.partitions.get_key_value(name) else { continue };
        if !partition.up || spec.time_limit.is_some_and(|limit| partition.max_time.is_some_and(|most| limit > most)) {
            continue;
        }
        if partition.max_nodes.is_some_and(|most| spec.ask.min_nodes() > most) {
            continue;
        }
        for pool in &partition.pools {
            if let Some((pool, config)) = cluster.config.pools.get_key_value(pool)
                && mounts(config, spec)
            {
                found.push((name, pool));
            }
        }
    }
    found
}

/// Whether the pool has the file systems of the job's working directory and output.
pub fn mounts(pool: &PoolConfig, spec: &KeptSpec) -> bool {
    missing_mount(pool, spec).is_none()
}

/// A path of the job that lies on none of the pool's file systems.
pub fn missing_mount<'a>(pool: &PoolConfig, spec: &'a KeptSpec) -> Option<&'a str> {
    if pool.file_systems.is_empty() {
        return None;
    }
    let absolute = |path: &&str| path.starts_with('/') && *path != "/dev/null";
    let outputs = [spec.stdout(), spec.stderr(), spec.stdin()].into_iter().flatten();
    std::iter::once(spec.work_dir()).chain(outputs).filter(absolute).find(|path| {
        let under = |root: &String| {
            let root = root.trim_end_matches('/');
            path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        !pool.file_systems.iter().any(under)
    })
}

/// What a job may run for where it lands; unlimited jobs count as long as the window, and longer.
pub fn time_limit(cluster: &Cluster, spec: &KeptSpec, partition: &PartitionName) -> Span {
    spec.time_limit.unwrap_or_else(|| longest(cluster, partition))
}

/// What a job without a limit of its own may run for in a partition.
pub fn longest(cluster: &Cluster, partition: &PartitionName) -> Span {
    cluster.config.partitions.get(partition).and_then(|config| config.max_time).unwrap_or(Span::FOREVER)
}
