//! What time alone brings: limits, deadlines, money, purges. Each kind is bounded; the rest comes with the next tick.

use super::Reply;
use super::draft::Draft;
use crate::budget::period_start;
use crate::cluster::Cluster;
use crate::config::BudgetPeriod;
use crate::due::{DIE_AT_BOUND, extension_at, limit_at, outlives, renewal_at, stop_margin};
use crate::event::What;
use crate::job::{Job, JobPhase, Outcome};
use crate::node::{DrainWhy, Node, NodeState};
use crate::order::{Order, OrderState};
use squall_types::agent::StopWhy;
use squall_types::{EndState, ExitStatus, JobId, NodeId, OrderId, Reason, Span, Timestamp};
use std::collections::BTreeSet;

/// Records that one tick removes.
const PURGE_CHUNK: usize = 500;

impl Draft<'_> {
    pub fn tick(&mut self) -> Reply {
        self.limits();
        self.deadlines();
        self.boots();
        self.removed();
        if crate::canary::active("idle_by_the_clock") {
            self.idle_by_the_clock();
        }
        self.die_at();
        self.money();
        self.budgets();
        self.strangers();
        self.quotas();
        self.purge();
        Reply::Done
    }

    fn limits(&mut self) {
        let over: Vec<_> = self
            .cluster
            .jobs_due(self.now)
            .filter(|job| limit_at(&self.cluster.config, job).is_some_and(|at| self.past(at)))
            .map(|job| job.run())
            .collect();
        for run in over {
            let outcome = Outcome::End {
                state: EndState::Timeout,
                exit: ExitStatus::default(),
                reason: Reason::TimeLimit,
                by: None,
            };
            self.stop(run, StopWhy::TimeLimit, outcome);
        }
    }

    fn deadlines(&mut self) {
        let late = |job: &&crate::job::Job| job.is_pending() && job.spec.end_by.is_some_and(|by| self.past(by));
        let late: Vec<JobId> = self.cluster.jobs_due(self.now).filter(late).map(|job| job.id).collect();
        for id in late {
            match self.job(id).and_then(Job::waiting).cloned() {
                Some(waiting) => self.cancel_waiting(id, waiting, None),
                None => self.end_whole(id, EndState::Deadline, Reason::TimeLimit),
            }
        }
    }

    /// A planted bug: what has been there for as long as it may idle counts as idle.
    fn idle_by_the_clock(&mut self) {
        let old = |node: &&Node| {
            let idle_after = self.pool_config(&node.pool).idle_after;
            !node.is_static() && node.is_usable() && node.ready_at.is_some_and(|at| self.past(at + idle_after))
        };
        let old: Vec<NodeId> = self.cluster.live_nodes().filter(old).map(|node| node.id).collect();
        for node in old {
            self.drop_claims_on(node);
            self.retire(node, DrainWhy::Idle);
        }
    }

    fn boots(&mut self) {
        let late = |node: &&Node| matches!(node.state, NodeState::Booting { ready_by } if self.past(ready_by));
        let late: Vec<NodeId> = self.cluster.nodes_due(self.now).filter(late).map(|node| node.id).collect();
        late.into_iter().for_each(|node| self.boot_failed(node));
    }

    fn removed(&mut self) {
        let due: Vec<NodeId> = self.cluster.nodes_due(self.now).map(|node| node.id).collect();
        self.drop_removed_nodes(&due);
    }

    /// A cloud node in use has its end pushed out; one past its end by the bound is dead.
    fn die_at(&mut self) {
        let mut extend = Vec::new();
        let mut dead = Vec::new();
        for node in self.cluster.nodes_due(self.now) {
            if outlives(node) && self.past(node.die_at + DIE_AT_BOUND) {
                dead.push(node.id);
            } else if let Some(at) = extension_at(&self.cluster.config, node)
                && self.past(at)
            {
                let lifetime = self.pool_config(&node.pool).lifetime;
                extend.push((node.id, self.now + lifetime));
            }
        }
        for (node, die_at) in extend {
            self.emit(What::DieAtExtended { node, die_at });
        }
        dead.into_iter().for_each(|node| self.parts_gone(node));
    }

    /// Renews what is reserved, a quantum at a time; where no budget covers one, the node takes no new work and
    /// its jobs are ended before its paid time is.
    fn money(&mut self) {
        let due: Vec<Node> = self
            .cluster
            .nodes_due(self.now)
            .filter(|node| renewal_at(&self.cluster.config, &self.cluster.jobs, node).is_some_and(|at| self.past(at)))
            .cloned()
            .collect();
        for node in due {
            let config = self.pool_config(&node.pool);
            let amount = node.offer.price.cost_of(config.prepaid);
            // What is being given back, and what may exist although no answer came, is paid for until it is settled:
            // refusing that would only hide it.
            let unsettled = matches!(node.state, NodeState::Retiring { .. } | NodeState::Ordered);
            if unsettled || self.is_covered(&node, amount) {
                let until = node.paid_until.max(self.now) + config.prepaid;
                self.emit(What::MoneyRenewed { node: node.id, amount, until });
                continue;
            }
            if !matches!(node.state, NodeState::Draining { why: DrainWhy::Money, .. }) {
                self.drop_claims_on(node.id);
                self.emit(What::NodeDraining { node: node.id, why: DrainWhy::Money });
            }
            if self.past(node.paid_until - stop_margin(&self.cluster.config, config.prepaid)) {
                for run in node.held.keys().copied().collect::<Vec<_>>() {
                    self.stop_for_money(run);
                }
            }
        }
    }

    fn stop_for_money(&mut self, run: squall_types::ids::Run) {
        let Some(job) = self.job(run.job) else { return };
        if matches!(job.phase, JobPhase::Bound(_) | JobPhase::Running { .. }) {
            let outcome = match self.failed(job, Reason::BudgetExhausted) {
                Outcome::Requeue { not_before, hold, .. } => {
                    Outcome::Requeue { not_before, hold, reason: Reason::BudgetExhausted, failure: false }
                }
                end => end,
            };
            self.stop(self.run_of_whole(run), StopWhy::BudgetExhausted, outcome);
        }
    }

    fn is_covered(&self, node: &Node, amount: squall_types::MicroUsd) -> bool {
        let order = node.order.and_then(|order| self.cluster.orders.get(&order));
        order.is_none_or(|order| {
            order.budgets.iter().all(|name| match self.cluster.config.budgets.get(name) {
                Some(budget) => {
                    self.cluster.budgets.get(name).map_or(budget.limit, |state| state.left(budget)) >= amount
                }
                None => true,
            })
        })
    }

    fn budgets(&mut self) {
        let turned: Vec<_> = self
            .cluster
            .config
            .budgets
            .iter()
            .map(|(name, budget)| (name.clone(), period_start(budget.period, self.now)))
            .filter(|(name, start)| self.cluster.budgets.get(name).is_some_and(|state| state.period_start < *start))
            .collect();
        for (budget, period_start) in turned {
            self.emit(What::BudgetTurned { budget, period_start });
        }
    }

    fn strangers(&mut self) {
        // After a restored backup an instance may belong to an order that this state never saw.
        let grace = self.cluster.config.timing.orphan_grace;
        if self.cluster.counters.settled_by.is_some_and(|at| at > self.now) {
            return;
        }
        let mut over = Vec::new();
        for (pool, state) in self.cluster.pools.iter() {
            let old =
                state.strangers.iter().filter(|(_, stranger)| !stranger.retiring && self.past(stranger.since + grace));
            over.extend(old.map(|(instance, _)| (pool.clone(), instance.clone())));
        }
        for (pool, instance) in over {
            self.emit(What::StrangerRetiring { pool, instance });
        }
    }

    /// A quota that refused is tried again when the pool has shrunk, or after a long while.
    fn quotas(&mut self) {
        let mut cleared = Vec::new();
        for (pool, state) in self.cluster.pools.iter() {
            let Some(hold) = &state.quota else { continue };
            let live = self.cluster.live_nodes_of(pool).count() as u32;
            if live < hold.nodes || self.past(hold.until) {
                cleared.push(pool.clone());
            }
        }
        cleared.into_iter().for_each(|pool| self.emit(What::QuotaCleared { pool }));
    }

    fn purge(&mut self) {
        let timing = self.cluster.config.timing.clone();
        let old = |(at, _): &&(Timestamp, JobId)| self.past(*at + timing.min_job_age);
        let ended = self.cluster.ended_jobs().take_while(old).map(|(_, job)| *job);
        let jobs: Vec<JobId> = ended.filter(|job| self.cluster.may_be_forgotten(*job)).take(PURGE_CHUNK).collect();
        if !jobs.is_empty() {
            self.emit(What::JobsPurged { jobs });
        }
        let old = |node: &&Node| matches!(node.state, NodeState::Gone { at, .. } if self.past(at + timing.ledger_age));
        let nodes: BTreeSet<NodeId> = self
            .cluster
            .gone_nodes()
            .take_while(old)
            .filter(|node| node.held.is_empty())
            .map(|node| node.id)
            .take(PURGE_CHUNK)
            .collect();
        // An order goes with the last of its nodes.
        let closed = |order: &&Order| {
            let is_gone = |node| self.cluster.nodes.get(node).is_none() || nodes.contains(node);
            !matches!(order.state, OrderState::Placed) && order.nodes.iter().all(is_gone)
        };
        let of_nodes = nodes.iter().filter_map(|node| self.cluster.nodes.get(node)?.order);
        let orders: BTreeSet<OrderId> = of_nodes.collect();
        let orders = orders.iter().filter_map(|order| self.cluster.orders.get(order)).filter(closed);
        let orders: Vec<OrderId> = orders.map(|order| order.id).collect();
        let nodes: Vec<NodeId> = nodes.into_iter().collect();
        if !nodes.is_empty() {
            self.emit(What::LedgerPurged { nodes, orders });
        }
    }
}

/// When a tick has something to do next; `NEVER` where only news can change anything. A tick settles whatever is due,
/// so this is later than `now` after it. What only a plan can settle is not in here: plans say when to plan again.
pub fn next_wakeup(cluster: &Cluster, now: Timestamp) -> Timestamp {
    let timing = &cluster.config.timing;
    let ended = cluster.ended_jobs().find(|(_, job)| cluster.may_be_forgotten(*job));
    let ended = ended.map(|(at, _)| *at + timing.min_job_age);
    let settled_by = cluster.counters.settled_by.unwrap_or(Timestamp::ZERO);
    let strangers = cluster.pools.values().flat_map(|pool| pool.strangers.values());
    let strangers = strangers.filter(|stranger| !stranger.retiring);
    let strangers = strangers.map(|stranger| (stranger.since + timing.orphan_grace).max(settled_by));
    let quotas = cluster.pools.values().filter_map(|pool| pool.quota.as_ref().map(|quota| quota.until));
    let turns = cluster.config.budgets.values().filter(|budget| budget.period != BudgetPeriod::Total);
    let turns = turns.map(|_| period_start(BudgetPeriod::Day, now) + Span::from_hours(24));
    ended.into_iter().chain(strangers).chain(quotas).chain(turns).fold(cluster.index.calendar.next(), Timestamp::min)
}
