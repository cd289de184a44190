//! Listings against the ledger. Destructive conclusions need two independent, fresh facts.

use super::Reply;
use super::draft::Draft;
use crate::event::What;
use crate::node::{GoneWhy, Node, NodeState};
use crate::order::OrderState;
use squall_types::offer::LaunchedInstance;
use squall_types::{InstanceId, Launched, Listing, NodeId, OrderId, PoolName, SeenInstance, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// An accepted instance may be missing from listings for so long without that meaning anything.
const NEW_INSTANCE_GRACE: Span = Span::from_mins(3);
/// A listing this many percent smaller than the one before proves no absence by itself.
const SHRINK_PERCENT: u64 = 30;

impl Draft<'_> {
    pub fn listed(&mut self, pool: &PoolName, listing: &Listing, asked_at: Timestamp) -> Reply {
        let parts = self.learn_outcomes(pool, listing);
        let shown: BTreeMap<&InstanceId, &SeenInstance> =
            listing.instances.iter().map(|seen| (&seen.instance, seen)).collect();
        self.see(pool, &shown);
        self.see_strangers(pool, listing);
        if !listing.complete {
            return Reply::Done;
        }
        let suspicious = self.shrank(pool, &shown);
        if self.cluster.pools.get(pool).is_none_or(|known| {
            known.listed != shown.len() as u32 || known.listed_at.is_none() || self.outcomes_wait(pool)
        }) {
            self.emit(What::ListingTaken { pool: pool.clone(), instances: shown.len() as u32 });
        }
        if suspicious {
            return Reply::Done;
        }
        self.close_unknown_orders(pool, asked_at, &parts);
        self.miss(pool, &shown, asked_at);
        self.miss_strangers(pool, &shown, asked_at);
        Reply::Done
    }

    /// An order whose answer was lost: the listing shows all that it was to bring. Of the others, what it shows of them.
    fn learn_outcomes(&mut self, pool: &PoolName, listing: &Listing) -> BTreeMap<OrderId, Launched> {
        let mut found: BTreeMap<OrderId, Launched> = BTreeMap::new();
        for seen in listing.instances.iter().filter(|seen| !seen.ending) {
            if let (Some(order), Some(name)) = (seen.order, &seen.name) {
                let instance = LaunchedInstance { instance: seen.instance.clone(), name: name.clone() };
                found.entry(order).or_default().instances.push(instance);
            }
        }
        let mut parts = BTreeMap::new();
        for (id, launched) in found {
            let Some(order) = self.cluster.orders.get(&id).filter(|order| order.request.pool == *pool) else {
                continue;
            };
            if launched.instances.len() < order.nodes.len() {
                parts.insert(id, launched);
            } else if matches!(order.state, OrderState::Placed) {
                self.launched(id, &launched);
            }
        }
        parts
    }

    fn see(&mut self, pool: &PoolName, shown: &BTreeMap<&InstanceId, &SeenInstance>) {
        let back: Vec<NodeId> = self
            .cluster
            .live_nodes_of(pool)
            .filter(|node| node.missing_since.is_some() && is_shown(node, shown))
            .map(|node| node.id)
            .collect();
        back.into_iter().for_each(|node| self.emit(What::NodeSeen { node }));
    }

    /// What bears our tag and belongs to no open ledger row is set aside, and ended only after its grace.
    fn see_strangers(&mut self, pool: &PoolName, listing: &Listing) {
        if crate::canary::active("strangers_unseen") {
            return;
        }
        let ours: BTreeSet<&InstanceId> =
            self.cluster.live_nodes_of(pool).filter_map(|node| node.instance.as_ref()).collect();
        let awaited = |order: Option<OrderId>| {
            let order = order.and_then(|order| self.cluster.orders.get(&order));
            order.is_some_and(|order| matches!(order.state, OrderState::Placed))
        };
        let known = self.cluster.pools.get(pool);
        let fresh = |seen: &SeenInstance| {
            known
                .and_then(|known| known.strangers.get(&seen.instance))
                .is_none_or(|stranger| stranger.missing_since.is_some())
        };
        let strangers: Vec<InstanceId> = listing
            .instances
            .iter()
            .filter(|seen| !seen.ending && !ours.contains(&seen.instance) && !awaited(seen.order) && fresh(seen))
            .map(|seen| seen.instance.clone())
            .collect();
        for instance in strangers {
            self.emit(What::StrangerSeen { pool: pool.clone(), instance });
        }
    }

    /// Much smaller than the one before, by more than what was asked to end: perhaps a broken answer.
    fn shrank(&self, pool: &PoolName, shown: &BTreeMap<&InstanceId, &SeenInstance>) -> bool {
        let Some(before) = self.cluster.pools.get(pool).map(|known| u64::from(known.listed)) else { return false };
        let retiring = self.cluster.live_nodes_of(pool).filter(|node| matches!(node.state, NodeState::Retiring { .. }));
        let expected = before.saturating_sub(retiring.count() as u64);
        before >= 3 && (shown.len() as u64) * 100 < expected * (100 - SHRINK_PERCENT)
    }

    fn outcomes_wait(&self, pool: &PoolName) -> bool {
        self.cluster.placed_orders().any(|order| order.request.pool == *pool)
    }

    /// Past the token's life, what two complete listings that were asked for later do not show was never launched: a part of
    /// an order, which may have been growing into the whole before, or all of it.
    fn close_unknown_orders(&mut self, pool: &PoolName, asked_at: Timestamp, parts: &BTreeMap<OrderId, Launched>) {
        let grace = self.pool_config(pool).absence_grace;
        let over: Vec<OrderId> = self
            .cluster
            .placed_orders()
            .filter(|order| order.request.pool == *pool)
            .filter(|order| order.accept_by + grace < asked_at)
            .map(|order| order.id)
            .collect();
        for id in over {
            let nodes = self.cluster.orders.get(&id).map(|order| order.nodes.clone()).unwrap_or_default();
            let part = parts.get(&id);
            let is_shown =
                |node: &Node| part.is_some_and(|part| part.instances.iter().any(|instance| instance.name == node.name));
            // Rows that an admin has closed meanwhile wait for nothing.
            let known = nodes.iter().filter_map(|node| self.cluster.nodes.get(node)).filter(|node| !node.is_gone());
            let known: Vec<&Node> = known.collect();
            let back = known.iter().filter(|node| is_shown(node) && node.missing_since.is_some());
            let back: Vec<NodeId> = back.map(|node| node.id).collect();
            // What has joined is there, whatever a listing says of whose it is.
            let unseen = known.iter().filter(|node| !is_shown(node) && node.instance.is_none());
            let unseen: Vec<(NodeId, Option<Timestamp>)> = unseen.map(|node| (node.id, node.missing_since)).collect();
            let fresh = unseen.iter().filter(|(_, since)| since.is_none()).map(|(node, _)| *node);
            let fresh: Vec<NodeId> = fresh.collect();
            let since = unseen.iter().filter_map(|(_, since)| *since).max();
            back.into_iter().for_each(|node| self.emit(What::NodeSeen { node }));
            if !fresh.is_empty() {
                fresh.into_iter().for_each(|node| self.emit(What::NodeMissing { node }));
            } else if since.is_none_or(|since| asked_at >= since + grace) {
                match part {
                    Some(part) => {
                        self.launched(id, part);
                    }
                    None => self.order_came_to_nothing(id),
                }
            }
        }
    }

    /// Not shown: noted the first time, gone the second, if its agent is silent and the listings are far enough apart.
    fn miss(&mut self, pool: &PoolName, shown: &BTreeMap<&InstanceId, &SeenInstance>, asked_at: Timestamp) {
        let grace = self.pool_config(pool).absence_grace;
        let launched: Vec<Node> = self
            .cluster
            .live_nodes_of(pool)
            .filter(|node| node.instance.is_some() && !is_shown(node, shown) && !node.contact)
            .cloned()
            .collect();
        for node in launched {
            let retiring = matches!(node.state, NodeState::Retiring { .. });
            let new = node.launched_at.is_some_and(|at| asked_at < at + NEW_INSTANCE_GRACE.min(grace.times(3)));
            if new && !retiring {
                continue;
            }
            let at_once = crate::canary::active("gone_at_first_miss").then_some(Timestamp::ZERO);
            match node.missing_since.or(at_once) {
                None => self.emit(What::NodeMissing { node: node.id }),
                Some(since) if asked_at >= since + grace => {
                    let why = if retiring { GoneWhy::Retired } else { GoneWhy::Lost };
                    self.node_gone(node.id, why);
                }
                Some(_) => {}
            }
        }
    }

    fn miss_strangers(&mut self, pool: &PoolName, shown: &BTreeMap<&InstanceId, &SeenInstance>, asked_at: Timestamp) {
        let grace = self.pool_config(pool).absence_grace;
        let strangers = self.cluster.pools.get(pool).map(|known| known.strangers.clone()).unwrap_or_default();
        for (instance, stranger) in strangers {
            if shown.get(&instance).is_some_and(|seen| !seen.ending) {
                continue;
            }
            let pool = pool.clone();
            match stranger.missing_since {
                None => self.emit(What::StrangerMissing { pool, instance }),
                Some(since) if asked_at >= since + grace => self.emit(What::StrangerGone { pool, instance }),
                Some(_) => {}
            }
        }
    }
}

/// An instance that is listed as ending will not run again, but it is still there.
fn is_shown(node: &Node, shown: &BTreeMap<&InstanceId, &SeenInstance>) -> bool {
    let seen = node.instance.as_ref().and_then(|instance| shown.get(instance));
    seen.is_some_and(|seen| !seen.ending)
}
