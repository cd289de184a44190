//! M6: what orders reserve fits into their budgets, and pools stay within their bounds, counted from the events alone.

use squall_core::{ClusterConfig, Event, What};
use squall_types::{BudgetName, MicroUsd, NodeId, OrderId, PoolName};
use std::collections::BTreeMap;

/// One row that is not closed.
#[derive(Clone, Debug)]
struct Open {
    pool: PoolName,
    budgets: Vec<BudgetName>,
    reserved: MicroUsd,
}

#[derive(Clone, Debug, Default)]
pub struct Spending {
    config: ClusterConfig,
    open: BTreeMap<NodeId, Open>,
    settled: BTreeMap<BudgetName, MicroUsd>,
}

impl Spending {
    /// Takes in one durable event, and says what of it nothing covers.
    pub fn take(&mut self, event: &Event) -> Vec<String> {
        match &event.what {
            What::ConfigApplied { config } => self.config = config.as_ref().clone(),
            What::BudgetTurned { budget, .. } => {
                self.settled.remove(budget);
            }
            What::OrderPlaced { request, nodes, reserved_each, budgets, .. } => {
                for node in nodes {
                    let row = Open { pool: request.pool.clone(), budgets: budgets.clone(), reserved: *reserved_each };
                    self.open.insert(*node, row);
                }
                return self.judge(request.order, &request.pool, budgets);
            }
            What::MoneyRenewed { node, amount, .. } => {
                if let Some(row) = self.open.get_mut(node) {
                    row.reserved += *amount;
                }
            }
            What::NodeGone { node, cost, .. } => {
                for budget in self.open.remove(node).map(|row| row.budgets).unwrap_or_default() {
                    *self.settled.entry(budget).or_default() += *cost;
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn judge(&self, order: OrderId, pool: &PoolName, budgets: &[BudgetName]) -> Vec<String> {
        let mut found = Vec::new();
        for name in budgets {
            let Some(limit) = self.config.budgets.get(name).map(|budget| budget.limit) else { continue };
            let reserving = self.open.values().filter(|row| row.budgets.contains(name));
            let reserved: MicroUsd = reserving.map(|row| row.reserved).sum();
            let settled = self.settled.get(name).copied().unwrap_or_default();
            if reserved + settled > limit {
                found.push(format!(
                    "M6: order {order} leaves budget {name} with {reserved} reserved and {settled} spent of {limit}"
                ));
            }
        }
        let live = self.open.values().filter(|row| row.pool == *pool).count();
        let most = self.config.pools.get(pool).map_or(0, |pool| pool.max_nodes);
        if live > most as usize {
            found.push(format!("M6: order {order} brings pool {pool} to {live} of at most {most} nodes"));
        }
        found
    }
}
