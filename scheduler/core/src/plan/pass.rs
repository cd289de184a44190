//! One plan being made: jobs in the order of the queue, each placed, claimed for, bought for or promised a start.
//!
//! A pass can stop between two jobs and go on later, on the state with which it began.

use super::buy::Refusal;
use super::classes::{Candidate, ClassId, Features, length};
use super::market::{Market, Spending};
use super::memory::{Memory, Promise, Seeker};
use super::place::{Mode, tasks_of};
use super::seek::{Fit, Seek, WINDOW};
use super::slot::{Instant, Release, Reserved, When};
use super::standing::{Failed, Standing};
use super::step::{Note, Step, Target};
use super::view::View;
use crate::accounts::Tallies;
use crate::cluster::Cluster;
use crate::config::PartitionConfig;
use crate::decide::{element_may_go, elements_that_may_go};
use crate::job::{Job, Role};
use crate::queue::QueueKey;
use squall_types::{Allocation, IndexSet, JobId, NodeId, Reason, Resources, Span, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

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
    /// By class.
    pub(super) standings: Vec<Standing>,
    any_failed: bool,
    /// Starts that may still be promised, by partition.
    pub(super) promises_left: Vec<u32>,
    /// Elements made active by this plan, for `%limit`.
    active: BTreeMap<JobId, u32>,
    /// What this plan starts, for the limits of accounts.
    pub(super) started: Tallies,
    /// Places, by partition and pool, where the job that is tried would hold more than a limit allows.
    pub(super) over: Vec<(usize, usize, Reason)>,
    /// For each class its next job that is worth a look, or one before it.
    next: BinaryHeap<Reverse<(QueueKey, ClassId)>>,
    /// Classes of which jobs are left out as long as no nodes are added.
    skipping: Vec<ClassId>,
    /// How often nodes were added, by pool, and whether that is news.
    pub(super) grown: Vec<u32>,
    pub(super) has_grown: bool,
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
            standings: vec![Standing::default(); view.classes.len()],
            any_failed: false,
            promises_left: view.seen.config.partitions.values().map(PartitionConfig::reservation_depth).collect(),
            active: BTreeMap::new(),
            started: Tallies::default(),
            over: Vec::new(),
            next: BinaryHeap::new(),
            skipping: Vec::new(),
            grown: vec![0; view.fleet.pools.len()],
            has_grown: false,
        }
        .with_all(view)
    }

    fn with_all(mut self, view: &View) -> Pass {
        for (key, class) in view.classes.first() {
            self.standings[class].queued = Some(key);
            self.next.push(Reverse((key, class)));
        }
        self
    }

    /// Whether a job may be promised a start there.
    pub(super) fn may_reserve(&self, candidate: &Candidate) -> bool {
        self.promises_left[candidate.partition_index] > 0
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
    pub memory: &'a mut Memory,
    pub pass: &'a mut Pass,
}

impl Planner<'_> {
    /// Goes on until every job was tried or so many looks were spent; `true` where it is over.
    pub fn queue(&mut self, budget: u64) -> bool {
        let enough = self.pass.looks.saturating_add(budget);
        while let Some(Reverse((key, class))) = self.pass.next.peek().copied() {
            if self.pass.looks >= enough {
                return false;
            }
            self.pass.looks += 1;
            self.pass.next.pop();
            // The class may wait for another of its jobs by now.
            if self.pass.standings[class].queued != Some(key) {
                continue;
            }
            // What was worth a look when it was queued may not be any more.
            if self.next_of(class) == Some(key) {
                self.pass.standings[class].pass_by(key);
                self.job(key, class);
            }
            self.enqueue(class);
            if std::mem::take(&mut self.pass.has_grown) {
                for class in std::mem::take(&mut self.pass.skipping) {
                    self.pass.standings[class].resume_after(key);
                    self.enqueue(class);
                }
            }
        }
        true
    }

    fn enqueue(&mut self, class: ClassId) {
        let next = self.next_of(class);
        self.pass.standings[class].queued = next;
        self.pass.next.extend(next.map(|next| Reverse((next, class))));
    }

    /// The next job of a class that is worth a look.
    fn next_of(&mut self, class: ClassId) -> Option<QueueKey> {
        self.notice(class);
        let reserves = self.may_reserve(class);
        let standing = &mut self.pass.standings[class];
        let skipped = standing.skips();
        let next = standing.next(self.view.classes.get(class), reserves);
        if standing.skips() && !skipped {
            self.pass.skipping.push(class);
        }
        next.map(|(key, _)| key)
    }

    fn notice(&mut self, class: ClassId) {
        let candidates = &self.view.classes.get(class).candidates;
        let grown = candidates.iter().map(|candidate| self.pass.grown[candidate.pool]).sum();
        self.pass.standings[class].notice(grown);
    }

    fn job(&mut self, key: QueueKey, class: ClassId) {
        let Some(job) = self.cluster.jobs.get(&key.job) else { return };
        match &job.role {
            Role::Pending { indices, .. } => self.elements(job, class, indices),
            Role::Component(_) => self.together(class),
            Role::Single | Role::Element { .. } => {
                if !self.array_has_room(job) {
                    self.note(job.id, Reason::JobArrayTaskLimit);
                } else if !job.index().is_none_or(|index| self.may_go(job, index)) {
                    self.note(job.id, Reason::Dependency);
                } else if let Some(note) = self.attempt(job, Target::Job(job.id), class) {
                    self.pass.notes.insert(job.id, note);
                }
            }
        }
        let length = length(&job.spec);
        if self.is_worth_more(class, length)
            && let Some(next) = self.view.classes.get(class).next_of(length, key)
        {
            self.pass.standings[class].come_back(next, length);
        }
    }

    fn elements(&mut self, job: &Job, class: ClassId, indices: &IndexSet) {
        let may_go = elements_that_may_go(self.cluster, job, indices, self.pass.instant.now);
        if may_go.len() < indices.len() {
            self.wake_for_dependency(job);
            self.note(job.id, Reason::Dependency);
        }
        for index in may_go.iter() {
            if !self.array_has_room(job) {
                let known = self.pass.notes.get(&job.id).map(|note| note.reason);
                if known.is_none() || known == Some(Reason::Dependency) {
                    self.note(job.id, Reason::JobArrayTaskLimit);
                }
                return;
            }
            if let Some(note) = self.attempt(job, Target::Element { record: job.id, index }, class) {
                // The record speaks for the first element that waits for resources.
                let known = self.pass.notes.get(&job.id).map(|note| note.reason);
                if known.is_none() || known == Some(Reason::Dependency) {
                    self.pass.notes.insert(job.id, note);
                }
                if !self.is_worth_more(class, length(&job.spec)) {
                    return;
                }
            }
        }
    }

    /// Whether the dependency lets an element go; where time alone can change that, the plan is made again then.
    fn may_go(&mut self, job: &Job, index: u32) -> bool {
        let may = element_may_go(self.cluster, job, index, self.pass.instant.now);
        if !may {
            self.wake_for_dependency(job);
        }
        may
    }

    fn wake_for_dependency(&mut self, job: &Job) {
        job.dependency_moves_at(self.pass.instant.now).into_iter().for_each(|at| self.pass.wake(at));
    }

    fn array_has_room(&self, job: &Job) -> bool {
        let Some(array) = job.array().and_then(|array| self.cluster.arrays.get(&array)) else { return true };
        let planned = self.pass.active.get(&array.array).copied().unwrap_or(0);
        array.limit.is_none_or(|limit| array.active + planned < limit)
    }

    /// Whether anything can be done for another job of the class that is as long.
    fn is_worth_more(&self, class: ClassId, length: Span) -> bool {
        self.pass.standings[class].is_worth_more(length, self.may_reserve(class))
    }

    fn may_reserve(&self, class: ClassId) -> bool {
        self.view.classes.get(class).candidates.iter().any(|candidate| self.pass.may_reserve(candidate))
    }

    /// Tries one job; why it waits, where it does.
    fn attempt(&mut self, job: &Job, target: Target, class: ClassId) -> Option<Note> {
        let mut candidates = self.view.classes.get(class).candidates.clone();
        let (limit, length) = (job.spec.time_limit, length(&job.spec));
        self.notice(class);
        let failed = self.pass.standings[class].failed(length);
        if candidates.is_empty() {
            self.pass.standings[class].close();
            let reason = self.no_candidate(job);
            return Some(self.fail(class, length, reason, None, Failed { reserves: false, buys: false }));
        }
        if let Err(reason) = self.keep_within_limits(job, class, &mut candidates) {
            return Some(self.hold_back(class, length, reason));
        }
        // One that failed is tried again where nodes were added since: what is bought for a job may have room for others.
        if !self.pass.standings[class].is_stuck(length) {
            loop {
                // Where it would start at once in excess of a limit, it is tried in other places before it waits for nodes.
                if self.place_now(job, target, class, &candidates)
                    || (self.pass.over.is_empty() && self.claim_coming(job, target, class, &candidates))
                {
                    return self.placed(job);
                }
                match self.leave_what_exceeds(class, &mut candidates) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(reason) => return Some(self.hold_back(class, length, reason)),
                }
            }
            self.pass.standings[class].stuck_from(length);
        }
        let number = self.view.classes.get(class).number;
        let seeker = Seeker { target, class: number, length, open: self.open(&candidates) };
        let waiting = self.earliest(class, &candidates, limit, Some(seeker));
        let may_buy = failed.is_none_or(|failed| failed.buys);
        let by = waiting.as_ref().map(|(at, ..)| *at);
        let refusal = if may_buy { self.buy(job, target, class, &candidates, by) } else { Err(Refusal::Nothing) };
        let Err(refusal) = refusal else { return self.placed(job) };
        // Where no time was found although one was sought, none will be found for the others.
        let reserves = waiting.is_some() || !self.may_reserve(class);
        if let Some((at, rank, fit)) = waiting {
            let candidate = &candidates[rank];
            let until = at + candidate.time(limit);
            let left = &mut self.pass.promises_left[candidate.partition_index];
            *left = left.saturating_sub(1);
            for (slot, pick) in fit.slots.iter().zip(&fit.picks) {
                self.view.fleet.reserve(*slot, Reserved { from: at, until, kept: pick.need });
            }
            self.memory.keep(seeker, Promise { at, candidate: rank, fit });
        } else {
            self.probe(job, class, &candidates);
        }
        let reason = self.why_it_waits(class, &refusal);
        let buys = matches!(refusal, Refusal::Sooner);
        Some(self.fail(class, length, reason, by, Failed { reserves, buys }))
    }

    pub fn why_it_waits(&self, class: ClassId, refusal: &Refusal) -> Reason {
        match (self.pass.standings[class].reason, refusal) {
            (Some(reason), _) => others(reason),
            (None, Refusal::Obstacle { reason, .. }) => *reason,
            (None, _) if self.pass.any_failed => Reason::Priority,
            (None, _) => Reason::Resources,
        }
    }

    /// What a limit of its account or its quality of service holds back asks for nothing: no start, no machine.
    pub fn hold_back(&mut self, class: ClassId, length: Span, reason: Reason) -> Note {
        let standing = &mut self.pass.standings[class];
        standing.close();
        standing.fail(length, Failed { reserves: false, buys: false });
        standing.reason.get_or_insert(reason);
        Note { reason, start_at: None }
    }

    pub fn fail(
        &mut self,
        class: ClassId,
        length: Span,
        reason: Reason,
        start_at: Option<Timestamp>,
        failed: Failed,
    ) -> Note {
        let standing = &mut self.pass.standings[class];
        standing.fail(length, failed);
        standing.reason.get_or_insert(reason);
        self.pass.any_failed = true;
        Note { reason, start_at }
    }

    /// Whether anything at all can be done for the class, as far as its shortest jobs tell.
    fn probe(&mut self, job: &Job, class: ClassId, candidates: &[Candidate]) {
        let shut = self.pass.standings[class].shut || self.is_shut(job, candidates);
        let standing = &mut self.pass.standings[class];
        standing.shut = shut;
        let Some(shortest) = self.view.classes.get(class).shortest() else { return };
        if !shut || !standing.probes() {
            return;
        }
        let limit = Some(shortest).filter(|_| job.spec.time_limit.is_some());
        if !self.pass.standings[class].is_stuck(shortest)
            && self
                .find(class, candidates, limit, false)
                .or_else(|| self.find(class, candidates, limit, true))
                .is_none()
        {
            self.pass.standings[class].stuck_from(shortest);
        }
        if self.pass.standings[class].is_stuck(shortest) {
            self.earliest(class, candidates, limit, None);
        }
    }

    fn placed(&mut self, job: &Job) -> Option<Note> {
        if let Some(array) = job.array() {
            *self.pass.active.entry(array).or_default() += 1;
        }
        None
    }

    fn place_now(&mut self, job: &Job, target: Target, class: ClassId, candidates: &[Candidate]) -> bool {
        let Some((candidate, fit)) = self.find(class, candidates, job.spec.time_limit, false) else { return false };
        if !self.may_hold(job, &candidates[candidate], &fit) {
            return false;
        }
        self.recover(&fit);
        let candidate = &candidates[candidate];
        let time_limit = candidate.time(job.spec.time_limit);
        let allocations = self.take(job, &fit, self.pass.instant.now + time_limit);
        let partition = candidate.partition.clone();
        self.count_start(job, &partition, &allocations);
        self.pass.steps.push(Step::Bind { target, partition, allocations, time_limit });
        true
    }

    /// Nodes that were fenced for being idle are taken back for it.
    pub fn recover(&mut self, fit: &Fit) {
        for slot in &fit.slots {
            if self.view.fleet.slots[*slot].when == When::Recover {
                self.view.fleet.touch(*slot, |slot| slot.when = When::Now);
                self.pass.grow(self.view.fleet.slots[*slot].pool);
                self.pass.steps.push(Step::CancelDrain { node: self.view.fleet.slots[*slot].node });
            }
        }
    }

    /// First the queue is fitted on what is ready, booting and ordered.
    fn claim_coming(&mut self, job: &Job, target: Target, class: ClassId, candidates: &[Candidate]) -> bool {
        let Some((candidate, fit)) = self.find(class, candidates, job.spec.time_limit, true) else { return false };
        if !self.may_hold(job, &candidates[candidate], &fit) {
            return false;
        }
        self.claim(job, target, &candidates[candidate], &fit);
        true
    }

    /// Room now, or with `coming` on nodes that are there or on their way, in the first candidate that has it.
    fn find(
        &mut self,
        class: ClassId,
        candidates: &[Candidate],
        limit: Option<Span>,
        coming: bool,
    ) -> Option<(usize, Fit)> {
        for features in self.view.classes.get(class).features() {
            for (rank, candidate) in candidates.iter().enumerate() {
                // What is there alone was not enough.
                if coming && self.view.fleet.pools[candidate.pool].coming == 0 {
                    continue;
                }
                let mut looks = 0;
                let found = self.seek(class, *features, candidate, limit).place(coming, &mut looks);
                self.pass.looks += looks;
                if let Some(fit) = found {
                    return Some((rank, fit));
                }
            }
        }
        None
    }

    pub fn claim(&mut self, job: &Job, target: Target, candidate: &Candidate, fit: &Fit) {
        let instant = self.pass.instant;
        let ready_at = |slot: &usize| self.view.fleet.slots[*slot].ready_at(instant);
        let ready_at = fit.slots.iter().map(ready_at).max().unwrap_or(instant.now);
        let allocations = self.take(job, fit, ready_at + candidate.time(job.spec.time_limit));
        self.count_start(job, &candidate.partition, &allocations);
        self.pass.steps.push(Step::Claim { target, partition: candidate.partition.clone(), allocations });
    }

    /// The earliest time at which existing and coming nodes can take a job so long, and where.
    fn earliest(
        &mut self,
        class: ClassId,
        candidates: &[Candidate],
        limit: Option<Span>,
        seeker: Option<Seeker>,
    ) -> Option<(Timestamp, usize, Fit)> {
        let length = limit.unwrap_or(Span::FOREVER);
        if self.pass.standings[class].is_vain(length) || !self.may_reserve(class) {
            return None;
        }
        let soon = self.pass.instant.soon;
        let known = seeker.and_then(|seeker| self.memory.recall(seeker, soon)).cloned();
        if let Some(again) = known.and_then(|promise| self.as_before(class, candidates, limit, promise)) {
            return Some(again);
        }
        let mut best: Option<(Timestamp, usize, Fit)> = None;
        for (rank, candidate) in candidates.iter().enumerate() {
            if !self.pass.may_reserve(candidate) {
                continue;
            }
            let horizon = self.pass.instant.now + WINDOW + Span(1);
            let by = best.as_ref().map_or(horizon, |(at, ..)| *at);
            let mut looks = 0;
            let found = self.seek(class, Features::Required, candidate, limit).earliest(by, &mut looks);
            self.pass.looks += looks;
            best = found.map(|(at, fit)| (at, rank, fit)).or(best);
        }
        if best.is_none() {
            self.pass.standings[class].vain_from(length);
        }
        best
    }

    /// What was promised in the last pass, or what is better by now on the slots that have moved since. `None` where all
    /// slots have to be looked at.
    fn as_before(
        &mut self,
        class: ClassId,
        candidates: &[Candidate],
        limit: Option<Span>,
        promise: Promise,
    ) -> Option<(Timestamp, usize, Fit)> {
        let mode = self.view.classes.get(class).wanted(Features::Required).mode;
        let moved: Vec<usize> = self.memory.to_look_at().collect();
        let last = promise.fit.slots.iter().map(|slot| self.view.fleet.slots[*slot].position).max().unwrap_or(0);
        // The earlier time, then the better candidate, then the first nodes.
        let mut best = (promise.at, promise.candidate, last);
        let mut better = None;
        for (rank, candidate) in candidates.iter().enumerate() {
            if !self.pass.may_reserve(candidate) {
                continue;
            }
            let (mut looks, mut found) = (0, None);
            let seek = self.seek(class, Features::Required, candidate, limit);
            for slot in &moved {
                if mode == Mode::Any && seek.fleet.slots[*slot].pool == candidate.pool {
                    return None;
                }
                if let Some(at) = seek.earliest_on(*slot, best.0 + Span(1), &mut looks) {
                    let place = (at, rank, seek.fleet.slots[*slot].position);
                    if place < best {
                        (best, found) = (place, seek.fit_on(*slot, at).map(|fit| (at, rank, fit)));
                        // With a node more, a gang may find others.
                        found.as_ref()?;
                    }
                }
            }
            self.pass.looks += looks;
            better = found.or(better);
        }
        Some(better.unwrap_or((promise.at, promise.candidate, promise.fit)))
    }

    /// Candidates that may promise a start, by bit.
    pub fn open(&self, candidates: &[Candidate]) -> u64 {
        let may = candidates.iter().map(|candidate| u64::from(self.pass.may_reserve(candidate)));
        may.enumerate().fold(0, |open, (rank, may)| open | may << rank.min(63))
    }

    pub fn seek(&mut self, class: ClassId, features: Features, candidate: &Candidate, limit: Option<Span>) -> Seek<'_> {
        let View { fleet, classes, .. } = &mut *self.view;
        let pool = &fleet.pools[candidate.pool];
        let wanted = classes.get_mut(class).wanted_mut(features);
        let needs = wanted.needs(candidate.pool, pool.changed, &pool.shapes);
        Seek::new(fleet, self.pass.instant, &wanted.spec, wanted.mode, needs, candidate.pool, candidate.time(limit))
    }

    /// Takes what was picked, until then.
    fn take(&mut self, job: &Job, fit: &Fit, until: Timestamp) -> Vec<Allocation> {
        fit.slots.iter().for_each(|at| self.memory.moved(*at));
        self.grant(job, fit, until)
    }

    /// The same, without a word to the memory: it may be taken back.
    pub fn grant(&mut self, job: &Job, fit: &Fit, until: Timestamp) -> Vec<Allocation> {
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

    pub fn no_candidate(&self, job: &Job) -> Reason {
        let partitions = &self.cluster.config.partitions;
        let down = job.spec.partitions.iter().any(|name| partitions.get(name).is_none_or(|config| !config.up));
        if down { Reason::PartitionDown } else { Reason::PartitionTimeLimit }
    }

    fn note(&mut self, job: JobId, reason: Reason) {
        self.pass.notes.insert(job, Note { reason, start_at: None });
    }
}

/// Why the others of a class wait.
fn others(reason: Reason) -> Reason {
    if reason == Reason::Resources { Reason::Priority } else { reason }
}

/// Classes of which some job cannot start, for jobs that were not tried for themselves.
pub(super) fn reasons(standings: &[Standing]) -> Arc<[Option<Reason>]> {
    standings.iter().map(|standing| standing.reason.map(others)).collect()
}
