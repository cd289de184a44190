//! J8: a job may begin only when what it waits for has happened.

use super::history::{History, JobFacts};
use squall_types::{DependencyKind, DependencyTerm, EndState, JobId, TargetJob, Timestamp};

impl History {
    /// What is not yet so and would have to be for this job to begin; `None` where all is well.
    pub(super) fn unmet(&self, job: JobId, at: Timestamp) -> Option<String> {
        let facts = self.jobs.get(&job)?;
        let terms = &facts.spec.dependency.terms;
        if terms.is_empty() {
            return None;
        }
        let met = |term: &DependencyTerm| self.is_met(job, facts, term, at);
        let fine = if facts.spec.dependency.any { terms.iter().any(met) } else { terms.iter().all(met) };
        (!fine).then(|| format!("J8: job {job} begins although its dependency {:?} is not met", facts.spec.dependency))
    }

    fn is_met(&self, job: JobId, facts: &JobFacts, term: &DependencyTerm, at: Timestamp) -> bool {
        let Some(target) = term.target else { return self.is_alone(job, facts) };
        // Which elements a purged array had is not remembered: one that never was counts as the whole.
        let never_was = target.index.is_some_and(|index| self.arrays.outcome(target.job, index).is_none());
        let target = if never_was { TargetJob { index: None, ..target } } else { target };
        match term.kind {
            DependencyKind::After(delay) => self.started(target).is_none_or(|started| started + delay <= at),
            DependencyKind::AfterAny | DependencyKind::AfterBurstBuffer => self.ends(target).is_some(),
            DependencyKind::AfterCorr => match facts.array {
                Some((_, Some(index))) if target.index.is_none() && self.arrays.contains(target.job) => {
                    match self.arrays.outcome(target.job, index) {
                        Some(end) => end == Some(EndState::Completed),
                        None => self.ends(target).is_some_and(all_well),
                    }
                }
                // Which element it will be is known when it has a record.
                Some((_, None)) => true,
                _ => self.ends(target).is_some_and(all_well),
            },
            DependencyKind::AfterOk => self.ends(target).is_some_and(all_well),
            DependencyKind::AfterNotOk => self.ends(target).is_some_and(|ends| !all_well(ends)),
            DependencyKind::Singleton => true,
        }
    }

    /// `None` where it never started and has ended; the present is then right. `NEVER` while it waits.
    fn started(&self, target: TargetJob) -> Option<Timestamp> {
        if self.ends(target).is_some() {
            return None;
        }
        let of_target = |(id, facts): &(&JobId, &JobFacts)| match facts.array {
            Some((array, index)) if array == target.job => target.index.is_none() || index == target.index,
            _ => **id == target.job,
        };
        let started = self.jobs.iter().filter(of_target).map(|(_, facts)| match facts.ended {
            Some(_) => Timestamp::ZERO,
            None => facts.first_started_at.unwrap_or(Timestamp::NEVER),
        });
        let latest = started.max().unwrap_or(Timestamp::NEVER);
        // An element without a record has not started.
        let unsplit = target.index.is_none() && self.arrays.contains(target.job) && !self.arrays.none_waits(target.job);
        Some(if unsplit { Timestamp::NEVER } else { latest })
    }

    /// How everything that is meant ended; `None` while some of it has not.
    fn ends(&self, target: TargetJob) -> Option<Vec<EndState>> {
        if !self.arrays.contains(target.job) {
            // The leader's id names all components.
            let ended = |id: JobId| self.jobs.get(&id)?.ended;
            return match self.together.place_of(target.job).filter(|place| place.is_leader()) {
                Some(place) => place.ids().map(ended).collect(),
                None => ended(target.job).map(|end| vec![end]),
            };
        }
        match target.index {
            Some(index) => self.arrays.outcome(target.job, index)?.map(|end| vec![end]),
            None => self.arrays.outcomes(target.job).map(Iterator::collect),
        }
    }

    /// No earlier job of this user and name lives; elements stand where their array does.
    fn is_alone(&self, job: JobId, facts: &JobFacts) -> bool {
        let leader = |id: JobId| self.together.place_of(id).map_or(id, |place| place.leader);
        let place = |id: JobId, facts: &JobFacts| facts.array.map_or_else(|| leader(id), |(array, _)| array);
        let mine = place(job, facts);
        let before = |(id, other): (&JobId, &JobFacts)| {
            other.ended.is_none()
                && other.spec.uid == facts.spec.uid
                && other.spec.name == facts.spec.name
                && place(*id, other) < mine
        };
        !self.jobs.iter().any(|(id, other)| before((id, other)))
    }

    /// Whether a job that waits can never go: what it waits for can no longer come true.
    pub fn waits_for_ever(&self, job: JobId) -> bool {
        let Some(facts) = self.jobs.get(&job) else { return false };
        let terms = &facts.spec.dependency.terms;
        let never = |term: &DependencyTerm| {
            let Some(target) = term.target else { return false };
            let ends = self.ends(target);
            let (all_well, some_badly) = (
                ends.as_ref().is_some_and(|ends| ends.iter().all(|end| *end == EndState::Completed)),
                self.some_failed(target),
            );
            // Elements without a counterpart wait as long as those whose counterpart failed.
            let some_badly = some_badly || (term.kind == DependencyKind::AfterCorr && ends.is_some());
            let missing = target.index.is_some_and(|index| self.arrays.outcome(target.job, index).is_none());
            missing
                || match term.kind {
                    DependencyKind::AfterOk | DependencyKind::AfterCorr => some_badly,
                    DependencyKind::AfterNotOk => all_well,
                    _ => false,
                }
        };
        !terms.is_empty() && if facts.spec.dependency.any { terms.iter().all(never) } else { terms.iter().any(never) }
    }

    fn some_failed(&self, target: TargetJob) -> bool {
        let bad = |end: EndState| end != EndState::Completed;
        if !self.arrays.contains(target.job) {
            let failed = |id: JobId| self.jobs.get(&id).is_none_or(|facts| facts.ended.is_some_and(bad));
            return match self.together.place_of(target.job).filter(|place| place.is_leader()) {
                Some(place) => place.ids().any(failed),
                None => failed(target.job),
            };
        }
        match target.index {
            Some(index) => self.arrays.outcome(target.job, index).is_none_or(|end| end.is_some_and(bad)),
            None => self.arrays.any_ended(target.job, bad),
        }
    }
}

fn all_well(ends: Vec<EndState>) -> bool {
    ends.iter().all(|end| *end == EndState::Completed)
}
