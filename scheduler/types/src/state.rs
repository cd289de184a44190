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
    /// Something of its last attempt is still being ended.
    #[n(29)]
    Cleaning,
    // Limits of accounts and their users, and of qualities of service.
    #[n(40)]
    AssocGrpJobsLimit,
    #[n(41)]
    AssocGrpCpuLimit,
    #[n(42)]
    AssocGrpMemLimit,
    #[n(43)]
    AssocGrpNodeLimit,
    #[n(44)]
    AssocGrpGres,
    #[n(45)]
    AssocMaxJobsLimit,
    #[n(46)]
    AssocMaxCpuPerJobLimit,
    #[n(47)]
    AssocMaxMemPerJob,
    #[n(48)]
    AssocMaxNodePerJobLimit,
    #[n(49)]
    AssocMaxGresPerJob,
    #[n(50)]
    AssocMaxWallDurationPerJobLimit,
    #[n(51)]
    QosGrpJobsLimit,
    #[n(52)]
    QosGrpCpuLimit,
    #[n(53)]
    QosGrpMemLimit,
    #[n(54)]
    QosGrpNodeLimit,
    #[n(55)]
    QosGrpGres,
    #[n(56)]
    QosMaxJobsPerUserLimit,
    #[n(57)]
    QosMaxCpuPerUserLimit,
    #[n(58)]
    QosMaxMemoryPerUser,
    #[n(59)]
    QosMaxNodePerUserLimit,
    #[n(60)]
    QosMaxGresPerUser,
    #[n(61)]
    MaxJobsPerAccount,
    #[n(62)]
    MaxCpuPerAccount,
    #[n(63)]
    MaxMemoryPerAccount,
    #[n(64)]
    MaxNodePerAccount,
    #[n(65)]
    MaxGresPerAccount,
    #[n(66)]
    QosMaxCpuPerJobLimit,
    #[n(67)]
    QosMaxMemoryPerJob,
    #[n(68)]
    QosMaxNodePerJobLimit,
    #[n(69)]
    QosMaxGresPerJob,
    #[n(70)]
    QosMaxWallDurationPerJobLimit,
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
            Reason::Cleaning => "Cleaning",
            Reason::AssocGrpJobsLimit => "AssocGrpJobsLimit",
            Reason::AssocGrpCpuLimit => "AssocGrpCpuLimit",
            Reason::AssocGrpMemLimit => "AssocGrpMemLimit",
            Reason::AssocGrpNodeLimit => "AssocGrpNodeLimit",
            Reason::AssocGrpGres => "AssocGrpGRES",
            Reason::AssocMaxJobsLimit => "AssocMaxJobsLimit",
            Reason::AssocMaxCpuPerJobLimit => "AssocMaxCpuPerJobLimit",
            Reason::AssocMaxMemPerJob => "AssocMaxMemPerJob",
            Reason::AssocMaxNodePerJobLimit => "AssocMaxNodePerJobLimit",
            Reason::AssocMaxGresPerJob => "AssocMaxGRESPerJob",
            Reason::AssocMaxWallDurationPerJobLimit => "AssocMaxWallDurationPerJobLimit",
            Reason::QosGrpJobsLimit => "QOSGrpJobsLimit",
            Reason::QosGrpCpuLimit => "QOSGrpCpuLimit",
            Reason::QosGrpMemLimit => "QOSGrpMemLimit",
            Reason::QosGrpNodeLimit => "QOSGrpNodeLimit",
            Reason::QosGrpGres => "QOSGrpGRES",
            Reason::QosMaxJobsPerUserLimit => "QOSMaxJobsPerUserLimit",
            Reason::QosMaxCpuPerUserLimit => "QOSMaxCpuPerUserLimit",
            Reason::QosMaxMemoryPerUser => "QOSMaxMemoryPerUser",
            Reason::QosMaxNodePerUserLimit => "QOSMaxNodePerUserLimit",
            Reason::QosMaxGresPerUser => "QOSMaxGRESPerUser",
            Reason::MaxJobsPerAccount => "MaxJobsPerAccount",
            Reason::MaxCpuPerAccount => "MaxCpuPerAccount",
            Reason::MaxMemoryPerAccount => "MaxMemoryPerAccount",
            Reason::MaxNodePerAccount => "MaxNodePerAccount",
            Reason::MaxGresPerAccount => "MaxGRESPerAccount",
            Reason::QosMaxCpuPerJobLimit => "QOSMaxCpuPerJobLimit",
            Reason::QosMaxMemoryPerJob => "QOSMaxMemoryPerJob",
            Reason::QosMaxNodePerJobLimit => "QOSMaxNodePerJobLimit",
            Reason::QosMaxGresPerJob => "QOSMaxGRESPerJob",
            Reason::QosMaxWallDurationPerJobLimit => "QOSMaxWallDurationPerJobLimit",
        }
    }
}
