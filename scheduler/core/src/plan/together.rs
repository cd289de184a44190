//! Heterogeneous jobs: all components start now, or wait for nodes on their way, or have nodes bought for them, or are
//! promised one start; or none of them.
//!
//! Their leader stands in the queue for all. Components are placed one after the other, the hardest first, against what
//! those before them left, and all of that is taken back where one has no place. Another order may do then: each takes
//! the first place that it likes, which may be the only one for another.

use super::buy::Refusal;
use super::classes::{Candidate, ClassId, Features, length};
use super::market::Spending;
use super::memory::{Promise, Seeker};
use super::pass::Planner;
use super::place::place_part;
use super::seek::{Fit, WINDOW};
use super::slot::Reserved;
use super::standing::Failed;
use super::step::{Note, PlannedOrder, Step, Target};
use crate::accounts::{Amounts, Tallies, Tally, holders};
use crate::job::Job;
use squall_types::{Allocation, JobId, NodeId, Reason, Span, Timestamp};
use std::cmp::Reverse;
use std::sync::Arc;

/// One common start is sought at so many times; where there is none among them, none is promised.
pub const COMMON_STARTS: usize = 100;

/// What is hardest to place is placed first: what is left is more likely to do for the others.
pub fn hardest_first<T>(parts: &mut [T], job: impl Fn(&T) -> &Job) {
    let weight = |part: &T| {
        let spec = &job(part).spec;
        let Amounts { cpus, memory_mib, nodes, gpus } = Amounts::asked(spec);
        Reverse((gpus, nodes, spec.ask.exclusive, cpus, memory_mib))
    };
    // Stable: alike they stay in their order.
    parts.sort_by_key(weight);
}

/// So many orders of the components are tried.
const ORDERS: usize = 10;

/// Orders in which components were tried, and in which one of them had no place.
#[derive(Default)]
pub struct Orders(Vec<Vec<JobId>>);

impl Orders {
    /// Places first what had no place beside those before it. `false` where that is nothing new: it has none alone, or
    /// those before it have none beside it.
    pub fn next<T>(&mut self, parts: &mut [T], nowhere: usize, job: impl Fn(&T) -> &Job) -> bool {
        let order = |parts: &[T]| parts.iter().map(|part| job(part).id).collect();
        self.0.push(order(parts));
        parts[..=nowhere].rotate_right(1);
        self.0.len() < ORDERS && !self.0.contains(&order(parts))
    }
}

/// A component, and where it may go.
#[derive(Clone)]
struct Component<'a> {
    job: &'a Job,
    class: ClassId,
    candidates: Arc<Vec<Candidate>>,
    /// Why a place was left out, where it was because of a limit.
    over: Option<Reason>,
}

/// Why components have no common start.
enum NoStart {
    /// One of them fits beside those before it only then.
    Before(Timestamp),
    /// This one fits beside those before it at no time.
    Beside(usize),
}

/// What a component was granted.
struct Granted {
    place: Candidate,
    fit: Fit,
    /// Which of the releases of each slot is its own.
    ends: Vec<usize>,
    allocations: Vec<Allocation>,
}

/// What an attempt changes of a pass beside the fleet.
struct Mark {
    spending: Spending,
    next_node: NodeId,
    started: Tallies,
}

/// A start that all components have in common, and where each goes then.
type JointStart = (Timestamp, Vec<(Candidate, Fit)>);

impl<'a> Planner<'a> {
    pub fn together(&mut self, class: ClassId) {
        let cluster = self.cluster;
        let components = self.view.classes.get(class).components.clone();
        let component = |(job, class): &(JobId, ClassId)| {
            let candidates = self.view.classes.get(*class).candidates.clone();
            Some(Component { job: cluster.jobs.get(job)?, class: *class, candidates, over: None })
        };
        let Some(mut parts) = components.iter().map(component).collect::<Option<Vec<_>>>() else { return };
        hardest_first(&mut parts, |part| part.job);
        if let Some(note) = self.place_together(class, &mut parts) {
            components.iter().for_each(|(job, _)| {
                self.pass.notes.insert(*job, note);
            });
        }
    }

    /// Why it waits, where it does.
    fn place_together(&mut self, class: ClassId, parts: &mut [Component<'a>]) -> Option<Note> {
        let leader = parts.iter().find(|part| part.class == class);
        let length = leader.map_or(Span::ZERO, |leader| length(&leader.job.spec));
        let never = Failed { reserves: false, buys: false };
        if let Some(nowhere) = parts.iter().find(|part| part.candidates.is_empty()) {
            let reason = self.no_candidate(nowhere.job);
            return Some(self.fail(class, length, reason, None, never));
        }
        if let Err(reason) = self.keep_all_within_limits(parts) {
            return Some(self.hold_back(class, length, reason));
        }
        for coming in [false, true] {
            if self.grant_together(parts, coming) {
                return None;
            }
            // Nowhere may it hold what it would.
            let held_back = parts.iter().find(|part| part.candidates.is_empty()).and_then(|part| part.over);
            if let Some(reason) = held_back {
                return Some(self.hold_back(class, length, reason));
            }
        }
        let common = self.common_start(parts);
        if common.as_ref().is_some_and(|common| self.start_found(parts, common)) {
            return None;
        }
        let by = common.as_ref().map(|(at, _)| *at);
        // What was found for them is found in their order.
        let Err(refusal) = self.buy_together(&mut parts.to_vec(), by) else { return None };
        if let Some((at, fits)) = common {
            self.promise_together(parts, at, fits);
        }
        let reason = self.why_it_waits(class, &refusal);
        Some(self.fail(class, length, reason, by, never))
    }

    /// What all of them ask for together has to be allowed; places where it is not are left out.
    fn keep_all_within_limits(&mut self, parts: &mut [Component<'a>]) -> Result<(), Reason> {
        if !self.cluster.accounts.is_limiting() {
            return Ok(());
        }
        let before = self.pass.started.clone();
        let mut may = Ok(());
        for part in parts {
            may = self.keep_within_limits(part.job, part.class, &mut part.candidates);
            if may.is_err() {
                break;
            }
            let tally = Tally { jobs: 1, submits: 0, held: Amounts::asked(&part.job.spec) };
            let partition = part.candidates.first().map(|candidate| &candidate.partition);
            let by = holders(&self.cluster.accounts, &self.cluster.config, &part.job.spec, partition);
            self.pass.started.add(by, tally);
        }
        self.pass.started = before;
        may
    }

    fn begin(&mut self) -> Mark {
        self.view.fleet.attempt();
        let pass = &self.pass;
        Mark { spending: pass.spending.clone(), next_node: pass.next_node, started: pass.started.clone() }
    }

    fn take_back(&mut self, mark: Mark) {
        self.view.fleet.take_back();
        (self.pass.spending, self.pass.next_node, self.pass.started) = (mark.spending, mark.next_node, mark.started);
    }

    /// Room for a component now, or with `coming` on nodes that are there or on their way; it is taken. Places where it
    /// would hold more than it may are left out from now on.
    fn grant_one(&mut self, part: &mut Component<'a>, coming: bool) -> Option<Granted> {
        for features in self.view.classes.get(part.class).features() {
            let mut rank = 0;
            while let Some(candidate) = part.candidates.get(rank) {
                let (mut looks, limit) = (0, part.job.spec.time_limit);
                let found = self.seek(part.class, *features, candidate, limit).place(coming, &mut looks);
                self.pass.looks += looks;
                let Some(fit) = found else {
                    rank += 1;
                    continue;
                };
                let Some(breach) = self.holding_breach(part.job, candidate, &fit) else {
                    return Some(self.grant_fit(part, candidate.clone(), fit));
                };
                part.over = Some(breach.rule.reason());
                Arc::make_mut(&mut part.candidates).remove(rank);
            }
        }
        None
    }

    /// Until when is said when all of them have a place.
    fn grant_fit(&mut self, part: &Component<'a>, place: Candidate, fit: Fit) -> Granted {
        let allocations = self.grant(part.job, &fit, Timestamp::NEVER);
        self.count_start(part.job, &place.partition, &allocations);
        let ends = fit.slots.iter().map(|slot| self.view.fleet.slots[*slot].ends.len() - 1).collect();
        Granted { place, fit, ends, allocations }
    }

    /// Starts or claims for all of them on what there is, or with `coming` is on its way.
    fn grant_together(&mut self, parts: &mut [Component<'a>], coming: bool) -> bool {
        let mut orders = Orders::default();
        loop {
            match self.grant_in_order(parts, coming) {
                Ok(granted) if coming => self.claim_granted(parts, granted, Vec::new()),
                Ok(granted) => self.start_granted(parts, granted),
                Err(nowhere) if orders.next(parts, nowhere, |part| part.job) => continue,
                Err(_) => return false,
            }
            return true;
        }
    }

    /// # Errors
    /// Which of them has no place; then nothing is taken.
    fn grant_in_order(&mut self, parts: &mut [Component<'a>], coming: bool) -> Result<Vec<Granted>, usize> {
        let mark = self.begin();
        let grant = |(rank, part)| self.grant_one(part, coming).ok_or(rank);
        let granted: Result<Vec<Granted>, usize> = parts.iter_mut().enumerate().map(grant).collect();
        if granted.is_err() {
            self.take_back(mark);
        }
        granted
    }

    /// What was granted stays, each component's for as long as it may run after that time.
    fn keep_granted(&mut self, parts: &[Component<'a>], granted: &[Granted], begin: Timestamp) {
        self.view.fleet.keep();
        for (part, Granted { place, fit, ends, .. }) in parts.iter().zip(granted) {
            let until = begin + place.time(part.job.spec.time_limit);
            for (slot, end) in fit.slots.iter().zip(ends) {
                self.memory.moved(*slot);
                self.view.fleet.touch(*slot, |slot| slot.ends[*end].at = until);
            }
        }
    }

    fn start_granted(&mut self, parts: &[Component<'a>], granted: Vec<Granted>) {
        self.keep_granted(parts, &granted, self.pass.instant.now);
        granted.iter().for_each(|granted| self.recover(&granted.fit));
        let bind = |(part, Granted { place, allocations, .. }): (&Component<'_>, Granted)| {
            let time_limit = place.time(part.job.spec.time_limit);
            Step::Bind { target: Target::Job(part.job.id), partition: place.partition, allocations, time_limit }
        };
        let steps = parts.iter().zip(granted).map(bind).collect();
        self.pass.steps.push(Step::Together { steps });
    }

    /// Claims of all of them, from when the last node of any is ready.
    fn claim_granted(&mut self, parts: &[Component<'a>], granted: Vec<Granted>, orders: Vec<PlannedOrder>) {
        let instant = self.pass.instant;
        let slots = granted.iter().flat_map(|granted| &granted.fit.slots);
        let ready_at = slots.map(|slot| self.view.fleet.slots[*slot].ready_at(instant)).max().unwrap_or(instant.now);
        self.keep_granted(parts, &granted, ready_at);
        let claim = |(part, Granted { place, allocations, .. }): (&Component<'_>, Granted)| Step::Claim {
            target: Target::Job(part.job.id),
            partition: place.partition,
            allocations,
        };
        let claims = parts.iter().zip(granted).map(claim);
        let steps = orders.into_iter().map(Step::Order).chain(claims).collect();
        self.pass.steps.push(Step::Together { steps });
    }

    /// Orders what all of them lack, unless that cannot be had, or waiting until `waiting` is sooner.
    fn buy_together(&mut self, parts: &mut [Component<'a>], waiting: Option<Timestamp>) -> Result<(), Refusal> {
        let mut orders = Orders::default();
        loop {
            match self.buy_in_order(parts, waiting) {
                Ok(()) => return Ok(()),
                Err((nowhere, _)) if orders.next(parts, nowhere, |part| part.job) => {}
                Err((_, refusal)) => return Err(refusal),
            }
        }
    }

    /// # Errors
    /// For which of them nothing is bought, and why; then nothing is for any.
    fn buy_in_order(
        &mut self,
        parts: &mut [Component<'a>],
        waiting: Option<Timestamp>,
    ) -> Result<(), (usize, Refusal)> {
        let mark = self.begin();
        let (mut granted, mut orders, mut pools) = (Vec::new(), Vec::new(), Vec::new());
        for (at, part) in parts.iter_mut().enumerate() {
            // What is bought for one component may have room for the next.
            if let Some(room) = self.grant_one(part, true) {
                granted.push(room);
                continue;
            }
            match self.seek_growth(part.job, part.class, &part.candidates, waiting) {
                Ok((rank, buyable, growth)) => {
                    let place = part.candidates[rank].clone();
                    pools.push(place.pool);
                    let (order, fit) = self.bring(Some(part.job.id), &place, buyable, growth);
                    orders.push(order);
                    granted.push(self.grant_fit(part, place, fit));
                }
                Err(refusal) => {
                    self.take_back(mark);
                    return Err((at, refusal));
                }
            }
        }
        self.memory.grow();
        pools.into_iter().for_each(|pool| self.pass.grow(pool));
        self.claim_granted(parts, granted, orders);
        Ok(())
    }

    /// The earliest time that is found at which all have room, each beside those before it.
    fn common_start(&mut self, parts: &mut [Component<'a>]) -> Option<JointStart> {
        let may_reserve = |part: &Component<'_>| part.candidates.iter().any(|one| self.pass.may_reserve(one));
        if !parts.iter().all(may_reserve) {
            return None;
        }
        let (mut from, mut orders) = (self.pass.instant.soon, Orders::default());
        for _ in 0..COMMON_STARTS {
            let mark = self.begin();
            let found = self.common_start_from(parts, from);
            self.take_back(mark);
            match found {
                Ok(found) => return Some(found),
                Err(NoStart::Before(later)) => from = later,
                Err(NoStart::Beside(nowhere)) if orders.next(parts, nowhere, |part| part.job) => {
                    from = self.pass.instant.soon;
                }
                Err(NoStart::Beside(_)) => return None,
            }
        }
        None
    }

    fn common_start_from(&mut self, parts: &[Component<'a>], from: Timestamp) -> Result<JointStart, NoStart> {
        let (mut at, mut fits) = (from, Vec::new());
        for (nowhere, part) in parts.iter().enumerate() {
            let (begin, rank, fit) = self.earliest_of(part, at).ok_or(NoStart::Beside(nowhere))?;
            if begin > at && !fits.is_empty() {
                return Err(NoStart::Before(begin));
            }
            let place = part.candidates[rank].clone();
            at = begin;
            self.reserve(part, at, &place, &fit);
            fits.push((place, fit));
        }
        Ok((at, fits))
    }

    /// What was found for the next moment starts at once where it has room already. Components that take what they
    /// prefer may leave others no place in any order, and would else be promised that moment again and again.
    fn start_found(&mut self, parts: &[Component<'a>], (at, fits): &JointStart) -> bool {
        if *at > self.pass.instant.soon {
            return false;
        }
        let mark = self.begin();
        let mut granted = Vec::new();
        for (part, (place, fit)) in parts.iter().zip(fits) {
            self.pass.looks += fit.slots.len() as u64;
            let found = self.at_once(part, place, fit);
            let Some(fit) = found.filter(|fit| self.holding_breach(part.job, place, fit).is_none()) else {
                self.take_back(mark);
                return false;
            };
            granted.push(self.grant_fit(part, place.clone(), fit));
        }
        self.start_granted(parts, granted);
        true
    }

    /// The same shares of the same nodes, now.
    fn at_once(&self, part: &Component<'a>, place: &Candidate, fit: &Fit) -> Option<Fit> {
        let (instant, spec) = (self.pass.instant, &part.job.spec);
        let mut found = Fit::default();
        for (at, pick) in fit.slots.iter().zip(&fit.picks) {
            let slot = &self.view.fleet.slots[*at];
            let room = slot.room(instant, instant.now, place.time(spec.time_limit));
            found.push(*at, place_part(spec, &room, pick.units).filter(|_| slot.is_open(false))?);
        }
        Some(found)
    }

    fn earliest_of(&mut self, part: &Component<'a>, from: Timestamp) -> Option<(Timestamp, usize, Fit)> {
        let horizon = self.pass.instant.now + WINDOW + Span(1);
        let mut best: Option<(Timestamp, usize, Fit)> = None;
        for (rank, candidate) in part.candidates.iter().enumerate() {
            if !self.pass.may_reserve(candidate) {
                continue;
            }
            let by = best.as_ref().map_or(horizon, |(at, ..)| *at);
            let mut looks = 0;
            let seek = self.seek(part.class, Features::Required, candidate, part.job.spec.time_limit);
            let found = seek.earliest_from(from, by, &mut looks);
            self.pass.looks += looks;
            best = found.map(|(at, fit)| (at, rank, fit)).or(best);
        }
        best
    }

    fn reserve(&mut self, part: &Component<'a>, at: Timestamp, place: &Candidate, fit: &Fit) {
        let until = at + place.time(part.job.spec.time_limit);
        for (slot, pick) in fit.slots.iter().zip(&fit.picks) {
            self.view.fleet.reserve(*slot, Reserved { from: at, until, kept: pick.need });
        }
    }

    /// The promise is sought anew in each pass; the memory hears of it for the sake of others on the same nodes.
    fn promise_together(&mut self, parts: &[Component<'a>], at: Timestamp, fits: Vec<(Candidate, Fit)>) {
        for (part, (place, fit)) in parts.iter().zip(fits) {
            self.reserve(part, at, &place, &fit);
            let left = &mut self.pass.promises_left[place.partition_index];
            *left = left.saturating_sub(1);
            let (number, open) = (self.view.classes.get(part.class).number, self.open(&part.candidates));
            let (target, length) = (Target::Job(part.job.id), length(&part.job.spec));
            let seeker = Seeker { target, class: number, length, open };
            self.memory.keep(seeker, Promise { at, candidate: 0, fit });
        }
    }
}
