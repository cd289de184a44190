//! Whose end (or start) lets whom go.

use super::draft::Draft;
use crate::cluster::Cluster;
use crate::event::What;
use crate::job::{Job, JobPhase, TermState};
use crate::kept::KeptSpec;
use squall_types::het::MAX_COMPONENTS;
use squall_types::{DependencyKind, DependencyTerm, EndState, HetPlace, IndexSet, JobId, Reason, TargetJob, Timestamp};

/// How far something is that a dependency can be about.
struct Progress {
    /// When all of it had started, where it has.
    started_at: Option<Timestamp>,
    ended: bool,
    /// Some of it already ended badly.
    failed: bool,
    /// All of it ended well.
    completed: bool,
}

impl Draft<'_> {
    /// Looks again at the jobs that wait for this one, for its array, or for its name.
    pub fn wake_dependants(&mut self, id: JobId) {
        let Some(job) = self.job(id) else { return };
        let mut waiting: Vec<JobId> = self.cluster.dependants_of(id).collect();
        if let Some(array) = job.array().filter(|array| *array != id) {
            waiting.extend(self.cluster.dependants_of(array));
        }
        if let Some(place) = job.het().filter(|place| !place.is_leader()) {
            waiting.extend(self.cluster.dependants_of(place.leader));
        }
        if job.is_ended() {
            waiting.extend(self.cluster.singletons(job.spec.uid, job.spec.name()));
        }
        waiting.sort_unstable();
        waiting.dedup();
        waiting.into_iter().for_each(|job| self.look_again(job));
    }

    fn look_again(&mut self, id: JobId) {
        let Some(job) = self.job(id).filter(|job| job.is_pending()) else { return };
        let array = job.spec.array.is_some();
        let again = |(term, before): (&DependencyTerm, &TermState)| match before {
            // What came true stays true, from when it did: the other job may be requeued, or an array go on ending.
            TermState::Met | TermState::MetFrom(_) => *before,
            _ => resolve_term(self.cluster, &job.spec, id, array, term),
        };
        let terms: Vec<TermState> = job.dependency_terms().map(again).collect();
        if terms == job.terms {
            return;
        }
        let mut after = job.clone();
        after.terms = terms.clone();
        let eligible_at = eligible_at(&after, self.now).or(job.eligible_at);
        let hopeless = after.dependency_never() && job.spec.cancel_if_never;
        self.emit(What::DependencyChanged { job: id, terms, eligible_at });
        if hopeless {
            let reason = Reason::DependencyNeverSatisfied;
            match self.job(id).and_then(Job::waiting).cloned() {
                Some(waiting) => self.cancel_waiting(id, waiting, None),
                None => self.end_whole(id, EndState::Cancelled, reason),
            }
        }
    }
}

/// When a job with these terms may go as far as dependencies and begin time are concerned; `None` while unknown.
pub(super) fn eligible_at(job: &Job, now: Timestamp) -> Option<Timestamp> {
    let from = job.terms.iter().filter_map(|state| match state {
        TermState::Met => Some(now),
        TermState::MetFrom(at) => Some(*at),
        TermState::Waiting | TermState::Never => None,
    });
    let at = if job.spec.dependency().any { from.min() } else { from.max() };
    let at = at.into_iter().chain(job.spec.begin_at).fold(now, Timestamp::max);
    job.dependency_met(at).then_some(at)
}

/// The state of each term of a dependency, as things stand.
pub(super) fn resolve(cluster: &Cluster, spec: &KeptSpec, id: JobId) -> Vec<TermState> {
    let array = spec.array.is_some();
    spec.dependency().terms.iter().map(|term| resolve_term(cluster, spec, id, array, term)).collect()
}

fn resolve_term(cluster: &Cluster, spec: &KeptSpec, id: JobId, array: bool, term: &DependencyTerm) -> TermState {
    let Some(target) = term.target else {
        // Elements stand in the order of submission where their array does, and do not wait for one another.
        let array = |job: JobId| cluster.jobs.get(&job).and_then(Job::array);
        let place = |job: JobId| array(job).unwrap_or_else(|| cluster.leader_of(job));
        let mine = place(id);
        let free = !cluster.namesakes(spec.uid, spec.name()).any(|other| place(other) < mine);
        return if free { TermState::Met } else { TermState::Waiting };
    };
    let Some(progress) = progress(cluster, target) else { return TermState::Never };
    match term.kind {
        DependencyKind::After(delay) => match progress.started_at {
            Some(at) => TermState::MetFrom(at + delay),
            None if progress.ended => TermState::Met,
            None => TermState::Waiting,
        },
        DependencyKind::AfterAny | DependencyKind::AfterBurstBuffer => met_when(progress.ended),
        // Which elements may go is looked up element by element.
        DependencyKind::AfterCorr if array => TermState::Met,
        DependencyKind::AfterOk | DependencyKind::AfterCorr => match progress {
            Progress { completed: true, .. } => TermState::Met,
            Progress { ended: true, .. } if crate::canary::active("afterok_of_what_failed") => TermState::Met,
            Progress { failed: true, .. } => TermState::Never,
            _ => TermState::Waiting,
        },
        DependencyKind::AfterNotOk => match progress {
            Progress { completed: true, .. } => TermState::Never,
            Progress { ended: true, .. } => TermState::Met,
            _ => TermState::Waiting,
        },
        DependencyKind::Singleton => TermState::Met,
    }
}

fn met_when(condition: bool) -> TermState {
    if condition { TermState::Met } else { TermState::Waiting }
}

/// `None` for a job that never was.
fn progress(cluster: &Cluster, target: TargetJob) -> Option<Progress> {
    if let Some(index) = target.index {
        return progress_of_element(cluster, target.job, index);
    }
    if let Some(array) = cluster.arrays.get(&target.job) {
        let waiting = cluster.waiting_records(target.job).next().is_some();
        let ended = !waiting && array.live == 0;
        let failed = !array.failed.is_empty();
        let unstarted = || {
            array.records.values().any(|job| cluster.jobs.get(job).is_some_and(|job| !job.has_run && !job.is_ended()))
        };
        let started_at = (!waiting && array.started && !unstarted()).then_some(cluster.counters.at);
        return Some(Progress { started_at, ended, failed, completed: ended && !failed });
    }
    match cluster.jobs.get(&target.job) {
        Some(job) => Some(match job.het().filter(|place| place.is_leader()) {
            Some(place) => progress_of_whole(cluster, job, place),
            None => progress_of_job(job),
        }),
        None => progress_of_past(cluster, target.job),
    }
}

fn progress_of_element(cluster: &Cluster, array: JobId, index: u32) -> Option<Progress> {
    if let Some(ended) = cluster.past.elements.get(&array) {
        let (completed, failed) = (ended.completed.contains(index), ended.failed.contains(index));
        return (completed || failed).then_some(Progress { started_at: None, ended: true, failed, completed });
    }
    let Some(record) = cluster.arrays.get(&array) else { return progress_of_past(cluster, array) };
    if !record.all.contains(index) {
        return None;
    }
    if let Some(job) = cluster.element(array, index) {
        return Some(progress_of_job(job));
    }
    let (completed, failed) = (record.completed.contains(index), record.failed.contains(index));
    Some(Progress { started_at: None, ended: completed || failed, failed, completed })
}

fn progress_of_job(job: &Job) -> Progress {
    let completed = matches!(&job.phase, JobPhase::Ended(end) if end.state == EndState::Completed);
    let ended = job.is_ended();
    Progress { started_at: job.started_at(), ended, failed: ended && !completed, completed }
}

/// The leader's id names the whole: it is over when all of it is.
fn progress_of_whole(cluster: &Cluster, leader: &Job, place: HetPlace) -> Progress {
    let (mut ended, mut failed, mut completed) = (true, false, true);
    let progress = |id| cluster.jobs.get(&id).map(progress_of_job).or_else(|| progress_of_past(cluster, id));
    for part in place.ids().filter_map(progress) {
        (ended, failed, completed) = (ended && part.ended, failed || part.failed, completed && part.completed);
    }
    Progress { started_at: leader.started_at(), ended, failed, completed }
}

fn progress_of_past(cluster: &Cluster, job: JobId) -> Option<Progress> {
    let completed = cluster.past.completed.contains(job.0);
    let failed = cluster.past.failed.contains(job.0);
    // A component of it may still be ending: their ids follow on that of their leader.
    let rest = (1..MAX_COMPONENTS as u32).filter_map(|offset| cluster.jobs.get(&JobId(job.0.saturating_add(offset))));
    let mut rest = rest.take_while(|_| completed || failed);
    let ended = !rest.any(|other| !other.is_ended() && other.het().is_some_and(|place| place.leader == job));
    (completed || failed).then_some(Progress { started_at: None, ended, failed, completed: completed && ended })
}

/// Whether the dependency of an array lets this element go: `aftercorr` differs from one to the next.
pub(crate) fn element_may_go(cluster: &Cluster, job: &Job, index: u32, now: Timestamp) -> bool {
    !elements_that_may_go(cluster, job, &IndexSet::from_ranges(vec![(index, index)]), now).is_empty()
}

/// Those of an array's elements that its dependency lets go. Costs ranges, however many elements there are in them.
pub(crate) fn elements_that_may_go(cluster: &Cluster, job: &Job, elements: &IndexSet, now: Timestamp) -> IndexSet {
    let dependency = job.spec.dependency();
    let of_term = |term: &DependencyTerm, state: &TermState| match (term.kind, term.target) {
        (DependencyKind::AfterCorr, Some(target)) if target.index.is_none() => {
            match completed_of(cluster, target.job) {
                Some(completed) => elements.intersection(completed),
                None => all_or_none(elements, progress(cluster, target).is_some_and(|progress| progress.completed)),
            }
        }
        _ => all_or_none(elements, state.is_met(now)),
    };
    let mut terms = dependency.terms.iter().zip(&job.terms).map(|(term, state)| of_term(term, state));
    let Some(first) = terms.next() else { return elements.clone() };
    if dependency.any {
        terms.fold(first, |any, of| any.union(&of))
    } else {
        terms.fold(first, |all, of| all.intersection(&of))
    }
}

/// The elements of an array that ended well; `None` for what is no array, or is none any more.
fn completed_of(cluster: &Cluster, array: JobId) -> Option<&IndexSet> {
    let past = || cluster.past.elements.get(&array).map(|outcomes| &outcomes.completed);
    cluster.arrays.get(&array).map(|record| &record.completed).or_else(past)
}

fn all_or_none(elements: &IndexSet, all: bool) -> IndexSet {
    if all { elements.clone() } else { IndexSet::new() }
}
