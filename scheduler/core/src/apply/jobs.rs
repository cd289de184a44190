//! Events of jobs, arrays and steps.

use crate::cluster::{Cluster, Outcomes, TOKEN_KEPT};
use crate::crontab::Crontab;
use crate::event::{Charge, What};
use crate::job::{ArrayRecord, Claim, Job, JobPhase, Part, Placement, Role};
use imbl::OrdMap;
use squall_types::ids::Run;
use squall_types::{Allocation, Attempt, EndState, IndexSet, JobId, NodeId, Reason, SubmitToken, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Of so many arrays that are no longer in memory, the latest, it is remembered how each element ended; of all others
/// only whether all ended well.
const ARRAYS_REMEMBERED: usize = 1_000;
/// Of an array whose elements ended in more turns than this, nothing of that is remembered.
const RANGES_REMEMBERED: usize = 1_000;

impl Cluster {
    /// `false` where the event is about something else.
    pub(super) fn apply_to_jobs(&mut self, what: &What, at: Timestamp) -> bool {
        match what {
            What::JobSubmitted { job, spec, token, terms, eligible_at, het } => {
                let role = match (&spec.array, het) {
                    (Some(array), _) => Role::Pending { indices: array.indices.clone(), group_of: None },
                    (None, Some(place)) => Role::Component(*place),
                    (None, None) => Role::Single,
                };
                if let Some(array) = &spec.array {
                    let record = ArrayRecord {
                        array: *job,
                        limit: array.limit.filter(|_| !crate::canary::active("array_limit_forgotten")),
                        live: 0,
                        active: 0,
                        completed: IndexSet::new(),
                        failed: IndexSet::new(),
                        started: false,
                        all: array.indices.clone(),
                        step: array.step,
                        records: OrdMap::new(),
                        token: token.clone(),
                        groups: BTreeSet::new(),
                    };
                    self.arrays.insert(*job, record);
                }
                self.counters.next_job = self.counters.next_job.max(JobId(job.0.saturating_add(1)));
                self.counters.last_submit_at = at;
                let held = spec.hold.then_some(crate::job::HeldBy::User);
                self.put_job(Job {
                    id: *job,
                    spec: Arc::new(self.index.shares.share(spec.as_ref().into())),
                    token: token.clone(),
                    submitted_at: at,
                    eligible_at: *eligible_at,
                    role,
                    attempt: Attempt(0),
                    phase: JobPhase::Pending,
                    held,
                    terms: terms.clone(),
                    not_before: None,
                    failures: 0,
                    seeking_since: None,
                    charged: Default::default(),
                    last_reason: Reason::None,
                    next_step: 0,
                    has_run: false,
                });
            }
            What::ElementSplit { array, index, job, group } => self.split(group.unwrap_or(*array), *index, *job),
            What::GroupSplit { array, indices, job, group } => self.split_group(group.unwrap_or(*array), indices, *job),
            What::JobClaimed { job, partition, allocations } => {
                let claim = Claim { partition: partition.clone(), allocations: allocations.clone(), since: at };
                self.edit_job(*job, |job| {
                    job.phase = JobPhase::Configuring(Box::new(claim));
                    job.seeking_since.get_or_insert(at);
                });
                self.count_active(*job, 1);
                self.each_node(allocations, |node, allocation| {
                    node.claims.insert(*job, allocation.clone());
                    node.rest(at);
                });
            }
            What::ClaimDropped { job, reason, not_before } => {
                self.drop_claim(*job, at);
                self.edit_job(*job, |job| {
                    job.phase = JobPhase::Pending;
                    job.last_reason = *reason;
                    job.not_before = not_before.or(job.not_before);
                    if not_before.is_some() {
                        job.seeking_since = None;
                    }
                });
                self.count_active(*job, -1);
            }
            What::JobBound { run, partition, allocations, time_limit } => {
                let claimed = self.jobs.get(&run.job).is_some_and(|job| job.claim().is_some());
                self.drop_claim(run.job, at);
                let placement = Placement {
                    partition: partition.clone(),
                    allocations: allocations.clone(),
                    parts: vec![Part::Bound; allocations.len()],
                    time_limit: *time_limit,
                    bound_at: at,
                    pause: None,
                };
                self.edit_job(run.job, |job| {
                    job.attempt = run.attempt;
                    job.phase = JobPhase::Bound(Box::new(placement));
                    job.seeking_since = None;
                    job.not_before = None;
                    job.next_step = 0;
                });
                if !claimed {
                    self.count_active(run.job, 1);
                }
                self.each_node(allocations, |node, allocation| {
                    node.held.insert(*run, allocation.clone());
                    node.first_job_at.get_or_insert(at);
                    node.rest(at);
                });
            }
            What::PartPrepared { run, node } => self.edit_part(*run, *node, |part| *part = Part::Prepared),
            What::JobStarted { run } => {
                self.edit_job(run.job, |job| {
                    job.has_run = true;
                    if let JobPhase::Bound(placement) = &job.phase {
                        job.phase = JobPhase::Running { placement: placement.clone(), started_at: at };
                    }
                });
                if let Some(array) = self.jobs.get(&run.job).and_then(Job::array) {
                    self.arrays.edit(&array, |array| array.started = true);
                }
            }
            What::PartEnded { run, node, end } => {
                self.release_part(*run, *node, at);
                self.edit_part(*run, *node, |part| *part = Part::Ended { end: end.clone(), at });
            }
            What::PartGone { run, node } => {
                self.release_part(*run, *node, at);
                self.edit_part(*run, *node, |part| *part = Part::Gone(at));
            }
            What::JobStopping { run, why, outcome } => self.edit_job(run.job, |job| {
                let started_at = job.started_at();
                // The first reason stands, but a cancel overrules what would bring the job back.
                let placement = job.placement().cloned().map(Box::new);
                if let Some(mut placement) = placement {
                    // What is stopped could not be ended: its nodes let it go on first.
                    placement.resume(at);
                    let since = match &job.phase {
                        JobPhase::Stopping { since, .. } => *since,
                        _ => at,
                    };
                    let outcome = outcome.clone();
                    job.phase = JobPhase::Stopping { placement, started_at, why: *why, since, outcome };
                }
            }),
            What::JobEnded { job, end, charges } => {
                let active = self.jobs.get(job).is_some_and(|job| !matches!(job.phase, JobPhase::Pending));
                self.drop_claim(*job, at);
                self.charge(charges);
                self.edit_job(*job, |job| {
                    job.phase = JobPhase::Ended(Box::new(end.clone()));
                    job.last_reason = end.reason;
                });
                if active {
                    self.count_active(*job, -1);
                }
                self.counters.jobs_ended += 1;
                self.count_ended(*job, end.state);
            }
            What::JobRequeued { job, not_before, hold, reason, failure, charges, ended } => {
                self.charge(charges);
                let cost = charges.iter().map(|charge| charge.amount).sum();
                self.edit_job(*job, |job| {
                    job.phase = JobPhase::Pending;
                    job.not_before = Some(*not_before);
                    job.held = hold.or(job.held);
                    job.last_reason = *reason;
                    job.failures = if *failure { job.failures.saturating_add(1) } else { job.failures };
                    job.charged += cost;
                    if ended.is_some() {
                        // It ran well, and its age begins with its next time.
                        job.failures = 0;
                        job.eligible_at = Some(*not_before);
                    }
                });
                self.count_active(*job, -1);
            }
            What::JobHeld { job, by } => self.edit_job(*job, |job| job.held = Some(*by)),
            What::JobReleased { job } => self.edit_job(*job, |job| {
                job.held = None;
                job.failures = 0;
                job.not_before = None;
            }),
            What::JobUpdated { job, spec, terms, eligible_at, time_limit } => {
                let limit = spec.array.as_ref().and_then(|array| array.limit);
                let kept = Arc::new(self.index.shares.share(spec.as_ref().into()));
                self.edit_job(*job, |job| {
                    job.spec = kept;
                    job.terms = terms.clone();
                    job.eligible_at = *eligible_at;
                    if let (Some(limit), Some(placement)) = (time_limit, job.placement_mut()) {
                        placement.time_limit = *limit;
                    }
                });
                // The limit is the whole array's, whichever record of elements that wait it comes with.
                let waits = self.jobs.get(job).filter(|job| matches!(job.role, Role::Pending { .. }));
                if let Some(array) = waits.and_then(Job::array) {
                    self.arrays.edit(&array, |array| array.limit = limit);
                }
            }
            What::ElementsCancelled { array, indices, by, group } => {
                self.cancel_elements(group.unwrap_or(*array), indices, *by, at);
            }
            What::DependencyChanged { job, terms, eligible_at } => self.edit_job(*job, |job| {
                job.terms = terms.clone();
                job.eligible_at = *eligible_at;
            }),
            What::JobsPurged { jobs } => {
                jobs.iter().for_each(|job| self.purge_job(*job, at));
                self.forget_what_is_old(at);
            }
            What::JobSuspended { run } => self.edit_attempt(*run, |placement| placement.suspend(at)),
            What::JobResumed { run } => self.edit_attempt(*run, |placement| placement.resume(at)),
            What::CrontabSet { uid, crontab } => {
                let crontabs = Arc::make_mut(&mut self.crontabs);
                if **crontab == Crontab::default() {
                    crontabs.remove(uid);
                } else {
                    crontabs.insert(*uid, crontab.as_ref().clone());
                }
            }
            // Accounting alone keeps steps.
            What::StepStarted { run, step, .. } => {
                self.edit_job(run.job, |job| job.next_step = step.0.saturating_add(1));
            }
            What::StepEnded { .. } => {}
            _ => return false,
        }
        true
    }

    fn purge_job(&mut self, id: JobId, at: Timestamp) {
        let Some(job) = self.jobs.get(&id).cloned() else { return };
        self.drop_job(id);
        // An array's own record counts when the whole array is over, below.
        let outcome = match &job.phase {
            JobPhase::Ended(end) if job.array() != Some(id) => Some(end.state == EndState::Completed),
            _ => None,
        };
        if let Some(completed) = outcome {
            self.remember(id, completed && self.rest_completed(&job));
        }
        if let (Some(array), Some(index)) = (job.array(), job.index()) {
            self.arrays.edit(&array, |record| record.records.remove(&index));
        }
        if let (Some(array), Some(group)) = (job.array(), job.group()) {
            self.arrays.edit(&array, |record| record.groups.remove(&group));
        }
        let Some(array) = job.array() else {
            if job.bears_token() {
                self.spend_token(&job.token, id, at);
            }
            return;
        };
        let none_left = |record: &ArrayRecord| record.records.is_empty() && record.groups.is_empty();
        let empty = self.arrays.get(&array).is_some_and(|record| record.live == 0 && none_left(record));
        if empty && self.jobs.get(&array).is_none() {
            let Some(record) = self.arrays.remove(&array) else { return };
            self.remember(array, record.failed.is_empty());
            // A later job may still name one of the elements.
            let ranges = [&record.completed, &record.failed].map(|set| set.ranges().len());
            let mixed = !ranges.contains(&0) && ranges.iter().sum::<usize>() <= RANGES_REMEMBERED;
            if mixed || self.dependants_of(array).next().is_some() {
                let outcomes = Outcomes { completed: record.completed.clone(), failed: record.failed.clone() };
                Arc::make_mut(&mut self.past).elements.insert(array, outcomes);
            }
            self.spend_token(&job.token, array, at);
        }
    }

    /// A heterogeneous job ended as well as all of its components did: its leader's number is remembered for all.
    fn rest_completed(&self, job: &Job) -> bool {
        let Some(place) = job.het().filter(|place| place.is_leader()) else { return true };
        place.ids().skip(1).all(|id| match self.jobs.get(&id).map(|job| &job.phase) {
            Some(JobPhase::Ended(end)) => end.state == EndState::Completed,
            Some(_) => false,
            None => self.past.completed.contains(id.0),
        })
    }

    /// A submission that is repeated late is still the same job: its token outlives the purge for a while.
    fn spend_token(&mut self, token: &SubmitToken, job: JobId, at: Timestamp) {
        self.spent_tokens.insert((at, token.clone()), job);
    }

    fn forget_what_is_old(&mut self, at: Timestamp) {
        while let Some((key, _)) = self.spent_tokens.get_min().filter(|((spent_at, _), _)| *spent_at + TOKEN_KEPT <= at)
        {
            let key = key.clone();
            self.spent_tokens.remove(&key);
            self.index.tokens.remove(&key.1);
        }
        let unneeded = |array: &JobId| self.dependants_of(*array).next().is_none();
        let spare = self.past.elements.len().saturating_sub(ARRAYS_REMEMBERED);
        let unneeded: Vec<JobId> = self.past.elements.keys().copied().filter(unneeded).take(spare).collect();
        if !unneeded.is_empty() {
            let past = Arc::make_mut(&mut self.past);
            past.elements.retain(|array, _| !unneeded.contains(array));
        }
    }

    fn remember(&mut self, id: JobId, completed: bool) {
        let past = Arc::make_mut(&mut self.past);
        let outcomes = if completed { &mut past.completed } else { &mut past.failed };
        outcomes.insert(id.0);
    }

    fn count_active(&mut self, job: JobId, change: i32) {
        let Some(array) = self.jobs.get(&job).and_then(Job::array) else { return };
        self.arrays.edit(&array, |record| record.active = record.active.saturating_add_signed(change));
    }

    fn count_ended(&mut self, id: JobId, state: EndState) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (Some(array), Some(index)) = (job.array(), job.index()) else { return };
        self.arrays.edit(&array, |record| {
            record.live = record.live.saturating_sub(1);
            let outcomes = if state == EndState::Completed { &mut record.completed } else { &mut record.failed };
            outcomes.insert(index);
        });
    }

    fn charge(&mut self, charges: &[Charge]) {
        for charge in charges {
            if self.nodes.get(&charge.node).is_some() {
                self.edit_node(charge.node, |node| node.charged += charge.amount);
            }
        }
    }

    fn drop_claim(&mut self, job: JobId, at: Timestamp) {
        let Some(claim) = self.jobs.get(&job).and_then(Job::claim).cloned() else { return };
        self.each_node(&claim.allocations, |node, _| {
            node.claims.remove(&job);
            node.rest(at);
        });
    }

    fn each_node(&mut self, allocations: &[Allocation], mut change: impl FnMut(&mut crate::node::Node, &Allocation)) {
        for allocation in allocations {
            self.edit_node(allocation.node, |node| change(node, allocation));
        }
    }

    fn edit_attempt(&mut self, run: Run, change: impl FnOnce(&mut Placement)) {
        let mut found = false;
        self.edit_job(run.job, |job| {
            if job.attempt == run.attempt
                && let JobPhase::Running { placement, .. } = &mut job.phase
            {
                change(placement);
                found = true;
            }
        });
        if !found {
            self.fault(format!("run {run} does not run"));
        }
    }

    fn edit_part(&mut self, run: Run, node: NodeId, change: impl FnOnce(&mut Part)) {
        let mut found = false;
        self.edit_job(run.job, |job| {
            if job.attempt != run.attempt {
                return;
            }
            let Some(placement) = job.placement_mut() else { return };
            let rank = placement.allocations.iter().position(|allocation| allocation.node == node);
            if let Some(part) = rank.and_then(|rank| placement.parts.get_mut(rank)) {
                change(part);
                found = true;
            }
        });
        if !found {
            self.fault(format!("run {run} has no part on node {node}"));
        }
    }
}
