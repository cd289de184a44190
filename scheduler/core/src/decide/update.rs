//! `scontrol update`: what may change in a job, and when.

use super::Reply;
use super::dependencies::{eligible_at, resolve};
use super::draft::Draft;
use super::targets::Target;
use crate::authz::{self, Object, Verb};
use crate::command::Caller;
use crate::event::What;
use crate::job::Job;
use crate::kept::KeptSpec;
use crate::refuse::Rejection;
use squall_types::api::{JobRef, JobUpdate};
use squall_types::{JobId, Span};

impl Draft<'_> {
    pub fn update(&mut self, caller: &Caller, job: &JobRef, update: &JobUpdate) -> Result<Reply, Rejection> {
        let mut changed = Vec::new();
        for target in self.targets(job)? {
            let (Target::Record(id) | Target::Waiting(id, _)) = &target;
            self.may_change(caller, *id)?;
            let id = self.record_for(target);
            self.update_record(caller, id, update)?;
            changed.push(id);
        }
        // What each component may be, all of them together may not.
        changed.last().map_or(Ok(()), |id| self.fits_together(*id))?;
        Ok(Reply::Done)
    }

    fn update_record(&mut self, caller: &Caller, id: JobId, update: &JobUpdate) -> Result<(), Rejection> {
        let Some(job) = self.job(id).cloned() else { return Ok(()) };
        if job.is_ended() {
            return Err(Rejection::new("SQ1011", "Job/step already completing or completed")
                .asked(format!("to change job {id}"))
                .limit("it has ended"));
        }
        if job.spec.cron.is_some() {
            return Err(Rejection::new("SQ1017", "Cannot modify scrontab jobs through scontrol")
                .asked(format!("to change job {id}"))
                .limit("it is an entry of its user's crontab, which says what it is")
                .try_this("scrontab -e"));
        }
        let mut spec = KeptSpec::clone(&job.spec);
        // The limit is the whole array's, and may have come with another record of it.
        let array = job.array().filter(|_| job.waiting().is_some()).and_then(|array| self.cluster.arrays.get(&array));
        if let Some((array, spec)) = array.zip(spec.array.as_mut()) {
            spec.limit = array.limit;
        }
        let before = spec.clone();
        self.merge(caller, &job, &mut spec, update)?;
        if spec == before {
            return Ok(());
        }
        let terms = if update.dependency.is_some() { resolve(self.cluster, &spec, id) } else { job.terms.clone() };
        let mut after = job.clone();
        after.spec = std::sync::Arc::new(spec.clone());
        after.terms = terms.clone();
        // A job keeps the age that it has, unless it now has to wait for something else first.
        let eligible = match (job.eligible_at, eligible_at(&after, self.now)) {
            (Some(before), Some(_)) if update.begin_at.is_none() => Some(before),
            (_, at) => at,
        };
        if job.is_pending() {
            self.feasible(&spec, id)?;
            let counts = |spec: &KeptSpec| {
                (spec.account.clone(), spec.qos.clone(), spec.partitions.clone(), spec.time_limit, spec.ask.clone())
            };
            // Limits that were lowered since are no reason against a new name.
            if counts(&spec) != counts(&job.spec) {
                self.check_limits(&spec, Some(&job))?;
            }
        }
        let limit = job.placement().and(update.time_limit);
        self.emit(What::JobUpdated {
            job: id,
            spec: Box::new(spec.to_spec()),
            terms,
            eligible_at: eligible,
            time_limit: limit,
        });
        Ok(())
    }

    fn merge(&self, caller: &Caller, job: &Job, spec: &mut KeptSpec, update: &JobUpdate) -> Result<(), Rejection> {
        let uid = job.spec.uid;
        let waiting = |what: &str| match job.is_pending() {
            true => Ok(()),
            false => Err(Rejection::new("SQ1012", "Job is no longer pending execution")
                .asked(format!("to change {what} of job {}", job.id))
                .limit("that may change only while a job waits")),
        };
        if let Some(limit) = update.time_limit {
            let raised = limit > spec.time_limit.unwrap_or(Span::FOREVER);
            if raised && !job.is_pending() {
                authz::allow(caller, Verb::RaisePriority, Object::Job { uid })?;
            }
            self.check_time_limit(spec, limit)?;
            spec.time_limit = Some(limit);
        }
        if let Some(nice) = update.nice {
            if nice < spec.nice {
                authz::allow(caller, Verb::RaisePriority, Object::Job { uid })?;
            }
            spec.nice = nice;
        }
        if let Some(priority) = update.priority {
            authz::allow(caller, Verb::RaisePriority, Object::Job { uid })?;
            spec.priority = Some(priority);
        }
        if let Some(partitions) = &update.partition {
            waiting("the partition")?;
            spec.partitions = partitions.clone();
        }
        if let Some(account) = &update.account {
            waiting("the account")?;
            spec.account = account.clone();
            self.check_account(spec)?;
        }
        if let Some(qos) = &update.qos {
            waiting("the QOS")?;
            spec.qos = Some(qos.clone());
        }
        if update.partition.is_some() || update.account.is_some() || update.qos.is_some() {
            self.check_qos(spec)?;
            self.check_partitions(spec)?;
        }
        if let Some(at) = update.begin_at {
            waiting("the begin time")?;
            spec.begin_at = Some(at);
        }
        if let Some(dependency) = &update.dependency {
            waiting("the dependency")?;
            spec.set_dependency(dependency.clone());
            self.check_dependency(spec, job.id)?;
        }
        if let Some(constraint) = &update.constraint {
            waiting("the features")?;
            spec.constraint = constraint.clone();
        }
        if let Some(prefer) = &update.prefer {
            waiting("the preferred features")?;
            spec.prefer = prefer.clone();
            self.check_preference(spec)?;
        }
        if let Some(nodes) = update.nodes {
            waiting("the number of nodes")?;
            spec.ask.nodes = Some(nodes);
        }
        if let Some(list) = &update.node_list {
            waiting("the node list")?;
            spec.node_list = list.clone();
        }
        if let Some(list) = &update.exclude {
            waiting("the excluded nodes")?;
            spec.exclude = list.clone();
        }
        if let Some(by) = update.end_by {
            waiting("the deadline")?;
            spec.end_by = Some(by);
        }
        if let (Some(limit), Some(array)) = (update.array_limit, spec.array.as_mut()) {
            array.limit = (limit > 0).then_some(limit);
        }
        update.name.iter().for_each(|name| spec.set_name(name));
        update.comment.iter().for_each(|comment| spec.set_comment(comment));
        spec.requeue = update.requeue.or(spec.requeue);
        Ok(())
    }
}
