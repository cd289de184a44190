//! The order of the queue: derived from facts that do not move with time, so it is never stored and seldom sorted.

use crate::accounts::Accounts;
use crate::config::ClusterConfig;
use crate::job::{Job, JobPhase};
use squall_types::{JobId, Timestamp};
use std::cmp::Reverse;

/// Where a job stands: the higher tier first, then the longer wait corrected by its points, then the lower id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueKey {
    tier: Reverse<u32>,
    /// As if it had become eligible then: points are worth so much waiting.
    rank: i64,
    pub job: JobId,
}

impl QueueKey {
    /// `None` for a job that waits for something other than resources, a begin time or a limit, and for a component of a
    /// heterogeneous job that its leader stands for.
    pub fn of(job: &Job, config: &ClusterConfig, accounts: &Accounts) -> Option<QueueKey> {
        let follows = job.het().is_some_and(|place| !place.is_leader());
        if !matches!(job.phase, JobPhase::Pending) || job.held.is_some() || follows {
            return None;
        }
        let eligible_at = job.eligible_at?;
        let tier = job.spec.partitions.iter().filter_map(|name| config.partitions.get(name));
        let tier = tier.map(|partition| partition.priority_tier).max().unwrap_or(0);
        Some(QueueKey { tier: Reverse(tier), rank: rank(job, eligible_at, config, accounts), job: job.id })
    }
}

fn rank(job: &Job, eligible_at: Timestamp, config: &ClusterConfig, accounts: &Accounts) -> i64 {
    let point = config.priority.point.0.max(1);
    match job.spec.priority {
        // An explicit priority does not age: it stands where a job submitted then would with as many points.
        Some(priority) => {
            let points = i64::from(priority).saturating_sub(i64::from(config.priority.base));
            job.submitted_at.0.saturating_sub(points.saturating_mul(point))
        }
        None => {
            let points = i64::from(job.spec.nice).saturating_sub(i64::from(accounts.points(&job.spec)));
            eligible_at.0.saturating_add(points.saturating_mul(point))
        }
    }
}

/// What `squeue` prints: the base, a point for each stretch of waiting and those of its quality of service, less the
/// nice value.
pub fn shown_priority(job: &Job, config: &ClusterConfig, accounts: &Accounts, now: Timestamp) -> u32 {
    if job.held.is_some() {
        return 0;
    }
    if let Some(priority) = job.spec.priority {
        return priority;
    }
    let waited = job.eligible_at.map_or(0, |at| now.since(at).0 / config.priority.point.0.max(1));
    let points = i64::from(config.priority.base).saturating_add(waited).saturating_sub(i64::from(job.spec.nice));
    let points = points.saturating_add(i64::from(accounts.points(&job.spec)));
    points.clamp(1, i64::from(u32::MAX)) as u32
}
