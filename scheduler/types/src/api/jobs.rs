//! Jobs as commands name, choose and show them.

use crate::agent::ExitStatus;
use crate::{
    AccountName, Attempt, EndState, Gid, HetPlace, IndexSet, JobId, JobSpec, MicroUsd, NodeName, PartitionName,
    QosName, Reason, Span, Timestamp, Uid,
};
use serde::{Deserialize, Serialize};

/// `123`, `123_4`, `123_[1-3]`, `123+1`: what commands name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRef {
    pub job: JobId,
    /// Elements of the array; `None` is the job or the whole array.
    pub elements: Option<IndexSet>,
    /// One component of the heterogeneous job; `None` is all of it.
    pub component: Option<u32>,
}

impl From<JobId> for JobRef {
    fn from(job: JobId) -> Self {
        JobRef { job, elements: None, component: None }
    }
}

/// Which jobs a command is about. All conditions must hold; an empty list is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    pub jobs: Vec<JobRef>,
    pub users: Vec<Uid>,
    pub names: Vec<String>,
    pub accounts: Vec<AccountName>,
    pub partitions: Vec<PartitionName>,
    pub qos: Vec<QosName>,
    /// Empty means all that have not ended.
    pub states: Vec<JobState>,
    /// All states, ended ones within MinJobAge included.
    pub all_states: bool,
    pub nodes: Vec<NodeName>,
    /// Answer without what most listings do not show: see [`JobView::briefly`].
    pub brief: bool,
}

/// What `squeue` calls the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JobState {
    Pending,
    Configuring,
    Running,
    Completing,
    Suspended,
    Ended(EndState),
}

impl JobState {
    pub fn word(self) -> &'static str {
        match self {
            JobState::Pending => "PENDING",
            JobState::Configuring => "CONFIGURING",
            JobState::Running => "RUNNING",
            JobState::Completing => "COMPLETING",
            JobState::Suspended => "SUSPENDED",
            JobState::Ended(end) => end.word(),
        }
    }

    pub fn compact(self) -> &'static str {
        match self {
            JobState::Pending => "PD",
            JobState::Configuring => "CF",
            JobState::Running => "R",
            JobState::Completing => "CG",
            JobState::Suspended => "S",
            JobState::Ended(end) => end.compact(),
        }
    }
}

/// Where a record stands in an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArrayView {
    /// Elements that have not started, as one record.
    Pending {
        array: JobId,
        indices: IndexSet,
        limit: Option<u32>,
    },
    Element {
        array: JobId,
        index: u32,
    },
}

/// One line of `squeue`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
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
    /// Several, comma separated, while it waits.
    pub partition: String,
    pub qos: String,
    pub state: JobState,
    pub reason: Reason,
    pub priority: u32,
    pub nice: i32,
    pub submitted_at: Timestamp,
    pub eligible_at: Option<Timestamp>,
    /// When it started, or is expected to.
    pub start_at: Option<Timestamp>,
    /// When it ended, or will have to.
    pub end_at: Option<Timestamp>,
    pub time_limit: Option<Span>,
    /// In rank order; for a configuring job the nodes it claims.
    pub nodes: Vec<NodeName>,
    /// Granted, or the fewest asked for.
    pub node_count: u32,
    pub max_nodes: u32,
    pub cpus: u32,
    pub tasks: u32,
    /// Granted in all, or asked for per node.
    pub memory_mib: u64,
    pub gpus: u32,
    /// `gres/gpu:h100=4` and the like, as asked.
    pub tres: String,
    pub tres_per_node: String,
    pub exit: ExitStatus,
    pub work_dir: String,
    pub command: String,
    pub comment: String,
    pub dependency: String,
    pub constraint: String,
    pub prefer: String,
    pub exclusive: bool,
    /// Charged so far: its share of its nodes since it started, and what was booted for it.
    pub cost: MicroUsd,
    /// Of each node.
    pub min_cpus: u32,
    /// Of each node or CPU, whichever was asked for.
    pub min_memory_mib: u64,
    /// `-w`, `-x`: as lists of hosts.
    pub req_nodes: String,
    pub exc_nodes: String,
    pub wckey: String,
    pub licenses: String,
    /// When it was last suspended or resumed.
    pub suspend_at: Option<Timestamp>,
    /// How long it was suspended, without the suspension that lasts.
    pub suspended: Span,
}

impl JobView {
    /// Without what most listings do not show, and what most of an answer's bytes would be: these members are empty.
    pub fn briefly(self) -> JobView {
        JobView {
            qos: String::new(),
            tres: String::new(),
            tres_per_node: String::new(),
            work_dir: String::new(),
            command: String::new(),
            comment: String::new(),
            dependency: String::new(),
            constraint: String::new(),
            prefer: String::new(),
            cost: MicroUsd::default(),
            req_nodes: String::new(),
            exc_nodes: String::new(),
            wckey: String::new(),
            licenses: String::new(),
            ..self
        }
    }
}

impl JobView {
    /// How long it has run: since its gang was complete, without what it was suspended.
    pub fn elapsed(&self, now: Timestamp) -> Span {
        let Some(start) = self.start_at else { return Span::ZERO };
        let until = match self.state {
            JobState::Pending | JobState::Configuring => return Span::ZERO,
            JobState::Running | JobState::Completing => now,
            JobState::Suspended => self.suspend_at.unwrap_or(now),
            JobState::Ended(_) => self.end_at.unwrap_or(start),
        };
        (until.since(start) - self.suspended).max(Span::ZERO)
    }

    /// How long it had run when it was last suspended or, as Slurm has it, resumed.
    pub fn ran_before(&self) -> Span {
        let at = self.suspend_at.zip(self.start_at);
        at.map_or(Span::ZERO, |(at, start)| (at.since(start) - self.suspended).max(Span::ZERO))
    }
}

/// `scontrol show job`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobDetail {
    pub view: JobView,
    pub spec: JobSpec,
    pub allocations: Vec<AllocationView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationView {
    pub node: NodeName,
    pub cpus: u32,
    pub memory_mib: u64,
    pub gpus: Vec<u16>,
    pub tasks: u32,
    /// `gpu:h100:2(IDX:0-1)`: the GPUs with their models; empty where it holds none.
    pub gres: String,
}
