//! What a plan says: steps to be checked again, and why the other jobs wait.

use crate::node::DrainWhy;
use squall_types::{
    Allocation, BudgetName, JobId, NodeId, OfferName, PartitionName, PoolName, Reason, Span, Timestamp,
};
use std::collections::BTreeMap;

/// What is to be done, in order, and why the others wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub notes: BTreeMap<JobId, Note>,
    /// When planning again may help although nothing else happened.
    pub wake_at: Option<Timestamp>,
}

/// Why a job waits, as the plan saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    pub reason: Reason,
    /// When it can start at the latest, with what is known of running work.
    pub start_at: Option<Timestamp>,
}

/// One thing to do. Everything that takes capacity or money is one of these, and is checked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Bind { target: Target, partition: PartitionName, allocations: Vec<Allocation>, time_limit: Span },
    Claim { target: Target, partition: PartitionName, allocations: Vec<Allocation> },
    DropClaim { job: JobId, reason: Reason, not_before: Option<Timestamp> },
    Order(PlannedOrder),
    CancelDrain { node: NodeId },
    Drain { node: NodeId, why: DrainWhy },
    Retire { node: NodeId, why: DrainWhy },
}

/// A job, or an element of an array that has no record yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Job(JobId),
    Element { array: JobId, index: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedOrder {
    pub pool: PoolName,
    pub offer: OfferName,
    /// The ids that the nodes will have.
    pub nodes: Vec<NodeId>,
    pub gang: bool,
    pub for_job: Option<JobId>,
    pub budgets: Vec<BudgetName>,
}
