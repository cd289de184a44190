//! Giving back: fence first, then check, then retire; demand that returns before that cancels it.

use super::scratch::Scratch;
use super::{Plan, Step};
use crate::cluster::Cluster;
use crate::node::{DrainWhy, Node, NodeState};
use squall_types::{NodeId, PoolName, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// A node within this of its own end takes no new work.
const NEAR_DIE_AT: Span = Span::from_mins(10);

pub fn shrink(cluster: &Cluster, now: Timestamp, scratch: &Scratch<'_>, plan: &mut Plan) {
    // What this plan uses or keeps for somebody is not idle.
    let wanted: BTreeSet<NodeId> =
        scratch.slots.iter().filter(|slot| !slot.empty || !slot.reserved.is_empty()).map(|slot| slot.node).collect();
    let mut kept: BTreeMap<&PoolName, u32> = BTreeMap::new();
    for node in cluster
        .live_nodes()
        .filter(|node| matches!(node.state, NodeState::Ready { .. } | NodeState::Booting { .. } | NodeState::Ordered))
    {
        *kept.entry(&node.pool).or_default() += 1;
    }
    for node in cluster.live_nodes().filter(|node| !node.is_static() && node.is_empty() && !wanted.contains(&node.id)) {
        let live = kept.entry(&node.pool).or_default();
        match &node.state {
            NodeState::Ready { idle_since: Some(since) } => match verdict(cluster, node, *since, *live) {
                Verdict::Keep => {}
                Verdict::Drain { at, why } if at <= now => {
                    *live -= 1;
                    plan.steps.push(Step::Drain { node: node.id, why });
                    let settle = cluster.config.pools.get(&node.pool).map_or(Span::ZERO, |config| config.settle);
                    wake(plan, now + settle.max(Span(1)));
                }
                Verdict::Drain { at, .. } => wake(plan, at),
            },
            NodeState::Draining { why, since } => {
                let settle = cluster.config.pools.get(&node.pool).map_or(Span::ZERO, |config| config.settle);
                // Only what was idle can be wanted back; everything else goes at once.
                let at = if *why == DrainWhy::Idle { *since + settle } else { *since };
                if at <= now {
                    plan.steps.push(Step::Retire { node: node.id, why: *why });
                } else {
                    wake(plan, at);
                }
            }
            _ => {}
        }
    }
}

enum Verdict {
    Keep,
    Drain { at: Timestamp, why: DrainWhy },
}

fn verdict(cluster: &Cluster, node: &Node, idle_since: Timestamp, live: u32) -> Verdict {
    let Some(config) = cluster.config.pools.get(&node.pool) else {
        return Verdict::Drain { at: idle_since, why: DrainWhy::Config };
    };
    if live > config.max_nodes {
        return Verdict::Drain { at: idle_since, why: DrainWhy::Config };
    }
    if live <= config.min_nodes {
        return Verdict::Keep;
    }
    let at = (idle_since + config.idle_after).max(node.created_at + config.min_lifetime);
    let by_die_at = node.die_at - NEAR_DIE_AT;
    if by_die_at < at {
        return Verdict::Drain { at: by_die_at, why: DrainWhy::DieAt };
    }
    Verdict::Drain { at, why: DrainWhy::Idle }
}

fn wake(plan: &mut Plan, at: Timestamp) {
    plan.wake_at = Some(plan.wake_at.map_or(at, |before| before.min(at)));
}
