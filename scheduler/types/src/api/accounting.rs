//! What is asked of accounting, and what it knows.

use super::{ArrayView, JobRef, JobState};
use crate::agent::{ExitStatus, Usage};
use crate::{
    AccountName, Attempt, Gid, HetPlace, JobId, MicroUsd, NodeName, PartitionName, Reason, Span, StepId, Timestamp, Uid,
};
use serde::{Deserialize, Serialize};

/// Paged query of accounting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountingQuery {
    pub jobs: Vec<JobRef>,
    pub users: Vec<Uid>,
    pub accounts: Vec<AccountName>,
    pub names: Vec<String>,
    pub partitions: Vec<PartitionName>,
    pub states: Vec<JobState>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub with_steps: bool,
    /// Opaque; empty for the first page.
    pub after: String,
    /// At most so many jobs; 0 takes the server's page.
    pub limit: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountingPage {
    pub jobs: Vec<AccountedJob>,
    /// Where the next page starts; empty after the last.
    pub next: String,
}

/// One job (or one element, or the elements of an array that never ran) in accounting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountedJob {
    pub job: JobId,
    pub array: Option<ArrayView>,
    pub het: Option<HetPlace>,
    pub attempt: Attempt,
    pub restarts: u32,
    pub name: String,
    pub uid: Uid,
    pub gid: Gid,
    pub user: String,
    pub account: AccountName,
    pub partition: String,
    pub qos: String,
    pub state: JobState,
    /// Who cancelled it.
    pub cancelled_by: Option<Uid>,
    pub reason: Reason,
    pub submitted_at: Timestamp,
    pub eligible_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub time_limit: Option<Span>,
    pub nodes: Vec<NodeName>,
    pub node_count: u32,
    pub cpus: u32,
    pub tasks: u32,
    pub memory_mib: u64,
    pub gpus: u32,
    pub req_tres: String,
    pub exit: ExitStatus,
    pub work_dir: String,
    pub submit_line: String,
    pub comment: String,
    pub wckey: String,
    pub constraint: String,
    pub priority: u32,
    pub cost: MicroUsd,
    pub steps: Vec<AccountedStep>,
    /// How long it was suspended, without the suspension that lasts …
    pub suspended: Span,
    /// … since then.
    pub suspended_since: Option<Timestamp>,
    /// It has a script, and where its streams lead is known.
    pub batch: bool,
    /// As they were asked for, with their patterns; see [`crate::JobSpec`].
    pub stdin: Option<String>,
    pub stdout: Option<String>,
    pub stderr: Option<String>,
}

impl AccountedJob {
    /// How long its attempt was suspended by `now`.
    pub fn suspended_by(&self, now: Timestamp) -> Span {
        self.suspended + self.suspended_since.map_or(Span::ZERO, |since| now.since(since))
    }

    /// How long its attempt has run, without what it was suspended.
    pub fn elapsed(&self, now: Timestamp) -> Span {
        let until = self.ended_at.unwrap_or(now);
        self.started_at.map_or(Span::ZERO, |start| (until.since(start) - self.suspended_by(until)).max(Span::ZERO))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountedStep {
    pub step: StepId,
    pub attempt: Attempt,
    pub name: String,
    pub state: JobState,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub exit: ExitStatus,
    pub nodes: Vec<NodeName>,
    pub tasks: u32,
    pub cpus: u32,
    pub usage: Usage,
    /// How long it was suspended with its job, without the suspension that lasts.
    pub suspended: Span,
}

impl AccountedStep {
    /// How long it was suspended by `now` with its job.
    pub fn suspended_by(&self, job: &AccountedJob, now: Timestamp) -> Span {
        let lasts = job.suspended_since.filter(|_| self.ended_at.is_none() && self.attempt == job.attempt);
        self.suspended + lasts.map_or(Span::ZERO, |since| now.since(since.max(self.started_at)))
    }

    pub fn elapsed(&self, job: &AccountedJob, now: Timestamp) -> Span {
        let until = self.ended_at.unwrap_or(now);
        (until.since(self.started_at) - self.suspended_by(job, now)).max(Span::ZERO)
    }
}
