//! What a reference to a job names, and the records that stand for it.
//!
//! Elements of an array wait in one record as long as all that holds for one of them holds for the others. What is done to
//! some of them alone splits those from it: as one record, a group, however many they are. Groups that have become equal
//! are not put together again; there are never more records than elements.

use super::draft::Draft;
use crate::event::What;
use crate::job::Job;
use crate::refuse::Rejection;
use squall_types::api::JobRef;
use squall_types::{IndexSet, JobId, Uid};

/// What a job reference names at this moment.
pub(super) enum Target {
    Record(JobId),
    /// Elements that wait in this record: all of those in it, or some.
    Waiting(JobId, IndexSet),
}

impl Draft<'_> {
    /// Everything that a reference names; an array's id names all of it.
    pub fn targets(&self, job: &JobRef) -> Result<Vec<Target>, Rejection> {
        let unknown = || {
            Rejection::new("SQ1001", "Invalid job id specified")
                .asked(format!("job {}", show(job)))
                .limit(format!(
                    "the cluster knows jobs that have not ended, or ended less than {} s ago",
                    self.cluster.config.timing.min_job_age.as_secs()
                ))
                .try_this("`sacct -j` for jobs that ended earlier")
        };
        let Some(array) = self.cluster.arrays.get(&job.job) else {
            let record = self.job(job.job);
            let place = record.and_then(Job::het).filter(|place| place.is_leader());
            return match (record, &job.elements, job.component, place) {
                // The leader's id names the whole.
                (Some(_), None, None, Some(place)) => {
                    Ok(self.cluster.components(place).map(|job| Target::Record(job.id)).collect())
                }
                // The number of a group's record is one of its names.
                (Some(record), None, None, None) => Ok(vec![match record.waiting() {
                    Some(waiting) => Target::Waiting(record.id, waiting.clone()),
                    None => Target::Record(record.id),
                }]),
                (Some(_), None, Some(offset), Some(place)) => {
                    let id = place.ids().nth(offset as usize).filter(|id| self.job(*id).is_some());
                    id.map(|id| vec![Target::Record(id)]).ok_or_else(unknown)
                }
                _ => Err(unknown()),
            };
        };
        let wanted = |index: u32| job.elements.as_ref().is_none_or(|elements| elements.contains(index));
        let records = array.records.iter().filter(|(index, _)| wanted(**index)).map(|(_, id)| Target::Record(*id));
        let mut targets: Vec<Target> = records.collect();
        for (record, waiting) in self.cluster.waiting_records(job.job) {
            let named =
                job.elements.as_ref().map_or_else(|| waiting.clone(), |elements| elements.intersection(waiting));
            if !named.is_empty() {
                targets.push(Target::Waiting(record.id, named));
            }
        }
        let known = |elements: &IndexSet| !elements.intersection(&array.all).is_empty();
        match (targets.is_empty(), &job.elements) {
            (true, Some(elements)) if !known(elements) => Err(unknown()),
            _ => Ok(targets),
        }
    }

    /// The one record that stands for a target: elements that wait with others which are not meant are split from those.
    pub fn record_for(&mut self, target: Target) -> JobId {
        let (record, indices) = match target {
            Target::Record(id) => return id,
            Target::Waiting(record, indices) => (record, indices),
        };
        let waiting = self.job(record).and_then(Job::waiting);
        if waiting.is_none_or(|waiting| *waiting == indices) {
            return record;
        }
        match indices.first() {
            Some(index) if indices.len() == 1 => self.split(record, index),
            _ => self.split_group(record, indices),
        }
    }

    /// Gives one element a record of its own: a fresh id, or that of the record in which it is the last.
    pub fn split(&mut self, record: JobId, index: u32) -> JobId {
        let last = self.job(record).and_then(Job::waiting).is_some_and(|waiting| waiting.len() == 1);
        let job = if last { record } else { self.cluster.counters.next_job };
        let (array, group) = self.array_and_group(record);
        self.emit(What::ElementSplit { array, index, job, group });
        job
    }

    fn split_group(&mut self, record: JobId, indices: IndexSet) -> JobId {
        let job = self.cluster.counters.next_job;
        let (array, group) = self.array_and_group(record);
        self.emit(What::GroupSplit { array, indices, job, group });
        job
    }

    /// Elements that wait in a record are over before they ever ran.
    pub fn cancel_waiting(&mut self, record: JobId, indices: IndexSet, by: Option<Uid>) {
        let (array, group) = self.array_and_group(record);
        self.emit(What::ElementsCancelled { array, indices, by, group });
        self.wake_dependants(record);
    }

    /// As events name a record in which elements wait.
    fn array_and_group(&self, record: JobId) -> (JobId, Option<JobId>) {
        let job = self.job(record);
        (job.and_then(Job::array).unwrap_or(record), job.and_then(Job::group))
    }
}

fn show(job: &JobRef) -> String {
    match (&job.elements, job.component) {
        (None, None) => job.job.to_string(),
        (None, Some(offset)) => format!("{}+{offset}", job.job),
        (Some(elements), _) => format!("{}_[{elements}]", job.job),
    }
}
