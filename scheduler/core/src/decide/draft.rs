//! A decision being made: the events so far, and the state as they leave it.

use crate::cluster::Cluster;
use crate::duties::touched;
use crate::event::{Event, RunEnd, What};
use crate::job::{Job, JobPhase, Outcome, Part, Placement};
use squall_types::agent::StopWhy;
use squall_types::ids::Run;
use squall_types::{JobId, NodeId, Timestamp};

/// Later parts of a decision see what earlier ones did.
pub(super) struct Draft<'a> {
    pub cluster: &'a mut Cluster,
    pub now: Timestamp,
    pub events: Vec<Event>,
    /// Nodes whose duties the events are about, as the state has it before or after each.
    pub touched: Vec<NodeId>,
}

impl<'a> Draft<'a> {
    pub fn new(cluster: &'a mut Cluster, now: Timestamp) -> Self {
        let now = now.max(cluster.counters.at);
        Draft { cluster, now, events: Vec::new(), touched: Vec::new() }
    }

    pub fn emit(&mut self, what: What) {
        let event = what.at(self.now);
        self.touched.extend(touched(self.cluster, &event.what));
        self.cluster.apply(&event);
        self.touched.extend(touched(self.cluster, &event.what));
        self.events.push(event);
    }

    pub fn job(&self, job: JobId) -> Option<&Job> {
        self.cluster.jobs.get(&job)
    }

    /// Ends all parts that live, or settles the job at once where none does.
    pub fn stop(&mut self, run: Run, why: StopWhy, outcome: Outcome) {
        self.emit(What::JobStopping { run, why, outcome: outcome.clone() });
        self.settle(run);
        self.carry_along(run.job, why, &outcome);
    }

    /// When the last part of a stopping attempt is dead, the outcome comes true.
    pub fn settle(&mut self, run: Run) {
        let Some(job) = self.job(run.job) else { return };
        let JobPhase::Stopping { placement, outcome, .. } = &job.phase else { return };
        let early = crate::canary::active("ends_before_its_parts");
        if job.attempt != run.attempt || !(early || placement.parts.iter().all(Part::is_dead)) {
            return;
        }
        let (placement, outcome) = (placement.clone(), outcome.clone());
        match outcome {
            Outcome::End { state, exit, reason, by } => match self.next_time(run.job) {
                Some(not_before) => {
                    let (charges, ended) = (self.charges(run.job, &placement), Some(RunEnd { state, exit }));
                    let (hold, failure) = (None, false);
                    self.emit(What::JobRequeued { job: run.job, not_before, hold, reason, failure, charges, ended });
                    self.wake_dependants(run.job);
                }
                None => self.end(run.job, state, exit, reason, by, Some(&placement)),
            },
            Outcome::Requeue { not_before, hold, reason, failure } => {
                let (charges, ended) = (self.charges(run.job, &placement), None);
                self.emit(What::JobRequeued { job: run.job, not_before, hold, reason, failure, charges, ended });
                self.wake_dependants(run.job);
            }
        }
    }

    /// The present attempt of a job, where it has one that is not ended.
    pub fn placement(&self, run: Run) -> Option<&Placement> {
        self.job(run.job).filter(|job| job.attempt == run.attempt).and_then(Job::placement)
    }
}
