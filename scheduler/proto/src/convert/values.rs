//! Values that several services share.

use crate::limits::MAX_LIST;
use crate::pb;
use crate::wire::{Problem, Wire, WireError, choice, message, put, take, words};
use squall_types::agent::{EndCause, SignalTarget, Usage};
use squall_types::api::{JobRef, JobState, Refusal, StepNode};
use squall_types::*;

message! {
    Run { job, attempt }
    JobRef { job, elements, component }
    HetPlace { leader, offset, size }
    ExitStatus { code, signal }
    Usage { user_cpu, system_cpu, max_rss_kib }
    GpuGroup { model, count, memory_mib, declared }
    Shape { cpus, cores, memory_mib, gpus, features }
    Allocation { node, cpus, memory_mib, gpus, tasks }
    Refusal { code, slurm, asked, limit, try_this }
    AttemptEnd { cause, exit: required, ended_at, usage: required, detail }
    StepNode { name, address, ranks, cpus, gpus }
}

words! {
    CapacityKind { OnDemand, Spot, Reserved, Owned }
    EndCause { Exited, Stopped, TimeLimit, OutOfMemory, LaunchFailed, Lost, NeverRan }
    Reason {
        None, Priority, Resources, Dependency, DependencyNeverSatisfied, BeginTime, JobHeldUser, JobHeldAdmin,
        JobArrayTaskLimit, PartitionDown, PartitionTimeLimit, PartitionNodeLimit, ReqNodeNotAvail, BadConstraints,
        NodeDown, TimeLimit, NonZeroExitCode, RaisedSignal, JobLaunchFailure, OutOfMemory, BudgetExhausted,
        ProviderQuota, NoCapacity, NodesBooting, PoolLimit, RequeuedAfterFailure, JobHoldMaxRequeue, NodeFailure,
        ProvisionerFailed,
        Cleaning,
        AssocGrpJobsLimit,
        AssocGrpCpuLimit,
        AssocGrpMemLimit,
        AssocGrpNodeLimit,
        AssocGrpGres,
        AssocMaxJobsLimit,
        AssocMaxCpuPerJobLimit,
        AssocMaxMemPerJob,
        AssocMaxNodePerJobLimit,
        AssocMaxGresPerJob,
        AssocMaxWallDurationPerJobLimit,
        QosGrpJobsLimit,
        QosGrpCpuLimit,
        QosGrpMemLimit,
        QosGrpNodeLimit,
        QosGrpGres,
        QosMaxJobsPerUserLimit,
        QosMaxCpuPerUserLimit,
        QosMaxMemoryPerUser,
        QosMaxNodePerUserLimit,
        QosMaxGresPerUser,
        MaxJobsPerAccount,
        MaxCpuPerAccount,
        MaxMemoryPerAccount,
        MaxNodePerAccount,
        MaxGresPerAccount,
        QosMaxCpuPerJobLimit,
        QosMaxMemoryPerJob,
        QosMaxNodePerJobLimit,
        QosMaxGresPerJob,
        QosMaxWallDurationPerJobLimit,
    }
}

choice! {
    SignalTarget in signal_target::Target (target) {
        units { Steps, BatchShell, All }
        values { Step }
        records {}
    }
}

impl Wire for () {
    type Pb = pb::Unit;
    fn to_pb(self) -> pb::Unit {
        pb::Unit {}
    }
    fn from_pb(_: pb::Unit) -> Result<Self, WireError> {
        Ok(())
    }
}

impl Wire for Gpus {
    type Pb = Vec<pb::GpuGroup>;
    fn to_pb(self) -> Self::Pb {
        self.0.to_pb()
    }
    fn from_pb(pb: Self::Pb) -> Result<Self, WireError> {
        Vec::from_pb(pb).map(Gpus)
    }
}

impl Wire for IndexSet {
    type Pb = pb::IndexSet;
    fn to_pb(self) -> pb::IndexSet {
        let ranges = self.ranges().iter().map(|&(first, last)| pb::IndexRange { first, last });
        pb::IndexSet { ranges: ranges.collect() }
    }
    fn from_pb(pb: pb::IndexSet) -> Result<Self, WireError> {
        let length = pb.ranges.len();
        if length > MAX_LIST {
            return Err(Problem::TooLong { length, unit: "ranges", most: MAX_LIST }.into());
        }
        let mut set = IndexSet::new();
        for pb::IndexRange { first, last } in pb.ranges {
            // Only in order: then each insertion is at the end, and a hostile list costs no more than a good one.
            if first > last || set.last().is_some_and(|end| end >= first) {
                return Err(Problem::Malformed("ranges are to be ascending and disjoint").into());
            }
            set.insert_range(first, last);
        }
        Ok(set)
    }
}

/// Flat on the wire: the ended states are beside the others.
impl Wire for JobState {
    type Pb = i32;
    fn to_pb(self) -> i32 {
        use pb::JobState as Word;
        let word = match self {
            JobState::Pending => Word::Pending,
            JobState::Configuring => Word::Configuring,
            JobState::Running => Word::Running,
            JobState::Completing => Word::Completing,
            JobState::Suspended => Word::Suspended,
            JobState::Ended(end) => match end {
                EndState::Completed => Word::Completed,
                EndState::Failed => Word::Failed,
                EndState::Cancelled => Word::Cancelled,
                EndState::Timeout => Word::Timeout,
                EndState::NodeFail => Word::NodeFail,
                EndState::OutOfMemory => Word::OutOfMemory,
                EndState::Preempted => Word::Preempted,
                EndState::BootFail => Word::BootFail,
                EndState::Deadline => Word::Deadline,
            },
        };
        word as i32
    }
    fn from_pb(pb: i32) -> Result<Self, WireError> {
        use pb::JobState as Word;
        let word = Word::try_from(pb).map_err(|_| Problem::Unknown(pb))?;
        Ok(match word {
            Word::Unspecified => return Err(Problem::Unknown(pb).into()),
            Word::Pending => JobState::Pending,
            Word::Configuring => JobState::Configuring,
            Word::Running => JobState::Running,
            Word::Completing => JobState::Completing,
            Word::Suspended => JobState::Suspended,
            Word::Completed => JobState::Ended(EndState::Completed),
            Word::Failed => JobState::Ended(EndState::Failed),
            Word::Cancelled => JobState::Ended(EndState::Cancelled),
            Word::Timeout => JobState::Ended(EndState::Timeout),
            Word::NodeFail => JobState::Ended(EndState::NodeFail),
            Word::OutOfMemory => JobState::Ended(EndState::OutOfMemory),
            Word::Preempted => JobState::Ended(EndState::Preempted),
            Word::BootFail => JobState::Ended(EndState::BootFail),
            Word::Deadline => JobState::Ended(EndState::Deadline),
        })
    }
}
