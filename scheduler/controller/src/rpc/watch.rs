//! News of one job, from one published state to the next.

use super::access::no_such_job;
use super::rate::Watch;
use super::{Service, refused};
use crate::shell::Published;
use futures_util::StreamExt;
use squall_core::authz::Verb;
use squall_core::job::{Job, JobPhase};
use squall_core::views::job_view;
use squall_core::{Cluster, Rejection};
use squall_proto::server::{Channel, Failure, Outgoing};
use squall_types::agent::{AttemptEnd, EndCause, Usage};
use squall_types::api::JobNews;
use squall_types::{EndState, ExitStatus, JobId, Uid};
use std::sync::Arc;
use tokio::sync::watch;

struct Follower {
    changes: watch::Receiver<Arc<Published>>,
    job: JobId,
    /// The record as it was last told; an unchanged one is the same in memory.
    told: Option<Arc<Job>>,
    over: bool,
    _watch: Watch,
}

impl Service {
    pub(super) fn follow(&self, channel: &Channel, job: JobId) -> Result<Outgoing<JobNews>, Failure> {
        let who = self.enter(channel, Verb::ReadJobs)?;
        if self.published().cluster.jobs.get(&job).is_none() {
            return Err(no_such_job(job));
        }
        let most = self.settings().settings.controller.watches_per_user;
        let uid = who.caller.uid().unwrap_or(Uid(0));
        let watch = self.rates.watch(uid, most).ok_or_else(|| {
            let rejection = Rejection::new("SQ5011", "Unable to contact slurm controller (connect failure)");
            refused(
                rejection
                    .asked(format!("news of job {job}"))
                    .limit(format!("uid {uid} follows {most} jobs already (controller.watches_per_user)"))
                    .try_this("sbatch without --wait, and squeue now and then"),
            )
        })?;
        let mut changes = self.handle.watch();
        changes.mark_changed();
        let follower = Follower { changes, job, told: None, over: false, _watch: watch };
        Ok(futures_util::stream::unfold(follower, Follower::next).map(Ok).boxed())
    }
}

impl Follower {
    async fn next(mut self) -> Option<(JobNews, Self)> {
        while !self.over {
            self.changes.changed().await.ok()?;
            let published = self.changes.borrow_and_update().clone();
            let Some(record) = published.cluster.jobs.share(&self.job) else {
                // Purged: it was over, and this was too slow to see it.
                return None;
            };
            let end = end_of(&published.cluster, &record);
            if end.is_none() && self.told.as_ref().is_some_and(|told| Arc::ptr_eq(told, &record)) {
                continue;
            }
            self.over = end.is_some();
            let view = job_view(&published.cluster, &record, published.at);
            self.told = Some(record);
            return Some((JobNews { view, end }, self));
        }
        None
    }
}

/// How the job ended; of an array, when the last of its elements has.
fn end_of(cluster: &Cluster, job: &Job) -> Option<AttemptEnd> {
    let JobPhase::Ended(end) = &job.phase else { return None };
    let mut exit = end.exit;
    let mut ended_at = end.ended_at;
    if let Some(array) = job.array().filter(|array| *array == job.id).and_then(|array| cluster.arrays.get(&array)) {
        if array.live > 0 {
            return None;
        }
        // The exit code of an array is the highest of its elements'.
        let elements = array.records.values().chain(&array.groups).filter_map(|element| cluster.jobs.get(element));
        for element in elements {
            if let JobPhase::Ended(end) = &element.phase {
                exit = worse(exit, end.exit);
                ended_at = ended_at.max(end.ended_at);
            }
        }
    }
    let cause = match end.state {
        EndState::Completed | EndState::Failed => EndCause::Exited,
        EndState::Timeout => EndCause::TimeLimit,
        EndState::OutOfMemory => EndCause::OutOfMemory,
        EndState::NodeFail | EndState::BootFail => EndCause::Lost,
        EndState::Cancelled | EndState::Preempted | EndState::Deadline => EndCause::Stopped,
    };
    Some(AttemptEnd { cause, exit, ended_at, usage: Usage::default(), detail: String::new() })
}

fn worse(a: ExitStatus, b: ExitStatus) -> ExitStatus {
    if (b.signal, b.code) > (a.signal, a.code) { b } else { a }
}
