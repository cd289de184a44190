//! The nodes as a plan sees them while it is being made: what is free now, what ends when, what is reserved.

use super::place::{Pick, Room, order_key, place_alone};
use crate::cluster::Cluster;
use crate::job::JobPhase;
use crate::node::Node;
use squall_types::{JobId, JobSpec, NodeId, PoolName, Resources, Shape, Span, Timestamp};
use std::collections::BTreeMap;

/// Nothing is planned further ahead.
pub const WINDOW: Span = Span::from_hours(24 * 7);

/// From when on a node can run something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Now,
    /// Fenced for being idle: usable when its drain is cancelled.
    Recover,
    /// Ordered or booting, expected then.
    Coming(Timestamp),
}

#[derive(Clone, Debug)]
pub struct Slot<'a> {
    pub node: NodeId,
    pub name: &'a str,
    pub pool: &'a PoolName,
    pub shape: &'a Shape,
    pub when: When,
    pub free: Resources,
    pub gpus: Vec<u16>,
    pub empty: bool,
    /// What is given back, and when, at the latest.
    pub ends: Vec<(Timestamp, Resources)>,
    pub reserved: Vec<(Timestamp, Timestamp, Resources)>,
    /// Bought by this very plan.
    pub planned: bool,
}

pub struct Scratch<'a> {
    pub slots: Vec<Slot<'a>>,
    pub by_pool: BTreeMap<&'a PoolName, Vec<usize>>,
    pub now: Timestamp,
}

impl<'a> Scratch<'a> {
    pub fn new(cluster: &'a Cluster, now: Timestamp) -> Self {
        let mut scratch = Scratch { slots: Vec::new(), by_pool: BTreeMap::new(), now };
        for node in cluster.live_nodes() {
            if let Some(when) = usable_from(node, now) {
                scratch.push(slot_of(cluster, node, when, now));
            }
        }
        let Scratch { slots, by_pool, .. } = &mut scratch;
        for order in by_pool.values_mut() {
            order.sort_by_key(|at| order_key(slots[*at].shape, slots[*at].node));
        }
        scratch
    }

    pub fn push(&mut self, slot: Slot<'a>) {
        self.by_pool.entry(slot.pool).or_default().push(self.slots.len());
        self.slots.push(slot);
    }

    fn of_pool(&self, pool: &PoolName) -> &[usize] {
        self.by_pool.get(pool).map_or(&[], Vec::as_slice)
    }

    /// Rooms of a pool for something that begins at `from` and lasts `span`, and which slots they are.
    /// With `coming`, nodes that are on their way count as well.
    pub fn rooms(&self, pool: &PoolName, from: Timestamp, span: Span, coming: bool) -> (Vec<Room<'_>>, Vec<usize>) {
        let there = |at: &&usize| match self.slots[**at].when {
            When::Now | When::Recover => true,
            When::Coming(at) => coming || at <= from,
        };
        let slots: Vec<usize> = self.of_pool(pool).iter().filter(there).copied().collect();
        (slots.iter().map(|at| self.room(*at, from, span)).collect(), slots)
    }

    fn room(&self, at: usize, from: Timestamp, span: Span) -> Room<'_> {
        let slot = &self.slots[at];
        let free = slot.free_during(self.now, from, from + span);
        let later = from > self.now;
        let gpus = if later { (0..free.gpus).collect() } else { slot.gpus.clone() };
        let empty = if later { free == slot.shape.resources() } else { slot.empty && free == slot.free };
        let free = Resources { gpus: free.gpus.min(gpus.len() as u16), ..free };
        let gpus = gpus.into_iter().take(usize::from(free.gpus)).collect();
        Room { node: slot.node, name: slot.name, shape: slot.shape, free, gpus, empty }
    }

    /// The first node of a pool that takes all of a job now, where looking at one at a time is enough.
    pub fn alone(&self, pool: &PoolName, spec: &JobSpec, span: Span) -> Option<(Pick, usize)> {
        let now = |at: &&usize| matches!(self.slots[**at].when, When::Now | When::Recover);
        // A full node is the usual case in a busy cluster: it is passed over without further questions.
        let some = |at: &&usize| self.slots[**at].free.cpus > 0;
        let mut slots = self.of_pool(pool).iter().filter(now).filter(some);
        slots.find_map(|at| place_alone(spec, &self.room(*at, self.now, span)).map(|pick| (pick, *at)))
    }

    /// Times at which something is given back in a pool, in order, after now and within the window.
    pub fn times(&self, pool: &PoolName) -> Vec<Timestamp> {
        let mut times: Vec<Timestamp> = self
            .of_pool(pool)
            .iter()
            .map(|at| &self.slots[*at])
            .flat_map(|slot| {
                let coming = match slot.when {
                    When::Coming(at) => Some(at),
                    _ => None,
                };
                let ends = slot.ends.iter().map(|(at, _)| *at);
                ends.chain(slot.reserved.iter().map(|(_, until, _)| *until)).chain(coming)
            })
            .filter(|at| *at > self.now && *at <= self.now + WINDOW)
            .collect();
        times.sort_unstable();
        times.dedup();
        times
    }

    /// Takes what was picked, until `until`.
    pub fn take(&mut self, slots: &[usize], picks: &[Pick], until: Timestamp) {
        for pick in picks {
            let slot = &mut self.slots[slots[pick.room]];
            slot.free = slot.free.checked_sub(&pick.need).unwrap_or_default();
            slot.gpus.retain(|gpu| !pick.gpus.contains(gpu));
            slot.empty = false;
            slot.ends.push((until, pick.need));
        }
    }

    /// Keeps what was picked free for then.
    pub fn reserve(&mut self, slots: &[usize], picks: &[Pick], from: Timestamp, until: Timestamp) {
        for pick in picks {
            self.slots[slots[pick.room]].reserved.push((from, until, pick.need));
        }
    }
}

impl Slot<'_> {
    /// What is free all through `from..until`, reservations kept.
    fn free_during(&self, now: Timestamp, from: Timestamp, until: Timestamp) -> Resources {
        let begins = self.reserved.iter().map(|(begin, _, _)| *begin).filter(|begin| *begin > from && *begin < until);
        let mut least = self.free_at(now, from);
        for at in begins {
            let free = self.free_at(now, at);
            least = Resources {
                cpus: least.cpus.min(free.cpus),
                memory_mib: least.memory_mib.min(free.memory_mib),
                gpus: least.gpus.min(free.gpus),
            };
        }
        least
    }

    fn free_at(&self, now: Timestamp, at: Timestamp) -> Resources {
        let back = self.ends.iter().filter(|(end, _)| *end <= at && at > now).map(|(_, given)| given);
        let free = back.fold(self.free, |sum, given| sum.plus(given));
        let kept = self.reserved.iter().filter(|(begin, end, _)| *begin <= at && at < *end).map(|(_, _, kept)| kept);
        kept.fold(free, |left, kept| Resources {
            cpus: left.cpus.saturating_sub(kept.cpus),
            memory_mib: left.memory_mib.saturating_sub(kept.memory_mib),
            gpus: left.gpus.saturating_sub(kept.gpus),
        })
    }
}

fn usable_from(node: &Node, now: Timestamp) -> Option<When> {
    if node.is_usable() {
        Some(When::Now)
    } else if node.is_recoverable() {
        Some(When::Recover)
    } else if node.is_coming() {
        Some(When::Coming(ready_at(node, now)))
    } else {
        None
    }
}

/// When a node that is on its way will be ready, as far as can be told.
pub fn ready_at(node: &Node, now: Timestamp) -> Timestamp {
    let since = node.launched_at.unwrap_or(node.created_at);
    (since + node.offer.typical_boot).max(now + Span::from_secs(1))
}

fn slot_of<'a>(cluster: &'a Cluster, node: &'a Node, when: When, now: Timestamp) -> Slot<'a> {
    let free = node.shape.resources().checked_sub(&node.taken()).unwrap_or_default();
    let held = node.held.iter().map(|(run, held)| (ends_at(cluster, run.job, now), held.resources()));
    let claims = node.claims.iter().map(|(job, held)| (claim_ends_at(cluster, *job, now), held.resources()));
    Slot {
        node: node.id,
        name: node.name.as_str(),
        pool: &node.pool,
        shape: &node.shape,
        when,
        free,
        gpus: node.free_gpus(),
        empty: node.is_empty(),
        ends: held.chain(claims).collect(),
        reserved: Vec::new(),
        planned: false,
    }
}

/// When a job gives back what it holds, at the latest; shortly, where its time is already over.
fn ends_at(cluster: &Cluster, job: JobId, now: Timestamp) -> Timestamp {
    let soon = now + Span::from_secs(1);
    match cluster.jobs.get(&job).map(|job| &job.phase) {
        Some(JobPhase::Running { placement, started_at }) => (*started_at + placement.time_limit).max(soon),
        Some(JobPhase::Bound(placement)) => (placement.bound_at + placement.time_limit).max(soon),
        _ => soon + cluster.config.timing.kill_wait,
    }
}

fn claim_ends_at(cluster: &Cluster, job: JobId, now: Timestamp) -> Timestamp {
    let Some(job) = cluster.jobs.get(&job) else { return now };
    let nodes = job.allocations().iter().filter_map(|held| cluster.nodes.get(&held.node));
    let ready = nodes.map(|node| if node.is_coming() { ready_at(node, now) } else { now }).max().unwrap_or(now);
    ready + job.spec.time_limit.unwrap_or(Span::FOREVER)
}
