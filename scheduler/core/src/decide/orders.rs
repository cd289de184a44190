//! What became of an order, and what that says about the offer and the pool.

use super::Reply;
use super::draft::Draft;
use crate::config::PoolConfig;
use crate::event::What;
use crate::node::{DrainWhy, GoneWhy, NodeState};
use crate::order::{Order, OrderState, QuotaHold};
use squall_types::offer::LaunchFailure;
use squall_types::{
    InstanceId, JobId, Launched, MicroUsd, NodeId, NodeName, Offer, OfferName, OrderId, PoolName, Reason, Timestamp,
};
use std::collections::BTreeMap;

impl Draft<'_> {
    pub fn offers(&mut self, pool: &PoolName, offers: &[Offer]) -> Reply {
        let known = self.cluster.pools.get(pool);
        let live = known.into_iter().flat_map(|pool| pool.offers.values()).filter(|offer| !offer.withdrawn);
        let same = live.map(|known| &known.offer).eq(offers.iter());
        if !same && self.cluster.config.pools.contains_key(pool) {
            let mut offers = offers.to_vec();
            offers.sort_by(|a, b| a.name.cmp(&b.name));
            self.emit(What::OffersSeen { pool: pool.clone(), offers });
        }
        Reply::Done
    }

    /// The provider accepted all or a part. Repeated news of the same launch changes nothing.
    pub fn launched(&mut self, id: OrderId, launched: &Launched) -> Reply {
        let Some(order) = self.cluster.orders.get(&id) else { return Reply::Done };
        if !matches!(order.state, OrderState::Placed) {
            return Reply::Done;
        }
        // What has joined is there, whatever the answer says: if it names another machine, one was bought twice, and the
        // one that is nobody's is found as a stranger.
        let joined: BTreeMap<NodeId, InstanceId> = self.joined(order).collect();
        let told = |name: &NodeName| {
            let got = launched.instances.iter().find(|got| got.name == *name);
            got.map(|got| got.instance.clone())
        };
        let instance = |(node, name): (&NodeId, &NodeName)| {
            let instance = joined.get(node).cloned().or_else(|| told(name))?;
            Some((*node, instance))
        };
        let instances: Vec<(NodeId, InstanceId)> =
            order.nodes.iter().zip(&order.request.names).filter_map(instance).collect();
        let missing: Vec<NodeId> =
            order.nodes.iter().filter(|node| !instances.iter().any(|(got, _)| got == *node)).copied().collect();
        let pool = order.request.pool.clone();
        let offer = order.request.offer.name.clone();
        let within = self.pool_config(&pool).register_within;
        let none = instances.is_empty();
        // What was taken for nobody's, and asked to end, ends: nothing may be placed there.
        let ending = instances.iter().filter(|(_, instance)| self.is_asked_to_end(&pool, instance));
        let ending: Vec<NodeId> = ending.map(|(node, _)| *node).collect();
        self.emit(What::OrderLaunched { order: id, instances, ready_by: self.now + within });
        for node in ending {
            self.drop_claims_on(node);
            self.retire(node, DrainWhy::Quarantined);
        }
        if none {
            self.cool(&pool, &offer, id);
        } else if self.offer_failures(&pool, &offer) > 0 {
            self.emit(What::OfferHealed { pool, offer });
        }
        missing.into_iter().for_each(|node| self.never_launched(node, Reason::NoCapacity));
        Reply::Done
    }

    /// A stranger whose grace was over before it was known whose it is.
    pub(super) fn is_asked_to_end(&self, pool: &PoolName, instance: &InstanceId) -> bool {
        let strangers = self.cluster.pools.get(pool).map(|pool| &pool.strangers);
        strangers.and_then(|strangers| strangers.get(instance)).is_some_and(|stranger| stranger.retiring)
    }

    fn cool(&mut self, pool: &PoolName, offer: &OfferName, order: OrderId) {
        let cool_until = Some(self.now + self.cooling(pool, offer));
        let failure = LaunchFailure::NoCapacity { scope: offer.to_string() };
        self.emit(What::OrderFailed { order, failure, cool_until, quota: None, broken: None });
    }

    /// A failure that is an outcome. Throttling and unknown outcomes are none: the reconciler tries again.
    pub fn launch_failed(&mut self, id: OrderId, failure: &LaunchFailure) -> Reply {
        let Some(order) = self.cluster.orders.get(&id) else { return Reply::Done };
        // Who has joined proves that an earlier call took effect: this answer is about its repetition.
        if !matches!(order.state, OrderState::Placed) || self.joined(order).next().is_some() {
            return Reply::Done;
        }
        let (pool, offer, nodes) = (order.request.pool.clone(), order.request.offer.name.clone(), order.nodes.clone());
        let (mut cool_until, mut quota, mut broken) = (None, None, None);
        let reason = match failure {
            LaunchFailure::Unknown { .. } if crate::canary::active("unknown_is_capacity") => Reason::NoCapacity,
            LaunchFailure::Throttled { .. } | LaunchFailure::Unknown { .. } => return Reply::Done,
            LaunchFailure::NoCapacity { .. } => {
                cool_until = Some(self.now + self.cooling(&pool, &offer));
                Reason::NoCapacity
            }
            LaunchFailure::Quota { name, limit, used } => {
                let live = self.cluster.live_nodes_of(&pool).count().saturating_sub(nodes.len()) as u32;
                let until = self.now + self.pool_config(&pool).cool_max;
                quota = Some(QuotaHold { name: name.clone(), limit: *limit, used: *used, nodes: live, until });
                Reason::ProviderQuota
            }
            LaunchFailure::Rejected { why } | LaunchFailure::Denied { why } | LaunchFailure::Conflict { why } => {
                broken = Some(why.clone());
                Reason::ProvisionerFailed
            }
        };
        self.emit(What::OrderFailed { order: id, failure: failure.clone(), cool_until, quota, broken });
        nodes.into_iter().for_each(|node| self.never_launched(node, reason));
        Reply::Done
    }

    /// The order is past its token and no listing shows anything of it.
    pub fn order_came_to_nothing(&mut self, id: OrderId) {
        let Some(order) = self.cluster.orders.get(&id) else { return };
        if self.joined(order).next().is_some() {
            // No listing shows of which order they are; they said so themselves.
            self.launched(id, &Launched::default());
            return;
        }
        let nodes = order.nodes.clone();
        let failure = LaunchFailure::Unknown { why: "no answer, and no complete listing shows it".to_owned() };
        self.emit(What::OrderFailed { order: id, failure, cool_until: None, quota: None, broken: None });
        nodes.into_iter().for_each(|node| self.never_launched(node, Reason::ProvisionerFailed));
    }

    /// Nodes of an order whose machines are known.
    fn joined(&self, order: &Order) -> impl Iterator<Item = (NodeId, InstanceId)> {
        let instance = |node: &NodeId| Some((*node, self.cluster.nodes.get(node)?.instance.clone()?));
        order.nodes.iter().filter_map(instance)
    }

    fn never_launched(&mut self, node: NodeId, reason: Reason) {
        if self.cluster.nodes.get(&node).is_none_or(|node| node.is_gone()) {
            return;
        }
        self.drop_claims(node, reason);
        self.node_gone(node, GoneWhy::NeverLaunched);
    }

    pub fn drop_claims_on(&mut self, node: NodeId) {
        self.drop_claims(node, Reason::NodeFailure);
    }

    /// Jobs that claim the node are planned again at their old priority; a gang that seeks too long waits a while.
    fn drop_claims(&mut self, node: NodeId, reason: Reason) {
        let jobs: Vec<JobId> =
            self.cluster.nodes.get(&node).map(|node| node.claims.keys().copied().collect()).unwrap_or_default();
        let cap = self.cluster.nodes.get(&node).map(|node| self.pool_config(&node.pool).waste_cap);
        for job in jobs {
            let since = self.job(job).and_then(|job| job.seeking_since);
            let wasted = matches!((since, cap), (Some(since), Some(cap)) if self.now.since(since) >= cap);
            let not_before = wasted.then(|| self.backoff(3));
            self.drop_claim(job, reason, not_before);
        }
    }

    /// Closes the ledger row. Whatever it held or was claimed for goes on elsewhere.
    pub fn node_gone(&mut self, id: NodeId, why: GoneWhy) {
        if self.cluster.nodes.get(&id).is_none_or(|node| node.is_gone()) {
            return;
        }
        self.drop_claims(id, Reason::NodeFailure);
        self.parts_gone(id);
        let cost = match self.cluster.nodes.get(&id) {
            Some(node) if why != GoneWhy::NeverLaunched => crate::cost::node_cost(node, self.now),
            _ => MicroUsd::ZERO,
        };
        self.emit(What::NodeGone { node: id, why, cost });
    }

    /// Its agent did not come in time: given back, and counted against the pool.
    pub fn boot_failed(&mut self, id: NodeId) {
        let Some(node) = self.cluster.nodes.get(&id) else { return };
        let pool = node.pool.clone();
        self.drop_claims(id, Reason::NodeFailure);
        self.emit(What::NodeRetiring { node: id, why: DrainWhy::BootFailed });
        let config = self.pool_config(&pool);
        let failures = self.cluster.pools.get(&pool).map_or(0, |pool| pool.boot_failures).saturating_add(1);
        let open = failures >= config.breaker_after.max(1);
        // Half-open after the pause: one boot that works closes the breaker, the next failure doubles the pause.
        let pause = doubled(config.cool_down, failures.saturating_sub(config.breaker_after), config.cool_max);
        let closed_until = open.then(|| self.now + pause);
        self.emit(What::BreakerMoved { pool, boot_failures: failures, closed_until });
    }

    pub fn boot_worked(&mut self, pool: &PoolName, offer: &OfferName) {
        if self.cluster.pools.get(pool).is_some_and(|pool| pool.boot_failures > 0 || pool.closed_until.is_some()) {
            self.emit(What::BreakerMoved { pool: pool.clone(), boot_failures: 0, closed_until: None });
        }
        if self.offer_failures(pool, offer) > 0 {
            self.emit(What::OfferHealed { pool: pool.clone(), offer: offer.clone() });
        }
    }

    fn offer_failures(&self, pool: &PoolName, offer: &OfferName) -> u32 {
        self.cluster.pools.get(pool).and_then(|pool| pool.offers.get(offer)).map_or(0, |offer| offer.failures)
    }

    fn cooling(&self, pool: &PoolName, offer: &OfferName) -> squall_types::Span {
        let config = self.pool_config(pool);
        doubled(config.cool_down, self.offer_failures(pool, offer), config.cool_max)
    }

    pub fn pool_config(&self, pool: &PoolName) -> PoolConfig {
        self.cluster.config.pools.get(pool).cloned().unwrap_or_default()
    }

    /// A pool that is draining by configuration keeps nothing that is not in use.
    pub fn retire(&mut self, id: NodeId, why: DrainWhy) {
        match self.cluster.nodes.get(&id).map(|node| &node.state) {
            Some(NodeState::Gone { .. } | NodeState::Retiring { .. }) | None => {}
            Some(_) => self.emit(What::NodeRetiring { node: id, why }),
        }
    }

    pub(super) fn past(&self, at: Timestamp) -> bool {
        at <= self.now
    }
}

/// `base` doubled `times` times, at most `most`.
fn doubled(base: squall_types::Span, times: u32, most: squall_types::Span) -> squall_types::Span {
    base.times(1i64 << times.min(20)).min(most)
}
