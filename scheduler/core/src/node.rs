//! A node: one record from order to gone.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use squall_types::ids::Run;
use squall_types::{
    Allocation, InstanceId, JobId, MeasuredNode, MicroUsd, NodeId, NodeName, Offer, OrderId, PoolName, Resources,
    Shape, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Node {
    #[n(0)]
    pub id: NodeId,
    #[n(1)]
    pub name: NodeName,
    #[n(2)]
    pub pool: PoolName,
    #[n(3)]
    pub state: NodeState,
    /// Each cleared only by its owner.
    #[n(4)]
    pub holds: BTreeSet<Hold>,
    /// What it was bought as.
    #[n(5)]
    pub offer: Offer,
    /// `None` for a static node.
    #[n(6)]
    pub order: Option<OrderId>,
    #[n(7)]
    pub instance: Option<InstanceId>,
    /// What jobs can use: promised until its agent measured it.
    #[n(8)]
    pub shape: Shape,
    #[n(9)]
    pub measured: Option<MeasuredNode>,
    /// Fingerprint of the key that its agent proved.
    #[n(10)]
    pub key: Option<String>,
    #[n(11)]
    pub contact: bool,
    #[n(12)]
    pub held: BTreeMap<Run, Allocation>,
    #[n(13)]
    pub claims: BTreeMap<JobId, Allocation>,
    #[n(14)]
    pub created_at: Timestamp,
    #[n(15)]
    pub launched_at: Option<Timestamp>,
    #[n(16)]
    pub ready_at: Option<Timestamp>,
    /// Ends itself by then at the latest; `NEVER` for a static node.
    #[n(17)]
    pub die_at: Timestamp,
    /// Money is reserved until then.
    #[n(18)]
    pub paid_until: Timestamp,
    /// What is reserved for it now, over its whole life.
    #[n(19)]
    pub reserved: MicroUsd,
    /// What receipts have charged of its cost so far.
    #[n(20)]
    pub charged: MicroUsd,
    /// A complete listing since then does not show it.
    #[n(21)]
    pub missing_since: Option<Timestamp>,
    /// The job whose demand bought it.
    #[n(22)]
    pub caused_by: Option<JobId>,
    #[n(23)]
    pub first_job_at: Option<Timestamp>,
    /// What it cost in all, once it is gone.
    #[n(24)]
    pub settled: Option<MicroUsd>,
}

/// A node's life. Each variant holds only the facts that are true in it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum NodeState {
    /// In the journal; the cloud may or may not have heard of it.
    #[n(0)]
    Ordered,
    #[n(1)]
    Booting {
        #[n(0)]
        ready_by: Timestamp,
    },
    #[n(2)]
    Ready {
        /// Since when it holds no work and no claim.
        #[n(0)]
        idle_since: Option<Timestamp>,
    },
    /// Closed to new work. Cancelled when demand returns, unless the reason forbids it.
    #[n(3)]
    Draining {
        #[n(0)]
        why: DrainWhy,
        #[n(1)]
        since: Timestamp,
    },
    /// Asked to end; stays in the ledger until it is seen gone.
    #[n(4)]
    Retiring {
        #[n(0)]
        since: Timestamp,
        #[n(1)]
        why: DrainWhy,
    },
    #[n(5)]
    Gone {
        #[n(0)]
        why: GoneWhy,
        #[n(1)]
        at: Timestamp,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum DrainWhy {
    /// Keeping it costs more than it is worth.
    #[n(0)]
    Idle,
    /// Its agent did not register in time.
    #[n(1)]
    BootFailed,
    /// It is less than what was bought.
    #[n(2)]
    Quarantined,
    /// No budget covers another quantum.
    #[n(3)]
    Money,
    /// An admin, a shrunken pool, or a removed pool.
    #[n(4)]
    Config,
    /// Its provider announced its end.
    #[n(5)]
    SpotNotice,
    /// Too near its die-at to be of use.
    #[n(6)]
    DieAt,
    /// Its gang was given back.
    #[n(7)]
    GangGivenBack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum GoneWhy {
    /// Retired and seen gone.
    #[n(0)]
    Retired,
    /// Its order failed: it never was.
    #[n(1)]
    NeverLaunched,
    /// Vanished while in use.
    #[n(2)]
    Lost,
    /// An admin declared it.
    #[n(3)]
    Declared,
    /// Past its recorded bound.
    #[n(4)]
    DieAt,
    /// Removed from the configuration.
    #[n(5)]
    Removed,
}

/// Something that closes a node to new work until its owner clears it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct Hold {
    #[n(0)]
    pub owner: HoldOwner,
    #[n(1)]
    pub reason: String,
    #[n(2)]
    pub at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum HoldOwner {
    #[n(0)]
    Admin,
    /// A fault that its agent reports, cleared when it no longer does.
    #[n(1)]
    Health,
    /// It is not what was bought, or two agents claim to be it.
    #[n(2)]
    Quarantine,
    /// It is configured no longer and still in use.
    #[n(3)]
    Config,
}

impl Node {
    pub fn is_gone(&self) -> bool {
        matches!(self.state, NodeState::Gone { .. })
    }

    /// May be given work now.
    pub fn is_usable(&self) -> bool {
        matches!(self.state, NodeState::Ready { .. }) && self.contact && self.holds.is_empty()
    }

    /// Idle and fenced for that alone: demand that returns may have it back.
    pub fn is_recoverable(&self) -> bool {
        matches!(self.state, NodeState::Draining { why: DrainWhy::Idle, .. }) && self.contact && self.holds.is_empty()
    }

    /// Bought and on its way.
    pub fn is_coming(&self) -> bool {
        matches!(self.state, NodeState::Ordered | NodeState::Booting { .. }) && self.holds.is_empty()
    }

    /// When it will be ready, as far as can be told from its order.
    pub fn expected_at(&self) -> Timestamp {
        self.launched_at.unwrap_or(self.created_at) + self.offer.typical_boot
    }

    pub fn is_held_by(&self, owner: HoldOwner) -> bool {
        self.holds.iter().any(|hold| hold.owner == owner)
    }

    pub fn is_static(&self) -> bool {
        self.order.is_none()
    }

    /// Everything that attempts and claims hold of it.
    pub fn taken(&self) -> Resources {
        let held = self.held.values().chain(self.claims.values());
        held.fold(Resources::default(), |sum, allocation| sum.plus(&allocation.resources()))
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && self.claims.is_empty()
    }

    /// GPUs that neither an attempt nor a claim holds, ascending.
    pub fn free_gpus(&self) -> Vec<u16> {
        let taken: BTreeSet<u16> = self
            .held
            .values()
            .chain(self.claims.values())
            .flat_map(|allocation| allocation.gpus.iter().copied())
            .collect();
        (0..self.shape.gpus.count()).filter(|gpu| !taken.contains(gpu)).collect()
    }
}
