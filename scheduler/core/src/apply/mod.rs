//! The fold. Holds no policy: every outcome stands in the event.
//!
//! An event that meets a state which it cannot follow is a bug upstream: the state raises its alarm, keeps what it
//! has, and goes on, so that a replay never stops half way.

mod arrays;
mod jobs;
mod nodes;
mod orders;

use crate::accounts::Moved;
use crate::budget::{BudgetState, period_start};
use crate::cluster::Cluster;
use crate::event::{Event, What};
use crate::order::PoolState;
use squall_types::PoolName;
use squall_types::ids::Run;
use std::sync::Arc;

impl Cluster {
    /// Takes in what happened.
    pub fn apply(&mut self, event: &Event) {
        let at = event.at.max(self.counters.at);
        self.counters.at = at;
        match &event.what {
            What::ControllerStarted { epoch, .. } => {
                self.counters.epoch = (*epoch).max(self.counters.epoch);
                self.counters.started_at = at;
                let connected: Vec<_> = self.live_nodes().filter(|node| node.contact).map(|node| node.id).collect();
                connected.into_iter().for_each(|node| self.edit_node(node, |node| node.contact = false));
            }
            What::ConfigApplied { config } => self.configure(config, at),
            What::BackupRestored { next_job, next_node, next_order, settled_by } => {
                self.counters.next_job = self.counters.next_job.max(*next_job);
                self.counters.next_node = self.counters.next_node.max(*next_node);
                self.counters.next_order = self.counters.next_order.max(*next_order);
                self.counters.settled_by = Some(*settled_by);
                self.counters.restores = self.counters.restores.saturating_add(1);
            }
            What::AccountsChanged { change } => {
                let touches_jobs = match Arc::make_mut(&mut self.accounts).take_in(change) {
                    Moved::Nothing => false,
                    Moved::JobsOf(account) => self.jobs.values().any(|job| job.spec.account == account),
                    Moved::Everything => true,
                };
                if touches_jobs {
                    self.reindex();
                }
            }
            What::BudgetTurned { budget, period_start } => {
                self.budgets.edit_or_default(budget, |state| {
                    state.period_start = *period_start;
                    state.settled = Default::default();
                });
            }
            what if self.apply_to_jobs(what, at) => {}
            what if self.apply_to_nodes(what, at) => {}
            what => {
                self.apply_to_orders(what, at);
            }
        }
    }

    fn configure(&mut self, config: &crate::config::ClusterConfig, at: squall_types::Timestamp) {
        self.config = Arc::new(config.clone());
        self.counters.next_job = self.counters.next_job.max(config.first_job);
        for (name, pool) in &config.pools {
            self.pools.edit_or_default(name, |state| {
                // What was wrong may have been put right.
                state.broken = None;
                if state.offers.is_empty() {
                    state.see(&pool.offers);
                }
            });
        }
        // A pool without a single live node is forgotten; one that has some stays until they are gone.
        let used: std::collections::BTreeSet<_> = self.live_nodes().map(|node| node.pool.clone()).collect();
        let unused = |(name, state): (&PoolName, &PoolState)| {
            let needed = config.pools.contains_key(name) || used.contains(name) || !state.strangers.is_empty();
            (!needed).then(|| name.clone())
        };
        let forgotten: Vec<_> = self.pools.iter().filter_map(unused).collect();
        forgotten.iter().for_each(|name| {
            self.pools.remove(name);
        });
        for (name, budget) in &config.budgets {
            let start = period_start(budget.period, at);
            if self.budgets.get(name).is_none() {
                self.budgets.insert(name.clone(), BudgetState { period_start: start, ..BudgetState::default() });
            }
        }
        self.reindex();
    }

    /// Gives back what an attempt holds on one node; the node may be idle from then on.
    pub(super) fn release_part(&mut self, run: Run, node: squall_types::NodeId, at: squall_types::Timestamp) {
        let Some(allocation) = self.nodes.get(&node).and_then(|node| node.held.get(&run).cloned()) else { return };
        let bound_at = self.jobs.get(&run.job).and_then(|job| job.placement()).map(|placement| placement.bound_at);
        let mut used = 0;
        self.edit_node(node, |node| {
            node.held.remove(&run);
            let millis = bound_at.map_or(0, |since| at.since(since).as_millis());
            // What nobody bought is not compared with what was.
            used = if node.is_static() { 0 } else { crate::cost::share_of(&node.shape, &allocation).of_millis(millis) };
            node.rest(at);
        });
        self.counters.node_millis_used = self.counters.node_millis_used.saturating_add(used);
    }
}

impl crate::node::Node {
    /// Notes since when a ready node is idle; work or a claim ends that.
    pub(crate) fn rest(&mut self, at: squall_types::Timestamp) {
        let empty = self.is_empty();
        if let crate::node::NodeState::Ready { idle_since } = &mut self.state {
            *idle_since = if empty { idle_since.or(Some(at)) } else { None };
        }
    }
}
