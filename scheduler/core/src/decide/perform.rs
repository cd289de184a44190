//! Steps of a plan, checked again: only these take capacity or money.

use super::Reply;
use super::draft::Draft;
use crate::accounts::{Amounts, Tallies, start_breach};
use crate::cluster::Cluster;
use crate::event::What;
use crate::job::JobPhase;
use crate::node::{Node, NodeState};
use crate::plan::market::time_limit;
use crate::plan::{PlannedOrder, Step, Target};
use crate::refuse::Rejection;
use squall_types::ids::Run;
use squall_types::{Allocation, Attempt, JobId, LaunchOrder, LaunchToken, NodeId, NodeName, PartitionName, Span};
use std::collections::{BTreeMap, BTreeSet};

/// A cloud node lives at least so long beyond the limit of its last job.
pub(super) const DIE_AT_MARGIN: Span = Span::from_mins(10);

/// Whether a step is for jobs that start together or not at all.
pub(super) fn is_of_several(cluster: &Cluster, step: &Step) -> bool {
    match step {
        Step::Together { .. } => true,
        Step::Bind { target: Target::Job(job), .. } | Step::Claim { target: Target::Job(job), .. } => {
            cluster.jobs.get(job).is_some_and(|job| job.het().is_some())
        }
        _ => false,
    }
}

impl Draft<'_> {
    pub fn perform(&mut self, step: &Step) -> Result<Reply, Rejection> {
        match step {
            Step::Together { steps } => self.perform_together(steps),
            step if is_of_several(self.cluster, step) => self.perform_together(std::slice::from_ref(step)),
            step => self.perform_one(step),
        }
    }

    pub(super) fn perform_one(&mut self, step: &Step) -> Result<Reply, Rejection> {
        match step {
            Step::Together { .. } => {}
            Step::Bind { target, partition, allocations, time_limit } => {
                self.bind(*target, partition, allocations, *time_limit)?;
            }
            Step::Claim { target, partition, allocations } => {
                let job = self.startable(*target)?;
                self.within_limits(job, partition, allocations, None)?;
                self.capacity_is_free(None, allocations, |node| node.is_usable() || node.is_coming())?;
                let job = self.record_of(*target, job);
                let (partition, allocations) = (partition.clone(), allocations.clone());
                self.emit(What::JobClaimed { job, partition, allocations });
            }
            Step::DropClaim { job, reason, not_before } => {
                self.drop_claim(*job, *reason, *not_before);
            }
            Step::Order(order) => self.order(order)?,
            Step::CancelDrain { node } => {
                if self.cluster.nodes.get(node).is_some_and(Node::is_recoverable) {
                    self.emit(What::DrainCancelled { node: *node });
                }
            }
            Step::Drain { node, why } => {
                let idle = |node: &Node| matches!(node.state, NodeState::Ready { .. }) && node.is_empty();
                if self.cluster.nodes.get(node).is_some_and(idle) {
                    self.emit(What::NodeDraining { node: *node, why: *why });
                }
            }
            Step::Retire { node, why } => {
                let empty = self.cluster.nodes.get(node).is_some_and(Node::is_empty);
                if empty {
                    self.retire(*node, *why);
                }
            }
        }
        Ok(Reply::Done)
    }

    fn bind(
        &mut self,
        target: Target,
        partition: &PartitionName,
        allocations: &[Allocation],
        time_limit: Span,
    ) -> Result<(), Rejection> {
        let job = match target {
            Target::Job(id) if self.job(id).is_some_and(|job| job.claim().is_some()) => id,
            _ => {
                let job = self.startable(target)?;
                self.within_limits(job, partition, allocations, Some(time_limit))?;
                job
            }
        };
        self.capacity_is_free(Some(job), allocations, Node::is_usable)?;
        let job = self.record_of(target, job);
        let before = self.job(job).map_or(Attempt(0), |job| job.attempt);
        let attempt = before.next(self.cluster.counters.restores);
        let run = Run { job, attempt };
        for held in allocations {
            let Some(node) = self.cluster.nodes.get(&held.node) else { continue };
            let needed = self.now + time_limit + DIE_AT_MARGIN;
            if !node.is_static() && time_limit < Span::FOREVER && node.die_at < needed {
                self.emit(What::DieAtExtended { node: held.node, die_at: needed });
            }
        }
        let alone = allocations.len() == 1 && self.job(job).is_some_and(|job| job.het().is_none());
        let (partition, mut allocations) = (partition.clone(), allocations.to_vec());
        if crate::canary::active("double_gpu") {
            allocations.iter_mut().for_each(|held| held.gpus = (0..held.gpus.len() as u16).collect());
        }
        self.emit(What::JobBound { run, partition, allocations, time_limit });
        // A gang prepares on all nodes first; one node has nobody to wait for.
        if alone {
            self.emit(What::JobStarted { run });
            self.wake_dependants(job);
        }
        Ok(())
    }

    /// The record that would start, if nothing forbids it.
    fn startable(&self, target: Target) -> Result<JobId, Rejection> {
        let (Target::Job(id) | Target::Element { record: id, .. }) = target;
        let stale =
            |why: &str| Rejection::new("SQ5001", "the plan is out of date").asked(format!("job {id}")).limit(why);
        let job = self.job(id).ok_or_else(|| stale("it is not known"))?;
        if !matches!(job.phase, JobPhase::Pending)
            || job.held.is_some()
            || job.eligible_at.is_none_or(|at| at > self.now)
        {
            return Err(stale("it does not wait for resources"));
        }
        if let Target::Element { index, .. } = target
            && !job.waiting().is_some_and(|waiting| waiting.contains(index))
        {
            return Err(stale("the element does not wait there"));
        }
        if let Some(array) = job.array().and_then(|array| self.cluster.arrays.get(&array))
            && array.limit.is_some_and(|limit| array.active >= limit)
        {
            return Err(stale("its array has as many elements active as it may"));
        }
        Ok(id)
    }

    /// What is claimed counts already: a bound claim is not looked at again, whatever was limited since.
    fn within_limits(
        &self,
        job: JobId,
        partition: &PartitionName,
        allocations: &[Allocation],
        wall: Option<Span>,
    ) -> Result<(), Rejection> {
        let Some(job) = self.job(job).filter(|_| self.cluster.accounts.is_limiting()) else { return Ok(()) };
        let wall = wall.unwrap_or_else(|| time_limit(self.cluster, &job.spec, partition));
        let (planned, amounts) = (Tallies::default(), Amounts::held(allocations));
        match start_breach(self.cluster, &planned, &job.spec, partition, amounts, wall) {
            None => Ok(()),
            Some(breach) => Err(Rejection::new("SQ5004", "the plan is out of date")
                .asked(format!("job {}", job.id))
                .limit(breach.text())),
        }
    }

    fn record_of(&mut self, target: Target, job: JobId) -> JobId {
        match target {
            Target::Job(_) => job,
            Target::Element { record, index } => self.split(record, index),
        }
    }

    /// Every amount and every GPU that is to be granted is free, and every node may be used.
    fn capacity_is_free(
        &self,
        job: Option<JobId>,
        allocations: &[Allocation],
        usable: impl Fn(&Node) -> bool,
    ) -> Result<(), Rejection> {
        let stale = |node: NodeId, why: &str| {
            Rejection::new("SQ5002", "the plan is out of date").asked(format!("node {node}")).limit(why)
        };
        for wanted in allocations {
            let node = self.cluster.nodes.get(&wanted.node).ok_or_else(|| stale(wanted.node, "it is not known"))?;
            if !usable(node) {
                return Err(stale(node.id, "it may not be used"));
            }
            let others = node.claims.iter().filter(|(claimant, _)| Some(**claimant) != job).map(|(_, held)| held);
            let taken: Vec<&Allocation> = node.held.values().chain(others).collect();
            let sum = taken.iter().fold(wanted.resources(), |sum, held| sum.plus(&held.resources()));
            let gpus: BTreeSet<u16> = taken.iter().flat_map(|held| held.gpus.iter().copied()).collect();
            let exists = |gpu: &u16| *gpu < node.shape.gpus.count();
            if !sum.fits_in(&node.shape.resources()) || wanted.gpus.iter().any(|gpu| gpus.contains(gpu) || !exists(gpu))
            {
                return Err(stale(node.id, "it has not so much free"));
            }
        }
        Ok(())
    }

    /// One launch: intent, token, price and money are in the journal before any call.
    fn order(&mut self, planned: &PlannedOrder) -> Result<(), Rejection> {
        let refused =
            |why: &str| Rejection::new("SQ5003", "the plan is out of date").asked(planned.pool.to_string()).limit(why);
        let config =
            self.cluster.config.pools.get(&planned.pool).ok_or_else(|| refused("the pool is not configured"))?;
        let state = self.cluster.pools.get(&planned.pool).ok_or_else(|| refused("the pool is not known"))?;
        let offer = state.offers.get(&planned.offer).map(|known| known.offer.clone());
        let offer = offer.ok_or_else(|| refused("the offer is withdrawn"))?;
        let live = self.cluster.live_node_count_of(&planned.pool);
        if live + planned.nodes.len() > config.max_nodes as usize {
            return Err(refused("the pool has as many nodes as it may"));
        }
        if self.cluster.alarm.is_some() {
            return Err(refused("launching is stopped by an alarm"));
        }
        let reserved_each = offer.price.cost_of(config.prepaid.max(offer.minimum_billed));
        for name in &planned.budgets {
            let Some(budget) = self.cluster.config.budgets.get(name) else { continue };
            let left = self.cluster.budgets.get(name).map_or(budget.limit, |state| state.left(budget));
            if reserved_each.times(planned.nodes.len() as i64) > left {
                return Err(refused("the budget does not cover it"));
            }
        }
        let mut nodes = planned.nodes.clone();
        if crate::canary::active("order_one_too_many") {
            nodes.extend(planned.nodes.last().map(|last| NodeId(last.0 + 1)));
        }
        let order = self.cluster.counters.next_order;
        let cluster = self.cluster.config.cluster.clone();
        let first = state.last_number;
        let names = (1..=nodes.len() as u64).map(|n| NodeName(format!("{}-{}", planned.pool, first + n)));
        let die_at = self.now + config.lifetime;
        let request = LaunchOrder {
            order,
            pool: planned.pool.clone(),
            token: LaunchToken(format!("{cluster}-{order}-{}", self.now.0)),
            offer,
            names: names.collect(),
            gang: planned.gang,
            die_at,
            tags: BTreeMap::from([
                ("squall-cluster".to_owned(), cluster),
                ("squall-order".to_owned(), order.to_string()),
                ("squall-die-at".to_owned(), die_at.as_secs().to_string()),
            ]),
            join: None,
        };
        let (accept_by, paid_until) = (self.now + config.accept_within, self.now + config.prepaid);
        self.emit(What::OrderPlaced {
            request: Box::new(request),
            nodes,
            for_job: planned.for_job,
            accept_by,
            reserved_each,
            paid_until,
            budgets: planned.budgets.clone(),
        });
        Ok(())
    }
}
