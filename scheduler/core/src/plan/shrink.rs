//! Giving back: fence first, then check, then retire; demand that returns before that cancels it.

use super::Step;
use super::fleet::Fleet;
use super::pass::Pass;
use crate::cluster::Cluster;
use crate::node::{DrainWhy, Node, NodeState};
use squall_types::{PoolName, Span, Timestamp};
use std::collections::BTreeMap;

/// A node within this of its own end takes no new work.
const NEAR_DIE_AT: Span = Span::from_mins(10);

/// What the pass neither uses nor keeps for somebody is not needed.
pub(super) fn shrink(cluster: &Cluster, fleet: &Fleet, pass: &mut Pass) {
    let now = pass.instant.now;
    let mut kept: BTreeMap<&PoolName, u32> = BTreeMap::new();
    let unused: Vec<&Node> = fleet.unused().filter_map(|id| cluster.nodes.get(&id)).collect();
    for node in unused {
        let live = kept.entry(&node.pool).or_insert_with(|| kept_in(cluster, &node.pool));
        match &node.state {
            NodeState::Ready { idle_since: Some(since) } => match verdict(cluster, node, *since, *live) {
                Verdict::Keep => {}
                Verdict::Drain { at, why } if at <= now => {
                    *live -= 1;
                    pass.steps.push(Step::Drain { node: node.id, why });
                    let settle = cluster.config.pools.get(&node.pool).map_or(Span::ZERO, |config| config.settle);
                    pass.wake(now + settle.max(Span(1)));
                }
                Verdict::Drain { at, .. } => pass.wake(at),
            },
            NodeState::Draining { why, since } => {
                let settle = cluster.config.pools.get(&node.pool).map_or(Span::ZERO, |config| config.settle);
                // Only what was idle can be wanted back; everything else goes at once.
                let at = if *why == DrainWhy::Idle { *since + settle } else { *since };
                if at <= now {
                    pass.steps.push(Step::Retire { node: node.id, why: *why });
                } else {
                    pass.wake(at);
                }
            }
            _ => {}
        }
    }
}

fn kept_in(cluster: &Cluster, pool: &PoolName) -> u32 {
    let kept =
        |node: &&Node| matches!(node.state, NodeState::Ready { .. } | NodeState::Booting { .. } | NodeState::Ordered);
    cluster.live_nodes_of(pool).filter(kept).count() as u32
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
