//! Buying what is missing: for a job that fits on nothing that there is, and for pools that keep some nodes anyway.

use super::classes::{Candidate, ClassId, Features};
use super::market::{Buyable, Shortage, admissible, affordable};
use super::pass::Planner;
use super::place::{Mode, Room, may_stand_alone, mode, place_alone, place_part};
use super::seek::{Fit, fit};
use super::slot::Slot;
use super::step::{PlannedOrder, Step, Target};
use super::topology::Location;
use crate::job::Job;
use crate::kept::KeptSpec;
use crate::node::{Node, NodeState};
use squall_types::{BudgetName, JobId, JobKind, NodeId, PoolName, Reason, Shape, Span, Timestamp};
use std::sync::Arc;

/// Why nothing was bought.
pub(super) enum Refusal {
    /// There is nothing that would do.
    Nothing,
    /// Waiting is sooner.
    Sooner,
    Obstacle {
        reason: Reason,
        until: Option<Timestamp>,
    },
}

/// Nodes to buy, and where the job would go then.
pub(super) struct Growth {
    pub count: u32,
    /// Slots of existing nodes, then as many new ones as are picked.
    pub fit: Fit,
    pub budgets: Vec<BudgetName>,
}

impl<'a> Planner<'a> {
    /// Orders what is missing, cheapest first in the first pool that can, unless waiting until `waiting` is sooner.
    pub fn buy(
        &mut self,
        job: &Job,
        target: Target,
        class: ClassId,
        candidates: &[Candidate],
        waiting: Option<Timestamp>,
    ) -> Result<(), Refusal> {
        let (rank, buyable, growth) = self.seek_growth(job, class, candidates, waiting)?;
        self.grow(job, target, &candidates[rank], buyable, growth);
        Ok(())
    }

    /// In which candidate, of what and how much.
    pub(super) fn seek_growth(
        &mut self,
        job: &Job,
        class: ClassId,
        candidates: &[Candidate],
        waiting: Option<Timestamp>,
    ) -> Result<(usize, &'a Buyable<'a>, Growth), Refusal> {
        let (market, mut refusal) = (self.market, Refusal::Nothing);
        if market.offers.is_empty() {
            return Err(refusal);
        }
        let places = candidates.iter().enumerate();
        let features = self.view.classes.get(class).features().iter();
        for (features, (rank, candidate)) in features.flat_map(|one| places.clone().map(move |place| (*one, place))) {
            let pool = self.view.fleet.pools[candidate.pool].name.clone();
            for (_, buyable) in market.of_pool(&pool) {
                match self.can_grow(job, class, features, candidate, buyable, waiting) {
                    Ok(growth) => return Ok((rank, buyable, growth)),
                    Err(Refusal::Obstacle { reason, until }) => {
                        until.into_iter().for_each(|at| self.pass.wake(at));
                        if !matches!(refusal, Refusal::Obstacle { .. }) {
                            refusal = Refusal::Obstacle { reason, until };
                        }
                    }
                    Err(Refusal::Sooner) if matches!(refusal, Refusal::Nothing) => refusal = Refusal::Sooner,
                    Err(_) => {}
                }
            }
        }
        Err(refusal)
    }

    fn can_grow(
        &mut self,
        job: &Job,
        class: ClassId,
        features: Features,
        candidate: &Candidate,
        buyable: &Buyable<'_>,
        waiting: Option<Timestamp>,
    ) -> Result<Growth, Refusal> {
        self.one_more(job, candidate, buyable)?;
        if let Some(at) = self.batch_window(job) {
            return Err(Refusal::Obstacle { reason: Reason::Resources, until: Some(at) });
        }
        if waiting.is_some_and(|at| at <= self.pass.instant.now + buyable.offer.typical_boot) {
            return Err(Refusal::Sooner);
        }
        let growth = self.growth(class, features, candidate, buyable, job.spec.time_limit).ok_or(Refusal::Nothing)?;
        if let Some(breach) = self.holding_breach(job, candidate, &growth.fit) {
            return Err(Refusal::Obstacle { reason: breach.rule.reason(), until: None });
        }
        let (spending, partition) = (&self.pass.spending, &candidate.partition);
        let budgets = affordable(self.cluster, spending, &job.spec, partition, buyable, growth.count);
        Ok(Growth { budgets: budgets?, ..growth })
    }

    /// Whether one more node of an offer would be of use and may be bought: what forbids that forbids more of them, for
    /// everything like this job, and as long as this plan is being made.
    fn one_more(&self, job: &Job, candidate: &Candidate, buyable: &Buyable<'_>) -> Result<(), Refusal> {
        let (spec, partition) = (&job.spec, &candidate.partition);
        admissible(self.cluster, spec, partition, buyable.offer).map_err(|_| Refusal::Nothing)?;
        // Could a new node take any part of it?
        let part = match mode(spec, true) {
            Mode::One { units } | Mode::Gang { units, .. } => units,
            Mode::Any => spec.ask.units().per_node.unwrap_or(1),
        };
        spec.ask.need(&buyable.shape, part).ok_or(Refusal::Nothing)?;
        if let Some(closed) = &buyable.closed {
            return Err(Refusal::Obstacle { reason: closed.reason, until: closed.until });
        }
        affordable(self.cluster, &self.pass.spending, spec, partition, buyable, 1)?;
        Ok(())
    }

    /// Whether nothing can be bought for a job, nor for anything like it.
    pub fn is_shut(&self, job: &Job, candidates: &[Candidate]) -> bool {
        let closed = |candidate: &Candidate| {
            let mut offers = self.market.of_pool(&self.view.fleet.pools[candidate.pool].name);
            offers.all(|(_, buyable)| self.one_more(job, candidate, buyable).is_err())
        };
        candidates.iter().all(closed)
    }

    /// How many empty nodes of an offer are needed beside what is free, and the picks over both.
    fn growth(
        &mut self,
        class: ClassId,
        features: Features,
        candidate: &Candidate,
        buyable: &Buyable<'_>,
        limit: Option<Span>,
    ) -> Option<Growth> {
        let wanted = self.view.classes.get(class).wanted(features);
        let (spec, mode, budgets) = (&wanted.spec.clone(), wanted.mode, Vec::new());
        let first = self.pass.next_node;
        let location = self.view.fleet.topology.of_new(buyable.offer);
        let room = |count: u32| new_room(NodeId(first.0 + u64::from(count)), &buyable.shape, location);
        let most = spec.ask.max_nodes().min(spec.ask.units().total.max(1)).min(buyable.config.max_nodes);
        if may_stand_alone(spec)
            && let Some(pick) = place_alone(spec, &room(0))
        {
            let mut fit = Fit::default();
            fit.push(usize::MAX, pick);
            return (most >= 1).then_some(Growth { count: 1, fit, budgets });
        }
        let mut looks = 0;
        let seek = self.seek(class, features, candidate, limit);
        let growth = match mode {
            Mode::One { .. } => None,
            Mode::Gang { nodes, units } => {
                let existing = |need| seek.first(nodes as usize - 1, units, need, true, &mut looks);
                let mut fit = seek.needs.part.map(existing).unwrap_or_default();
                let count = nodes - fit.slots.len() as u32;
                let pick = place_part(spec, &room(0), units).filter(|_| count <= most)?;
                (0..count).for_each(|_| fit.push(usize::MAX, pick.clone()));
                Some(Growth { count, fit, budgets })
            }
            Mode::Any => {
                let (mut slots, mut rooms) = seek.parts(true, &mut looks);
                (1..=most).find_map(|count| {
                    slots.push(usize::MAX);
                    rooms.push(room(count - 1));
                    looks += 1;
                    fit(spec, &slots, &rooms).map(|fit| Growth { count, fit, budgets: Vec::new() })
                })
            }
        };
        self.pass.looks += looks;
        growth
    }

    fn grow(&mut self, job: &Job, target: Target, candidate: &Candidate, buyable: &Buyable<'_>, growth: Growth) {
        self.pass.grow(candidate.pool);
        self.memory.grow();
        let for_job = matches!(target, Target::Job(_)).then_some(job.id);
        let (order, fit) = self.bring(for_job, candidate, buyable, growth);
        self.order(order, buyable.offer.max_per_order);
        self.claim(job, target, candidate, &fit);
    }

    /// Nodes that are bought stand beside the others for the rest of the pass.
    pub(super) fn bring(
        &mut self,
        for_job: Option<JobId>,
        candidate: &Candidate,
        buyable: &Buyable<'_>,
        growth: Growth,
    ) -> (PlannedOrder, Fit) {
        let Growth { count, mut fit, budgets } = growth;
        self.pass.spending.spend(buyable, count, &budgets);
        let ids = self.fresh(count);
        let shape = Arc::new(buyable.shape.clone());
        let ready_at = self.pass.instant.now + buyable.offer.typical_boot;
        let location = self.view.fleet.topology.of_new(buyable.offer);
        let slots: Vec<usize> = ids
            .iter()
            .map(|id| self.view.fleet.add(Slot::planned(*id, candidate.pool, shape.clone(), ready_at, location)))
            .collect();
        let mut new = slots.into_iter();
        fit.slots.iter_mut().filter(|slot| **slot == usize::MAX).for_each(|slot| {
            *slot = new.next().expect("no more new nodes are picked than are bought");
        });
        let order = PlannedOrder {
            pool: buyable.pool.clone(),
            offer: buyable.offer.name.clone(),
            nodes: ids,
            gang: count > 1,
            for_job,
            budgets,
        };
        (order, fit)
    }

    fn fresh(&mut self, count: u32) -> Vec<NodeId> {
        let first = self.pass.next_node.0;
        self.pass.next_node = NodeId(first + u64::from(count));
        (first..first + u64::from(count)).map(NodeId).collect()
    }

    /// Single nodes of one offer for one purse go into one call; a gang is a call of its own.
    fn order(&mut self, order: PlannedOrder, max_per_order: u32) {
        let room = |other: &PlannedOrder| (other.nodes.len() as u32) < max_per_order.max(1);
        let alike = |other: &PlannedOrder| {
            let gang = order.gang || other.gang;
            !gang && other.pool == order.pool && other.offer == order.offer && other.budgets == order.budgets
        };
        // The last that is alike: those before it are full.
        let last = self.pass.steps.iter_mut().rev().find_map(|step| match step {
            Step::Order(other) if alike(other) => Some(other),
            _ => None,
        });
        match last.filter(|other| room(other)) {
            Some(other) => {
                other.nodes.extend(order.nodes);
                other.for_job = None;
            }
            None => self.pass.steps.push(Step::Order(order)),
        }
    }

    /// Orders wait until no demand came for a moment, so that an array is bought as one; gangs and people do not wait.
    fn batch_window(&self, job: &Job) -> Option<Timestamp> {
        let timing = &self.cluster.config.timing;
        if job.spec.kind == JobKind::Interactive || job.spec.ask.min_nodes() > 1 || job.het().is_some() {
            return None;
        }
        let now = self.pass.instant.now;
        let quiet_at = self.cluster.counters.last_submit_at + timing.batch_idle;
        let at = quiet_at.min(job.eligible_at.unwrap_or(now) + timing.batch_max);
        (at > now).then_some(at)
    }

    /// Pools that keep some nodes whatever the demand.
    pub fn minimum(&mut self) {
        let cluster = self.cluster;
        for (pool, config) in cluster.config.pools.iter().filter(|(_, config)| config.min_nodes > 0) {
            let planned = self.pass.spending.nodes.get(pool).copied().unwrap_or(0);
            let live = cluster.live_nodes_of(pool).filter(|node| counts_as_kept(node)).count() as u32 + planned;
            let missing = config.min_nodes.min(config.max_nodes).saturating_sub(live);
            if missing > 0 {
                self.buy_for_nobody(pool, missing);
            }
        }
    }

    fn buy_for_nobody(&mut self, pool: &PoolName, missing: u32) {
        let market = self.market;
        let Some((_, buyable)) = market.of_pool(pool).find(|(_, buyable)| buyable.closed.is_none()) else { return };
        let nobody = KeptSpec::default();
        let partition = self.cluster.config.partitions_of(pool).next().cloned().unwrap_or_default();
        let count = missing.min(buyable.offer.max_per_order.max(1));
        let Ok(budgets) = affordable(self.cluster, &self.pass.spending, &nobody, &partition, buyable, count) else {
            return;
        };
        self.pass.spending.spend(buyable, count, &budgets);
        let (pool, offer, nodes) = (pool.clone(), buyable.offer.name.clone(), self.fresh(count));
        self.pass.steps.push(Step::Order(PlannedOrder { pool, offer, nodes, gang: false, for_job: None, budgets }));
    }
}

impl From<Shortage> for Refusal {
    fn from(short: Shortage) -> Self {
        Refusal::Obstacle { reason: short.reason(), until: None }
    }
}

fn new_room(node: NodeId, shape: &Shape, location: Location) -> Room<'_> {
    let gpus = (0..shape.gpus.count()).collect();
    Room { node, name: "", shape, free: shape.resources(), gpus, empty: true, location }
}

fn counts_as_kept(node: &Node) -> bool {
    matches!(node.state, NodeState::Ordered | NodeState::Booting { .. } | NodeState::Ready { .. })
        || node.is_recoverable()
}
