//! What clients ask the controller and what they are answered, as plain values.
//!
//! The wire form is in `squall-proto`; commands and controller see only these.

mod accounting;
mod crontab;
mod jobs;
mod ledger;
mod steps;
mod tokens;

pub use accounting::*;
pub use crontab::*;
pub use jobs::*;
pub use ledger::*;
pub use steps::*;
pub use tokens::*;

use crate::agent::{AttemptEnd, SignalTarget};
use crate::{
    AccountName, CapacityKind, HourlyPrice, JobId, JobSpec, MicroUsd, NodeName, PartitionName, PoolName, QosName,
    Reason, Shape, Span, SubmitToken, SwitchName, Timestamp,
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
    /// Identity fields are overwritten from the channel. Boxed: it is large, and a submission is handed on often.
    pub spec: Box<JobSpec>,
    pub script: Option<Vec<u8>>,
    /// `NAME=value` strings, each ended by NUL.
    pub environment: Vec<u8>,
    pub token: SubmitToken,
    /// `--test-only`: decide, store nothing.
    pub test_only: bool,
    /// The other components of a heterogeneous job, of which `spec` is the first.
    pub more: Vec<JobSpec>,
    /// The first step of an interactive job of one component, which begins with it where the job begins at once. Its job is
    /// the one submitted here.
    pub step: Option<StepRequest>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubmitReply {
    pub job: JobId,
    /// For `--test-only`: when and where it would start.
    pub estimate: Option<Estimate>,
    /// Things worth saying that are no reason to refuse.
    pub notes: Vec<String>,
    /// The step that came with the submission. `None` where the job did not begin at once, or was submitted before: then it
    /// is asked for when the job runs.
    pub step: Option<StepGrant>,
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
    pub prefer: Option<Option<crate::Constraint>>,
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
