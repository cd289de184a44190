//! The whole state: a fold over the journal. Nothing changes it but [`Cluster::apply`].

use crate::accounts::{Accounts, Tallies, Tally, holders_of};
use crate::budget::BudgetState;
use crate::config::ClusterConfig;
use crate::crontab::Crontab;
use crate::due::{Calendar, Due, is_without_money, job_due, node_due};
use crate::index::Index;
use crate::job::{ArrayRecord, Job};
use crate::node::{Node, NodeState};
use crate::order::{Order, OrderState, PoolState};
use crate::plan::topology::wires;
use crate::queue::QueueKey;
use crate::table::Table;
use imbl::OrdMap;
use minicbor::{Decode, Encode};
use squall_types::{
    BudgetName, Epoch, IndexSet, JobId, MicroUsd, NodeId, OrderId, PoolName, Span, SubmitToken, Timestamp, Uid,
};
use std::collections::BTreeMap;
use std::mem::discriminant;
use std::sync::Arc;

/// The state of the cluster. A clone is a snapshot and costs almost nothing.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub config: Arc<ClusterConfig>,
    pub counters: Counters,
    pub jobs: Table<JobId, Job>,
    pub arrays: Table<JobId, ArrayRecord>,
    pub nodes: Table<NodeId, Node>,
    pub orders: Table<OrderId, Order>,
    pub pools: Table<PoolName, PoolState>,
    pub budgets: Table<BudgetName, BudgetState>,
    /// Shared, so that whoever remembers them sees at a glance whether they changed.
    pub accounts: Arc<Accounts>,
    /// By user; nobody has an empty one.
    pub crontabs: Arc<BTreeMap<Uid, Crontab>>,
    /// How jobs ended that are no longer in memory, for dependencies on them.
    pub past: Arc<Past>,
    /// Tokens of jobs that were purged, by when.
    pub(crate) spent_tokens: OrdMap<(Timestamp, SubmitToken), JobId>,
    pub(crate) index: Index,
    /// Set when an event met a state that it cannot follow: launching stops, jobs go on, an alert is raised.
    pub alarm: Option<String>,
}

/// Numbers that only grow, and facts about the journal as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Counters {
    #[n(0)]
    pub epoch: Epoch,
    /// Of the last event.
    #[n(1)]
    pub at: Timestamp,
    /// When this epoch began.
    #[n(2)]
    pub started_at: Timestamp,
    #[n(3)]
    pub next_job: JobId,
    #[n(4)]
    pub next_node: NodeId,
    #[n(5)]
    pub next_order: OrderId,
    /// After a restored backup: until then what is not known is kept, not killed.
    #[n(6)]
    pub settled_by: Option<Timestamp>,
    /// Of the last submission, for the batch window.
    #[n(7)]
    pub last_submit_at: Timestamp,
    #[n(8)]
    pub jobs_ended: u64,
    #[n(9)]
    pub nodes_gone: u64,
    /// Settled cost of all nodes that are gone.
    #[n(10)]
    pub spent: MicroUsd,
    /// From launch to gone, over all nodes that are gone.
    #[n(11)]
    pub node_millis_bought: i64,
    /// Of those and of the live ones: weighted by the share that attempts held.
    #[n(12)]
    pub node_millis_used: i64,
    /// Backups that were restored.
    #[n(13)]
    #[cbor(default)]
    pub restores: u32,
}

/// Ids of jobs that were purged, in ranges, by how they ended. An array counts by its first id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Past {
    #[n(0)]
    pub completed: IndexSet,
    #[n(1)]
    pub failed: IndexSet,
    /// How the elements of arrays ended that somebody still waits for, or that were purged lately.
    #[n(2)]
    pub elements: BTreeMap<JobId, Outcomes>,
}

/// Elements of an array by how they ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Outcomes {
    #[n(0)]
    pub completed: IndexSet,
    /// In any other way.
    #[n(1)]
    pub failed: IndexSet,
}

/// How long after its job was purged a repeated submission is still known to be the same.
pub const TOKEN_KEPT: Span = Span::from_mins(10);

impl Default for Cluster {
    fn default() -> Self {
        Cluster::new()
    }
}

impl Cluster {
    /// The state before the first event.
    pub fn new() -> Self {
        Cluster {
            config: Arc::new(ClusterConfig::default()),
            counters: Counters {
                next_job: JobId(1),
                next_node: NodeId(1),
                next_order: OrderId(1),
                ..Counters::default()
            },
            jobs: Table::default(),
            arrays: Table::default(),
            nodes: Table::default(),
            orders: Table::default(),
            pools: Table::default(),
            budgets: Table::default(),
            accounts: Arc::new(Accounts::default()),
            crontabs: Arc::default(),
            past: Arc::new(Past::default()),
            spent_tokens: OrdMap::new(),
            index: Index::default(),
            alarm: None,
        }
    }

    /// The one place where a job's record enters or changes: keeps every look-up true.
    pub(crate) fn put_job(&mut self, job: Job) {
        let id = job.id;
        let before = self.jobs.share(&id);
        self.index.calendar.set(Due::Job(id), job_due(&self.config, &job));
        self.index.look_at_job(&self.config, &self.accounts, before.as_deref(), Some(&job));
        self.recount(before.as_deref(), Some(&job));
        if job.bears_token() && !before.as_ref().is_some_and(|before| before.bears_token()) {
            self.index.answers_to(&job.token, id);
        }
        let moved = before.filter(|before| discriminant(&before.phase) != discriminant(&job.phase));
        self.jobs.insert(id, job);
        if let Some(before) = moved {
            self.recount_nodes_of(&before);
        }
    }

    /// What is due for a node without money depends on what its jobs do.
    fn recount_nodes_of(&mut self, job: &Job) {
        for held in job.placement().into_iter().flat_map(|placement| &placement.allocations) {
            if let Some(node) = self.nodes.get(&held.node).filter(|node| is_without_money(node)) {
                self.index.calendar.set(Due::Node(node.id), node_due(&self.config, &self.jobs, node));
            }
        }
    }

    /// Changes a job and its place in every look-up.
    pub(crate) fn edit_job(&mut self, id: JobId, change: impl FnOnce(&mut Job)) {
        let Some(mut job) = self.jobs.get(&id).cloned() else {
            return self.fault(format!("an event names job {id}, which is not known"));
        };
        change(&mut job);
        self.put_job(job);
    }

    /// Takes a record out of the tables and look-ups. Its token stays until the purge.
    pub(crate) fn drop_job(&mut self, id: JobId) {
        let Some(job) = self.jobs.remove(&id) else { return };
        self.index.calendar.set(Due::Job(id), Timestamp::NEVER);
        self.index.look_at_job(&self.config, &self.accounts, Some(&job), None);
        self.recount(Some(&job), None);
    }

    /// Moves what a job counts for from how it was to how it is.
    fn recount(&mut self, before: Option<&Job>, after: Option<&Job>) {
        if !self.accounts.is_limiting() {
            return;
        }
        let (had, has) = (before.map(Tally::of), after.map(Tally::of));
        let holders = |job: &Job| holders_of(&self.accounts, &self.config, job);
        let (had_by, has_by) = (before.map(holders), after.map(holders));
        if (had, &had_by) == (has, &has_by) {
            return;
        }
        if let Some((had, by)) = had.zip(had_by) {
            self.index.tallies.take(by, had);
        }
        if let Some((has, by)) = has.zip(has_by) {
            self.index.tallies.add(by, has);
        }
    }

    pub(crate) fn put_node(&mut self, node: Node) {
        self.index.calendar.set(Due::Node(node.id), node_due(&self.config, &self.jobs, &node));
        self.index.look_at_node(self.nodes.get(&node.id), &node);
        self.nodes.insert(node.id, node);
    }

    /// Changes a node and its place in every look-up.
    pub(crate) fn edit_node(&mut self, id: NodeId, change: impl FnOnce(&mut Node)) {
        let Some(mut node) = self.nodes.get(&id).cloned() else {
            return self.fault(format!("an event names node {id}, which is not known"));
        };
        change(&mut node);
        self.put_node(node);
    }

    /// Takes the record of a node that is gone out of the tables and look-ups.
    pub(crate) fn drop_node(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.remove(&id)
            && let NodeState::Gone { at, .. } = node.state
        {
            self.index.gone.remove(&(at, id));
        }
    }

    pub(crate) fn put_order(&mut self, order: Order) {
        let placed = matches!(order.state, OrderState::Placed);
        if placed {
            self.index.placed_orders.insert(order.id);
        } else {
            self.index.placed_orders.remove(&order.id);
        }
        let open = match order.state {
            OrderState::Placed => true,
            _ => order.nodes.iter().any(|node| self.nodes.get(node).is_some_and(|node| !node.is_gone())),
        };
        if open {
            self.index.open_orders.insert(order.id);
        } else {
            self.index.open_orders.remove(&order.id);
        }
        self.orders.insert(order.id, order);
    }

    /// Ranks, times and counts changed for all jobs and nodes: the configuration did, or the accounts.
    pub(crate) fn reindex(&mut self) {
        let (config, accounts) = (&self.config, &self.accounts);
        self.index.queue = self.jobs.values().filter_map(|job| QueueKey::of(job, config, accounts)).collect();
        self.index.tallies = Tallies::count(accounts, config, self.jobs.values());
        self.index.wires = Arc::new(wires(config));
        let mut calendar = Calendar::default();
        self.jobs.values().for_each(|job| calendar.set(Due::Job(job.id), job_due(config, job)));
        self.nodes.values().for_each(|node| calendar.set(Due::Node(node.id), node_due(config, &self.jobs, node)));
        self.index.calendar = calendar;
    }

    /// Builds every look-up from the tables: after a snapshot was read, and to check them.
    pub(crate) fn rebuild(mut self) -> Self {
        let jobs = std::mem::take(&mut self.jobs);
        let nodes = std::mem::take(&mut self.nodes);
        let orders = std::mem::take(&mut self.orders);
        self.index = Index { wires: Arc::new(wires(&self.config)), ..Index::default() };
        // What is due for a node may depend on its jobs, and whether an order is open on its nodes.
        jobs.values().for_each(|job| self.put_job(job.clone()));
        nodes.values().for_each(|node| self.put_node(node.clone()));
        orders.values().for_each(|order| self.put_order(order.clone()));
        // An array answers to its token until its last element is purged.
        self.arrays.values().for_each(|array| self.index.answers_to(&array.token, array.array));
        let spent = self.spent_tokens.iter().map(|((_, token), job)| (token.clone(), *job));
        self.index.tokens.extend(spent);
        self
    }

    pub(crate) fn fault(&mut self, text: String) {
        self.alarm.get_or_insert(text);
    }
}
