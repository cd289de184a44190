//! Elements of arrays leave the record in which they waited: one by one, as a group, or for ever.

use crate::cluster::Cluster;
use crate::job::{Job, JobEnd, JobPhase, Role};
use squall_types::{EndState, IndexSet, JobId, Reason, Timestamp, Uid};

impl Cluster {
    /// One element gets a record of its own, or takes over the one in which it is the last.
    pub(super) fn split(&mut self, from: JobId, index: u32, id: JobId) {
        let Some((whole, array, mut left)) = self.waiting_in(from) else { return };
        if !left.remove(index) {
            return self.fault(format!("element {array}_{index} does not wait in record {from}"));
        }
        self.counters.next_job = self.counters.next_job.max(JobId(id.0.saturating_add(1)));
        let (takes_over, group) = (id == from, whole.group());
        if !takes_over {
            self.edit_job(from, |job| leave(job, left));
        }
        self.put_job(Job { id, role: Role::Element { array, index }, ..whole });
        self.arrays.edit(&array, |record| {
            record.records.insert(index, id);
            // One that takes over a group was live as that.
            if !group.is_some_and(|group| takes_over && record.groups.remove(&group)) {
                record.live += 1;
            }
        });
    }

    /// Some elements get a record of their own, together.
    pub(super) fn split_group(&mut self, from: JobId, indices: &IndexSet, id: JobId) {
        let Some((whole, array, waiting)) = self.waiting_in(from) else { return };
        let left = waiting.difference(indices);
        if left.is_empty() || indices.is_empty() || left.len() + indices.len() != waiting.len() {
            return self
                .fault(format!("elements {array}_[{indices}] are not some of those that wait in record {from}"));
        }
        self.counters.next_job = self.counters.next_job.max(JobId(id.0.saturating_add(1)));
        if !crate::canary::active("group_is_a_copy") {
            self.edit_job(from, |job| leave(job, left));
        }
        let role = Role::Pending { indices: indices.clone(), group_of: Some(array) };
        self.put_job(Job { id, role, ..whole });
        self.arrays.edit(&array, |record| {
            record.live += 1;
            record.groups.insert(id);
        });
    }

    /// Elements that never started are over.
    pub(super) fn cancel_elements(&mut self, from: JobId, indices: &IndexSet, by: Option<Uid>, at: Timestamp) {
        let Some((whole, array, waiting)) = self.waiting_in(from) else { return };
        let left = waiting.difference(indices);
        self.arrays.edit(&array, |record| {
            for (first, last) in indices.ranges() {
                record.failed.insert_range(*first, *last);
            }
        });
        if !left.is_empty() {
            return self.edit_job(from, |job| leave(job, left));
        }
        // Nothing waits in the record any more: it is over, and names the elements that never ran.
        self.edit_job(from, |job| {
            leave(job, indices.clone());
            job.phase = JobPhase::Ended(Box::new(JobEnd {
                state: EndState::Cancelled,
                exit: Default::default(),
                reason: Reason::None,
                by,
                started_at: None,
                ended_at: at,
                nodes: Vec::new(),
                cost: Default::default(),
                partition: None,
                suspended: Default::default(),
            }));
        });
        if whole.group().is_some() {
            self.arrays.edit(&array, |record| record.live = record.live.saturating_sub(1));
        }
        self.counters.jobs_ended += 1;
    }

    /// A record in which elements wait, their array, and which they are.
    fn waiting_in(&mut self, record: JobId) -> Option<(Job, JobId, IndexSet)> {
        let job = self.jobs.get(&record).cloned();
        let found = job.and_then(|job| Some((job.array()?, job.waiting()?.clone(), job)));
        if found.is_none() {
            self.fault(format!("no element of an array waits in record {record}"));
        }
        found.map(|(array, waiting, job)| (job, array, waiting))
    }
}

/// These are left in the record, or are what it was about.
fn leave(job: &mut Job, left: IndexSet) {
    if let Role::Pending { indices, .. } = &mut job.role {
        *indices = left;
    }
}
