//! What should happen next: placements, orders, drains. From scratch, short, and the oracle for every faster way.
//!
//! Jobs are tried in the order of the queue. Each is placed on what is free without delaying what is reserved before
//! it; else it claims nodes that are on their way; else nodes are bought for it, unless waiting is sooner; else the
//! earliest time that running work allows is reserved for it.

pub mod feasible;
pub mod market;
pub mod place;
pub mod scratch;
mod shrink;
mod step;
mod waiting;

use crate::cluster::Cluster;
use crate::decide::element_may_go;
use crate::job::{ArrayRole, Job};
use market::{Buyable, Market, Obstacle, Spending, admissible, affordable, candidates, time_limit};
use place::{Pick, Room, may_stand_alone, place, tasks_of};
use scratch::{Scratch, Slot, When, ready_at};
use squall_types::{
    Allocation, BudgetName, JobId, JobKind, JobSpec, NodeId, PartitionName, PoolName, Reason, Resources, Span,
    Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
pub use step::{Note, Plan, PlannedOrder, Step, Target};
pub use waiting::{Gate, gate};

/// Reservations that one partition keeps for jobs that cannot start.
pub const RESERVATIONS: usize = 100;

/// Plans from scratch.
pub fn plan(cluster: &Cluster, now: Timestamp) -> Plan {
    let now = now.max(cluster.counters.at);
    let market = Market::new(cluster, now);
    let mut planner = Planner {
        cluster,
        now,
        market: &market,
        scratch: Scratch::new(cluster, now),
        spending: Spending::default(),
        next_node: cluster.counters.next_node,
        plan: Plan::default(),
        failed: BTreeMap::new(),
        reservations: BTreeMap::new(),
        active: BTreeMap::new(),
    };
    planner.claims();
    planner.queue();
    planner.minimum();
    shrink::shrink(cluster, now, &planner.scratch, &mut planner.plan);
    planner.plan
}

struct Planner<'a> {
    cluster: &'a Cluster,
    now: Timestamp,
    market: &'a Market<'a>,
    scratch: Scratch<'a>,
    spending: Spending,
    next_node: NodeId,
    plan: Plan,
    /// Classes that could not start in this pass, with what was found for the first of them. What is free only
    /// shrinks while a plan is made, so the others cannot start either.
    failed: BTreeMap<Class<'a>, Note>,
    reservations: BTreeMap<&'a PartitionName, usize>,
    /// Elements made active by this plan, for `%limit`.
    active: BTreeMap<JobId, u32>,
}

/// Jobs that are alike in everything that the placer sees.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Class<'a> {
    ask: &'a squall_types::Ask,
    partitions: &'a [PartitionName],
    account: &'a squall_types::AccountName,
    uid: squall_types::Uid,
    constraint: &'a Option<squall_types::Constraint>,
    nodes: (&'a [String], &'a [String]),
    time: (Option<Span>, bool),
    money: (Option<squall_types::HourlyPrice>, Option<squall_types::MicroUsd>),
    files: (&'a str, Option<&'a str>, Option<&'a str>, Option<&'a str>),
    /// May it buy now, or does the batch window hold it back?
    buys: bool,
}

/// What came of trying one job.
enum Tried {
    Placed,
    Waits(Note),
}

impl<'a> Planner<'a> {
    /// Gangs whose nodes are all there are bound; those that lost one, or burn money for too long, are planned anew.
    fn claims(&mut self) {
        for job in self.cluster.active_jobs() {
            let Some(claim) = job.claim() else { continue };
            let nodes = || claim.allocations.iter().map(|held| (held, self.cluster.nodes.get(&held.node)));
            let lost = nodes().any(|(_, node)| node.is_none_or(|node| !node.is_usable() && !node.is_coming()));
            let shrunk = nodes().any(|(held, node)| node.is_some_and(|node| !holds(node, job.id, held)));
            if lost || shrunk {
                self.plan.steps.push(Step::DropClaim { job: job.id, reason: Reason::NodeFailure, not_before: None });
            } else if nodes().all(|(_, node)| node.is_some_and(|node| node.is_usable())) {
                self.plan.steps.push(Step::Bind {
                    target: Target::Job(job.id),
                    partition: claim.partition.clone(),
                    allocations: claim.allocations.clone(),
                    time_limit: time_limit(self.cluster, &job.spec, &claim.partition),
                });
            } else if let Some(since) =
                nodes().filter_map(|(_, node)| node.filter(|node| node.is_usable())?.ready_at).min()
            {
                let cap = nodes()
                    .filter_map(|(_, node)| self.cluster.config.pools.get(&node?.pool))
                    .map(|pool| pool.waste_cap)
                    .min();
                let give_up_at = since.max(claim.since) + cap.unwrap_or(Span::FOREVER);
                if give_up_at <= self.now {
                    let not_before = Some(self.now + self.cluster.config.timing.requeue_max);
                    self.plan.steps.push(Step::DropClaim { job: job.id, reason: Reason::NoCapacity, not_before });
                } else {
                    self.wake(give_up_at);
                }
            }
        }
    }

    fn queue(&mut self) {
        for job in self.cluster.queue() {
            match gate(self.cluster, job, self.now) {
                Gate::Open => {}
                Gate::Shut { reason, until } => {
                    self.plan.notes.insert(job.id, Note { reason, start_at: until });
                    until.into_iter().for_each(|at| self.wake(at));
                    continue;
                }
            }
            match &job.role {
                ArrayRole::Pending { indices } => self.elements(job, indices),
                ArrayRole::Single | ArrayRole::Element { .. } => {
                    if !self.array_has_room(job) {
                        self.note(job.id, Reason::JobArrayTaskLimit, None);
                    } else if !job.index().is_none_or(|index| element_may_go(self.cluster, &job.spec, index)) {
                        self.note(job.id, Reason::Dependency, None);
                    } else if let Tried::Waits(note) = self.attempt(job, Target::Job(job.id)) {
                        self.plan.notes.insert(job.id, note);
                    }
                }
            }
        }
    }

    fn elements(&mut self, job: &'a Job, indices: &'a squall_types::IndexSet) {
        for index in indices.iter() {
            if !self.array_has_room(job) {
                return self.note(job.id, Reason::JobArrayTaskLimit, None);
            }
            if !element_may_go(self.cluster, &job.spec, index) {
                self.note(job.id, Reason::Dependency, None);
                continue;
            }
            if let Tried::Waits(note) = self.attempt(job, Target::Element { array: job.id, index }) {
                self.plan.notes.insert(job.id, note);
                return;
            }
        }
    }

    fn array_has_room(&self, job: &Job) -> bool {
        let Some(array) = job.array().and_then(|array| self.cluster.arrays.get(&array)) else { return true };
        let planned = self.active.get(&array.array).copied().unwrap_or(0);
        array.limit.is_none_or(|limit| array.active + planned < limit)
    }

    fn attempt(&mut self, job: &'a Job, target: Target) -> Tried {
        let class = self.class(job);
        if let Some(note) = self.failed.get(&class) {
            return Tried::Waits(Note { start_at: None, ..*note });
        }
        let candidates = candidates(self.cluster, &job.spec);
        if candidates.is_empty() {
            return Tried::Waits(self.no_candidate(job));
        }
        let placed = self.place_now(job, target, &candidates) || self.claim_coming(job, target, &candidates);
        if placed {
            return self.placed(job);
        }
        let waiting = self.earliest(job, &candidates);
        let bought = self.buy(job, target, &candidates, waiting.as_ref().map(|(at, ..)| *at));
        let obstacle = match bought {
            Ok(()) => return self.placed(job),
            Err(obstacle) => obstacle,
        };
        let start_at = waiting.as_ref().map(|(at, ..)| *at);
        if let Some((at, partition, slots, picks)) = waiting {
            let kept = self.reservations.entry(partition).or_default();
            if *kept < RESERVATIONS {
                *kept += 1;
                let until = at + time_limit(self.cluster, &job.spec, partition);
                self.scratch.reserve(&slots, &picks, at, until);
            }
        }
        let reason = obstacle
            .map_or(if self.failed.is_empty() { Reason::Resources } else { Reason::Priority }, |one| one.reason);
        let note = Note { reason, start_at };
        self.failed.insert(class, note);
        Tried::Waits(note)
    }

    fn placed(&mut self, job: &Job) -> Tried {
        if let Some(array) = job.array() {
            *self.active.entry(array).or_default() += 1;
        }
        Tried::Placed
    }

    fn place_now(&mut self, job: &'a Job, target: Target, candidates: &[(&'a PartitionName, &'a PoolName)]) -> bool {
        for (partition, pool) in candidates {
            let time = time_limit(self.cluster, &job.spec, partition);
            let Some((picks, slots)) = self.fit_now(&job.spec, pool, time) else { continue };
            for pick in &picks {
                let slot = &mut self.scratch.slots[slots[pick.room]];
                if slot.when == When::Recover {
                    slot.when = When::Now;
                    self.plan.steps.push(Step::CancelDrain { node: slot.node });
                }
            }
            let allocations = self.allocations(&job.spec, &slots, &picks);
            self.scratch.take(&slots, &picks, self.now + time);
            let partition = (*partition).clone();
            self.plan.steps.push(Step::Bind { target, partition, allocations, time_limit: time });
            return true;
        }
        false
    }

    fn fit_now(&self, spec: &JobSpec, pool: &PoolName, time: Span) -> Option<(Vec<Pick>, Vec<usize>)> {
        if may_stand_alone(spec)
            && let Some((pick, slot)) = self.scratch.alone(pool, spec, time)
        {
            return Some((vec![pick], vec![slot]));
        }
        let (rooms, slots) = self.scratch.rooms(pool, self.now, time, false);
        place(spec, &rooms).map(|picks| (picks, slots))
    }

    /// First the queue is fitted on what is ready, booting and ordered.
    fn claim_coming(&mut self, job: &'a Job, target: Target, candidates: &[(&'a PartitionName, &'a PoolName)]) -> bool {
        for (partition, pool) in candidates {
            let time = time_limit(self.cluster, &job.spec, partition);
            let (rooms, slots) = self.scratch.rooms(pool, self.now, time, true);
            // A fenced node is not claimed: it is either used at once or left to go.
            let usable: Vec<usize> =
                (0..rooms.len()).filter(|at| self.scratch.slots[slots[*at]].when != When::Recover).collect();
            let rooms: Vec<Room<'_>> = usable.iter().map(|at| rooms[*at].clone()).collect();
            let slots: Vec<usize> = usable.into_iter().map(|at| slots[at]).collect();
            let Some(picks) = place(&job.spec, &rooms) else { continue };
            drop(rooms);
            self.claim(job, target, partition, time, &slots, &picks);
            return true;
        }
        false
    }

    fn claim(
        &mut self,
        job: &Job,
        target: Target,
        partition: &PartitionName,
        time: Span,
        slots: &[usize],
        picks: &[Pick],
    ) {
        let allocations = self.allocations(&job.spec, slots, picks);
        let coming = picks.iter().filter_map(|pick| match self.scratch.slots[slots[pick.room]].when {
            When::Coming(at) => Some(at),
            _ => None,
        });
        let ready_at = coming.max().unwrap_or(self.now);
        self.scratch.take(slots, picks, ready_at + time);
        self.plan.steps.push(Step::Claim { target, partition: partition.clone(), allocations });
    }

    /// The earliest time at which existing and coming nodes can take the job, and where.
    fn earliest(
        &self,
        job: &Job,
        candidates: &[(&'a PartitionName, &'a PoolName)],
    ) -> Option<(Timestamp, &'a PartitionName, Vec<usize>, Vec<Pick>)> {
        let mut best: Option<(Timestamp, &'a PartitionName, Vec<usize>, Vec<Pick>)> = None;
        for (partition, pool) in candidates {
            let kept = self.reservations.get(*partition).copied().unwrap_or(0);
            if kept >= RESERVATIONS {
                continue;
            }
            let time = time_limit(self.cluster, &job.spec, partition);
            for at in self.scratch.times(pool) {
                if best.as_ref().is_some_and(|(before, ..)| *before <= at) {
                    break;
                }
                let (rooms, slots) = self.scratch.rooms(pool, at, time, false);
                if let Some(picks) = place(&job.spec, &rooms) {
                    best = Some((at, partition, slots, picks));
                    break;
                }
            }
        }
        best
    }

    /// Orders what is missing, cheapest first in the first pool that can, unless waiting until `waiting` is sooner.
    fn buy(
        &mut self,
        job: &'a Job,
        target: Target,
        candidates: &[(&'a PartitionName, &'a PoolName)],
        waiting: Option<Timestamp>,
    ) -> Result<(), Option<Obstacle>> {
        if let Some(at) = self.batch_window(job) {
            self.wake(at);
            return Err(Some(Obstacle {
                reason: Reason::Resources,
                text: "orders are collected".to_owned(),
                until: Some(at),
            }));
        }
        let market = self.market;
        let mut first: Option<Obstacle> = None;
        for (partition, pool) in candidates {
            for (_, buyable) in market.of_pool(pool) {
                match self.can_grow(job, partition, buyable, waiting) {
                    Ok(growth) => {
                        self.grow(job, target, partition, buyable, growth);
                        return Ok(());
                    }
                    Err(Some(obstacle)) => {
                        obstacle.until.into_iter().for_each(|at| self.wake(at));
                        first.get_or_insert(obstacle);
                    }
                    Err(None) => {}
                }
            }
        }
        Err(first)
    }

    fn can_grow(
        &self,
        job: &Job,
        partition: &PartitionName,
        buyable: &Buyable<'a>,
        waiting: Option<Timestamp>,
    ) -> Result<Growth, Option<Obstacle>> {
        admissible(self.cluster, &job.spec, partition, buyable.offer).map_err(|_| None)?;
        if waiting.is_some_and(|at| at <= self.now + buyable.offer.typical_boot) {
            return Err(None);
        }
        let growth = self.growth(&job.spec, partition, buyable).ok_or(None)?;
        if let Some(closed) = &buyable.closed {
            return Err(Some(closed.clone()));
        }
        let budgets =
            affordable(self.cluster, &self.spending, &job.spec, partition, buyable, growth.count).map_err(Some)?;
        Ok(Growth { budgets, ..growth })
    }

    /// How many empty nodes of an offer are needed beside what is free, and the picks over both.
    fn growth(&self, spec: &JobSpec, partition: &PartitionName, buyable: &Buyable<'a>) -> Option<Growth> {
        let time = time_limit(self.cluster, spec, partition);
        let (rooms, slots) = self.scratch.rooms(buyable.pool, self.now, time, true);
        let existing: Vec<usize> =
            (0..rooms.len()).filter(|at| self.scratch.slots[slots[*at]].when != When::Recover).collect();
        let mut all: Vec<Room<'_>> = existing.iter().map(|at| rooms[*at].clone()).collect();
        let slots: Vec<usize> = existing.into_iter().map(|at| slots[at]).collect();
        let most = spec.ask.max_nodes().min(spec.ask.units().total.max(1)).min(buyable.config.max_nodes);
        for count in 1..=most {
            all.push(Room {
                node: NodeId(self.next_node.0 + u64::from(count) - 1),
                name: "",
                shape: &buyable.shape,
                free: buyable.shape.resources(),
                gpus: (0..buyable.shape.gpus.count()).collect(),
                empty: true,
            });
            if let Some(picks) = place(spec, &all) {
                return Some(Growth { count, slots, picks, budgets: Vec::new() });
            }
        }
        None
    }

    fn grow(
        &mut self,
        job: &'a Job,
        target: Target,
        partition: &'a PartitionName,
        buyable: &'a Buyable<'a>,
        growth: Growth,
    ) {
        let Growth { count, mut slots, picks, budgets } = growth;
        self.spending.spend(buyable, count, &budgets);
        let ids: Vec<NodeId> = (0..u64::from(count)).map(|n| NodeId(self.next_node.0 + n)).collect();
        self.next_node = NodeId(self.next_node.0 + u64::from(count));
        for id in &ids {
            slots.push(self.scratch.slots.len());
            self.scratch.push(Slot {
                node: *id,
                name: "",
                pool: buyable.pool,
                shape: &buyable.shape,
                when: When::Coming(self.now + buyable.offer.typical_boot),
                free: buyable.shape.resources(),
                gpus: (0..buyable.shape.gpus.count()).collect(),
                empty: true,
                ends: Vec::new(),
                reserved: Vec::new(),
                planned: true,
            });
        }
        let gang = count > 1;
        let for_job = matches!(target, Target::Job(_)).then_some(job.id);
        let order = PlannedOrder {
            pool: buyable.pool.clone(),
            offer: buyable.offer.name.clone(),
            nodes: ids,
            gang,
            for_job,
            budgets,
        };
        self.order(order, buyable.offer.max_per_order);
        let time = time_limit(self.cluster, &job.spec, partition);
        self.claim(job, target, partition, time, &slots, &picks);
    }

    /// Single nodes of one offer for one purse go into one call; a gang is a call of its own.
    fn order(&mut self, order: PlannedOrder, max_per_order: u32) {
        let room = |other: &PlannedOrder| (other.nodes.len() as u32) < max_per_order.max(1);
        let same = self.plan.steps.iter_mut().find_map(|step| match step {
            Step::Order(other)
                if !order.gang
                    && !other.gang
                    && other.pool == order.pool
                    && other.offer == order.offer
                    && other.budgets == order.budgets
                    && room(other) =>
            {
                Some(other)
            }
            _ => None,
        });
        match same {
            Some(other) => {
                other.nodes.extend(order.nodes);
                other.for_job = None;
            }
            None => self.plan.steps.push(Step::Order(order)),
        }
    }

    /// Orders wait until no demand came for a moment, so that an array is bought as one; gangs and people do not wait.
    fn batch_window(&self, job: &Job) -> Option<Timestamp> {
        let timing = &self.cluster.config.timing;
        if job.spec.kind == JobKind::Interactive || job.spec.ask.min_nodes() > 1 {
            return None;
        }
        let eligible_at = job.eligible_at.unwrap_or(self.now);
        let quiet_at = self.cluster.counters.last_submit_at + timing.batch_idle;
        let at = quiet_at.min(eligible_at + timing.batch_max);
        (at > self.now).then_some(at)
    }

    /// Pools that keep some nodes whatever the demand.
    fn minimum(&mut self) {
        for (pool, config) in &self.cluster.config.pools {
            let planned = self.spending.nodes.get(pool).copied().unwrap_or(0);
            let live = self.cluster.live_nodes_of(pool).filter(|node| counts_as_kept(node)).count() as u32 + planned;
            let missing = config.min_nodes.min(config.max_nodes).saturating_sub(live);
            if missing == 0 {
                continue;
            }
            let market = self.market;
            let Some((_, buyable)) = market.of_pool(pool).find(|(_, buyable)| buyable.closed.is_none()) else {
                continue;
            };
            let nobody = JobSpec::default();
            let partition = self.cluster.config.partitions_of(pool).next().cloned().unwrap_or_default();
            let count = missing.min(buyable.offer.max_per_order.max(1));
            let Ok(budgets) = affordable(self.cluster, &self.spending, &nobody, &partition, buyable, count) else {
                continue;
            };
            self.spending.spend(buyable, count, &budgets);
            let nodes = (0..u64::from(count)).map(|n| NodeId(self.next_node.0 + n)).collect();
            self.next_node = NodeId(self.next_node.0 + u64::from(count));
            let (pool, offer) = (pool.clone(), buyable.offer.name.clone());
            self.plan.steps.push(Step::Order(PlannedOrder { pool, offer, nodes, gang: false, for_job: None, budgets }));
        }
    }

    fn allocations(&self, spec: &JobSpec, slots: &[usize], picks: &[Pick]) -> Vec<Allocation> {
        let held = |(pick, tasks): (&Pick, u32)| {
            let Resources { cpus, memory_mib, .. } = pick.need;
            Allocation {
                node: self.scratch.slots[slots[pick.room]].node,
                cpus,
                memory_mib,
                gpus: pick.gpus.clone(),
                tasks,
            }
        };
        picks.iter().zip(tasks_of(spec, picks)).map(held).collect()
    }

    fn class(&self, job: &'a Job) -> Class<'a> {
        let spec = job.spec.as_ref();
        Class {
            ask: &spec.ask,
            partitions: &spec.partitions,
            account: &spec.account,
            uid: spec.uid,
            constraint: &spec.constraint,
            nodes: (&spec.node_list, &spec.exclude),
            time: (spec.time_limit, spec.allow_spot),
            money: (spec.max_price, spec.max_cost),
            files: (&spec.work_dir, spec.stdout.as_deref(), spec.stderr.as_deref(), spec.stdin.as_deref()),
            buys: self.batch_window(job).is_none(),
        }
    }

    fn no_candidate(&self, job: &Job) -> Note {
        let down = job
            .spec
            .partitions
            .iter()
            .any(|name| self.cluster.config.partitions.get(name).is_none_or(|config| !config.up));
        let reason = if down { Reason::PartitionDown } else { Reason::PartitionTimeLimit };
        Note { reason, start_at: None }
    }

    fn note(&mut self, job: JobId, reason: Reason, start_at: Option<Timestamp>) {
        self.plan.notes.insert(job, Note { reason, start_at });
    }

    fn wake(&mut self, at: Timestamp) {
        if at > self.now {
            self.plan.wake_at = Some(self.plan.wake_at.map_or(at, |before| before.min(at)));
        }
    }
}

struct Growth {
    count: u32,
    slots: Vec<usize>,
    picks: Vec<Pick>,
    budgets: Vec<BudgetName>,
}

/// Whether what a claim was promised is what the node turned out to have.
fn holds(node: &crate::node::Node, job: JobId, held: &Allocation) -> bool {
    let others = node.claims.iter().filter(|(other, _)| **other != job).map(|(_, held)| held);
    let taken: Vec<&Allocation> = node.held.values().chain(others).collect();
    let sum = taken.iter().fold(held.resources(), |sum, held| sum.plus(&held.resources()));
    let gpus: BTreeSet<u16> = taken.iter().flat_map(|held| held.gpus.iter().copied()).collect();
    sum.fits_in(&node.shape.resources())
        && held.gpus.iter().all(|gpu| !gpus.contains(gpu) && *gpu < node.shape.gpus.count())
}

fn counts_as_kept(node: &crate::node::Node) -> bool {
    use crate::node::NodeState;
    matches!(node.state, NodeState::Ordered | NodeState::Booting { .. } | NodeState::Ready { .. })
        || node.is_recoverable()
}

/// When a claimed gang will be complete, as far as can be told.
pub fn claim_ready_at(cluster: &Cluster, job: &Job, now: Timestamp) -> Option<Timestamp> {
    let nodes = job.claim()?.allocations.iter().filter_map(|held| cluster.nodes.get(&held.node));
    nodes.filter(|node| node.is_coming()).map(|node| ready_at(node, now)).max()
}
