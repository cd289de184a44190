//! What time alone will bring, and when: one entry for each job and node that has something due.
//!
//! Derived like every look-up, kept by the same few functions that change a record, so that "is anything due?" costs
//! one look, however many jobs wait and nodes run.

use crate::cluster::Cluster;
use crate::config::ClusterConfig;
use crate::job::{Job, JobPhase};
use crate::node::{DrainWhy, Node, NodeState};
use crate::table::Table;
use imbl::{OrdMap, OrdSet};
use squall_types::{JobId, NodeId, Span, Timestamp};

/// An agent ends an attempt at its limit; the controller does so itself only this much later.
const LIMIT_BACKSTOP: Span = Span::from_secs(30);
/// One that was ever suspended knows best how long: where it heard late that the job goes on, the job's time ends later.
const SUSPENDED_BACKSTOP: Span = Span::from_hours(1);
/// A machine ends itself at its die-at; so long after it can run nothing any more.
pub(crate) const DIE_AT_BOUND: Span = Span::from_mins(5);

/// Whose time comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    Job(JobId),
    Node(NodeId),
}

/// Everything that has a time, by time and by whose it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Calendar {
    by_time: OrdSet<(Timestamp, Due)>,
    of: OrdMap<Due, Timestamp>,
}

impl Calendar {
    /// `NEVER` takes the entry out.
    pub fn set(&mut self, due: Due, at: Timestamp) {
        let before = if at < Timestamp::NEVER { self.of.insert(due, at) } else { self.of.remove(&due) };
        if before == (at < Timestamp::NEVER).then_some(at) {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, due));
        }
        if at < Timestamp::NEVER {
            self.by_time.insert((at, due));
        }
    }

    pub fn next(&self) -> Timestamp {
        self.by_time.get_min().map_or(Timestamp::NEVER, |(at, _)| *at)
    }

    fn until(&self, now: Timestamp) -> impl Iterator<Item = Due> {
        self.by_time.iter().take_while(move |(at, _)| *at <= now).map(|(_, due)| *due)
    }
}

impl Cluster {
    /// Jobs whose time has come, by time.
    pub(crate) fn jobs_due(&self, now: Timestamp) -> impl Iterator<Item = &Job> {
        self.index.calendar.until(now).filter_map(|due| match due {
            Due::Job(job) => self.jobs.get(&job),
            Due::Node(_) => None,
        })
    }

    /// Nodes whose time has come, by time.
    pub(crate) fn nodes_due(&self, now: Timestamp) -> impl Iterator<Item = &Node> {
        self.index.calendar.until(now).filter_map(|due| match due {
            Due::Node(node) => self.nodes.get(&node),
            Due::Job(_) => None,
        })
    }
}

/// The first time at which a tick has something to do for this job.
pub(crate) fn job_due(config: &ClusterConfig, job: &Job) -> Timestamp {
    let deadline = job.spec.end_by.filter(|_| job.is_pending());
    deadline.into_iter().chain(limit_at(config, job)).min().unwrap_or(Timestamp::NEVER)
}

/// The first time at which a tick has something to do for this node.
pub(crate) fn node_due(config: &ClusterConfig, jobs: &Table<JobId, Job>, node: &Node) -> Timestamp {
    if node.is_gone() {
        return Timestamp::NEVER;
    }
    let ready_by = match &node.state {
        NodeState::Booting { ready_by } => Some(*ready_by),
        _ => None,
    };
    let dead_at = outlives(node).then(|| node.die_at + DIE_AT_BOUND);
    // Waits for nothing but the next tick.
    let removed = (is_removed(config, node) && node.held.is_empty()).then_some(Timestamp::ZERO);
    let all = [ready_by, renewal_at(config, jobs, node), extension_at(config, node), dead_at, removed];
    all.into_iter().flatten().min().unwrap_or(Timestamp::NEVER)
}

/// When the controller itself ends an attempt whose agent did not.
pub(crate) fn limit_at(config: &ClusterConfig, job: &Job) -> Option<Timestamp> {
    let JobPhase::Running { placement, started_at } = &job.phase else { return None };
    let patience = if placement.pause.is_some() { SUSPENDED_BACKSTOP } else { LIMIT_BACKSTOP };
    let at = placement.limit_at(*started_at);
    (placement.time_limit < Span::FOREVER && at < Timestamp::NEVER).then(|| at + config.timing.kill_wait + patience)
}

/// Nobody hears it, and something may run there until its end proves that nothing does.
pub(crate) fn outlives(node: &Node) -> bool {
    !node.is_static() && !node.contact && !node.held.is_empty()
}

/// When the die-at of a node in use is pushed out again. One that nobody hears would not learn of it: its end stands,
/// and is what proves that nothing runs there any more.
pub(crate) fn extension_at(config: &ClusterConfig, node: &Node) -> Option<Timestamp> {
    let lifetime = config.pools.get(&node.pool)?.lifetime;
    let is_kept = matches!(node.state, NodeState::Ready { .. }) || !node.held.is_empty();
    (!node.is_static() && node.contact && is_kept).then(|| node.die_at - Span(lifetime.0 / 2))
}

/// When the next quantum of a node is reserved, or its jobs are ended because no budget covers one.
pub(crate) fn renewal_at(config: &ClusterConfig, jobs: &Table<JobId, Job>, node: &Node) -> Option<Timestamp> {
    let prepaid = config.pools.get(&node.pool)?.prepaid;
    node.order?;
    if !is_without_money(node) {
        return Some(node.paid_until - Span(prepaid.0 / 4));
    }
    let runs = |run: &squall_types::ids::Run| {
        jobs.get(&run.job).is_some_and(|job| matches!(job.phase, JobPhase::Bound(_) | JobPhase::Running { .. }))
    };
    node.held.keys().any(runs).then(|| node.paid_until - stop_margin(config, prepaid))
}

/// The one state in which what is due for a node depends on what its jobs do.
pub(crate) fn is_without_money(node: &Node) -> bool {
    matches!(node.state, NodeState::Draining { why: DrainWhy::Money, .. })
}

/// Jobs on a node without money are ended so long before its paid time is over.
pub(crate) fn stop_margin(config: &ClusterConfig, prepaid: Span) -> Span {
    Span(prepaid.0 / 4).min(config.timing.kill_wait.times(2))
}

/// A static node that the configuration does not name any more.
pub(crate) fn is_removed(config: &ClusterConfig, node: &Node) -> bool {
    let pool = config.pools.get(&node.pool);
    node.is_static() && pool.is_none_or(|pool| !pool.static_nodes.contains_key(&node.name))
}
