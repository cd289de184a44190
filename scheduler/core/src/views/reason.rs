//! Why a job waits, in one word. `explain` says the same with numbers.

use crate::accounts::{Amounts, Breach, Tallies, start_breach};
use crate::cluster::Cluster;
use crate::job::{HeldBy, Job, JobPhase, Outcome};
use crate::plan::market::time_limit;
use squall_types::{JobId, PartitionName, Reason, Timestamp};
use std::collections::BTreeMap;

/// So far from its front the queue is searched for the first job of a partition.
const HEAD_SEARCH: usize = 10_000;

/// Why this job waits; `None` in Slurm's sense where it does not.
pub fn waiting_reason(cluster: &Cluster, job: &Job, now: Timestamp) -> Reason {
    Heads::new(cluster, now).reason(job)
}

/// The first job of each partition that waits for nothing but resources, found once for many views of one state.
pub(super) struct Heads<'a> {
    cluster: &'a Cluster,
    now: Timestamp,
    known: BTreeMap<PartitionName, Option<JobId>>,
}

impl<'a> Heads<'a> {
    pub(super) fn new(cluster: &'a Cluster, now: Timestamp) -> Self {
        Heads { cluster, now, known: BTreeMap::new() }
    }

    pub(super) fn reason(&mut self, job: &Job) -> Reason {
        match &job.phase {
            JobPhase::Pending => self.of_pending(job),
            JobPhase::Configuring(_) => Reason::NodesBooting,
            JobPhase::Bound(_) | JobPhase::Running { .. } => Reason::None,
            JobPhase::Stopping { outcome: Outcome::End { reason, .. }, .. } => *reason,
            JobPhase::Stopping { outcome: Outcome::Requeue { .. }, .. } => Reason::None,
            JobPhase::Ended(end) => end.reason,
        }
    }

    fn of_pending(&mut self, job: &Job) -> Reason {
        // What keeps one component keeps all; a component's own obstacle comes first.
        let others = job.het().into_iter().flat_map(|place| self.cluster.components(place));
        let mut whole = std::iter::once(job).chain(others);
        if let Some(reason) = whole.find_map(|job| obstacle(self.cluster, job, self.now)) {
            return reason;
        }
        let job = self.cluster.together(job).next().unwrap_or(job);
        if is_about_resources(job.last_reason) {
            return job.last_reason;
        }
        let first = job.spec.partitions.iter().any(|partition| self.head(partition) == Some(job.id));
        if first { Reason::Resources } else { Reason::Priority }
    }

    fn head(&mut self, partition: &PartitionName) -> Option<JobId> {
        if let Some(known) = self.known.get(partition) {
            return *known;
        }
        let (cluster, now) = (self.cluster, self.now);
        let competes = |job: &&Job| job.spec.partitions.contains(partition) && obstacle(cluster, job, now).is_none();
        let head = cluster.queue().take(HEAD_SEARCH).find(competes).map(|job| job.id);
        self.known.insert(partition.clone(), head);
        head
    }
}

/// What keeps a pending job from competing for resources at all. Dependencies come before begin times, as in Slurm.
fn obstacle(cluster: &Cluster, job: &Job, now: Timestamp) -> Option<Reason> {
    if !job.is_pending() {
        // A component that is still being ended, before all of them come back.
        return Some(Reason::Cleaning);
    }
    if let Some(by) = job.held {
        return Some(hold_reason(by, job.last_reason));
    }
    if job.dependency_never() {
        return Some(Reason::DependencyNeverSatisfied);
    }
    if !job.dependency_met(now) {
        return Some(Reason::Dependency);
    }
    let not_before = [job.spec.begin_at, job.not_before, job.eligible_at];
    if not_before.into_iter().flatten().any(|at| at > now) {
        return Some(Reason::BeginTime);
    }
    let array = job.array().and_then(|array| cluster.arrays.get(&array));
    if array.is_some_and(|array| array.limit.is_some_and(|limit| array.active >= limit)) {
        return Some(Reason::JobArrayTaskLimit);
    }
    if let Some(breach) = held_back(cluster, job) {
        return Some(breach.rule.reason());
    }
    let up = |name: &PartitionName| cluster.config.partitions.get(name).is_some_and(|partition| partition.up);
    (!job.spec.partitions.iter().any(up)).then_some(Reason::PartitionDown)
}

/// The limit that keeps a pending job from starting in any of its partitions, as far as its request says.
pub(crate) fn held_back(cluster: &Cluster, job: &Job) -> Option<Breach> {
    if !cluster.accounts.is_limiting() {
        return None;
    }
    let (amounts, planned) = (Amounts::asked(&job.spec), Tallies::default());
    let breach = |partition| {
        let wall = time_limit(cluster, &job.spec, partition);
        start_breach(cluster, &planned, &job.spec, partition, amounts, wall)
    };
    let mut breaches = job.spec.partitions.iter().map(breach);
    let first = breaches.next().flatten()?;
    breaches.all(|breach| breach.is_some()).then_some(first)
}

fn hold_reason(by: HeldBy, last: Reason) -> Reason {
    match (by, last) {
        (HeldBy::User, _) => Reason::JobHeldUser,
        (HeldBy::Admin, _) => Reason::JobHeldAdmin,
        // Each failure alone is no reason to hold; their number is.
        (HeldBy::System, Reason::None | Reason::NodeFailure | Reason::NodeDown | Reason::RequeuedAfterFailure) => {
            Reason::JobHoldMaxRequeue
        }
        (HeldBy::System, last) => last,
    }
}

/// Whether what an earlier attempt to place a job left to say still says why it waits.
fn is_about_resources(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Resources
            | Reason::ReqNodeNotAvail
            | Reason::BudgetExhausted
            | Reason::ProviderQuota
            | Reason::NoCapacity
            | Reason::PoolLimit
            | Reason::ProvisionerFailed
    )
}
