//! A job from submission to its one end.

use crate::kept::KeptSpec;
use imbl::OrdMap;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use squall_types::agent::{ExitStatus, StopWhy};
use squall_types::ids::Run;
use squall_types::{
    Allocation, Attempt, AttemptEnd, DependencyTerm, EndState, HetPlace, IndexSet, JobId, MicroUsd, NodeId,
    PartitionName, Reason, Span, SubmitToken, Timestamp, Uid,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// One record: a job, an element of an array, or elements of an array that have not started and differ in nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Job {
    #[n(0)]
    pub id: JobId,
    /// Shared by all elements of an array.
    #[n(1)]
    #[cbor(with = "crate::shared")]
    pub spec: Arc<KeptSpec>,
    #[n(2)]
    pub token: SubmitToken,
    #[n(3)]
    pub submitted_at: Timestamp,
    /// When its dependencies and begin time let it go; `None` while they do not.
    #[n(4)]
    pub eligible_at: Option<Timestamp>,
    #[n(5)]
    pub role: Role,
    /// The last attempt that was bound; 0 before the first.
    #[n(6)]
    pub attempt: Attempt,
    #[n(7)]
    pub phase: JobPhase,
    #[n(8)]
    pub held: Option<HeldBy>,
    /// One for each term of the dependency.
    #[n(9)]
    pub terms: Vec<TermState>,
    /// After a requeue: not before.
    #[n(10)]
    pub not_before: Option<Timestamp>,
    /// Requeues that were not the job's own doing, since it last ran well.
    #[n(11)]
    pub failures: u32,
    /// Since when an incomplete gang has been holding or seeking nodes.
    #[n(12)]
    pub seeking_since: Option<Timestamp>,
    /// What attempts before the present one cost.
    #[n(13)]
    pub charged: MicroUsd,
    /// What its last failed attempt left to say.
    #[n(14)]
    pub last_reason: Reason,
    /// Number of the next step of the present attempt.
    #[n(15)]
    pub next_step: u32,
    /// Some attempt of it has started.
    #[n(16)]
    pub has_run: bool,
}

/// Where a record stands among those that were submitted with it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Role {
    #[n(0)]
    Single,
    /// Elements that have not started. When one is left, this record becomes that element.
    #[n(1)]
    Pending {
        #[n(0)]
        indices: IndexSet,
        /// The array that they are a group of, for which something else holds than for the others. `None` is the array's
        /// own record.
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
    /// A part of a heterogeneous job. Only its leader stands in the queue.
    #[n(3)]
    Component(#[n(0)] HetPlace),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum HeldBy {
    #[n(0)]
    User,
    #[n(1)]
    Admin,
    /// Too many attempts failed, or its launch did; released by the user or an admin.
    #[n(2)]
    System,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum TermState {
    #[n(0)]
    Waiting,
    #[n(1)]
    Met,
    /// `after:ID+minutes`.
    #[n(2)]
    MetFrom(#[n(0)] Timestamp),
    #[n(3)]
    Never,
}

impl TermState {
    pub fn is_met(self, now: Timestamp) -> bool {
        match self {
            TermState::Met => true,
            TermState::MetFrom(at) => at <= now,
            TermState::Waiting | TermState::Never => false,
        }
    }
}

/// A job's life. Each variant holds only the facts that are true in it; most jobs wait, and take no room for the others.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum JobPhase {
    #[n(0)]
    Pending,
    /// Holds a claim on nodes of which some are still ordered or booting.
    #[n(1)]
    Configuring(#[n(0)] Box<Claim>),
    /// Bound; agents prepare, nothing runs.
    #[n(2)]
    Bound(#[n(0)] Box<Placement>),
    #[n(3)]
    Running {
        #[n(0)]
        placement: Box<Placement>,
        #[n(1)]
        started_at: Timestamp,
    },
    /// Its parts are being ended; the outcome is decided.
    #[n(4)]
    Stopping {
        #[n(0)]
        placement: Box<Placement>,
        #[n(1)]
        started_at: Option<Timestamp>,
        #[n(2)]
        why: StopWhy,
        #[n(3)]
        since: Timestamp,
        #[n(4)]
        outcome: Outcome,
    },
    #[n(5)]
    Ended(#[n(0)] Box<JobEnd>),
}

/// Capacity set aside for a job whose gang is not complete.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Claim {
    #[n(0)]
    pub partition: PartitionName,
    #[n(1)]
    pub allocations: Vec<Allocation>,
    #[n(2)]
    pub since: Timestamp,
}

/// The nodes of an attempt, in rank order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Placement {
    #[n(0)]
    pub partition: PartitionName,
    #[n(1)]
    pub allocations: Vec<Allocation>,
    /// One for each allocation.
    #[n(2)]
    pub parts: Vec<Part>,
    #[n(3)]
    pub time_limit: Span,
    #[n(4)]
    pub bound_at: Timestamp,
    /// Where it was ever suspended.
    #[n(5)]
    pub pause: Option<Box<Pause>>,
}

/// What suspensions took of an attempt: of its time, not of what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Pause {
    /// When it was last suspended or resumed.
    #[n(0)]
    pub at: Timestamp,
    /// It is suspended, since then.
    #[n(1)]
    pub lasts: bool,
    /// All suspensions that are over.
    #[n(2)]
    pub before: Span,
}

impl Placement {
    pub fn is_suspended(&self) -> bool {
        self.pause.as_ref().is_some_and(|pause| pause.lasts)
    }

    /// How long it has been suspended by `now`.
    pub fn suspended_by(&self, now: Timestamp) -> Span {
        self.pause.as_ref().map_or(Span::ZERO, |pause| {
            let lasts = if pause.lasts { now.since(pause.at) } else { Span::ZERO };
            pause.before + lasts
        })
    }

    /// When an attempt that started then has used up its time; `NEVER` as long as it is suspended.
    pub fn limit_at(&self, started_at: Timestamp) -> Timestamp {
        match &self.pause {
            Some(pause) if pause.lasts => Timestamp::NEVER,
            pause => started_at + self.time_limit + pause.as_ref().map_or(Span::ZERO, |pause| pause.before),
        }
    }

    pub(crate) fn suspend(&mut self, at: Timestamp) {
        let before = self.suspended_by(at);
        self.pause = Some(Box::new(Pause { at, lasts: true, before }));
    }

    /// Nothing happens to one that is not suspended.
    pub(crate) fn resume(&mut self, at: Timestamp) {
        if self.is_suspended() {
            let before = self.suspended_by(at);
            self.pause = Some(Box::new(Pause { at, lasts: false, before }));
        }
    }
}

/// An attempt on one node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Part {
    #[n(0)]
    Bound,
    #[n(1)]
    Prepared,
    /// Its agent said so: everything that it started is dead.
    #[n(2)]
    Ended {
        #[n(0)]
        end: AttemptEnd,
        /// By the controller's clock: what it held was free from then on.
        #[n(1)]
        at: Timestamp,
    },
    /// Its machine can run nothing any more.
    #[n(3)]
    Gone(#[n(0)] Timestamp),
}

impl Part {
    /// Known dead: silence alone never is.
    pub fn is_dead(&self) -> bool {
        matches!(self, Part::Ended { .. } | Part::Gone(_))
    }
}

/// What becomes of a job when the last part of its attempt is dead.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum Outcome {
    #[n(0)]
    End {
        #[n(0)]
        state: EndState,
        #[n(1)]
        exit: ExitStatus,
        #[n(2)]
        reason: Reason,
        #[n(3)]
        by: Option<Uid>,
    },
    #[n(1)]
    Requeue {
        #[n(0)]
        not_before: Timestamp,
        #[n(1)]
        hold: Option<HeldBy>,
        #[n(2)]
        reason: Reason,
        /// The job was not to blame: counts against `max_requeues` and keeps its age.
        #[n(3)]
        failure: bool,
    },
}

/// The one terminal state.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct JobEnd {
    #[n(0)]
    pub state: EndState,
    #[n(1)]
    pub exit: ExitStatus,
    #[n(2)]
    pub reason: Reason,
    /// Who cancelled it.
    #[n(3)]
    pub by: Option<Uid>,
    #[n(4)]
    pub started_at: Option<Timestamp>,
    #[n(5)]
    pub ended_at: Timestamp,
    /// Where it last ran, in rank order.
    #[n(6)]
    pub nodes: Vec<NodeId>,
    /// All attempts, and what was booted for it.
    #[n(7)]
    pub cost: MicroUsd,
    /// Where it last ran; `None` for a job that never did.
    #[n(8)]
    pub partition: Option<PartitionName>,
    /// How long the last attempt was suspended.
    #[n(9)]
    #[cbor(default)]
    pub suspended: Span,
}

impl Job {
    pub fn run(&self) -> Run {
        Run { job: self.id, attempt: self.attempt }
    }

    /// The array that it belongs to, whichever part of it this record is.
    pub fn array(&self) -> Option<JobId> {
        match &self.role {
            Role::Single | Role::Component(_) => None,
            Role::Pending { group_of, .. } => Some(group_of.unwrap_or(self.id)),
            Role::Element { array, .. } => Some(*array),
        }
    }

    /// The elements that wait in this record; `None` where it is no record of several.
    pub fn waiting(&self) -> Option<&IndexSet> {
        match &self.role {
            Role::Pending { indices, .. } if self.is_pending() => Some(indices),
            _ => None,
        }
    }

    /// So many jobs, as people count them.
    pub fn count(&self) -> u64 {
        self.waiting().map_or(1, IndexSet::len)
    }

    /// The group of an array's elements that it is, as events name it: the array's own record is none.
    pub fn group(&self) -> Option<JobId> {
        match &self.role {
            Role::Pending { group_of, .. } => group_of.map(|_| self.id),
            _ => None,
        }
    }

    pub fn index(&self) -> Option<u32> {
        match self.role {
            Role::Element { index, .. } => Some(index),
            _ => None,
        }
    }

    /// Whether a repeated submission is answered with its id: one record of all that were submitted together.
    pub fn bears_token(&self) -> bool {
        match self.role {
            Role::Single => true,
            Role::Pending { group_of, .. } => group_of.is_none(),
            Role::Element { array, .. } => array == self.id,
            Role::Component(place) => place.is_leader(),
        }
    }

    /// Where it stands in a heterogeneous job, if it belongs to one.
    pub fn het(&self) -> Option<HetPlace> {
        match self.role {
            Role::Component(place) => Some(place),
            _ => None,
        }
    }

    pub fn is_pending(&self) -> bool {
        matches!(self.phase, JobPhase::Pending)
    }

    /// Its processes are stopped, or are going to be.
    pub fn is_suspended(&self) -> bool {
        matches!(&self.phase, JobPhase::Running { placement, .. } if placement.is_suspended())
    }

    pub fn is_ended(&self) -> bool {
        matches!(self.phase, JobPhase::Ended(_))
    }

    /// The nodes of the present attempt.
    pub fn placement(&self) -> Option<&Placement> {
        match &self.phase {
            JobPhase::Bound(placement) | JobPhase::Running { placement, .. } | JobPhase::Stopping { placement, .. } => {
                Some(placement)
            }
            _ => None,
        }
    }

    pub fn placement_mut(&mut self) -> Option<&mut Placement> {
        match &mut self.phase {
            JobPhase::Bound(placement) | JobPhase::Running { placement, .. } | JobPhase::Stopping { placement, .. } => {
                Some(placement)
            }
            _ => None,
        }
    }

    pub fn claim(&self) -> Option<&Claim> {
        match &self.phase {
            JobPhase::Configuring(claim) => Some(claim),
            _ => None,
        }
    }

    pub fn started_at(&self) -> Option<Timestamp> {
        match &self.phase {
            JobPhase::Running { started_at, .. } => Some(*started_at),
            JobPhase::Stopping { started_at, .. } => *started_at,
            JobPhase::Ended(end) => end.started_at,
            _ => None,
        }
    }

    /// What it holds or claims, in rank order.
    pub fn allocations(&self) -> &[Allocation] {
        match &self.phase {
            JobPhase::Configuring(claim) => &claim.allocations,
            _ => self.placement().map_or(&[], |placement| &placement.allocations),
        }
    }

    pub fn dependency_terms(&self) -> impl Iterator<Item = (&DependencyTerm, &TermState)> {
        self.spec.dependency().terms.iter().zip(&self.terms)
    }

    /// Whether its dependency lets it go at `now`.
    pub fn dependency_met(&self, now: Timestamp) -> bool {
        let met = |state: &TermState| state.is_met(now);
        self.terms.is_empty()
            || if self.spec.dependency().any { self.terms.iter().any(met) } else { self.terms.iter().all(met) }
    }

    /// When the next term of its dependency comes true by time alone.
    pub fn dependency_moves_at(&self, now: Timestamp) -> Option<Timestamp> {
        let later = |state: &TermState| match state {
            TermState::MetFrom(at) if *at > now => Some(*at),
            _ => None,
        };
        self.terms.iter().filter_map(later).min()
    }

    /// Whether its dependency can no longer come true.
    pub fn dependency_never(&self) -> bool {
        let never = |state: &TermState| *state == TermState::Never;
        !self.terms.is_empty()
            && if self.spec.dependency().any { self.terms.iter().all(never) } else { self.terms.iter().any(never) }
    }
}

/// An array: its shared spec and what became of its elements, in ranges.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ArrayRecord {
    #[n(0)]
    pub array: JobId,
    #[n(1)]
    pub limit: Option<u32>,
    /// Elements that have a record of their own and have not ended, and groups of elements that wait.
    #[n(2)]
    pub live: u32,
    /// Of those, the ones that hold or claim nodes: what `%limit` counts.
    #[n(3)]
    pub active: u32,
    #[n(4)]
    pub completed: IndexSet,
    /// Ended in any other way.
    #[n(5)]
    pub failed: IndexSet,
    /// Has any element ever started?
    #[n(6)]
    pub started: bool,
    /// All elements, as submitted.
    #[n(7)]
    pub all: IndexSet,
    #[n(8)]
    pub step: u32,
    /// Records of elements by index, while they are in memory.
    #[n(9)]
    #[cbor(with = "crate::shared::pages")]
    pub records: OrdMap<u32, JobId>,
    /// Of its submission: outlives the record that first bore it.
    #[n(10)]
    pub token: SubmitToken,
    /// Records of groups of elements, while they are in memory.
    #[n(11)]
    #[cbor(default)]
    pub groups: BTreeSet<JobId>,
}
