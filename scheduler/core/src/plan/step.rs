//! What a plan says: steps to be checked again, and why the other jobs wait.

use crate::node::DrainWhy;
use imbl::OrdMap;
use squall_types::{
    Allocation, BudgetName, JobId, NodeId, OfferName, PartitionName, PoolName, Reason, Span, Timestamp,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is to be done, in order, and why the others wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub notes: Notes,
    /// When planning again may help although nothing else happened.
    pub wake_at: Option<Timestamp>,
}

/// Why jobs wait. Jobs that were not tried for themselves wait for what the first of their class waits for; a clone
/// costs almost nothing, however many there are.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    pub(super) tried: Arc<BTreeMap<JobId, Note>>,
    /// By class.
    pub(super) failed: Arc<[Option<Reason>]>,
    pub(super) shut: OrdMap<JobId, Note>,
    pub(super) class_of: OrdMap<JobId, usize>,
}

impl Notes {
    pub fn get(&self, job: &JobId) -> Option<Note> {
        let known = self.tried.get(job).or_else(|| self.shut.get(job)).copied();
        known.or_else(|| self.of_class(*self.class_of.get(job)?))
    }

    fn of_class(&self, class: usize) -> Option<Note> {
        let reason = self.failed.get(class).copied().flatten()?;
        Some(Note { reason, start_at: None })
    }

    /// All of them, by job.
    pub fn all(&self) -> BTreeMap<JobId, Note> {
        let of_class = |(job, class): (&JobId, &usize)| Some((*job, self.of_class(*class)?));
        let mut all: BTreeMap<JobId, Note> = self.class_of.iter().filter_map(of_class).collect();
        all.extend(self.shut.iter().chain(self.tried.iter()).map(|(job, note)| (*job, *note)));
        all
    }
}

impl PartialEq for Notes {
    fn eq(&self, other: &Self) -> bool {
        self.all() == other.all()
    }
}

impl Eq for Notes {}

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
    Bind {
        target: Target,
        partition: PartitionName,
        allocations: Vec<Allocation>,
        time_limit: Span,
    },
    Claim {
        target: Target,
        partition: PartitionName,
        allocations: Vec<Allocation>,
    },
    /// Starts, or claims, of all components of a heterogeneous job, after the orders that they need: all or none of it.
    Together {
        steps: Vec<Step>,
    },
    DropClaim {
        job: JobId,
        reason: Reason,
        not_before: Option<Timestamp>,
    },
    Order(PlannedOrder),
    CancelDrain {
        node: NodeId,
    },
    Drain {
        node: NodeId,
        why: DrainWhy,
    },
    Retire {
        node: NodeId,
        why: DrainWhy,
    },
}

impl Step {
    /// The single steps that it consists of.
    pub fn each(&self) -> impl Iterator<Item = &Step> {
        match self {
            Step::Together { steps } => steps.iter(),
            step => std::slice::from_ref(step).iter(),
        }
    }
}

/// A job, or an element of an array that still waits with others in one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Job(JobId),
    Element { record: JobId, index: u32 },
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
