//! How a job can end, and why one waits or a node is unusable. The words print as Slurm's where Slurm has one.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// A terminal state. Set once, never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum EndState {
    #[n(0)]
    Completed,
    #[n(1)]
    Failed,
    #[n(2)]
    Cancelled,
    #[n(3)]
    Timeout,
    #[n(4)]
    NodeFail,
    #[n(5)]
    OutOfMemory,
    #[n(6)]
    Preempted,
    #[n(7)]
    BootFail,
    #[n(8)]
    Deadline,
}

impl EndState {
    /// Slurm's long word.
    pub fn word(self) -> &'static str {
        match self {
            EndState::Completed => "COMPLETED",
            EndState::Failed => "FAILED",
            EndState::Cancelled => "CANCELLED",
            EndState::Timeout => "TIMEOUT",
            EndState::NodeFail => "NODE_FAIL",
            EndState::OutOfMemory => "OUT_OF_MEMORY",
            EndState::Preempted => "PREEMPTED",
            EndState::BootFail => "BOOT_FAIL",
            EndState::Deadline => "DEADLINE",
        }
    }

    /// Slurm's two letters.
    pub fn compact(self) -> &'static str {
        match self {
            EndState::Completed => "CD",
            EndState::Failed => "F",
            EndState::Cancelled => "CA",
            EndState::Timeout => "TO",
            EndState::NodeFail => "NF",
            EndState::OutOfMemory => "OOM",
            EndState::Preempted => "PR",
            EndState::BootFail => "BF",
            EndState::Deadline => "DL",
        }
    }
}

/// Why a job waits or ended as it did; one word each, as `squeue` prints it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum Reason {
    #[default]
    #[n(0)]
    None,
    #[n(1)]
    Priority,
    #[n(2)]
    Resources,
    #[n(3)]
    Dependency,
    #[n(4)]
    DependencyNeverSatisfied,
    #[n(5)]
    BeginTime,
    #[n(6)]
    JobHeldUser,
    #[n(7)]
    JobHeldAdmin,
    #[n(8)]
    JobArrayTaskLimit,
    #[n(9)]
    PartitionDown,
    #[n(10)]
    PartitionTimeLimit,
    #[n(11)]
    PartitionNodeLimit,
    #[n(12)]
    ReqNodeNotAvail,
    #[n(13)]
    BadConstraints,
    #[n(14)]
    NodeDown,
    #[n(15)]
    TimeLimit,
    #[n(16)]
    NonZeroExitCode,
    #[n(17)]
    RaisedSignal,
    #[n(18)]
    JobLaunchFailure,
    #[n(19)]
    OutOfMemory,
    /// A budget or spend limit does not cover what would have to be bought.
    #[n(20)]
    BudgetExhausted,
    /// The provider's quota does not allow it.
    #[n(21)]
    ProviderQuota,
    /// No offer has capacity now.
    #[n(22)]
    NoCapacity,
    /// Machines are being bought or booted for it.
    #[n(23)]
    NodesBooting,
    /// The pool has reached its configured maximum.
    #[n(24)]
    PoolLimit,
    #[n(25)]
    RequeuedAfterFailure,
    #[n(26)]
    JobHoldMaxRequeue,
    #[n(27)]
    NodeFailure,
    #[n(28)]
    ProvisionerFailed,
}

impl Reason {
    pub fn word(self) -> &'static str {
        match self {
            Reason::None => "None",
            Reason::Priority => "Priority",
            Reason::Resources => "Resources",
            Reason::Dependency => "Dependency",
            Reason::DependencyNeverSatisfied => "DependencyNeverSatisfied",
            Reason::BeginTime => "BeginTime",
            Reason::JobHeldUser => "JobHeldUser",
            Reason::JobHeldAdmin => "JobHeldAdmin",
            Reason::JobArrayTaskLimit => "JobArrayTaskLimit",
            Reason::PartitionDown => "PartitionDown",
            Reason::PartitionTimeLimit => "PartitionTimeLimit",
            Reason::PartitionNodeLimit => "PartitionNodeLimit",
            Reason::ReqNodeNotAvail => "ReqNodeNotAvail",
            Reason::BadConstraints => "BadConstraints",
            Reason::NodeDown => "NodeDown",
            Reason::TimeLimit => "TimeLimit",
            Reason::NonZeroExitCode => "NonZeroExitCode",
            Reason::RaisedSignal => "RaisedSignal",
            Reason::JobLaunchFailure => "JobLaunchFailure",
            Reason::OutOfMemory => "OutOfMemory",
            Reason::BudgetExhausted => "BudgetExhausted",
            Reason::ProviderQuota => "ProviderQuota",
            Reason::NoCapacity => "NoCapacity",
            Reason::NodesBooting => "NodesBooting",
            Reason::PoolLimit => "PoolLimit",
            Reason::RequeuedAfterFailure => "RequeuedAfterFailure",
            Reason::JobHoldMaxRequeue => "JobHoldMaxRequeue",
            Reason::NodeFailure => "NodeFailure",
            Reason::ProvisionerFailed => "ProvisionerFailed",
        }
    }
}
