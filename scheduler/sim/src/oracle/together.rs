//! H1: components of a heterogeneous job claim, are bound and start together or not at all, and none outlives the first.

use squall_core::{Event, What};
use squall_types::{HetPlace, JobId};
use std::collections::{BTreeMap, BTreeSet};

/// What may happen to all components at once, and to none alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Claims,
    IsBound,
    Starts,
    LosesItsClaim,
}

#[derive(Clone, Default)]
pub struct Together {
    places: BTreeMap<JobId, HetPlace>,
    claims: BTreeSet<JobId>,
    /// Bound, and neither being ended nor back in the queue.
    goes_on: BTreeSet<JobId>,
    over: BTreeSet<JobId>,
    /// Since the last commit: what is durable together happened together.
    acts: BTreeMap<(JobId, Act), BTreeSet<JobId>>,
}

impl Together {
    pub fn place_of(&self, job: JobId) -> Option<HetPlace> {
        self.places.get(&job).copied()
    }

    pub fn take(&mut self, event: &Event) {
        match &event.what {
            What::JobSubmitted { job, het: Some(place), .. } => {
                self.places.insert(*job, *place);
            }
            What::JobClaimed { job, .. } => {
                self.claims.insert(*job);
                self.act(*job, Act::Claims);
            }
            What::ClaimDropped { job, .. } => {
                self.claims.remove(job);
                self.act(*job, Act::LosesItsClaim);
            }
            What::JobBound { run, .. } => {
                self.claims.remove(&run.job);
                self.goes_on.insert(run.job);
                self.act(run.job, Act::IsBound);
            }
            What::JobStarted { run } => self.act(run.job, Act::Starts),
            What::JobStopping { run, .. } => {
                self.goes_on.remove(&run.job);
            }
            What::JobEnded { job, .. } => {
                self.claims.remove(job);
                self.goes_on.remove(job);
                self.over.insert(*job);
            }
            _ => {}
        }
    }

    fn act(&mut self, job: JobId, act: Act) {
        if let Some(place) = self.places.get(&job) {
            self.acts.entry((place.leader, act)).or_default().insert(job);
        }
    }

    /// What is wrong after a commit, in words.
    pub fn committed(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        for ((leader, act), who) in std::mem::take(&mut self.acts) {
            let Some(place) = self.places.get(&leader) else { continue };
            if !place.ids().all(|id| who.contains(&id)) {
                found.push(format!("H1: of job {leader} and its components only {who:?} {act:?}"));
            }
        }
        let outlives = |job: &&JobId| {
            let leader = self.places.get(job).map(|place| place.leader);
            leader.is_some_and(|leader| self.over.contains(&leader))
        };
        let late = self.goes_on.iter().chain(&self.claims).filter(outlives);
        found.extend(late.map(|job| format!("H1: component {job} goes on after the first has ended")));
        found
    }
}
