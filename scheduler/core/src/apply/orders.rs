//! Events of orders, offers, breakers and instances that no order knows.

use super::nodes::new_node;
use crate::cluster::Cluster;
use crate::event::What;
use crate::node::NodeState;
use crate::order::{Order, OrderState, Stranger};
use squall_types::offer::LaunchFailure;
use squall_types::{InstanceId, NodeId, OrderId, PoolName, Timestamp};

impl Cluster {
    pub(super) fn apply_to_orders(&mut self, what: &What, at: Timestamp) -> bool {
        match what {
            What::OrderPlaced { request, nodes, for_job, accept_by, reserved_each, paid_until, budgets } => {
                self.counters.next_order = self.counters.next_order.max(OrderId(request.order.0 + 1));
                for (id, name) in nodes.iter().zip(&request.names) {
                    self.counters.next_node = self.counters.next_node.max(NodeId(id.0 + 1));
                    let mut node = new_node(*id, name.clone(), request.pool.clone(), request.offer.clone(), at);
                    node.order = Some(request.order);
                    node.die_at = request.die_at;
                    node.paid_until = *paid_until;
                    node.reserved = *reserved_each;
                    node.caused_by = *for_job;
                    self.note_number(&request.pool, name.as_str());
                    self.put_node(node);
                }
                for budget in budgets {
                    let sum = reserved_each.times(nodes.len() as i64);
                    self.budgets.edit_or_default(budget, |state| state.reserved += sum);
                }
                self.put_order(Order {
                    id: request.order,
                    request: request.as_ref().clone(),
                    nodes: nodes.clone(),
                    for_job: *for_job,
                    placed_at: at,
                    accept_by: *accept_by,
                    state: OrderState::Placed,
                    budgets: budgets.clone(),
                });
            }
            What::OrderLaunched { order, instances, ready_by } => {
                for (node, instance) in instances {
                    self.edit_node(*node, |node| {
                        node.instance = Some(instance.clone());
                        node.launched_at.get_or_insert(at);
                        node.missing_since = None;
                        if matches!(node.state, NodeState::Ordered) {
                            node.state = NodeState::Booting { ready_by: *ready_by };
                        }
                    });
                    self.no_stranger(*node, instance);
                }
                self.set_order(*order, OrderState::Launched { at });
            }
            What::OrderFailed { order, failure, cool_until, quota, broken } => {
                let request = self.orders.get(order).map(|order| order.request.clone());
                if let Some(request) = request {
                    self.pools.edit(&request.pool, |pool| {
                        if let Some(offer) = pool.offers.get_mut(&request.offer.name) {
                            offer.cool_until = cool_until.or(offer.cool_until);
                            if matches!(failure, LaunchFailure::NoCapacity { .. }) {
                                offer.failures = offer.failures.saturating_add(1);
                            }
                        }
                        pool.quota = quota.clone().or(pool.quota.take());
                        pool.broken = broken.clone().or(pool.broken.take());
                    });
                }
                self.set_order(*order, OrderState::Failed { failure: failure.clone(), at });
            }
            What::OffersSeen { pool, offers } => self.pools.edit_or_default(pool, |state| state.see(offers)),
            What::OfferHealed { pool, offer } => {
                self.pools.edit(pool, |pool| {
                    if let Some(offer) = pool.offers.get_mut(offer) {
                        offer.failures = 0;
                        offer.cool_until = None;
                    }
                });
            }
            What::BreakerMoved { pool, boot_failures, closed_until } => {
                self.pools.edit_or_default(pool, |state| {
                    state.boot_failures = *boot_failures;
                    state.closed_until = *closed_until;
                });
            }
            What::QuotaCleared { pool } => self.pools.edit_or_default(pool, |state| state.quota = None),
            What::ListingTaken { pool, instances } => {
                self.pools.edit_or_default(pool, |state| {
                    state.listed_at = Some(at);
                    state.listed = *instances;
                });
            }
            What::StrangerSeen { pool, instance } => {
                self.pools.edit_or_default(pool, |state| {
                    let known = state.strangers.entry(instance.clone());
                    known.or_insert(Stranger { since: at, retiring: false, missing_since: None }).missing_since = None;
                });
            }
            What::StrangerRetiring { pool, instance } => {
                self.edit_stranger(pool, instance, |stranger| stranger.retiring = true);
            }
            What::StrangerMissing { pool, instance } => {
                self.edit_stranger(pool, instance, |stranger| stranger.missing_since = Some(at));
            }
            What::StrangerGone { pool, instance } => {
                self.pools.edit(pool, |state| state.strangers.remove(instance));
            }
            What::LedgerPurged { nodes, orders } => {
                nodes.iter().for_each(|node| {
                    self.drop_node(*node);
                });
                orders.iter().for_each(|order| {
                    self.orders.remove(order);
                });
            }
            _ => return false,
        }
        true
    }

    fn edit_stranger(&mut self, pool: &PoolName, instance: &InstanceId, change: impl FnOnce(&mut Stranger)) {
        self.pools.edit(pool, |state| state.strangers.get_mut(instance).map(change));
    }

    /// Whose it is has become known.
    pub(super) fn no_stranger(&mut self, node: NodeId, instance: &InstanceId) {
        let Some(pool) = self.nodes.get(&node).map(|node| node.pool.clone()) else { return };
        if self.pools.get(&pool).is_some_and(|state| state.strangers.contains_key(instance)) {
            self.pools.edit(&pool, |state| state.strangers.remove(instance));
        }
    }

    fn set_order(&mut self, id: OrderId, state: OrderState) {
        match self.orders.get(&id).cloned() {
            Some(mut order) => {
                order.state = state;
                self.put_order(order);
            }
            None => self.fault(format!("an event names order {id}, which is not known")),
        }
    }

    /// Numbers of node names only grow, so that a name is not reused while anyone could remember it.
    fn note_number(&mut self, pool: &PoolName, name: &str) {
        let digits = name.rsplit('-').next().and_then(|digits| digits.parse::<u64>().ok());
        if let Some(number) = digits {
            self.pools.edit_or_default(pool, |state| state.last_number = state.last_number.max(number));
        }
    }
}
