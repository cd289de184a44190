//! What keeps a job from being tried at all.

use crate::cluster::Cluster;
use crate::job::{HeldBy, Job};
use squall_types::{Reason, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Open,
    Shut { reason: Reason, until: Option<Timestamp> },
}

/// Whether a pending job waits for nothing but resources; a heterogeneous job where no component does.
pub fn gate(cluster: &Cluster, job: &Job, now: Timestamp) -> Gate {
    let mut whole = cluster.together(job);
    whole.find_map(|job| Some(gate_of(cluster, job, now)).filter(|gate| *gate != Gate::Open)).unwrap_or(Gate::Open)
}

fn gate_of(cluster: &Cluster, job: &Job, now: Timestamp) -> Gate {
    let shut = |reason, until| Gate::Shut { reason, until };
    if !job.is_pending() {
        // Another component of it is still being ended.
        return shut(Reason::Cleaning, None);
    }
    match job.held {
        Some(HeldBy::User) => return shut(Reason::JobHeldUser, None),
        Some(HeldBy::Admin) => return shut(Reason::JobHeldAdmin, None),
        Some(HeldBy::System) => return shut(Reason::JobHoldMaxRequeue, None),
        None => {}
    }
    if job.dependency_never() {
        return shut(Reason::DependencyNeverSatisfied, None);
    }
    let Some(eligible_at) = job.eligible_at else { return shut(Reason::Dependency, None) };
    let begins_at = [Some(eligible_at), job.spec.begin_at, job.not_before].into_iter().flatten().max();
    if let Some(at) = begins_at.filter(|at| *at > now) {
        return shut(Reason::BeginTime, Some(at));
    }
    if !job.dependency_met(now) {
        return shut(Reason::Dependency, job.dependency_moves_at(now));
    }
    let up = |name| cluster.config.partitions.get(name).is_some_and(|config| config.up);
    if !job.spec.partitions.iter().any(up) {
        return shut(Reason::PartitionDown, None);
    }
    Gate::Open
}
