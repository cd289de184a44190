//! Traces of what was on its way when this controller began: what its state still knows of them.
//!
//! Spans that were over by then were told by the controller before this one, under the same ids.

use super::array::ArrayTrace;
use super::job::JobTrace;
use super::orders::Told;
use super::stage::{Grant, Stage};
use super::subject::Subject;
use super::{JobTraces, Place, Sampling};
use squall_core::Cluster;
use squall_core::job::{ArrayRecord, Job, JobPhase, Part, Placement};
use squall_core::node::NodeState;
use squall_core::order::{Order, OrderState};
use squall_types::Timestamp;
use std::sync::Arc;

impl JobTraces {
    /// For a controller that goes on with `cluster`. What happens after its last event is for [`JobTraces::observe`].
    pub fn recovered(cluster: &Cluster, sampling: Sampling) -> JobTraces {
        let mut traces = JobTraces::new(sampling);
        for node in cluster.live_nodes() {
            traces.orders.node_added(node.id, &node.name);
        }
        cluster.open_orders().for_each(|order| traces.order_again(cluster, order));
        cluster.live_jobs().for_each(|job| traces.job_again(cluster, job));
        traces
    }

    fn order_again(&mut self, cluster: &Cluster, order: &Order) {
        let nodes = order.nodes.iter().filter_map(|node| cluster.nodes.get(node));
        let coming = nodes.filter(|node| matches!(node.state, NodeState::Ordered | NodeState::Booting { .. }));
        let coming: Vec<_> = coming.collect();
        if coming.is_empty() {
            return;
        }
        let mut request = order.request.clone();
        request.names = coming.iter().map(|node| node.name.clone()).collect();
        let ids: Vec<_> = coming.iter().map(|node| node.id).collect();
        self.orders.placed(&request, &ids, order.placed_at);
        if let OrderState::Launched { at } = order.state {
            self.orders.accepted_before(order.id, at, coming.len());
        }
        for node in coming {
            // When it joined is not kept: only that it did.
            let joined_at = node.key.as_ref().map(|_| cluster.counters.at);
            self.orders.found_coming(node.id, node.instance.clone(), node.launched_at, joined_at);
        }
    }

    fn job_again(&mut self, cluster: &Cluster, job: &Job) {
        let Some(subject) = Subject::new(&job.spec.to_spec(), &job.token, job.submitted_at).map(Arc::new) else {
            return;
        };
        let submission = Place::of(job.array().unwrap_or(job.id), &subject, None);
        if !self.keeps(&subject, submission.trace) {
            return;
        }
        if let Some(array) = job.array() {
            self.array_again(cluster, submission, &subject);
            if let Some(waiting) = job.waiting() {
                if let Some(whole) = self.arrays.get_mut(&array) {
                    whole.waiting += waiting.len();
                }
                return;
            }
            self.elements.insert(job.id, array);
        }
        if !self.has_room() {
            return;
        }
        let place = Place::of(job.id, &subject, job.index());
        let stage = stage_of(job, cluster.counters.at);
        let mut trace = JobTrace::new(place, subject, job.array().zip(job.index()), stage);
        trace.attempts = job.attempt.0;
        trace.is_partial = true;
        if let Some(claim) = job.claim() {
            // Spans of launches that were accepted before are told already.
            let nodes = claim.allocations.iter().map(|held| held.node);
            trace.watch(nodes, Told::Before, &mut self.orders, &mut Vec::new());
        }
        self.jobs.insert(job.id, trace);
    }

    fn array_again(&mut self, cluster: &Cluster, place: Place, subject: &Arc<Subject>) {
        let Some(record) = cluster.arrays.get(&place.job) else { return };
        if self.arrays.contains_key(&place.job) || !self.has_room() {
            return;
        }
        let mut whole = ArrayTrace::new(place, subject.clone(), 0);
        (whole.live, whole.completed, whole.failed) =
            (elements_alive(cluster, record), record.completed.len(), record.failed.len());
        whole.is_partial = true;
        self.arrays.insert(place.job, whole);
    }
}

/// Elements that have a record of their own and have not ended.
fn elements_alive(cluster: &Cluster, array: &ArrayRecord) -> u64 {
    let groups = array.groups.iter().filter_map(|group| cluster.jobs.get(group)).filter(|job| job.is_pending()).count();
    u64::from(array.live).saturating_sub(groups as u64)
}

/// Where it stands. When a job that is back in the queue began to wait is not kept: it counts from now.
fn stage_of(job: &Job, now: Timestamp) -> Stage {
    let bound = |placement: &Placement| Grant::new(job.attempt.0, &placement.partition, &placement.allocations);
    match &job.phase {
        JobPhase::Pending | JobPhase::Ended(_) => {
            let since = if job.attempt.0 == 0 { job.submitted_at } else { now };
            Stage::Waiting { since }
        }
        JobPhase::Configuring(claim) => {
            Stage::Claiming { since: claim.since, grant: Grant::new(0, &claim.partition, &claim.allocations) }
        }
        JobPhase::Bound(placement) => Stage::Preparing { since: placement.bound_at, grant: bound(placement) },
        JobPhase::Running { placement, started_at } => {
            let ended = |part: &Part| match part {
                Part::Ended { end, .. } => Some(end.ended_at),
                _ => None,
            };
            let script_ended_at = placement.parts.iter().filter_map(ended).min();
            Stage::Running { since: *started_at, grant: bound(placement), script_ended_at }
        }
        JobPhase::Stopping { placement, since, .. } => Stage::Ending { since: *since, grant: bound(placement) },
    }
}
