//! What clients ask the controller and what they are answered, as plain values.
//!
//! The wire form is in `squall-proto`; commands and controller see only these.

mod crontab;
mod ledger;
mod steps;
mod tokens;

pub use crontab::*;
pub use ledger::*;
pub use steps::*;
pub use tokens::*;

use crate::agent::{AttemptEnd, ExitStatus, SignalTarget, Usage};
use crate::{
    AccountName, Attempt, CapacityKind, EndState, Gid, HetPlace, HourlyPrice, IndexSet, JobId, JobSpec, MicroUsd,
    NodeName, PartitionName, PoolName, QosName, Reason, Shape, Span, StepId, SubmitToken, SwitchName, Timestamp, Uid,
};
use serde::{Deserialize, Serialize};

/// A refusal as a person reads it. `slurm` is the first line, in Slurm's words where clients match on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable, `SQ1042`.
    pub code: String,
    /// Slurm's text, for example `Requested node configuration is not available`.
    pub slurm: String,
    /// What was asked.
    pub asked: String,
    /// Which rule and number refused it, and whose limit it is.
    pub limit: String,
    /// What would work; empty where nothing is known to.
    pub try_this: String,
}

/// A submission: the spec with script and environment beside it, which are stored by digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubmitRequest {
    /// Identity fields are overwritten from the channel.
    pub spec: JobSpec,
    pub script: Option<Vec<u8>>,
    /// `NAME=value` strings, each ended by NUL.
    pub environment: Vec<u8>,
    pub token: SubmitToken,
    /// `--test-only`: decide, store nothing.
    pub test_only: bool,
    /// The other components of a heterogeneous job, of which `spec` is the first.
    pub more: Vec<JobSpec>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubmitReply {
    pub job: JobId,
    /// For `--test-only`: when and where it would start.
    pub estimate: Option<Estimate>,
    /// Things worth saying that are no reason to refuse.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    pub start_at: Option<Timestamp>,
    pub nodes: Vec<NodeName>,
    pub cpus: u32,
    pub partition: PartitionName,
    /// What would have to be bought, for people.
    pub purchase: String,
    pub hourly: HourlyPrice,
}

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
}

/// What a node is doing, before Slurm's suffixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NodeCondition {
    /// Configured shape that nobody has bought: prints with `~`.
    PoweredDown,
    /// Ordered or booting: prints with `#`.
    PoweringUp,
    Idle,
    Mixed,
    Allocated,
    Completing,
    /// Closed to new work, still running some.
    Draining,
    Drained,
    /// Being given back: prints with `%`.
    PoweringDown,
    /// No contact.
    Down,
    /// It is not what was bought.
    Quarantined,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    pub name: NodeName,
    pub pool: PoolName,
    pub partitions: Vec<PartitionName>,
    pub condition: NodeCondition,
    pub contact: bool,
    /// Owners and reasons of holds, joined.
    pub reason: String,
    pub reason_by: String,
    pub reason_at: Option<Timestamp>,
    pub shape: Shape,
    pub cpus_used: u32,
    pub memory_used_mib: u64,
    pub gpus_used: Vec<u16>,
    pub jobs: Vec<JobId>,
    pub instance: String,
    pub offer: String,
    pub kind: CapacityKind,
    pub price: HourlyPrice,
    pub cost: MicroUsd,
    pub created_at: Timestamp,
    pub ready_at: Option<Timestamp>,
    pub address: String,
    pub hostname: String,
    pub agent_version: String,
    pub os: String,
    /// For a shape at zero: how many could be bought.
    pub count: u32,
    /// The switch that it hangs on, then those above.
    pub switches: Vec<SwitchName>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionView {
    pub name: PartitionName,
    pub default: bool,
    pub up: bool,
    pub max_time: Option<Span>,
    pub default_time: Option<Span>,
    pub max_nodes: Option<u32>,
    pub pools: Vec<PoolName>,
    pub allow_accounts: Vec<AccountName>,
    pub deny_accounts: Vec<AccountName>,
    pub allow_groups: Vec<String>,
    pub allow_qos: Vec<QosName>,
    pub deny_qos: Vec<QosName>,
    pub qos: Option<QosName>,
    pub priority_tier: u32,
    /// Nodes that exist and could exist.
    pub nodes: Vec<NodeName>,
    pub total_nodes: u32,
    pub total_cpus: u32,
    pub total_gpus: u32,
    pub def_mem_per_cpu: Option<u64>,
    pub def_mem_per_gpu: Option<u64>,
    pub def_cpu_per_gpu: Option<u32>,
}

/// `squall why`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub job: JobId,
    pub state: String,
    pub waiting: Span,
    pub estimate: Option<Estimate>,
    /// Everything that stands in the way, the most binding first.
    pub blockers: Vec<Blocker>,
    /// The smallest changes that would start it now.
    pub would_start_with: Vec<String>,
    /// Staged progress of machines that are being bought for it.
    pub progress: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    pub reason: Reason,
    /// With numbers.
    pub text: String,
    /// When it may go away, where that is known.
    pub until: Option<Timestamp>,
}

/// What may be changed in a job; `None` leaves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobUpdate {
    pub time_limit: Option<Span>,
    pub name: Option<String>,
    pub partition: Option<Vec<PartitionName>>,
    pub account: Option<AccountName>,
    pub qos: Option<QosName>,
    pub priority: Option<u32>,
    pub nice: Option<i32>,
    pub begin_at: Option<Timestamp>,
    pub comment: Option<String>,
    pub dependency: Option<crate::Dependency>,
    pub constraint: Option<Option<crate::Constraint>>,
    pub requeue: Option<bool>,
    pub array_limit: Option<u32>,
    pub nodes: Option<crate::NodeCount>,
    pub exclude: Option<Vec<String>>,
    pub node_list: Option<Vec<String>>,
    pub end_by: Option<Timestamp>,
}

/// A change of one or many jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobAction {
    Cancel,
    /// `scancel --signal`: to running jobs only.
    Signal {
        signal: i32,
        target: SignalTarget,
    },
    Hold,
    Release,
    Requeue {
        hold: bool,
    },
    Update(Box<JobUpdate>),
    /// Stops the processes of what runs; it keeps what it holds.
    Suspend,
    Resume,
    /// `scancel --cron`: what belongs to a crontab as well, and its line there.
    CancelCron,
}

/// How one of the jobs of an action went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionResult {
    pub job: String,
    pub refusal: Option<Refusal>,
}

/// Admin changes to nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeAction {
    Drain {
        reason: String,
    },
    Resume,
    /// Declare that it can run nothing any more.
    Down {
        reason: String,
    },
    /// Give a bought node back as soon as it runs nothing, whatever the idle rule says.
    PowerDown,
}

/// How one of the nodes of an action went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeActionResult {
    pub node: NodeName,
    pub refusal: Option<Refusal>,
}

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

/// News of one job, streamed to `srun`, `salloc`, `sbatch --wait` and `squall demo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobNews {
    pub view: JobView,
    pub end: Option<AttemptEnd>,
}

/// The cluster in one look: `scontrol ping`, `sdiag`, the demo's screen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSummary {
    pub cluster: String,
    pub version: String,
    pub now: Timestamp,
    pub started_at: Timestamp,
    pub epoch: u64,
    pub seq: u64,
    pub jobs_pending: u64,
    pub jobs_configuring: u64,
    pub jobs_running: u64,
    pub jobs_suspended: u64,
    pub jobs_completing: u64,
    pub jobs_ended: u64,
    pub nodes_ordered: u64,
    pub nodes_booting: u64,
    pub nodes_ready: u64,
    pub nodes_draining: u64,
    pub nodes_retiring: u64,
    pub nodes_gone: u64,
    pub orders_open: u64,
    pub spent: MicroUsd,
    pub reserved: MicroUsd,
    pub node_millis_bought: i64,
    /// Of what was bought, weighted by the largest share of CPUs, memory or GPUs in use.
    pub node_millis_used: i64,
    /// Launching is stopped: why.
    pub alarm: String,
}

/// One line of `squall config show` and `scontrol show config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigEntry {
    pub key: String,
    pub value: String,
    /// A file with line, an environment variable, or `default`.
    pub source: String,
}

/// `scontrol ping`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingReply {
    pub cluster: String,
    pub hostname: String,
    pub version: String,
    pub epoch: u64,
    /// The controller's clock.
    pub now: Timestamp,
}
