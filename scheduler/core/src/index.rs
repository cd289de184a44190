//! Look-ups beside the tables: derived orders, and who asks them. Kept true by the few functions of `cluster.rs` through
//! which records enter, change and leave.

use crate::accounts::{Accounts, Tallies};
use crate::cluster::Cluster;
use crate::config::ClusterConfig;
use crate::due::Calendar;
use crate::job::{Job, JobPhase};
use crate::kept::Shares;
use crate::node::{Node, NodeState};
use crate::order::Order;
use crate::queue::QueueKey;
use imbl::{OrdMap, OrdSet};
use squall_types::{
    DependencyKind, IndexSet, JobId, NodeId, NodeName, OrderId, PoolName, SubmitToken, SwitchName, Timestamp, Uid,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Derived orders and look-ups: rebuilt from the tables, never stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Index {
    /// Jobs that wait for nothing but resources (and begin times), best first.
    pub queue: OrdSet<QueueKey>,
    /// Jobs that hold or claim nodes.
    pub active: OrdSet<JobId>,
    /// Of those, the ones whose gang is not complete.
    pub claiming: OrdSet<JobId>,
    /// Jobs that have not ended.
    pub live: OrdSet<JobId>,
    /// Ended jobs by time, for the purge.
    pub ended: OrdSet<(Timestamp, JobId)>,
    pub tokens: OrdMap<SubmitToken, JobId>,
    /// Who waits for the end (or start) of whom.
    pub dependants: OrdMap<JobId, OrdSet<JobId>>,
    /// Live jobs of a user by what is left of their name, for `singleton`: few bytes for each, and of those that are alike
    /// the name itself decides.
    pub names: OrdSet<(Uid, NameDigest, JobId)>,
    /// Those of them that have such a dependency.
    pub singletons: OrdMap<(Uid, String), OrdSet<JobId>>,
    /// What their specs have in common.
    pub shares: Shares,
    /// Nodes that are not gone.
    pub live_nodes: OrdSet<NodeId>,
    pub pool_nodes: OrdMap<PoolName, OrdSet<NodeId>>,
    pub node_names: OrdMap<NodeName, NodeId>,
    pub open_orders: OrdSet<OrderId>,
    /// Of those: whose outcome is not known.
    pub placed_orders: OrdSet<OrderId>,
    /// Nodes of which something is outstanding that only their provider can settle.
    pub unsettled: OrdSet<NodeId>,
    /// Nodes that are gone by time, for the purge.
    pub gone: OrdSet<(Timestamp, NodeId)>,
    pub calendar: Calendar,
    /// What accounts, users and qualities of service have.
    pub tallies: Tallies,
    /// The switch that each node hangs on, and those above it.
    pub wires: Arc<BTreeMap<NodeName, Vec<SwitchName>>>,
}

/// What is kept of a name to look for it: FNV-1a over its bytes, the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NameDigest(u64);

impl NameDigest {
    pub fn of(name: &str) -> NameDigest {
        let with = |digest: u64, byte: u8| (digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        NameDigest(name.bytes().fold(0xcbf2_9ce4_8422_2325, with))
    }
}

impl Index {
    /// A job's record enters, changes or leaves. What is the same before and after is left alone: most changes of a job
    /// concern one or two look-ups.
    pub fn look_at_job(
        &mut self,
        config: &ClusterConfig,
        accounts: &Accounts,
        before: Option<&Job>,
        after: Option<&Job>,
    ) {
        let Some(id) = before.or(after).map(|job| job.id) else { return };
        let key = |job: Option<&Job>| job.and_then(|job| QueueKey::of(job, config, accounts));
        replace(&mut self.queue, key(before), key(after));
        let ended = |job: Option<&Job>| match &job?.phase {
            JobPhase::Ended(end) => Some((end.ended_at, id)),
            _ => None,
        };
        replace(&mut self.ended, ended(before), ended(after));
        let lives = |job: &&Job| !job.is_ended();
        let (before, after) = (before.filter(lives), after.filter(lives));
        let among = |job: Option<&Job>, which: fn(&Job) -> bool| job.filter(|job| which(job)).map(|_| id);
        let set = |set: &mut OrdSet<JobId>, which| replace(set, among(before, which), among(after, which));
        set(&mut self.live, |_| true);
        set(&mut self.active, |job| !job.is_pending());
        set(&mut self.claiming, |job| matches!(job.phase, JobPhase::Configuring(_)));
        let same_spec = |before: &Job, after: &Job| Arc::ptr_eq(&before.spec, &after.spec);
        if !matches!((before, after), (Some(before), Some(after)) if same_spec(before, after)) {
            before.into_iter().for_each(|job| self.forget_spec(job));
            after.into_iter().for_each(|job| self.take_spec(job));
        }
    }

    fn take_spec(&mut self, job: &Job) {
        self.shares.add(&job.spec);
        if is_singleton(job) {
            self.singletons.entry((job.spec.uid, job.spec.name().to_owned())).or_default().insert(job.id);
        }
        self.names.insert((job.spec.uid, NameDigest::of(job.spec.name()), job.id));
        for target in targets(job) {
            self.dependants.entry(target).or_default().insert(job.id);
        }
    }

    fn forget_spec(&mut self, job: &Job) {
        self.shares.take(&job.spec);
        if is_singleton(job) {
            remove(&mut self.singletons, &(job.spec.uid, job.spec.name().to_owned()), job.id);
        }
        self.names.remove(&(job.spec.uid, NameDigest::of(job.spec.name()), job.id));
        targets(job).for_each(|target| remove(&mut self.dependants, &target, job.id));
    }

    /// A node's record enters or changes.
    pub fn look_at_node(&mut self, before: Option<&Node>, node: &Node) {
        let unsettled = |node: &Node| is_unsettled(node).then_some(node.id);
        replace(&mut self.unsettled, before.and_then(unsettled), unsettled(node));
        let stays =
            |before: &Node| (before.is_gone(), &before.pool, &before.name) == (node.is_gone(), &node.pool, &node.name);
        if before.is_some_and(stays) {
            return;
        }
        match node.state {
            NodeState::Gone { at, .. } => {
                self.gone.insert((at, node.id));
                self.live_nodes.remove(&node.id);
                if let Some(nodes) = self.pool_nodes.get_mut(&node.pool) {
                    nodes.remove(&node.id);
                    if nodes.is_empty() {
                        self.pool_nodes.remove(&node.pool);
                    }
                }
                if self.node_names.get(&node.name) == Some(&node.id) {
                    self.node_names.remove(&node.name);
                }
            }
            _ => {
                self.live_nodes.insert(node.id);
                self.pool_nodes.entry(node.pool.clone()).or_default().insert(node.id);
                self.node_names.insert(node.name.clone(), node.id);
            }
        }
    }

    /// Whoever submits with this token again means this job.
    pub fn answers_to(&mut self, token: &SubmitToken, job: JobId) {
        self.tokens.insert(token.clone(), job);
    }
}

/// Only the provider can say what became of it.
fn is_unsettled(node: &Node) -> bool {
    let retiring = matches!(node.state, NodeState::Retiring { .. });
    !node.is_gone() && (retiring || node.missing_since.is_some() || (!node.contact && node.instance.is_some()))
}

fn targets(job: &Job) -> impl Iterator<Item = JobId> {
    job.spec.dependency().terms.iter().filter_map(|term| Some(term.target?.job))
}

fn is_singleton(job: &Job) -> bool {
    job.spec.dependency().terms.iter().any(|term| term.kind == DependencyKind::Singleton)
}

fn replace<T: Ord + Clone>(set: &mut OrdSet<T>, before: Option<T>, after: Option<T>) {
    if before != after {
        before.into_iter().for_each(|old| {
            set.remove(&old);
        });
        after.into_iter().for_each(|new| {
            set.insert(new);
        });
    }
}

fn remove<K: Ord + Clone>(map: &mut OrdMap<K, OrdSet<JobId>>, key: &K, job: JobId) {
    if let Some(jobs) = map.get_mut(key) {
        jobs.remove(&job);
        if jobs.is_empty() {
            map.remove(key);
        }
    }
}

impl Cluster {
    /// Jobs in the order in which the planner tries them.
    pub fn queue(&self) -> impl Iterator<Item = &Job> {
        self.index.queue.iter().filter_map(|key| self.jobs.get(&key.job))
    }

    /// Jobs that hold or claim nodes, by id.
    pub fn active_jobs(&self) -> impl Iterator<Item = &Job> {
        self.index.active.iter().filter_map(|job| self.jobs.get(job))
    }

    /// Jobs that claim nodes of which some are not ready yet, by id.
    pub fn claiming_jobs(&self) -> impl Iterator<Item = &Job> {
        self.index.claiming.iter().filter_map(|job| self.jobs.get(job))
    }

    /// Jobs that have not ended, by id.
    pub fn live_jobs(&self) -> impl Iterator<Item = &Job> {
        self.index.live.iter().filter_map(|job| self.jobs.get(job))
    }

    pub fn live_job_count(&self) -> usize {
        self.index.live.len()
    }

    /// Nodes that are not gone, by id.
    pub fn live_nodes(&self) -> impl Iterator<Item = &Node> {
        self.index.live_nodes.iter().filter_map(|node| self.nodes.get(node))
    }

    pub fn live_nodes_of(&self, pool: &PoolName) -> impl Iterator<Item = &Node> {
        let nodes = self.index.pool_nodes.get(pool).into_iter().flatten();
        nodes.filter_map(|node| self.nodes.get(node))
    }

    pub fn live_node_count_of(&self, pool: &PoolName) -> usize {
        self.index.pool_nodes.get(pool).map_or(0, OrdSet::len)
    }

    pub fn live_node_count(&self) -> usize {
        self.index.live_nodes.len()
    }

    /// Orders whose outcome is not known or some of whose nodes are not gone.
    pub fn open_orders(&self) -> impl Iterator<Item = &Order> {
        self.index.open_orders.iter().filter_map(|order| self.orders.get(order))
    }

    /// Orders whose outcome is not known.
    pub fn placed_orders(&self) -> impl Iterator<Item = &Order> {
        self.index.placed_orders.iter().filter_map(|order| self.orders.get(order))
    }

    /// Nodes of which something is outstanding that only their provider can settle: asked to end and not seen gone,
    /// missing from a listing, or out of contact.
    pub fn unsettled_nodes(&self) -> impl Iterator<Item = &Node> {
        self.index.unsettled.iter().filter_map(|node| self.nodes.get(node))
    }

    /// Nodes that were gone first come first.
    pub(crate) fn gone_nodes(&self) -> impl Iterator<Item = &Node> {
        self.index.gone.iter().filter_map(|(_, node)| self.nodes.get(node))
    }

    pub fn node_named(&self, name: &NodeName) -> Option<&Node> {
        self.index.node_names.get(name).and_then(|node| self.nodes.get(node))
    }

    pub fn job_of_token(&self, token: &SubmitToken) -> Option<JobId> {
        self.index.tokens.get(token).copied()
    }

    /// The switch that a node hangs on and those above it, as far as they are configured.
    pub fn switches_above(&self, node: &NodeName) -> &[SwitchName] {
        self.index.wires.get(node).map_or(&[], Vec::as_slice)
    }

    /// The record of one element, while it has one.
    pub fn element(&self, array: JobId, index: u32) -> Option<&Job> {
        let record = self.arrays.get(&array)?;
        record.records.get(&index).and_then(|job| self.jobs.get(job))
    }

    /// Records in which elements of an array wait: its own, and the groups that were split from it.
    pub fn waiting_records(&self, array: JobId) -> impl Iterator<Item = (&Job, &IndexSet)> {
        let groups = self.arrays.get(&array).into_iter().flat_map(|record| record.groups.iter().copied());
        let records = std::iter::once(array).chain(groups).filter_map(|id| self.jobs.get(&id));
        records.filter_map(|job| Some((job, job.waiting()?)))
    }

    /// The record of one element, or the one in which it waits with others.
    pub fn record_with(&self, array: JobId, index: u32) -> Option<&Job> {
        let waits = || self.waiting_records(array).find(|(_, waiting)| waiting.contains(index));
        self.element(array, index).or_else(|| waits().map(|(job, _)| job))
    }

    pub(crate) fn dependants_of(&self, target: JobId) -> impl Iterator<Item = JobId> {
        self.index.dependants.get(&target).into_iter().flat_map(|jobs| jobs.iter().copied())
    }

    /// Live jobs of this user and name, by id.
    pub(crate) fn namesakes(&self, uid: Uid, name: &str) -> impl Iterator<Item = JobId> {
        let digest = NameDigest::of(name);
        let alike = self.index.names.range((uid, digest, JobId(0))..=(uid, digest, JobId(u32::MAX)));
        let is_called = move |id: &JobId| self.jobs.get(id).is_some_and(|job| job.spec.name() == name);
        alike.map(|(_, _, id)| *id).filter(is_called)
    }

    /// Those of them that wait to be the only one.
    pub(crate) fn singletons(&self, uid: Uid, name: &str) -> impl Iterator<Item = JobId> {
        // Hardly ever is there one: the name is looked for only then.
        let all = Some(&self.index.singletons).filter(|all| !all.is_empty());
        all.and_then(|all| all.get(&(uid, name.to_owned()))).into_iter().flat_map(|jobs| jobs.iter().copied())
    }

    /// What accounts, users and qualities of service have; nothing where nothing is limited.
    pub fn tallies(&self) -> &Tallies {
        &self.index.tallies
    }

    /// The oldest ended jobs first.
    pub(crate) fn ended_jobs(&self) -> impl Iterator<Item = &(Timestamp, JobId)> {
        self.index.ended.iter()
    }
}
