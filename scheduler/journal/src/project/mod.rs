//! Accounting: what `sacct` and the ledger answer from, projected from the events alone, in their order, in the transaction
//! that stores them or in a [later one](crate::arrears) that says how far it goes. Accounting can therefore not disagree
//! with the log.

mod job;
mod ledger;
pub(crate) mod rows;
mod spec;
mod step;
mod totals;
mod touched;

pub(crate) use job::{Job, JobKey, StoredJob, seal_attempt, select_jobs};
pub(crate) use ledger::{StoredCharge, seal_node, seal_order};
pub(crate) use spec::{SpecId, load as load_spec};
pub(crate) use step::seal as seal_step;
pub use totals::Totals;

use crate::{JournalError, arrears, meta};
use ledger::KnownNode;
use rows::{AttemptRow, Grant, JobRow, NodeRow, Phase, Place, StepRow};
use rusqlite::Connection;
use squall_core::event::{Event, RunEnd, What};
use squall_core::job::HeldBy;
use squall_types::agent::{ExitStatus, Usage};
use squall_types::ids::Run;
use squall_types::{
    Allocation, Attempt, AttemptEnd, EndState, HetPlace, IndexSet, JobId, JobKind, JobSpec, MicroUsd, NodeId,
    PartitionName, Reason, Seq, Span, Timestamp, Uid,
};
use std::collections::BTreeMap;
use std::path::Path;
use touched::Touched;

const TOTALS: &str = "totals";

/// What the projection keeps between commits.
#[derive(Debug, Default)]
pub(crate) struct Projection {
    /// Nodes that are not gone, as far as they were met.
    nodes: BTreeMap<NodeId, KnownNode>,
    totals: Totals,
}

/// Writes rows in one transaction.
pub(crate) struct Writer<'a> {
    db: &'a Connection,
    path: &'a Path,
    nodes: &'a mut BTreeMap<NodeId, KnownNode>,
    totals: &'a mut Totals,
    touched: Touched,
}

impl Projection {
    pub fn load(db: &Connection, path: &Path) -> Result<Projection, JournalError> {
        let totals = load_totals(db, path)?;
        Ok(Projection { nodes: BTreeMap::new(), totals })
    }

    pub fn writer<'a>(&'a mut self, db: &'a Connection, path: &'a Path) -> Writer<'a> {
        Writer { db, path, nodes: &mut self.nodes, totals: &mut self.totals, touched: Touched::default() }
    }
}

pub(crate) fn load_totals(db: &Connection, path: &Path) -> Result<Totals, JournalError> {
    Ok(meta::load(db, path, TOTALS)?.unwrap_or_default())
}

impl Writer<'_> {
    /// Takes in one record.
    pub fn project(&mut self, seq: Seq, event: &Event) -> Result<(), JournalError> {
        let at = event.at;
        match &event.what {
            What::JobSubmitted { job, spec, eligible_at, het, .. } => {
                self.submitted(*job, spec, *eligible_at, *het, at)
            }
            What::ElementSplit { array, index, job, group } => {
                self.split(group.unwrap_or(*array), *job, Place::Element { array: *array, index: *index })
            }
            What::GroupSplit { array, indices, job, group } => {
                let indices = indices.clone();
                self.split(group.unwrap_or(*array), *job, Place::Waiting { indices, group_of: Some(*array) })
            }
            What::JobClaimed { job, .. } => self.set_phase(*job, Phase::Configuring),
            What::ClaimDropped { job, reason, .. } => self.edit(*job, |job| {
                job.row.phase = Phase::Pending;
                job.row.reason = *reason;
            }),
            What::JobBound { run, partition, allocations, time_limit } => {
                self.bound(*run, partition, allocations, *time_limit, at)
            }
            What::JobStarted { run } => {
                self.totals.started += 1;
                self.edit(run.job, |job| {
                    job.row.phase = Phase::Running;
                    job.row.started_at = Some(at);
                })
            }
            What::PartEnded { run, node, end } => self.part_ended(*run, *node, end),
            What::JobSuspended { run } => self.edit(run.job, |job| {
                job.row.phase = Phase::Suspended;
                job.row.suspended_since = Some(at);
            }),
            What::JobResumed { run } => {
                self.resumed(*run, at)?;
                self.set_phase(run.job, Phase::Running)
            }
            What::JobStopping { run, .. } => {
                // What is stopped goes on, so that it can be ended.
                self.resumed(*run, at)?;
                self.set_phase(run.job, Phase::Completing)
            }
            What::JobEnded { job, end, charges } => {
                self.totals.count_end(end.state, 1);
                self.charge(seq, *job, charges)?;
                self.edit(*job, |job| {
                    job.ended_at = Some(end.ended_at);
                    job.row.phase = Phase::Ended(end.state);
                    job.row.exit = end.exit;
                    job.row.reason = end.reason;
                    job.row.cancelled_by = end.by;
                    job.row.started_at = end.started_at;
                    job.row.cost = end.cost;
                })
            }
            What::JobRequeued { job, reason, failure, charges, ended, not_before, .. } => {
                let cost = self.charge(seq, *job, charges)?;
                self.requeued(*job, *reason, *failure, cost, *ended, at)?;
                // The job of a crontab waits for its next time.
                match ended {
                    Some(_) => self.edit(*job, |job| job.row.eligible_at = Some(*not_before)),
                    None => Ok(()),
                }
            }
            What::JobHeld { job, by } => {
                let reason = match by {
                    HeldBy::User => Reason::JobHeldUser,
                    HeldBy::Admin => Reason::JobHeldAdmin,
                    HeldBy::System => Reason::JobHoldMaxRequeue,
                };
                self.edit_pending(*job, |job| job.row.reason = reason)
            }
            What::JobReleased { job } => self.edit_pending(*job, |job| job.row.reason = Reason::None),
            What::JobUpdated { job, spec, eligible_at, time_limit, .. } => {
                self.updated(*job, spec, *eligible_at, *time_limit)
            }
            What::ElementsCancelled { array, indices, by, group } => {
                self.elements_cancelled(group.unwrap_or(*array), *array, indices, *by, at)
            }
            What::DependencyChanged { job, eligible_at, .. } => self.edit_pending(*job, |job| {
                job.row.eligible_at = *eligible_at;
                job.row.reason = if eligible_at.is_none() { Reason::Dependency } else { Reason::None };
            }),
            What::StepStarted { run, step, name, nodes, tasks, cpus } => {
                let row = StepRow {
                    name: name.clone(),
                    nodes: self.node_names(nodes.iter().copied())?,
                    tasks: *tasks,
                    cpus: *cpus,
                    started_at: at,
                    ended_at: None,
                    ended_on: 0,
                    exit: ExitStatus::default(),
                    usage: Usage::default(),
                    end: None,
                    suspended: Span::ZERO,
                };
                self.start_step(*run, *step, &row)
            }
            What::StepEnded { node, end } => self.end_step(*node, end),
            what => self.project_ledger(what, at),
        }
    }

    /// Stores what is left to be stored, and up to where all is accounted for; the last thing in a transaction.
    ///
    /// # Errors
    /// As for [`write_touched`](Writer::write_touched).
    pub fn finish(mut self, accounted: Seq) -> Result<(), JournalError> {
        self.write_touched()?;
        let store = || {
            meta::store(self.db, TOTALS, self.totals)?;
            arrears::store(self.db, accounted)
        };
        store().map_err(self.failed("storing the totals"))
    }

    fn project_ledger(&mut self, what: &What, at: Timestamp) -> Result<(), JournalError> {
        match what {
            What::OrderPlaced { request, nodes, for_job, .. } => self.place_order(request, nodes, *for_job, at),
            What::OrderLaunched { order, instances, .. } => self.launch_order(*order, instances, at),
            What::OrderFailed { order, failure, .. } => self.fail_order(*order, failure.to_string(), at),
            What::StaticNodeAdded { node, name, pool, .. } => {
                self.add_node(*node, &NodeRow::new(name.clone(), pool.clone(), at))
            }
            What::NodeAdopted { node, name, pool, order, instance, offer, .. } => {
                let mut row = NodeRow::new(name.clone(), pool.clone(), at).bought(*order, offer);
                row.instance = instance.to_string();
                row.launched_at = Some(at);
                self.add_node(*node, &row)
            }
            What::NodeJoined { node, instance: Some(instance), .. } => self.edit_node(*node, |row| {
                if row.instance.is_empty() {
                    row.instance = instance.to_string();
                }
            }),
            What::NodeRegistered { node, .. } => self.node_is_ready(*node, at),
            What::NodeGone { node, why, cost } => self.node_is_gone(*node, *why, *cost, at),
            // Nothing that is accounted for.
            _ => Ok(()),
        }
    }

    fn submitted(
        &mut self,
        job: JobId,
        spec: &JobSpec,
        eligible_at: Option<Timestamp>,
        het: Option<HetPlace>,
        at: Timestamp,
    ) -> Result<(), JournalError> {
        let place = match (&spec.array, het) {
            (Some(array), _) => Place::Waiting { indices: array.indices.clone(), group_of: None },
            (None, Some(place)) => Place::Component(place),
            (None, None) => Place::Single,
        };
        self.totals.submissions += 1;
        self.totals.jobs += spec.array.as_ref().map_or(1, |array| array.indices.len());
        let reason = match eligible_at {
            _ if spec.hold => Reason::JobHeldUser,
            None => Reason::Dependency,
            Some(_) => Reason::None,
        };
        let row = JobRow {
            place,
            attempt: Attempt(0),
            phase: Phase::Pending,
            cancelled_by: None,
            reason,
            eligible_at,
            started_at: None,
            grant: None,
            exit: ExitStatus::default(),
            cost: MicroUsd::ZERO,
            batch: spec.kind == JobKind::Batch,
            suspended: Span::ZERO,
            suspended_since: None,
        };
        let spec_id = self.add_spec(spec)?;
        let key = JobKey::of(job);
        self.insert_job(Job { key, uid: spec.uid, submitted_at: at, ended_at: None, spec: spec_id, row });
        Ok(())
    }

    /// An element or a group of them gets a row of its own; the last element takes over the row in which it waited.
    fn split(&mut self, from: JobId, job: JobId, place: Place) -> Result<(), JournalError> {
        if job == from {
            return self.edit(from, |row| row.row.place = place);
        }
        let Some(mut whole) = self.job(JobKey::of(from))?.cloned() else { return Ok(()) };
        self.edit(from, |row| {
            if let Place::Waiting { indices, .. } = &mut row.row.place {
                match &place {
                    Place::Waiting { indices: gone, .. } => *indices = indices.difference(gone),
                    Place::Element { index, .. } => _ = indices.remove(*index),
                    _ => {}
                }
            }
        })?;
        self.share_spec(whole.spec);
        whole.key = JobKey::of(job);
        whole.row.place = place;
        self.insert_job(whole);
        Ok(())
    }

    /// The elements are over; where others still wait in their record, as a row beside that of their array.
    fn elements_cancelled(
        &mut self,
        from: JobId,
        array: JobId,
        gone: &IndexSet,
        by: Option<Uid>,
        at: Timestamp,
    ) -> Result<(), JournalError> {
        let Some(mut group) = self.job(JobKey::of(from))?.cloned() else { return Ok(()) };
        let Place::Waiting { indices: waiting, group_of } = group.row.place.clone() else { return Ok(()) };
        let (indices, never_ran) = (waiting.difference(gone), waiting.intersection(gone));
        self.totals.count_end(EndState::Cancelled, never_ran.len());
        group.row.place = Place::NeverRan { array, indices: never_ran };
        group.row.phase = Phase::Ended(EndState::Cancelled);
        group.row.cancelled_by = by;
        group.row.reason = Reason::None;
        group.ended_at = Some(at);
        if indices.is_empty() {
            return self.edit(from, |row| *row = group);
        }
        self.edit(from, |row| row.row.place = Place::Waiting { indices, group_of })?;
        self.share_spec(group.spec);
        group.key = self.next_part(array)?;
        self.insert_job(group);
        Ok(())
    }

    fn bound(
        &mut self,
        run: Run,
        partition: &PartitionName,
        allocations: &[Allocation],
        time_limit: Span,
        at: Timestamp,
    ) -> Result<(), JournalError> {
        let nodes = self.node_names(allocations.iter().map(|allocation| allocation.node))?;
        for allocation in allocations {
            self.node_is_used(allocation.node, at)?;
        }
        let sum = |part: fn(&Allocation) -> u64| allocations.iter().map(part).fold(0, u64::saturating_add);
        let narrow = |wide: u64| u32::try_from(wide).unwrap_or(u32::MAX);
        let first = allocations.first();
        let grant = Grant {
            partition: partition.clone(),
            nodes,
            cpus: narrow(sum(|allocation| allocation.cpus.into())),
            tasks: narrow(sum(|allocation| allocation.tasks.into())),
            memory_mib: sum(|allocation| allocation.memory_mib),
            gpus: narrow(sum(|allocation| allocation.gpus.len() as u64)),
            time_limit: Some(time_limit),
            first: first.map_or(NodeId(0), |allocation| allocation.node),
            first_cpus: first.map_or(0, |allocation| allocation.cpus),
        };
        self.edit(run.job, |job| {
            job.row.attempt = run.attempt;
            job.row.phase = Phase::Configuring;
            job.row.reason = Reason::None;
            job.row.grant = Some(grant);
        })
    }

    fn part_ended(&mut self, run: Run, node: NodeId, end: &AttemptEnd) -> Result<(), JournalError> {
        let Some(Job { row, .. }) = self.job(JobKey::of(run.job))? else { return Ok(()) };
        match (row.started_at, &row.grant) {
            (Some(started_at), Some(grant)) if row.batch && grant.first == node && row.attempt == run.attempt => {
                let script = StepRow::of_script(row, grant, started_at, end);
                self.end_batch(run, end.cause, &script)
            }
            _ => Ok(()),
        }
    }

    /// The suspension that lasts, where there is one, is over: for the attempt and for its steps.
    fn resumed(&mut self, run: Run, at: Timestamp) -> Result<(), JournalError> {
        let since = self.job(JobKey::of(run.job))?.and_then(|job| job.row.suspended_since);
        let Some(since) = since else { return Ok(()) };
        self.edit(run.job, |job| {
            job.row.suspended = job.row.suspended + at.since(since);
            job.row.suspended_since = None;
        })?;
        self.resume_steps(run, since, at)
    }

    fn requeued(
        &mut self,
        id: JobId,
        reason: Reason,
        failure: bool,
        cost: MicroUsd,
        ended: Option<RunEnd>,
        at: Timestamp,
    ) -> Result<(), JournalError> {
        let Some(JobRow { attempt, started_at, grant, suspended, .. }) = self.job(JobKey::of(id))?.map(|job| &job.row)
        else {
            return Ok(());
        };
        let (run, started_at, grant, suspended) =
            (Run { job: id, attempt: *attempt }, *started_at, grant.clone(), *suspended);
        self.totals.requeued += 1;
        let end = match reason {
            _ if ended.is_some() => ended.map_or(EndState::Completed, |end| end.state),
            Reason::JobLaunchFailure | Reason::ProvisionerFailed => EndState::BootFail,
            _ if failure => EndState::NodeFail,
            _ => EndState::Preempted,
        };
        let exit = ended.map(|end| end.exit).unwrap_or_default();
        self.insert_attempt(run, &AttemptRow { end, reason, started_at, ended_at: at, grant, cost, suspended, exit })?;
        self.edit(id, |job| {
            job.row.phase = Phase::Pending;
            job.row.reason = reason;
            job.row.started_at = None;
            job.row.grant = None;
            job.row.suspended = Span::ZERO;
            job.row.cost += cost;
        })
    }

    fn updated(
        &mut self,
        id: JobId,
        spec: &JobSpec,
        eligible_at: Option<Timestamp>,
        time_limit: Option<Span>,
    ) -> Result<(), JournalError> {
        let Some(before) = self.job(JobKey::of(id))?.map(|job| job.spec) else { return Ok(()) };
        let spec = self.add_spec(spec)?;
        self.drop_spec(before);
        self.edit(id, |job| {
            job.spec = spec;
            job.row.eligible_at = eligible_at;
            if let (Some(limit), Some(grant)) = (time_limit, job.row.grant.as_mut()) {
                grant.time_limit = Some(limit);
            }
        })
    }

    fn set_phase(&mut self, job: JobId, phase: Phase) -> Result<(), JournalError> {
        self.edit(job, |job| job.row.phase = phase)
    }

    fn edit(&mut self, job: JobId, change: impl FnOnce(&mut Job)) -> Result<(), JournalError> {
        self.edit_job(JobKey::of(job), change)
    }

    fn edit_pending(&mut self, job: JobId, change: impl FnOnce(&mut Job)) -> Result<(), JournalError> {
        self.edit(job, |job| {
            if job.row.phase == Phase::Pending {
                change(job);
            }
        })
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(rusqlite::Error) -> JournalError {
        JournalError::sql(doing, self.path)
    }
}
