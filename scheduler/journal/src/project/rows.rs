//! The bodies of accounting rows: numbered fields, so that a later release adds without a migration.

use minicbor::{Decode, Encode};
use squall_types::agent::{ExitStatus, Usage};
use squall_types::{
    AccountName, Attempt, BlobDigest, EndState, Gid, HetPlace, HourlyPrice, IndexSet, JobId, MicroUsd, NodeId,
    NodeName, PartitionName, PoolName, Reason, Span, Timestamp, Uid,
};

/// What a submission said: shared by all elements of an array until one is changed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SpecRow {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub uid: Uid,
    #[n(2)]
    pub gid: Gid,
    #[n(3)]
    pub user: String,
    #[n(4)]
    pub account: AccountName,
    /// In the user's order.
    #[n(5)]
    pub partitions: Vec<PartitionName>,
    #[n(6)]
    pub qos: String,
    #[n(7)]
    pub time_limit: Option<Span>,
    #[n(8)]
    pub nodes: u32,
    #[n(9)]
    pub cpus: u32,
    #[n(10)]
    pub tasks: u32,
    /// Per node; 0 where it is a share of a node.
    #[n(11)]
    pub memory_mib: u64,
    #[n(12)]
    pub gpus: u32,
    #[n(13)]
    pub req_tres: String,
    #[n(14)]
    pub work_dir: String,
    #[n(15)]
    pub submit_line: String,
    #[n(16)]
    pub comment: String,
    #[n(17)]
    pub wckey: String,
    #[n(18)]
    pub constraint: String,
    #[n(19)]
    pub priority: u32,
    #[n(20)]
    pub array_limit: Option<u32>,
    #[n(21)]
    pub script: Option<BlobDigest>,
    #[n(22)]
    pub environment: Option<BlobDigest>,
    /// Of a batch job: where its streams lead. `None` in rows of other jobs, and in those of earlier releases.
    #[n(23)]
    pub streams: Option<Streams>,
}

/// As they were asked for, with their patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Streams {
    #[n(0)]
    pub stdin: Option<String>,
    #[n(1)]
    pub stdout: Option<String>,
    #[n(2)]
    pub stderr: Option<String>,
}

/// A row's place in an array or a heterogeneous job.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Place {
    #[n(0)]
    Single,
    /// Elements that wait together, as one row.
    #[n(1)]
    Waiting {
        #[n(0)]
        indices: IndexSet,
        /// The array that they are a group of; `None` in the row of the array itself.
        #[n(1)]
        group_of: Option<JobId>,
    },
    #[n(2)]
    Element {
        #[n(0)]
        array: JobId,
        #[n(1)]
        index: u32,
    },
    /// Elements that are over without having run, as one row.
    #[n(3)]
    NeverRan {
        #[n(0)]
        array: JobId,
        #[n(1)]
        indices: IndexSet,
    },
    /// Of a heterogeneous job, which its leader's number names.
    #[n(4)]
    Component(#[n(0)] HetPlace),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Phase {
    #[n(0)]
    Pending,
    #[n(1)]
    Configuring,
    #[n(2)]
    Running,
    #[n(3)]
    Completing,
    #[n(4)]
    Ended(#[n(0)] EndState),
    #[n(5)]
    Suspended,
}

/// One job, element or group of elements, in its latest attempt.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct JobRow {
    #[n(0)]
    pub place: Place,
    #[n(1)]
    pub attempt: Attempt,
    #[n(2)]
    pub phase: Phase,
    #[n(3)]
    pub cancelled_by: Option<Uid>,
    #[n(4)]
    pub reason: Reason,
    #[n(5)]
    pub eligible_at: Option<Timestamp>,
    #[n(6)]
    pub started_at: Option<Timestamp>,
    /// What the attempt was granted; before that and after a requeue, nothing.
    #[n(7)]
    pub grant: Option<Grant>,
    #[n(8)]
    pub exit: ExitStatus,
    /// Of all attempts so far.
    #[n(9)]
    pub cost: MicroUsd,
    /// A script runs on the first node.
    #[n(10)]
    pub batch: bool,
    /// How long the attempt was suspended, without the suspension that lasts …
    #[n(11)]
    #[cbor(default)]
    pub suspended: Span,
    /// … since then.
    #[n(12)]
    pub suspended_since: Option<Timestamp>,
}

/// What an attempt holds, over all of its nodes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Grant {
    #[n(0)]
    pub partition: PartitionName,
    /// In rank order.
    #[n(1)]
    pub nodes: Vec<NodeName>,
    #[n(2)]
    pub cpus: u32,
    #[n(3)]
    pub tasks: u32,
    #[n(4)]
    pub memory_mib: u64,
    #[n(5)]
    pub gpus: u32,
    #[n(6)]
    pub time_limit: Option<Span>,
    /// Where a batch script runs, and with how many CPUs.
    #[n(7)]
    pub first: NodeId,
    #[n(8)]
    pub first_cpus: u32,
}

/// An attempt that was followed by another.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct AttemptRow {
    #[n(0)]
    pub end: EndState,
    #[n(1)]
    pub reason: Reason,
    #[n(2)]
    pub started_at: Option<Timestamp>,
    #[n(3)]
    pub ended_at: Timestamp,
    #[n(4)]
    pub grant: Option<Grant>,
    #[n(5)]
    pub cost: MicroUsd,
    #[n(6)]
    #[cbor(default)]
    pub suspended: Span,
    #[n(7)]
    #[cbor(default)]
    pub exit: ExitStatus,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StepRow {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub nodes: Vec<NodeName>,
    #[n(2)]
    pub tasks: u32,
    #[n(3)]
    pub cpus: u32,
    #[n(4)]
    pub started_at: Timestamp,
    /// The latest that a node said; the step is over when all have.
    #[n(5)]
    pub ended_at: Option<Timestamp>,
    /// Nodes that have said so.
    #[n(6)]
    pub ended_on: u32,
    /// The worst of all nodes.
    #[n(7)]
    pub exit: ExitStatus,
    /// CPU time of all nodes, memory of the largest.
    #[n(8)]
    pub usage: Usage,
    /// Where something but the exit status decides it.
    #[n(9)]
    pub end: Option<EndState>,
    /// How long it was suspended with its job, without the suspension that lasts.
    #[n(10)]
    #[cbor(default)]
    pub suspended: Span,
}

/// The ledger's row of a node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct NodeRow {
    #[n(0)]
    pub name: NodeName,
    #[n(1)]
    pub pool: PoolName,
    /// 0 for a machine of one's own.
    #[n(2)]
    pub order: u64,
    #[n(3)]
    pub instance: String,
    #[n(4)]
    pub offer: String,
    #[n(5)]
    pub price: HourlyPrice,
    #[n(6)]
    pub caused_by: Option<JobId>,
    #[n(7)]
    pub ordered_at: Timestamp,
    #[n(8)]
    pub launched_at: Option<Timestamp>,
    #[n(9)]
    pub ready_at: Option<Timestamp>,
    #[n(10)]
    pub first_job_at: Option<Timestamp>,
    #[n(11)]
    pub gone_at: Option<Timestamp>,
    #[n(12)]
    pub gone_why: String,
    /// Once it is settled.
    #[n(13)]
    pub cost: MicroUsd,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct OrderedRow {
    #[n(0)]
    pub pool: PoolName,
    #[n(1)]
    pub offer: String,
    #[n(2)]
    pub price: HourlyPrice,
    #[n(3)]
    pub nodes: u32,
    #[n(4)]
    pub delivered: u32,
    #[n(5)]
    pub for_job: Option<JobId>,
    #[n(6)]
    pub launched_at: Option<Timestamp>,
    #[n(7)]
    pub failed_at: Option<Timestamp>,
    #[n(8)]
    pub failure: String,
    #[n(9)]
    pub token: String,
}
