//! One node as a plan sees it while it is being made: what is free now, what is given back when, what is reserved.

use super::place::Room;
use super::topology::Location;
use super::tree::{Bound, Leaf, Reach};
use crate::cluster::Cluster;
use crate::job::{Job, JobPhase};
use crate::node::Node;
use squall_types::{Allocation, JobId, NodeId, NodeName, Resources, Shape, Span, Timestamp};
use std::sync::Arc;

/// From when on a node can run something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Now,
    /// Fenced for being idle: usable when its drain is cancelled.
    Recover,
    /// Ordered or booting, expected then.
    Coming(Timestamp),
    /// Closed, out of contact or going: nothing can be planned on it.
    Away,
}

/// Something that is given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// At that time, or shortly, where that is over …
    pub at: Timestamp,
    /// … and so long after.
    pub then: Span,
    pub given: Resources,
    pub gpus: Vec<u16>,
}

/// Something that is kept free for a job with a promised start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    pub from: Timestamp,
    pub until: Timestamp,
    pub kept: Resources,
}

/// The instant of a plan. What should have ended by then is expected to end shortly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    pub now: Timestamp,
    pub soon: Timestamp,
}

impl Instant {
    pub fn new(now: Timestamp) -> Self {
        Instant { now, soon: now + Span::from_secs(1) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub node: NodeId,
    pub name: NodeName,
    /// Index of its pool, and its place in the order in which nodes of the pool are looked at.
    pub pool: usize,
    pub position: usize,
    pub shape: Arc<Shape>,
    pub when: When,
    pub free: Resources,
    /// Free GPUs by index, ascending.
    pub gpus: Vec<u16>,
    pub ends: Vec<Release>,
    pub reserved: Vec<Reserved>,
    pub location: Location,
}

impl Release {
    pub fn effective(&self, instant: Instant) -> Timestamp {
        self.at.max(instant.soon) + self.then
    }
}

impl Slot {
    pub fn new(cluster: &Cluster, node: &Node, pool: usize, shape: Arc<Shape>, location: Location) -> Slot {
        let free = shape.resources().checked_sub(&node.taken()).unwrap_or_default();
        let held = node.held.iter().map(|(run, held)| release(cluster.jobs.get(&run.job), held));
        let claims = node.claims.iter().map(|(job, held)| claim_release(cluster, *job, held));
        Slot {
            node: node.id,
            name: node.name.clone(),
            pool,
            position: usize::MAX,
            shape,
            when: usable_from(node),
            free,
            gpus: node.free_gpus(),
            ends: held.chain(claims).collect(),
            reserved: Vec::new(),
            location,
        }
    }

    /// A node that is being bought by the plan that is being made.
    pub fn planned(node: NodeId, pool: usize, shape: Arc<Shape>, ready_at: Timestamp, location: Location) -> Slot {
        let (free, gpus) = (shape.resources(), (0..shape.gpus.count()).collect());
        Slot {
            node,
            name: NodeName::default(),
            pool,
            position: usize::MAX,
            shape,
            when: When::Coming(ready_at),
            free,
            gpus,
            ends: Vec::new(),
            reserved: Vec::new(),
            location,
        }
    }

    /// Whether something that starts now may use it, or something that may wait for nodes on their way.
    pub fn is_open(&self, coming: bool) -> bool {
        match self.when {
            When::Now => true,
            When::Recover => !coming,
            When::Coming(_) => coming,
            When::Away => false,
        }
    }

    pub fn ready_at(&self, instant: Instant) -> Timestamp {
        match self.when {
            When::Coming(at) => at.max(instant.soon),
            When::Away => Timestamp::NEVER,
            When::Now | When::Recover => instant.now,
        }
    }

    /// Room for something that begins at `from` and lasts `span`, what is reserved left aside.
    pub fn room(&self, instant: Instant, from: Timestamp, span: Span) -> Room<'_> {
        let free = self.free_during(instant, from, from + span);
        let mut gpus = self.gpus.clone();
        if from > instant.now {
            let back = self.ends.iter().filter(|end| end.effective(instant) <= from);
            gpus.extend(back.flat_map(|end| end.gpus.iter().copied()));
            gpus.sort_unstable();
        }
        let free = Resources { gpus: free.gpus.min(gpus.len() as u16), ..free };
        gpus.truncate(usize::from(free.gpus));
        let empty = free == self.shape.resources();
        let location = self.location;
        Room { node: self.node, name: self.name.as_str(), shape: &self.shape, free, gpus, empty, location }
    }

    /// What is free all through `from..until`.
    pub fn free_during(&self, instant: Instant, from: Timestamp, until: Timestamp) -> Resources {
        let begins = self.reserved.iter().map(|kept| kept.from).filter(|begin| *begin > from && *begin < until);
        begins.fold(self.free_at(instant, from), |least, at| least.least(&self.free_at(instant, at)))
    }

    pub fn free_at(&self, instant: Instant, at: Timestamp) -> Resources {
        let back = self.ends.iter().filter(|end| at > instant.now && end.effective(instant) <= at);
        let free = back.fold(self.free, |sum, end| sum.plus(&end.given));
        let kept = self.reserved.iter().filter(|kept| kept.from <= at && at < kept.until);
        kept.fold(free, |left, kept| left.less(&kept.kept))
    }

    /// The first time at which anything is given back, or the node is ready: from a little before it on, it is expected
    /// shortly.
    pub fn first_change(&self) -> Timestamp {
        let ready = match self.when {
            When::Coming(at) => Some(at),
            When::Now | When::Recover | When::Away => None,
        };
        self.ends.iter().map(|end| end.at).chain(ready).min().unwrap_or(Timestamp::NEVER)
    }

    /// When something about it changes next for a job of this length that would begin after `at`.
    pub fn next_change(&self, instant: Instant, at: Timestamp, span: Span) -> Option<Timestamp> {
        let ends = self.ends.iter().map(|end| end.effective(instant));
        // Something that begins later than so much before a reservation runs into it.
        let into = |begin: Timestamp| begin - span + Span(1);
        let kept = self.reserved.iter().flat_map(|kept| [into(kept.from), kept.until]);
        let ready = std::iter::once(self.ready_at(instant));
        ends.chain(kept).chain(ready).filter(|time| *time > at).min()
    }

    /// What the tree knows of it.
    pub fn leaf(&self, instant: Instant) -> Leaf {
        let bound = self.bound(instant);
        Leaf {
            now: if self.is_open(false) { bound } else { Bound::NONE },
            coming: if self.is_open(true) { bound } else { Bound::NONE },
            reach: self.reach(),
        }
    }

    fn bound(&self, instant: Instant) -> Bound {
        match self.reserved.iter().map(|kept| kept.from).min() {
            None => Bound { free: self.free, begin: Timestamp::NEVER, kept: self.free },
            Some(begin) => {
                let free = self.free_at(instant, instant.now);
                Bound { free, begin, kept: free.least(&self.free_at(instant, begin)) }
            }
        }
    }

    /// When so much is free of it at the earliest.
    fn reach(&self) -> Reach {
        let mut reach = Reach::NEVER;
        let ready = match self.when {
            When::Away => return reach,
            When::Coming(at) => at,
            When::Now | When::Recover => Timestamp::ZERO,
        };
        let signed = |amount: &Resources, sign: i64| (i64::from(amount.cpus) * sign, i64::from(amount.gpus) * sign);
        let ends = self.ends.iter().map(|end| (end.at + end.then, signed(&end.given, 1)));
        let kept =
            self.reserved.iter().flat_map(|one| [(one.from, signed(&one.kept, -1)), (one.until, signed(&one.kept, 1))]);
        let mut changes: Vec<(Timestamp, (i64, i64))> = ends.chain(kept).collect();
        changes.sort_unstable_by_key(|(at, _)| *at);
        let (mut cpus, mut gpus) = signed(&self.free, 1);
        reach.lower(cpus, gpus, ready);
        for (rank, (at, (more_cpus, more_gpus))) in changes.iter().enumerate() {
            (cpus, gpus) = (cpus + more_cpus, gpus + more_gpus);
            // All of one instant together.
            if changes.get(rank + 1).is_none_or(|(next, _)| next > at) {
                reach.lower(cpus, gpus, ready.max(*at));
            }
        }
        reach
    }
}

fn usable_from(node: &Node) -> When {
    if node.is_usable() {
        When::Now
    } else if node.is_recoverable() {
        When::Recover
    } else if node.is_coming() {
        When::Coming(node.expected_at())
    } else {
        When::Away
    }
}

/// When a job gives back what it holds, at the latest.
fn release(job: Option<&Job>, held: &Allocation) -> Release {
    let at = match job.map(|job| &job.phase) {
        Some(JobPhase::Running { placement, started_at }) => placement.limit_at(*started_at),
        Some(JobPhase::Bound(placement)) => placement.bound_at + placement.time_limit,
        // It is being ended.
        _ => Timestamp::ZERO,
    };
    Release { at, then: Span::ZERO, given: held.resources(), gpus: held.gpus.clone() }
}

/// A claim is held until its nodes are ready, and then for as long as the job runs.
fn claim_release(cluster: &Cluster, job: JobId, held: &Allocation) -> Release {
    let (given, gpus) = (held.resources(), held.gpus.clone());
    let Some(job) = cluster.jobs.get(&job) else {
        return Release { at: Timestamp::ZERO, then: Span::ZERO, given, gpus };
    };
    let held = cluster.together(job).flat_map(Job::allocations);
    let nodes = held.filter_map(|held| cluster.nodes.get(&held.node));
    let at = nodes.filter(|node| node.is_coming()).map(Node::expected_at).max().unwrap_or(Timestamp::ZERO);
    Release { at, then: job.spec.time_limit.unwrap_or(Span::FOREVER), given, gpus }
}
