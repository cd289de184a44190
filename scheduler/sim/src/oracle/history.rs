//! The reference model: what the durable events say, folded by rules so short that they are plainly right.

use super::arrays::Arrays;
use super::limits::Limits;
use super::money::Rows;
use super::spending::Spending;
use super::together::Together;
use squall_core::{Event, What};
use squall_types::agent::StopWhy;
use squall_types::ids::Run;
use squall_types::{
    Allocation, EndState, Epoch, HetPlace, JobId, JobSpec, LaunchFailure, LaunchOrder, LaunchToken, NodeId, OrderId,
    Span, SubmitToken, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a job.
#[derive(Clone, Debug)]
pub struct JobFacts {
    pub spec: JobSpec,
    /// The array that it belongs to, and which element it is once it is one: `None` where several wait together.
    pub array: Option<(JobId, Option<u32>)>,
    pub attempt: u32,
    /// Bound and not requeued or ended.
    pub bound: bool,
    pub claimed: bool,
    pub held: bool,
    pub ended: Option<EndState>,
    pub first_started_at: Option<Timestamp>,
    /// Of a crontab: its next time.
    pub next_at: Option<Timestamp>,
    /// After this many events no attempt may be bound any more: somebody was told that it is cancelled.
    pub cancelled_at: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct BoundFacts {
    pub allocations: Vec<Allocation>,
    /// The shortest that it ever had: an agent may not have heard of the last.
    pub least_limit: Span,
    /// The longest that it ever had.
    pub most_limit: Span,
}

/// Everything durable, and what was wrong with it.
#[derive(Clone, Default)]
pub struct History {
    /// Events so far.
    pub length: u64,
    pub epoch: Epoch,
    pub jobs: BTreeMap<JobId, JobFacts>,
    pub arrays: Arrays,
    pub tokens: BTreeMap<SubmitToken, JobId>,
    pub bound: BTreeMap<Run, BoundFacts>,
    pub prepared: BTreeSet<(Run, NodeId)>,
    pub started: BTreeMap<Run, Timestamp>,
    pub stopping: BTreeMap<Run, StopWhy>,
    /// Since when an attempt is suspended, and what it was before that.
    pub suspended: BTreeMap<Run, (Option<Timestamp>, Span)>,
    /// Reported ended, or its machine gone.
    pub dead: BTreeSet<(Run, NodeId)>,
    pub orders: BTreeMap<LaunchToken, LaunchOrder>,
    pub order_of_node: BTreeMap<NodeId, OrderId>,
    /// Until when a call for an order may be repeated.
    pub accept_by: BTreeMap<OrderId, Timestamp>,
    pub spending: Spending,
    pub gone: BTreeSet<NodeId>,
    /// Nodes that were asked to end.
    pub retiring: BTreeSet<NodeId>,
    /// Over all that ever was, a restored backup included.
    pub highest_job: JobId,
    /// Attempts that were ever bound, a restored backup included.
    pub used: BTreeSet<Run>,
    pub restores: u32,
    pub rows: Rows,
    pub limits: Limits,
    pub together: Together,
    pub found: Vec<String>,
}

impl History {
    /// Takes in one durable event.
    pub fn take(&mut self, event: &Event) {
        self.length += 1;
        self.rows.take(event);
        self.together.take(event);
        let exceeded = self.limits.take(event);
        exceeded.into_iter().for_each(|text| self.wrong(text));
        let overspent = self.spending.take(event);
        overspent.into_iter().for_each(|text| self.wrong(text));
        let at = event.at;
        match &event.what {
            What::ControllerStarted { epoch, .. } => {
                if *epoch <= self.epoch {
                    self.wrong(format!("C1: epoch {epoch} follows epoch {}", self.epoch));
                }
                self.epoch = *epoch;
            }
            What::BackupRestored { .. } => self.restores += 1,
            What::JobSubmitted { job, spec, token, het, .. } => self.submitted(*job, spec, token, *het),
            What::ElementSplit { array, index, job, group } => {
                let from = group.unwrap_or(*array);
                let left = self.arrays.split(*array, from, *index);
                self.split(from, *job, (*array, Some(*index)), left);
            }
            What::GroupSplit { array, indices, job, group } => {
                let from = group.unwrap_or(*array);
                let left = self.arrays.group(*array, from, indices, *job);
                self.split(from, *job, (*array, None), left);
            }
            What::JobClaimed { job, allocations, .. } => {
                self.may_begin(*job, at);
                if let Some(facts) = self.jobs.get_mut(job) {
                    facts.claimed = true;
                }
                if allocations.is_empty() {
                    self.wrong(format!("job {job} claims nothing"));
                }
            }
            What::ClaimDropped { job, .. } => {
                if let Some(facts) = self.jobs.get_mut(job) {
                    facts.claimed = false;
                }
            }
            What::JobBound { run, allocations, time_limit, .. } => self.bind(*run, allocations, *time_limit, at),
            What::PartPrepared { run, node } => {
                self.prepared.insert((*run, *node));
            }
            What::JobStarted { run } => self.start(*run, at),
            What::JobSuspended { run } | What::JobResumed { run } => {
                self.suspend(*run, matches!(event.what, What::JobSuspended { .. }), at);
            }
            What::JobStopping { run, why, .. } => {
                self.resumed(*run, at);
                if *why == StopWhy::TimeLimit {
                    self.time_is_up(*run, at);
                }
                self.stopping.insert(*run, *why);
            }
            What::PartEnded { run, node, .. } | What::PartGone { run, node } => {
                self.dead.insert((*run, *node));
            }
            What::JobRequeued { job, hold, ended, not_before, .. } => {
                self.all_dead(*job, "is requeued");
                self.requeued(*job, hold.is_some(), ended.map(|_| *not_before), at);
            }
            What::JobHeld { job, .. } => self.hold(*job, true),
            What::JobReleased { job } => self.hold(*job, false),
            What::JobEnded { job, end, .. } => self.ended(*job, end.state),
            What::JobUpdated { job, spec, time_limit, .. } => {
                let attempt = self.jobs.get(job).map_or(0, |facts| facts.attempt);
                let run = Run { job: *job, attempt: squall_types::Attempt(attempt) };
                if let (Some(limit), Some(bound)) = (time_limit, self.bound.get_mut(&run)) {
                    bound.least_limit = bound.least_limit.min(*limit);
                    bound.most_limit = bound.most_limit.max(*limit);
                }
                if let Some(facts) = self.alive(*job, "is updated") {
                    facts.spec = spec.as_ref().clone();
                    if let Some((array, None)) = facts.array {
                        self.arrays.limit(array, spec.array.as_ref().and_then(|array| array.limit));
                    }
                }
            }
            What::ElementsCancelled { array, indices, group, .. } => {
                let record = group.unwrap_or(*array);
                for index in indices.iter() {
                    let left = self.arrays.split(*array, record, index);
                    left.unwrap_or_else(|text| self.wrong(text));
                    self.arrays.ended(*array, index, EndState::Cancelled);
                }
                if self.arrays.none_waits_in(*array, record)
                    && let Some(facts) = self.alive(record, "is cancelled")
                {
                    facts.ended = Some(EndState::Cancelled);
                }
            }
            What::OrderFailed { order, failure: LaunchFailure::Unknown { .. }, .. }
                if self.accept_by.get(order).is_some_and(|by| at < *by) =>
            {
                self.wrong(format!("M5: order {order} is given up while its outcome is unknown and its token lives"));
            }
            What::OrderPlaced { request, nodes, accept_by, .. } => {
                self.accept_by.insert(request.order, *accept_by);
                if self.orders.insert(request.token.clone(), request.as_ref().clone()).is_some() {
                    self.wrong(format!("M5: token {} stands for two orders", request.token));
                }
                self.order_of_node.extend(nodes.iter().map(|node| (*node, request.order)));
            }
            What::NodeGone { node, .. } if !self.gone.insert(*node) => self.wrong(format!("node {node} is gone twice")),
            What::NodeRetiring { node, .. } => {
                self.retiring.insert(*node);
            }
            _ => {}
        }
    }

    /// These events are durable together.
    pub fn committed(&mut self) {
        let apart = self.together.committed();
        apart.into_iter().for_each(|text| self.wrong(text));
    }

    pub(super) fn wrong(&mut self, text: String) {
        self.found.push(text);
    }

    fn submitted(&mut self, job: JobId, spec: &JobSpec, token: &SubmitToken, het: Option<HetPlace>) {
        self.new_id(job);
        // The leader answers for all components.
        let bears_token = het.is_none_or(HetPlace::is_leader);
        if let Some(other) = bears_token.then(|| self.tokens.insert(token.clone(), job)).flatten() {
            self.wrong(format!("J2: one submission became jobs {other} and {job}"));
        }
        let array = spec.array.as_ref().map(|array| {
            self.arrays.submitted(job, array);
            (job, None)
        });
        self.jobs.insert(job, JobFacts { held: spec.hold, ..JobFacts::new(spec.clone(), array) });
    }

    /// J3: over everything that ever was.
    fn new_id(&mut self, job: JobId) {
        if job <= self.highest_job {
            self.wrong(format!("J3: job id {job} is given after {}", self.highest_job));
        }
        self.highest_job = self.highest_job.max(job);
    }

    /// What leaves a record for one of its own is like it; the last element takes it over.
    fn split(&mut self, from: JobId, job: JobId, what: (JobId, Option<u32>), left: Result<(), String>) {
        left.unwrap_or_else(|text| self.wrong(text));
        let Some(whole) = self.alive(from, "is split").cloned() else { return };
        if job != from {
            self.new_id(job);
        } else if !self.arrays.none_waits_in(what.0, from) {
            self.wrong(format!("an element of array {} takes over record {from}, where others wait", what.0));
        }
        self.jobs.insert(job, JobFacts { array: Some(what), ..whole });
    }

    fn bind(&mut self, run: Run, allocations: &[Allocation], time_limit: Span, at: Timestamp) {
        let claimed = self.jobs.get(&run.job).is_some_and(|facts| facts.claimed);
        if !claimed {
            self.may_begin(run.job, at);
        }
        let length = self.length;
        let Some(facts) = self.alive(run.job, "is bound") else { return };
        let (before, bound, cancelled) = (facts.attempt, facts.bound, facts.cancelled_at);
        facts.attempt = run.attempt.0;
        facts.bound = true;
        facts.claimed = false;
        // Attempts count on; those of which a restored backup knows nothing are left out.
        let next = run.attempt.0 == before + 1 || (run.attempt.0 > before && self.restores > 0);
        if bound || !next || self.used.contains(&run) {
            self.wrong(format!("J4: attempt {run} is bound after attempt {before}, which is over: {}", !bound));
        }
        if cancelled.is_some_and(|at| at < length) {
            self.wrong(format!("J7: {run} is bound although its user was told that it is cancelled"));
        }
        if let Some(held) = allocations.iter().find(|held| self.gone.contains(&held.node)) {
            self.wrong(format!("{run} is bound to node {}, which is gone", held.node));
        }
        self.used.insert(run);
        self.bound.insert(
            run,
            BoundFacts { allocations: allocations.to_vec(), least_limit: time_limit, most_limit: time_limit },
        );
    }

    fn start(&mut self, run: Run, at: Timestamp) {
        let Some(bound) = self.bound.get(&run) else {
            return self.wrong(format!("{run} starts and was never bound"));
        };
        let unprepared = |held: &Allocation| !self.prepared.contains(&(run, held.node));
        if bound.allocations.len() > 1 && bound.allocations.iter().any(unprepared) {
            self.wrong(format!("G3: gang {run} starts before all of its parts are prepared"));
        }
        if self.started.insert(run, at).is_some() {
            self.wrong(format!("{run} starts twice"));
        }
        if let Some(facts) = self.alive(run.job, "starts") {
            facts.first_started_at.get_or_insert(at);
        }
    }

    fn suspend(&mut self, run: Run, suspend: bool, at: Timestamp) {
        let lasts = self.suspended.get(&run).is_some_and(|(since, _)| since.is_some());
        if lasts == suspend || !self.started.contains_key(&run) || self.was_stopped(run) {
            self.wrong(format!("{run} is suspended: {lasts}, and now again: {suspend}"));
        }
        if suspend {
            self.suspended.entry(run).or_default().0 = Some(at);
        } else {
            self.resumed(run, at);
        }
    }

    fn resumed(&mut self, run: Run, at: Timestamp) {
        if let Some((since, before)) = self.suspended.get_mut(&run)
            && let Some(since) = since.take()
        {
            *before = *before + at.since(since);
        }
    }

    /// M3: where no node has said so, a job that is out of time has run for as long as it might. A component may be so with
    /// its leader, which comes first.
    fn time_is_up(&mut self, run: Run, at: Timestamp) {
        let leader = self.together.place_of(run.job).map(|place| place.leader).filter(|leader| *leader != run.job);
        let with_leader = |(other, why): (&Run, &StopWhy)| Some(other.job) == leader && *why == StopWhy::TimeLimit;
        let said = self.dead.iter().any(|(dead, _)| *dead == run) || self.stopping.iter().any(with_leader);
        let (Some(started), Some(bound)) = (self.started.get(&run), self.bound.get(&run)) else { return };
        let suspended = self.suspended.get(&run).map_or(Span::ZERO, |(_, before)| *before);
        let (ran, limit) = (at.since(*started) - suspended, bound.least_limit);
        if !said && ran < limit {
            let (ran, limit) = (ran.as_secs(), limit.as_secs());
            self.wrong(format!("M3: {run} is out of time after {ran} s of {limit}, and no node says so"));
        }
    }

    fn ended(&mut self, job: JobId, state: EndState) {
        self.all_dead(job, "ends");
        let Some(facts) = self.alive(job, "ends") else { return };
        (facts.ended, facts.bound, facts.claimed) = (Some(state), false, false);
        if let Some((array, index)) = facts.array {
            match index {
                Some(index) => self.arrays.ended(array, index, state),
                None => self.wrong(format!("array {array} ends as a job")),
            }
        }
    }

    /// `again` is the next time of a job of a crontab that has run to its end.
    fn requeued(&mut self, job: JobId, hold: bool, again: Option<Timestamp>, at: Timestamp) {
        let Some(facts) = self.alive(job, "is requeued") else { return };
        facts.bound = false;
        facts.held |= hold;
        facts.next_at = again.or(facts.next_at);
        let next = facts.spec.cron.as_ref().and_then(|cron| cron.next(at));
        if let Some(again) = again.filter(|again| next != Some(*again)) {
            self.wrong(format!("job {job} is to run again at {}, its next time is {next:?}", again.0));
        }
    }

    fn hold(&mut self, job: JobId, held: bool) {
        if let Some(facts) = self.jobs.get_mut(&job) {
            facts.held = held;
        }
    }

    /// J5: what ends or comes back has nothing alive any more.
    fn all_dead(&mut self, job: JobId, what: &str) {
        let Some(facts) = self.jobs.get(&job).filter(|facts| facts.bound) else { return };
        let run = Run { job, attempt: squall_types::Attempt(facts.attempt) };
        let Some(bound) = self.bound.get(&run) else { return };
        if let Some(held) = bound.allocations.iter().find(|held| !self.dead.contains(&(run, held.node))) {
            self.wrong(format!("J5: {run} {what} while its part on node {} is not known dead", held.node));
        }
    }

    /// J6: nothing happens to a job that has ended.
    fn alive(&mut self, job: JobId, what: &str) -> Option<&mut JobFacts> {
        let text = match self.jobs.get(&job).map(|facts| facts.ended) {
            Some(None) => return self.jobs.get_mut(&job),
            Some(Some(state)) => format!("J6: job {job} {what} after its end as {}", state.word()),
            None => format!("J1: job {job} {what} and was never submitted"),
        };
        self.wrong(text);
        None
    }

    /// J8: at most as many elements as the array may have, and no dependency fires early.
    fn may_begin(&mut self, job: JobId, at: Timestamp) {
        let Some(facts) = self.jobs.get(&job) else { return };
        let begin_at = facts.spec.begin_at.max(facts.next_at);
        if facts.held {
            self.wrong(format!("job {job} begins although it is held"));
        }
        if begin_at.is_some_and(|begin| begin > at) {
            self.wrong(format!("job {job} begins at {} although its begin time is {begin_at:?}", at.0));
        }
        if let Some(text) = self.unmet(job, at) {
            self.wrong(text);
        }
        if let Some((array, _)) = self.jobs.get(&job).and_then(|facts| facts.array) {
            let active = |facts: &&JobFacts| facts.array.is_some_and(|(other, _)| other == array);
            let count = self.jobs.values().filter(active).filter(|facts| facts.bound || facts.claimed).count();
            if let Some(limit) = self.arrays.limit_of(array).filter(|limit| count as u32 >= *limit) {
                self.wrong(format!("J8: element {job} of array {array} begins beside {count} of at most {limit}"));
            }
        }
    }

    /// Why an attempt may have been ended by its agent, as far as the controller ever said.
    pub fn was_stopped(&self, run: Run) -> bool {
        self.stopping.contains_key(&run)
    }

    /// Jobs that have not ended, arrays by their own record.
    pub fn live_jobs(&self) -> impl Iterator<Item = (&JobId, &JobFacts)> {
        self.jobs.iter().filter(|(_, facts)| facts.ended.is_none())
    }
}

impl JobFacts {
    fn new(spec: JobSpec, array: Option<(JobId, Option<u32>)>) -> Self {
        JobFacts {
            spec,
            array,
            attempt: 0,
            bound: false,
            claimed: false,
            held: false,
            ended: None,
            first_started_at: None,
            next_at: None,
            cancelled_at: None,
        }
    }
}
