//! Heterogeneous jobs: their components are submitted, placed and started together, and end with the first of them.

use super::Reply;
use super::dependencies::{eligible_at, resolve};
use super::draft::Draft;
use crate::authz::{self, Object, Verb};
use crate::cluster::Cluster;
use crate::command::Caller;
use crate::event::What;
use crate::job::{Job, JobPhase, Outcome, Part};
use crate::kept::KeptSpec;
use crate::plan::feasible::Misfit;
use crate::plan::{Step, Target, misfit_together};
use crate::refuse::Rejection;
use squall_types::agent::StopWhy;
use squall_types::het::MAX_COMPONENTS;
use squall_types::ids::Run;
use squall_types::{EndState, ExitStatus, HetPlace, JobId, JobKind, JobSpec, Reason, SubmitToken, Timestamp};
use std::collections::BTreeSet;

/// Slurm's words, on which clients match.
const NOT_WHOLE: &str = "Operation not permitted on individual component of heterogeneous job";

impl Cluster {
    /// The components of a heterogeneous job that are in memory, the leader first.
    pub fn components(&self, place: HetPlace) -> impl Iterator<Item = &Job> {
        place.ids().filter_map(|id| self.jobs.get(&id))
    }

    /// Everything that is placed when a job is: all components of a heterogeneous job, else the job alone.
    pub fn together<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = &'a Job> {
        let place = job.het();
        let alone = place.is_none().then_some(job);
        alone.into_iter().chain(place.into_iter().flat_map(|place| self.components(place)))
    }

    /// What a leader's number came to is known when all components have ended.
    pub(crate) fn may_be_forgotten(&self, id: JobId) -> bool {
        let place = self.jobs.get(&id).and_then(Job::het).filter(|place| place.is_leader());
        place.is_none_or(|place| self.components(place).all(Job::is_ended))
    }

    /// The job that an id stands for where only the whole counts.
    pub(crate) fn leader_of(&self, id: JobId) -> JobId {
        self.jobs.get(&id).and_then(Job::het).map_or(id, |place| place.leader)
    }
}

impl Draft<'_> {
    /// All components or none. The first bears the script; the others are there for its steps.
    pub fn submit_together(
        &mut self,
        caller: &Caller,
        specs: &[JobSpec],
        token: &SubmitToken,
        test_only: bool,
    ) -> Result<Reply, Rejection> {
        if let [spec] = specs {
            return self.submit(caller, spec, token, test_only);
        }
        let uid = specs.first().map(|spec| spec.uid).unwrap_or_default();
        authz::allow(caller, Verb::Submit, Object::Job { uid })?;
        if let Some(job) = self.cluster.job_of_token(token) {
            return Ok(Reply::Submitted { job, notes: Vec::new(), step: None });
        }
        check_components(specs)?;
        let leader = self.next_id();
        let size = specs.len() as u32;
        if test_only {
            self.hold_nothing_back();
        }
        for (offset, spec) in (0..).zip(specs) {
            let place = HetPlace { leader, offset, size };
            let mut spec = KeptSpec::from(spec);
            if !place.is_leader() {
                spec.kind = JobKind::Interactive;
                spec.script = None;
            }
            let id = self.admit(caller, &mut spec).map_err(|refusal| of_component(refusal, offset))?;
            let mut targets = spec.dependency().terms.iter().filter_map(|term| term.target);
            if targets.any(|target| place.ids().any(|sibling| sibling == target.job)) {
                return Err(Rejection::new("SQ1061", "Job dependency problem")
                    .asked(format!("--dependency of component {offset} on another"))
                    .limit("all components start together: it would wait for itself"));
            }
            // Components stand in the order of submission where their leader does.
            let terms = resolve(self.cluster, &spec, leader);
            let eligible_at = eligible_at(&self.pending(&spec, id, &terms), self.now);
            // The whole is one submission: the leader answers to the token.
            let token = if place.is_leader() { token.clone() } else { SubmitToken::default() };
            self.emit(What::JobSubmitted {
                job: id,
                spec: Box::new(spec.to_spec()),
                token,
                terms,
                eligible_at,
                het: Some(place),
            });
        }
        self.fits_together(leader)?;
        if test_only {
            let estimate = crate::explain::estimate(self.cluster, self.now, leader);
            return Ok(Reply::Estimated { estimate });
        }
        Ok(Reply::Submitted { job: leader, notes: Vec::new(), step: None })
    }

    /// Refuses components of which each could run alone and that could never run at once.
    pub(super) fn fits_together(&self, id: JobId) -> Result<(), Rejection> {
        let Some(job) = self.job(id).filter(|job| job.het().is_some() && job.is_pending()) else { return Ok(()) };
        let specs: Vec<KeptSpec> = self.cluster.together(job).map(|job| KeptSpec::clone(&job.spec)).collect();
        match misfit_together(self.cluster, self.now, &specs) {
            None => Ok(()),
            Some(Misfit { slurm, asked, limit, try_this }) => {
                Err(Rejection::new("SQ1070", &slurm).asked(asked).limit(limit).try_this(try_this))
            }
        }
    }

    /// All components of a heterogeneous job, by id, or the job alone.
    pub(super) fn whole(&self, id: JobId) -> Vec<JobId> {
        self.job(id).map_or_else(Vec::new, |job| self.cluster.together(job).map(|job| job.id).collect())
    }

    /// Whether all of a heterogeneous job can still come back: none of it has ended, or is ending for good.
    pub(super) fn is_whole(&self, place: HetPlace) -> bool {
        let ends =
            |job: &Job| job.is_ended() || matches!(&job.phase, JobPhase::Stopping { outcome: Outcome::End { .. }, .. });
        place.ids().all(|id| self.job(id).is_some_and(|job| !ends(job)))
    }

    /// Where a component cannot go on, none can: the run whose end is that of all.
    pub(super) fn run_of_whole(&self, run: Run) -> Run {
        self.job(self.cluster.leader_of(run.job)).map_or(run, Job::run)
    }

    /// Nothing of a job can run any more, or ever: of a heterogeneous one, all.
    pub(super) fn end_whole(&mut self, id: JobId, state: EndState, reason: Reason) {
        let leader = self.cluster.leader_of(id);
        let Some(job) = self.job(leader) else { return };
        let (run, exit) = (job.run(), ExitStatus::default());
        match job.phase {
            JobPhase::Pending | JobPhase::Configuring(_) => self.end(leader, state, exit, reason, None, None),
            // Of it something is still being ended to come back.
            _ => self.stop(run, StopWhy::Cancelled, Outcome::End { state, exit, reason, by: None }),
        }
    }

    /// What becomes of the leader becomes of all other components that have not ended.
    pub(super) fn carry_along(&mut self, id: JobId, why: StopWhy, outcome: &Outcome) {
        let Some(place) = self.job(id).and_then(Job::het).filter(|place| place.is_leader()) else { return };
        for other in place.ids().skip(1) {
            let Some(job) = self.job(other) else { continue };
            let run = job.run();
            match (&job.phase, outcome) {
                (JobPhase::Bound(_) | JobPhase::Running { .. }, _)
                | (JobPhase::Stopping { outcome: Outcome::Requeue { .. }, .. }, Outcome::End { .. }) => {
                    self.stop(run, why, outcome.clone());
                }
                (JobPhase::Pending | JobPhase::Configuring(_), Outcome::End { state, exit, reason, by }) => {
                    self.end(other, *state, *exit, *reason, *by, None);
                }
                _ => {}
            }
        }
    }

    /// Before it runs only all of a heterogeneous job can be cancelled. `named`: the component was, rather than the whole.
    pub(super) fn may_cancel(&self, id: JobId, named: bool) -> Result<(), Rejection> {
        let Some(job) = self.job(id) else { return Ok(()) };
        let Some(place) = job.het().filter(|place| named || !place.is_leader()) else { return Ok(()) };
        let waits = match &job.phase {
            JobPhase::Pending | JobPhase::Configuring(_) | JobPhase::Bound(_) => true,
            JobPhase::Stopping { outcome, .. } => matches!(outcome, Outcome::Requeue { .. }),
            JobPhase::Running { .. } | JobPhase::Ended(_) => false,
        };
        if !waits {
            return Ok(());
        }
        let HetPlace { leader, offset, .. } = place;
        Err(Rejection::new("SQ1019", NOT_WHOLE)
            .asked(format!("to cancel component {offset} of job {leader}"))
            .limit("it has not started, and its components start together or not at all")
            .try_this(format!("scancel {leader}, or the component once the job runs")))
    }

    /// Only the whole comes back.
    pub(super) fn may_requeue(&self, place: HetPlace) -> Result<(), Rejection> {
        let HetPlace { leader, offset, .. } = place;
        if !place.is_leader() {
            return Err(Rejection::new("SQ1019", NOT_WHOLE)
                .asked(format!("to requeue component {offset} of job {leader}"))
                .limit("its components start together or not at all")
                .try_this(format!("scontrol requeue {leader}")));
        }
        if !self.is_whole(place) {
            return Err(Rejection::new("SQ1011", "Job/step already completing or completed")
                .asked(format!("to requeue job {leader}"))
                .limit("a component of it has ended: an ended job never runs again")
                .try_this("submit it anew"));
        }
        Ok(())
    }

    /// A job loses what it claims, and with it all that was to start beside it.
    pub(super) fn drop_claim(&mut self, id: JobId, reason: Reason, not_before: Option<Timestamp>) {
        for job in self.whole(id) {
            if self.job(job).is_some_and(|job| job.claim().is_some()) {
                self.emit(What::ClaimDropped { job, reason, not_before });
            }
        }
    }

    /// Starts, or claims, of all components, with what has to be bought for them: all of it or nothing.
    pub(super) fn perform_together(&mut self, steps: &[Step]) -> Result<Reply, Rejection> {
        let placed = |step: &Step| match step {
            Step::Bind { target: Target::Job(job), .. } | Step::Claim { target: Target::Job(job), .. } => Some(*job),
            _ => None,
        };
        let placed: BTreeSet<JobId> = steps.iter().filter_map(placed).collect();
        let whole: BTreeSet<JobId> = placed.first().into_iter().flat_map(|job| self.whole(*job)).collect();
        if placed != whole {
            return Err(Rejection::new("SQ5005", "the plan is out of date")
                .asked(format!("components {placed:?}"))
                .limit("all components are placed together or not at all"));
        }
        for step in steps {
            self.perform_one(step)?;
            if crate::canary::active("components_apart") && matches!(step, Step::Bind { .. } | Step::Claim { .. }) {
                break;
            }
        }
        Ok(Reply::Done)
    }

    /// Nothing of a job runs before all of it is prepared: every part of a gang, every component.
    pub(super) fn is_prepared(&self, job: &Job) -> bool {
        let ready = |part: &Part| matches!(part, Part::Prepared);
        let prepared = |job: &Job| match &job.phase {
            JobPhase::Bound(placement) if crate::canary::active("gang_starts_early") => {
                placement.parts.iter().any(ready)
            }
            JobPhase::Bound(placement) => placement.parts.iter().all(ready),
            _ => false,
        };
        self.cluster.together(job).all(prepared)
    }
}

fn check_components(specs: &[JobSpec]) -> Result<(), Rejection> {
    let invalid = |asked: String, limit: String| {
        Err(Rejection::new("SQ1032", "Invalid job specification").asked(asked).limit(limit))
    };
    if specs.is_empty() || specs.len() > MAX_COMPONENTS {
        let asked = format!("a heterogeneous job of {} components", specs.len());
        return invalid(asked, format!("between 1 and {MAX_COMPONENTS}"));
    }
    if let Some(offset) = specs.iter().position(|spec| spec.array.is_some()) {
        return Err(Rejection::new("SQ1060", "Invalid job array specification")
            .asked(format!("--array of component {offset} of a heterogeneous job"))
            .limit("a heterogeneous job cannot be an array")
            .try_this("a submission for each element"));
    }
    if specs.iter().any(|spec| spec.cron.is_some()) {
        return invalid(
            "a heterogeneous job that runs again and again".to_owned(),
            "such jobs are entries of a crontab, and have one component".to_owned(),
        );
    }
    if let Some(offset) = specs.iter().position(|spec| spec.uid != specs[0].uid) {
        return invalid(format!("component {offset} for another user"), "all components are one user's".to_owned());
    }
    Ok(())
}

/// Whoever is refused has to know which of the requests it was.
fn of_component(refusal: Rejection, offset: u32) -> Rejection {
    let asked = format!("{} (component {offset})", refusal.0.asked);
    refusal.asked(asked)
}
