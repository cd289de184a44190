//! A controller takes the journal; configurations; restored backups.

use super::Reply;
use super::draft::Draft;
use crate::budget::period_start;
use crate::config::ClusterConfig;
use crate::due::is_removed;
use crate::event::What;
use crate::node::{GoneWhy, Hold, HoldOwner};
use crate::refuse::Rejection;
use squall_types::{Epoch, JobId, NodeId, OrderId, Span};

/// After a restore what is not known is kept for so long before it is treated as unknown.
const SETTLE_AFTER_RESTORE: Span = Span::from_hours(1);

impl Draft<'_> {
    pub fn start(&mut self, epoch: Epoch, version: &str) -> Reply {
        self.emit(What::ControllerStarted { epoch, version: version.to_owned() });
        Reply::Done
    }

    /// All or nothing. Never invalidates what is stored: jobs of a removed partition wait with that reason.
    pub fn configure(&mut self, config: &ClusterConfig) -> Result<Reply, Rejection> {
        if *self.cluster.config != *config {
            self.emit(What::ConfigApplied { config: Box::new(config.clone()) });
        }
        self.sync_static_nodes();
        for (name, budget) in config.budgets.clone() {
            let start = period_start(budget.period, self.now);
            if self.cluster.budgets.get(&name).is_some_and(|state| state.period_start < start) {
                self.emit(What::BudgetTurned { budget: name, period_start: start });
            }
        }
        Ok(Reply::Done)
    }

    /// Machines that are there whatever the demand appear and go with the configuration.
    fn sync_static_nodes(&mut self) {
        let config = self.cluster.config.clone();
        for (pool, pool_config) in &config.pools {
            for (name, shape) in &pool_config.static_nodes {
                if let Some(node) = self.cluster.node_named(name) {
                    let (node, owner) = (node.id, HoldOwner::Config);
                    if self.cluster.nodes.get(&node).is_some_and(|node| node.is_held_by(owner)) {
                        self.emit(What::NodeReleased { node, owner });
                    }
                    continue;
                }
                let node = self.cluster.counters.next_node;
                let mut shape = shape.clone();
                shape.features.extend(pool_config.features.iter().cloned());
                self.emit(What::StaticNodeAdded { node, name: name.clone(), pool: pool.clone(), shape });
            }
        }
        let removed = self.cluster.live_nodes().filter(|node| is_removed(&config, node));
        let removed: Vec<NodeId> = removed.map(|node| node.id).collect();
        for node in removed.iter().copied() {
            if self.cluster.nodes.get(&node).is_some_and(|node| !node.is_held_by(HoldOwner::Config)) {
                let reason = "removed from the configuration: goes when its jobs have ended".to_owned();
                self.emit(What::NodeHeld { node, hold: Hold { owner: HoldOwner::Config, reason, at: self.now } });
            }
        }
        self.drop_removed_nodes(&removed);
    }

    /// Those of `nodes` go that are configured no longer and on which nothing runs.
    pub(super) fn drop_removed_nodes(&mut self, nodes: &[NodeId]) {
        for id in nodes {
            let node = self.cluster.nodes.get(id);
            if node
                .is_some_and(|node| !node.is_gone() && node.held.is_empty() && is_removed(&self.cluster.config, node))
            {
                self.node_gone(*id, GoneWhy::Removed);
            }
        }
    }

    /// Ids jump ahead of everything that may have been given out after the backup was taken.
    pub fn restore(&mut self, gap: u32) -> Reply {
        let counters = &self.cluster.counters;
        let gap = if crate::canary::active("restore_without_gap") { 0 } else { gap };
        self.emit(What::BackupRestored {
            next_job: JobId(counters.next_job.0.saturating_add(gap)),
            next_node: NodeId(counters.next_node.0.saturating_add(u64::from(gap))),
            next_order: OrderId(counters.next_order.0.saturating_add(u64::from(gap))),
            settled_by: self.now + SETTLE_AFTER_RESTORE,
        });
        Reply::Done
    }
}
