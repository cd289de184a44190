//! Events of nodes: the one place where a node changes state.

use crate::cluster::Cluster;
use crate::event::What;
use crate::node::{GoneWhy, Hold, HoldOwner, Node, NodeState};
use squall_types::{MicroUsd, NodeId, Offer, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

impl Cluster {
    /// `false` where the event is about something else.
    pub(super) fn apply_to_nodes(&mut self, what: &What, at: Timestamp) -> bool {
        match what {
            What::StaticNodeAdded { node, name, pool, shape } => {
                let offer = Offer { shape: shape.clone(), ..Offer::default() };
                let mut record = new_node(*node, name.clone(), pool.clone(), offer, at);
                record.die_at = Timestamp::NEVER;
                record.paid_until = Timestamp::NEVER;
                record.state = NodeState::Ready { idle_since: Some(at) };
                self.counters.next_node = self.counters.next_node.max(NodeId(node.0 + 1));
                self.put_node(record);
            }
            What::NodeJoined { node, instance, key } => {
                self.edit_node(*node, |node| {
                    node.key = Some(key.clone());
                    node.missing_since = None;
                    node.instance = node.instance.take().or_else(|| instance.clone());
                });
                instance.iter().for_each(|instance| self.no_stranger(*node, instance));
            }
            What::NodeRegistered { node, measured, shape } => self.edit_node(*node, |node| {
                node.measured = Some(measured.clone());
                node.shape = shape.clone();
                node.contact = true;
                if matches!(node.state, NodeState::Ordered | NodeState::Booting { .. }) {
                    node.state = NodeState::Ready { idle_since: Some(at) };
                    node.launched_at.get_or_insert(at);
                    node.rest(at);
                }
                node.ready_at.get_or_insert(at);
            }),
            What::NodeContact { node, contact } => self.edit_node(*node, |node| node.contact = *contact),
            What::NodeHeld { node, hold } => self.edit_node(*node, |node| {
                node.holds.retain(|held| held.owner != hold.owner);
                node.holds.insert(hold.clone());
            }),
            What::NodeReleased { node, owner } => self.edit_node(*node, |node| {
                node.holds.retain(|held| held.owner != *owner);
            }),
            What::NodeDraining { node, why } => self.edit_node(*node, |node| match node.state {
                NodeState::Ready { .. } | NodeState::Booting { .. } | NodeState::Draining { .. } => {
                    node.state = NodeState::Draining { why: *why, since: at };
                }
                _ => {}
            }),
            What::DrainCancelled { node } => self.edit_node(*node, |node| {
                if matches!(node.state, NodeState::Draining { .. }) {
                    node.state = NodeState::Ready { idle_since: Some(at) };
                    node.rest(at);
                }
            }),
            What::NodeRetiring { node, why } => self.edit_node(*node, |node| {
                if !node.is_gone() {
                    node.state = NodeState::Retiring { since: at, why: *why };
                }
            }),
            What::NodeMissing { node } => self.edit_node(*node, |node| node.missing_since = Some(at)),
            What::NodeSeen { node } => self.edit_node(*node, |node| node.missing_since = None),
            What::NodeGone { node, why, cost } => self.gone(*node, *why, *cost, at),
            What::MoneyRenewed { node, amount, until } => {
                self.reserve(*node, *amount);
                self.edit_node(*node, |node| {
                    node.reserved += *amount;
                    node.paid_until = *until;
                });
            }
            What::DieAtExtended { node, die_at } => {
                self.edit_node(*node, |node| node.die_at = node.die_at.max(*die_at));
            }
            What::NodeAdopted { node, name, pool, order, instance, offer, key, die_at } => {
                let mut record = new_node(*node, name.clone(), pool.clone(), offer.as_ref().clone(), at);
                record.order = Some(*order);
                record.instance = Some(instance.clone());
                record.key = Some(key.clone());
                record.die_at = *die_at;
                record.paid_until = at;
                record.launched_at = Some(at);
                record.state = NodeState::Booting { ready_by: *die_at };
                self.counters.next_node = self.counters.next_node.max(NodeId(node.0 + 1));
                self.pools.edit(pool, |state| state.strangers.remove(instance));
                self.put_node(record);
            }
            _ => return false,
        }
        true
    }

    fn gone(&mut self, id: NodeId, why: GoneWhy, cost: MicroUsd, at: Timestamp) {
        let Some(node) = self.nodes.get(&id).cloned() else {
            return self.fault(format!("node {id} is gone but was never known"));
        };
        if node.is_gone() {
            return self.fault(format!("node {id} is gone twice"));
        }
        for name in
            node.order.and_then(|order| self.orders.get(&order)).map(|order| order.budgets.clone()).unwrap_or_default()
        {
            self.budgets.edit_or_default(&name, |budget| {
                budget.reserved -= node.reserved;
                budget.settled += cost;
            });
        }
        self.counters.spent += cost;
        self.counters.nodes_gone += 1;
        if let Some(launched_at) = node.launched_at {
            self.counters.node_millis_bought += at.since(launched_at).as_millis();
        }
        self.edit_node(id, |node| {
            node.state = NodeState::Gone { why, at };
            node.settled = Some(cost);
            node.reserved = MicroUsd::ZERO;
            node.contact = false;
            node.claims.clear();
        });
        if let Some(order) = node.order.and_then(|order| self.orders.get(&order)).cloned() {
            self.put_order(order);
        }
    }

    /// Takes money for a node from every budget that its order draws on.
    pub(super) fn reserve(&mut self, node: NodeId, amount: MicroUsd) {
        let order = self.nodes.get(&node).and_then(|node| node.order).and_then(|order| self.orders.get(&order));
        for name in order.map(|order| order.budgets.clone()).unwrap_or_default() {
            self.budgets.edit_or_default(&name, |budget| budget.reserved += amount);
        }
    }
}

pub(super) fn new_node(
    id: NodeId,
    name: squall_types::NodeName,
    pool: squall_types::PoolName,
    offer: Offer,
    at: Timestamp,
) -> Node {
    Node {
        id,
        name,
        pool,
        state: NodeState::Ordered,
        holds: BTreeSet::<Hold>::new(),
        shape: offer.shape.clone(),
        offer,
        order: None,
        instance: None,
        measured: None,
        key: None,
        contact: false,
        held: BTreeMap::new(),
        claims: BTreeMap::new(),
        created_at: at,
        launched_at: None,
        ready_at: None,
        die_at: at,
        paid_until: at,
        reserved: MicroUsd::ZERO,
        charged: MicroUsd::ZERO,
        missing_since: None,
        caused_by: None,
        first_job_at: None,
        settled: None,
    }
}

impl HoldOwner {
    /// Who set it, for people.
    pub fn word(self) -> &'static str {
        match self {
            HoldOwner::Admin => "admin",
            HoldOwner::Health => "health",
            HoldOwner::Quarantine => "quarantine",
            HoldOwner::Config => "config",
        }
    }
}
