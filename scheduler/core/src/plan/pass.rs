//! One plan being made: jobs in the order of the queue, each placed, claimed for, bought for or promised a start.
//!
//! A pass can stop between two jobs and go on later, on the state with which it began.

use super::buy::Refusal;
use super::classes::{Candidate, ClassId};
use super::market::{Market, Spending};
use super::place::tasks_of;
use super::seek::{Fit, Seek, WINDOW};
use super::slot::{Instant, Release, Reserved, When};
use super::step::{Note, Step, Target};
use super::view::View;
use crate::cluster::Cluster;
use crate::decide::element_may_go;
use crate::job::{ArrayRole, Job};
use crate::queue::QueueKey;
use squall_types::{Allocation, IndexSet, JobId, NodeId, Reason, Resources, Span, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

/// Reservations that one partition keeps for jobs that cannot start.
pub const RESERVATIONS: usize = 100;

/// Jobs for which one partition looks for a start in vain before it looks no more in this pass: where much of a large
/// cluster is away, each such look is long.
const VAIN: usize = 2 * RESERVATIONS;

/// How far a plan has come.
#[derive(Debug)]
pub struct Pass {
    pub(super) instant: Instant,
    pub(super) steps: Vec<Step>,
    pub(super) wake_at: Option<Timestamp>,
    pub(super) spending: Spending,
    pub(super) next_node: NodeId,
    /// Nodes, times and jobs looked at: what a pass costs.
    pub(super) looks: u64,
    /// Why a job waits that was tried for itself.
    pub(super) notes: BTreeMap<JobId, Note>,
    /// Classes of which none can start in this pass. What is free only shrinks while a plan is made.
    pub(super) failed: Vec<Option<Failed>>,
    any_failed: bool,
    /// Reservations made, and starts sought in vain, by partition.
    reservations: Vec<usize>,
    vain: Vec<usize>,
    /// Elements made active by this plan, for `%limit`.
    active: BTreeMap<JobId, u32>,
    /// The last class whose first job was tried, and further jobs of classes in the order of the queue.
    cursor: Option<(QueueKey, ClassId)>,
    again: BinaryHeap<Reverse<(QueueKey, ClassId)>>,
}

/// What was found for the first job of a class that cannot start.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    pub reason: Reason,
    /// Its other jobs may be promised a start as well.
    reserves: bool,
    /// For the first, waiting was sooner than buying; it may not be for the next.
    buys: bool,
}

impl Pass {
    pub fn new(view: &View, now: Timestamp) -> Pass {
        Pass {
            instant: Instant::new(now),
            steps: Vec::new(),
            wake_at: None,
            spending: Spending::default(),
            next_node: view.seen.counters.next_node,
            looks: 0,
            notes: BTreeMap::new(),
            failed: vec![None; view.classes.len()],
            any_failed: false,
            reservations: vec![0; view.seen.config.partitions.len()],
            vain: vec![0; view.seen.config.partitions.len()],
            active: BTreeMap::new(),
            cursor: None,
            again: BinaryHeap::new(),
        }
    }

    /// Whether a job may be promised a start there.
    fn may_reserve(&self, candidate: &Candidate) -> bool {
        let partition = candidate.partition_index;
        self.reservations[partition] < RESERVATIONS && self.vain[partition] < VAIN
    }

    pub(super) fn wake(&mut self, at: Timestamp) {
        if at > self.instant.now {
            self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
        }
    }
}

/// A pass at work.
pub(super) struct Planner<'a> {
    pub cluster: &'a Cluster,
    pub market: &'a Market<'a>,
    pub view: &'a mut View,
    pub pass: &'a mut Pass,
}

impl Planner<'_> {
    /// Goes on until every job was tried or so many looks were spent; `true` where it is over.
    pub fn queue(&mut self, budget: u64) -> bool {
        let enough = self.pass.looks.saturating_add(budget);
        loop {
            let head = self.view.classes.head_after(self.pass.cursor);
            let again = self.pass.again.peek().map(|Reverse(next)| *next);
            let Some(next) = head.into_iter().chain(again).min() else { return true };
            if self.pass.looks >= enough {
                return false;
            }
            if again == Some(next) {
                self.pass.again.pop();
            } else {
                self.pass.cursor = Some(next);
            }
            self.pass.looks += 1;
            self.job(next);
        }
    }

    fn job(&mut self, (key, class): (QueueKey, ClassId)) {
        let Some(job) = self.cluster.jobs.get(&key.job) else { return };
        match &job.role {
            ArrayRole::Pending { indices } => self.elements(job, class, indices),
            ArrayRole::Single | ArrayRole::Element { .. } => {
                if !self.array_has_room(job) {
                    self.note(job.id, Reason::JobArrayTaskLimit);
                } else if !job.index().is_none_or(|index| self.may_go(job, index)) {
                    self.note(job.id, Reason::Dependency);
                } else if let Some(note) = self.attempt(job, Target::Job(job.id), class) {
                    self.pass.notes.insert(job.id, note);
                }
            }
        }
        if self.is_worth_more(class)
            && let Some(next) = self.view.classes.next_of(class, key)
        {
            self.pass.again.push(Reverse((next, class)));
        }
    }

    fn elements(&mut self, job: &Job, class: ClassId, indices: &IndexSet) {
        for index in indices.iter() {
            if !self.array_has_room(job) {
                if !self.pass.notes.contains_key(&job.id) {
                    self.note(job.id, Reason::JobArrayTaskLimit);
                }
                return;
            }
            if !self.may_go(job, index) {
                self.pass.notes.entry(job.id).or_insert(Note { reason: Reason::Dependency, start_at: None });
                continue;
            }
            if let Some(note) = self.attempt(job, Target::Element { array: job.id, index }, class) {
                // The record speaks for the first element that waits for resources.
                let known = self.pass.notes.get(&job.id).map(|note| note.reason);
                if known.is_none() || known == Some(Reason::Dependency) {
                    self.pass.notes.insert(job.id, note);
                }
                if !self.is_worth_more(class) {
                    return;
                }
            }
        }
    }

    /// Whether the dependency lets an element go; where time alone can change that, the plan is made again then.
    fn may_go(&mut self, job: &Job, index: u32) -> bool {
        let now = self.pass.instant.now;
        let may = element_may_go(self.cluster, job, index, now);
        if !may && let Some(at) = job.dependency_moves_at(now) {
            self.pass.wake(at);
        }
        may
    }

    fn array_has_room(&self, job: &Job) -> bool {
        let Some(array) = job.array().and_then(|array| self.cluster.arrays.get(&array)) else { return true };
        let planned = self.pass.active.get(&array.array).copied().unwrap_or(0);
        array.limit.is_none_or(|limit| array.active + planned < limit)
    }

    /// Whether anything can be done for another job of the class.
    fn is_worth_more(&self, class: ClassId) -> bool {
        match self.pass.failed[class] {
            None => true,
            Some(failed) => failed.buys || (failed.reserves && self.may_reserve(class)),
        }
    }

    fn may_reserve(&self, class: ClassId) -> bool {
        self.view.classes.get(class).candidates.iter().any(|candidate| self.pass.may_reserve(candidate))
    }

    /// Tries one job; why it waits, where it does.
    fn attempt(&mut self, job: &Job, target: Target, class: ClassId) -> Option<Note> {
        let candidates = self.view.classes.get(class).candidates.clone();
        let failed = self.pass.failed[class];
        if failed.is_none() {
            if candidates.is_empty() {
                return Some(self.fail(class, self.no_candidate(job), None, false, false));
            }
            if self.place_now(job, target, class, &candidates) || self.claim_coming(job, target, class, &candidates) {
                return self.placed(job);
            }
        }
        let waiting = self.earliest(class, &candidates);
        let may_buy = failed.is_none_or(|failed| failed.buys);
        let by = waiting.as_ref().map(|(at, ..)| *at);
        let refusal = if may_buy { self.buy(job, target, class, &candidates, by) } else { Err(Refusal::Nothing) };
        let Err(refusal) = refusal else { return self.placed(job) };
        // Where no time was found although one was sought, none will be found for the others.
        let reserves = waiting.is_some() || !self.may_reserve(class);
        if let Some((at, candidate, fit)) = waiting {
            let candidate = &candidates[candidate];
            self.pass.reservations[candidate.partition_index] += 1;
            for (slot, pick) in fit.slots.iter().zip(&fit.picks) {
                self.view.fleet.reserve(*slot, Reserved { from: at, until: at + candidate.time, kept: pick.need });
            }
        }
        let reason = match (failed, &refusal) {
            (Some(failed), _) => failed.others(),
            (None, Refusal::Obstacle(obstacle)) => obstacle.reason,
            (None, _) if self.pass.any_failed => Reason::Priority,
            (None, _) => Reason::Resources,
        };
        let buys = matches!(refusal, Refusal::Sooner);
        match &mut self.pass.failed[class] {
            Some(failed) => {
                (failed.buys, failed.reserves) = (buys, reserves);
                Some(Note { reason, start_at: by })
            }
            None => Some(self.fail(class, reason, by, reserves, buys)),
        }
    }

    fn fail(
        &mut self,
        class: ClassId,
        reason: Reason,
        start_at: Option<Timestamp>,
        reserves: bool,
        buys: bool,
    ) -> Note {
        self.pass.failed[class] = Some(Failed { reason, reserves, buys });
        self.pass.any_failed = true;
        Note { reason, start_at }
    }

    fn placed(&mut self, job: &Job) -> Option<Note> {
        if let Some(array) = job.array() {
            *self.pass.active.entry(array).or_default() += 1;
        }
        None
    }

    fn place_now(&mut self, job: &Job, target: Target, class: ClassId, candidates: &[Candidate]) -> bool {
        for candidate in candidates {
            let mut looks = 0;
            let found = self.seek(class, candidate).place(false, &mut looks);
            self.pass.looks += looks;
            let Some(fit) = found else { continue };
            for slot in &fit.slots {
                if self.view.fleet.slots[*slot].when == When::Recover {
                    self.view.fleet.touch(*slot, |slot| slot.when = When::Now);
                    self.pass.steps.push(Step::CancelDrain { node: self.view.fleet.slots[*slot].node });
                }
            }
            let allocations = self.take(job, &fit, self.pass.instant.now + candidate.time);
            let partition = candidate.partition.clone();
            self.pass.steps.push(Step::Bind { target, partition, allocations, time_limit: candidate.time });
            return true;
        }
        false
    }

    /// First the queue is fitted on what is ready, booting and ordered.
    fn claim_coming(&mut self, job: &Job, target: Target, class: ClassId, candidates: &[Candidate]) -> bool {
        for candidate in candidates {
            // What is there alone was not enough.
            if self.view.fleet.pools[candidate.pool].coming == 0 {
                continue;
            }
            let mut looks = 0;
            let found = self.seek(class, candidate).place(true, &mut looks);
            self.pass.looks += looks;
            if let Some(fit) = found {
                self.claim(job, target, candidate, &fit);
                return true;
            }
        }
        false
    }

    pub fn claim(&mut self, job: &Job, target: Target, candidate: &Candidate, fit: &Fit) {
        let instant = self.pass.instant;
        let ready_at = |slot: &usize| self.view.fleet.slots[*slot].ready_at(instant);
        let ready_at = fit.slots.iter().map(ready_at).max().unwrap_or(instant.now);
        let allocations = self.take(job, fit, ready_at + candidate.time);
        self.pass.steps.push(Step::Claim { target, partition: candidate.partition.clone(), allocations });
    }

    /// The earliest time at which existing and coming nodes can take the job, and where.
    fn earliest(&mut self, class: ClassId, candidates: &[Candidate]) -> Option<(Timestamp, usize, Fit)> {
        let mut best: Option<(Timestamp, usize, Fit)> = None;
        for (rank, candidate) in candidates.iter().enumerate() {
            if !self.pass.may_reserve(candidate) {
                continue;
            }
            let horizon = self.pass.instant.now + WINDOW + Span(1);
            let by = best.as_ref().map_or(horizon, |(at, ..)| *at);
            let mut looks = 0;
            let found = self.seek(class, candidate).earliest(by, &mut looks);
            self.pass.looks += looks;
            best = found.map(|(at, fit)| (at, rank, fit)).or(best);
        }
        if best.is_none() {
            candidates.iter().for_each(|candidate| self.pass.vain[candidate.partition_index] += 1);
        }
        best
    }

    pub fn seek(&mut self, class: ClassId, candidate: &Candidate) -> Seek<'_> {
        let View { fleet, classes, .. } = &mut *self.view;
        let pool = &fleet.pools[candidate.pool];
        let needs = classes.get_mut(class).needs(candidate.pool, pool.changed, &pool.shapes);
        let class = classes.get(class);
        Seek::new(fleet, self.pass.instant, &class.spec, class.mode, needs, candidate)
    }

    /// Takes what was picked, until then.
    fn take(&mut self, job: &Job, fit: &Fit, until: Timestamp) -> Vec<Allocation> {
        let mut allocations = Vec::with_capacity(fit.slots.len());
        for ((at, pick), tasks) in fit.slots.iter().zip(&fit.picks).zip(tasks_of(&job.spec, &fit.picks)) {
            self.view.fleet.touch(*at, |slot| {
                slot.free = slot.free.less(&pick.need);
                slot.gpus.retain(|gpu| !pick.gpus.contains(gpu));
                slot.ends.push(Release { at: until, then: Span::ZERO, given: pick.need, gpus: pick.gpus.clone() });
            });
            let Resources { cpus, memory_mib, .. } = pick.need;
            let node = self.view.fleet.slots[*at].node;
            allocations.push(Allocation { node, cpus, memory_mib, gpus: pick.gpus.clone(), tasks });
        }
        allocations
    }

    fn no_candidate(&self, job: &Job) -> Reason {
        let partitions = &self.cluster.config.partitions;
        let down = job.spec.partitions.iter().any(|name| partitions.get(name).is_none_or(|config| !config.up));
        if down { Reason::PartitionDown } else { Reason::PartitionTimeLimit }
    }

    fn note(&mut self, job: JobId, reason: Reason) {
        self.pass.notes.insert(job, Note { reason, start_at: None });
    }
}

impl Failed {
    /// Why the others of the class wait.
    pub fn others(&self) -> Reason {
        if self.reason == Reason::Resources { Reason::Priority } else { self.reason }
    }
}

/// Classes that failed, for jobs that were not tried for themselves.
pub(super) fn reasons(failed: &[Option<Failed>]) -> Arc<[Option<Reason>]> {
    failed.iter().map(|failed| failed.as_ref().map(Failed::others)).collect()
}
