//! What happened. Events carry outcomes, so that replaying them needs no policy, and they are the only stored form.
//!
//! A released event is never edited: fields are added with new numbers, and a change of meaning is a new variant.

pub use crate::cost::{Charge, ChargeKind};

use crate::accounts::AccountsChange;
use crate::config::ClusterConfig;
use crate::crontab::Crontab;
use crate::job::{HeldBy, JobEnd, Outcome, TermState};
use crate::node::{DrainWhy, GoneWhy, Hold, HoldOwner};
use crate::order::QuotaHold;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use squall_types::agent::{StepEnd, StopWhy};
use squall_types::ids::Run;
use squall_types::offer::LaunchFailure;
use squall_types::{
    Allocation, AttemptEnd, BudgetName, EndState, Epoch, ExitStatus, HetPlace, IndexSet, InstanceId, JobId, JobSpec,
    LaunchOrder, MeasuredNode, MicroUsd, NodeId, NodeName, Offer, OfferName, OrderId, PartitionName, PoolName, Reason,
    Shape, Span, StepId, SubmitToken, Timestamp, Uid,
};

/// The format of the records that this release writes.
pub const EVENT_VERSION: u32 = 1;

/// One fact and when it became one; `at` never decreases along the journal.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Event {
    #[n(0)]
    pub at: Timestamp,
    #[n(1)]
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum What {
    // The controller and its configuration.
    /// A controller took the journal: every agent must make contact anew.
    #[n(0)]
    ControllerStarted {
        #[n(0)]
        epoch: Epoch,
        #[n(1)]
        version: String,
    },
    #[n(1)]
    ConfigApplied {
        #[n(0)]
        config: Box<ClusterConfig>,
    },
    /// The journal is a restored backup: ids continue at `next_*`, and what is not known is kept, not killed, until `settled_by`.
    #[n(2)]
    BackupRestored {
        #[n(0)]
        next_job: JobId,
        #[n(1)]
        next_node: NodeId,
        #[n(2)]
        next_order: OrderId,
        #[n(3)]
        settled_by: Timestamp,
    },
    #[n(3)]
    BudgetTurned {
        #[n(0)]
        budget: BudgetName,
        #[n(1)]
        period_start: Timestamp,
    },
    /// A row of the accounts.
    #[n(4)]
    AccountsChanged {
        #[n(0)]
        change: Box<AccountsChange>,
    },

    // Jobs.
    #[n(10)]
    JobSubmitted {
        #[n(0)]
        job: JobId,
        #[n(1)]
        spec: Box<JobSpec>,
        #[n(2)]
        token: SubmitToken,
        #[n(3)]
        terms: Vec<TermState>,
        #[n(4)]
        eligible_at: Option<Timestamp>,
        /// Of a heterogeneous job; all of its components are submitted in one decision.
        #[n(5)]
        #[cbor(default)]
        het: Option<HetPlace>,
    },
    /// An element gets a record of its own. The last one of a record takes that over.
    #[n(11)]
    ElementSplit {
        #[n(0)]
        array: JobId,
        #[n(1)]
        index: u32,
        #[n(2)]
        job: JobId,
        /// The group in which it waited; `None` is the array's own record.
        #[n(3)]
        group: Option<JobId>,
    },
    #[n(12)]
    JobClaimed {
        #[n(0)]
        job: JobId,
        #[n(1)]
        partition: PartitionName,
        #[n(2)]
        allocations: Vec<Allocation>,
    },
    #[n(13)]
    ClaimDropped {
        #[n(0)]
        job: JobId,
        #[n(1)]
        reason: Reason,
        #[n(2)]
        not_before: Option<Timestamp>,
    },
    #[n(14)]
    JobBound {
        #[n(0)]
        run: Run,
        #[n(1)]
        partition: PartitionName,
        #[n(2)]
        allocations: Vec<Allocation>,
        #[n(3)]
        time_limit: Span,
    },
    #[n(15)]
    PartPrepared {
        #[n(0)]
        run: Run,
        #[n(1)]
        node: NodeId,
    },
    /// The gang is complete and may run: elapsed time and usage begin.
    #[n(16)]
    JobStarted {
        #[n(0)]
        run: Run,
    },
    #[n(17)]
    PartEnded {
        #[n(0)]
        run: Run,
        #[n(1)]
        node: NodeId,
        #[n(2)]
        end: AttemptEnd,
    },
    #[n(18)]
    PartGone {
        #[n(0)]
        run: Run,
        #[n(1)]
        node: NodeId,
    },
    #[n(19)]
    JobStopping {
        #[n(0)]
        run: Run,
        #[n(1)]
        why: StopWhy,
        #[n(2)]
        outcome: Outcome,
    },
    #[n(20)]
    JobEnded {
        #[n(0)]
        job: JobId,
        #[n(1)]
        end: JobEnd,
        /// What of the cost is whose, to be taken off the idle tails of the nodes.
        #[n(2)]
        charges: Vec<Charge>,
    },
    #[n(21)]
    JobRequeued {
        #[n(0)]
        job: JobId,
        #[n(1)]
        not_before: Timestamp,
        #[n(2)]
        hold: Option<HeldBy>,
        #[n(3)]
        reason: Reason,
        #[n(4)]
        failure: bool,
        #[n(5)]
        charges: Vec<Charge>,
        /// The job of a crontab has run to its end, and waits for its next time.
        #[n(6)]
        ended: Option<RunEnd>,
    },
    #[n(22)]
    JobHeld {
        #[n(0)]
        job: JobId,
        #[n(1)]
        by: HeldBy,
    },
    #[n(23)]
    JobReleased {
        #[n(0)]
        job: JobId,
    },
    /// The whole spec after a change. For the record of an array or of a group it holds for all elements that wait in it.
    #[n(24)]
    JobUpdated {
        #[n(0)]
        job: JobId,
        #[n(1)]
        spec: Box<JobSpec>,
        #[n(2)]
        terms: Vec<TermState>,
        #[n(3)]
        eligible_at: Option<Timestamp>,
        /// Of the present attempt, where it runs.
        #[n(4)]
        time_limit: Option<Span>,
    },
    /// Elements that never started are over.
    #[n(25)]
    ElementsCancelled {
        #[n(0)]
        array: JobId,
        #[n(1)]
        indices: IndexSet,
        #[n(2)]
        by: Option<Uid>,
        /// The group in which they waited; `None` is the array's own record.
        #[n(3)]
        group: Option<JobId>,
    },
    #[n(26)]
    DependencyChanged {
        #[n(0)]
        job: JobId,
        #[n(1)]
        terms: Vec<TermState>,
        #[n(2)]
        eligible_at: Option<Timestamp>,
    },
    #[n(27)]
    StepStarted {
        #[n(0)]
        run: Run,
        #[n(1)]
        step: StepId,
        #[n(2)]
        name: String,
        #[n(3)]
        nodes: Vec<NodeId>,
        #[n(4)]
        tasks: u32,
        #[n(5)]
        cpus: u32,
    },
    /// On one of its nodes.
    #[n(28)]
    StepEnded {
        #[n(0)]
        node: NodeId,
        #[n(1)]
        end: StepEnd,
    },
    /// No longer in memory; accounting has them.
    #[n(29)]
    JobsPurged {
        #[n(0)]
        jobs: Vec<JobId>,
    },

    /// The processes of an attempt are stopped, and its time with them; it keeps what it holds.
    #[n(30)]
    JobSuspended {
        #[n(0)]
        run: Run,
    },
    #[n(31)]
    JobResumed {
        #[n(0)]
        run: Run,
    },
    /// What a user wants to be run again and again; empty where that is nothing.
    #[n(32)]
    CrontabSet {
        #[n(0)]
        uid: Uid,
        #[n(1)]
        crontab: Box<Crontab>,
    },
    /// Some of the elements that wait in one record wait in one of their own from now on: something holds for them alone.
    #[n(33)]
    GroupSplit {
        #[n(0)]
        array: JobId,
        /// Some of those that wait there, and not all.
        #[n(1)]
        indices: IndexSet,
        /// Their new record.
        #[n(2)]
        job: JobId,
        /// The group in which they waited; `None` is the array's own record.
        #[n(3)]
        group: Option<JobId>,
    },

    // Nodes and orders.
    #[n(40)]
    OffersSeen {
        #[n(0)]
        pool: PoolName,
        #[n(1)]
        offers: Vec<Offer>,
    },
    #[n(41)]
    OrderPlaced {
        #[n(0)]
        request: Box<LaunchOrder>,
        /// One for each name.
        #[n(1)]
        nodes: Vec<NodeId>,
        #[n(2)]
        for_job: Option<JobId>,
        #[n(3)]
        accept_by: Timestamp,
        /// For each node, until `paid_until`.
        #[n(4)]
        reserved_each: MicroUsd,
        #[n(5)]
        paid_until: Timestamp,
        #[n(6)]
        budgets: Vec<BudgetName>,
    },
    /// Accepted: nodes of the order that are not listed were not delivered.
    #[n(42)]
    OrderLaunched {
        #[n(0)]
        order: OrderId,
        #[n(1)]
        instances: Vec<(NodeId, InstanceId)>,
        #[n(2)]
        ready_by: Timestamp,
    },
    #[n(43)]
    OrderFailed {
        #[n(0)]
        order: OrderId,
        #[n(1)]
        failure: LaunchFailure,
        /// The offer is left alone until then.
        #[n(2)]
        cool_until: Option<Timestamp>,
        #[n(3)]
        quota: Option<QuotaHold>,
        /// The pool buys nothing until its configuration changes.
        #[n(4)]
        broken: Option<String>,
    },
    /// An offer worked again.
    #[n(44)]
    OfferHealed {
        #[n(0)]
        pool: PoolName,
        #[n(1)]
        offer: OfferName,
    },
    #[n(45)]
    StaticNodeAdded {
        #[n(0)]
        node: NodeId,
        #[n(1)]
        name: NodeName,
        #[n(2)]
        pool: PoolName,
        #[n(3)]
        shape: Shape,
    },
    /// Its agent proved itself: the key is bound to the node for good.
    #[n(46)]
    NodeJoined {
        #[n(0)]
        node: NodeId,
        #[n(1)]
        instance: Option<InstanceId>,
        #[n(2)]
        key: String,
    },
    /// Its agent said what it measured; a node that boots becomes ready.
    #[n(47)]
    NodeRegistered {
        #[n(0)]
        node: NodeId,
        #[n(1)]
        measured: MeasuredNode,
        /// What jobs can use of it.
        #[n(2)]
        shape: Shape,
    },
    #[n(48)]
    NodeContact {
        #[n(0)]
        node: NodeId,
        #[n(1)]
        contact: bool,
    },
    #[n(49)]
    NodeHeld {
        #[n(0)]
        node: NodeId,
        #[n(1)]
        hold: Hold,
    },
    #[n(50)]
    NodeReleased {
        #[n(0)]
        node: NodeId,
        #[n(1)]
        owner: HoldOwner,
    },
    #[n(51)]
    NodeDraining {
        #[n(0)]
        node: NodeId,
        #[n(1)]
        why: DrainWhy,
    },
    #[n(52)]
    DrainCancelled {
        #[n(0)]
        node: NodeId,
    },
    #[n(53)]
    NodeRetiring {
        #[n(0)]
        node: NodeId,
        #[n(1)]
        why: DrainWhy,
    },
    /// A complete listing does not show it.
    #[n(54)]
    NodeMissing {
        #[n(0)]
        node: NodeId,
    },
    /// A listing shows it again.
    #[n(55)]
    NodeSeen {
        #[n(0)]
        node: NodeId,
    },
    #[n(56)]
    NodeGone {
        #[n(0)]
        node: NodeId,
        #[n(1)]
        why: GoneWhy,
        /// Settled, and taken from the same budgets that reserved it.
        #[n(2)]
        cost: MicroUsd,
    },
    #[n(57)]
    MoneyRenewed {
        #[n(0)]
        node: NodeId,
        #[n(1)]
        amount: MicroUsd,
        #[n(2)]
        until: Timestamp,
    },
    #[n(58)]
    DieAtExtended {
        #[n(0)]
        node: NodeId,
        #[n(1)]
        die_at: Timestamp,
    },
    /// A boot failed or worked: the breaker of the pool.
    #[n(59)]
    BreakerMoved {
        #[n(0)]
        pool: PoolName,
        #[n(1)]
        boot_failures: u32,
        #[n(2)]
        closed_until: Option<Timestamp>,
    },
    #[n(60)]
    StrangerSeen {
        #[n(0)]
        pool: PoolName,
        #[n(1)]
        instance: InstanceId,
    },
    #[n(61)]
    StrangerRetiring {
        #[n(0)]
        pool: PoolName,
        #[n(1)]
        instance: InstanceId,
    },
    #[n(62)]
    StrangerGone {
        #[n(0)]
        pool: PoolName,
        #[n(1)]
        instance: InstanceId,
    },
    #[n(63)]
    StrangerMissing {
        #[n(0)]
        pool: PoolName,
        #[n(1)]
        instance: InstanceId,
    },
    /// A node that this state never heard of, proved by its agent to belong to an order (after a restored backup).
    #[n(64)]
    NodeAdopted {
        #[n(0)]
        node: NodeId,
        #[n(1)]
        name: NodeName,
        #[n(2)]
        pool: PoolName,
        #[n(3)]
        order: OrderId,
        #[n(4)]
        instance: InstanceId,
        #[n(5)]
        offer: Box<Offer>,
        #[n(6)]
        key: String,
        #[n(7)]
        die_at: Timestamp,
    },
    #[n(65)]
    LedgerPurged {
        #[n(0)]
        nodes: Vec<NodeId>,
        #[n(1)]
        orders: Vec<OrderId>,
    },
    #[n(66)]
    ListingTaken {
        #[n(0)]
        pool: PoolName,
        #[n(1)]
        instances: u32,
    },
    /// The quota may be tried again.
    #[n(67)]
    QuotaCleared {
        #[n(0)]
        pool: PoolName,
    },
}

/// How a run of a job ended that runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct RunEnd {
    #[n(0)]
    pub state: EndState,
    #[n(1)]
    pub exit: ExitStatus,
}

impl Event {
    pub fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).expect("writing to memory cannot fail")
    }

    /// # Errors
    /// Where the bytes are no event of a version that this release knows.
    pub fn decode(bytes: &[u8]) -> Result<Event, minicbor::decode::Error> {
        minicbor::decode(bytes)
    }
}

impl What {
    pub fn at(self, at: Timestamp) -> Event {
        Event { at, what: self }
    }
}
