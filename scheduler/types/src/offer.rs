//! What can be bought, and the values that pass between the engine and a provisioner.

use crate::{HourlyPrice, InstanceId, LaunchToken, NodeName, OfferName, OrderId, PoolName, Shape, Span, Timestamp};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How capacity is paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum CapacityKind {
    #[default]
    #[n(0)]
    OnDemand,
    /// Interruptible at short notice.
    #[n(1)]
    Spot,
    /// Paid for whether used or not.
    #[n(2)]
    Reserved,
    /// A machine of one's own.
    #[n(3)]
    Owned,
}

/// Something that can be bought.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct Offer {
    #[n(0)]
    pub name: OfferName,
    #[n(1)]
    pub instance_type: String,
    /// Region or zone.
    #[n(2)]
    pub scope: String,
    #[n(3)]
    pub kind: CapacityKind,
    /// List price of one node.
    #[n(4)]
    pub price: HourlyPrice,
    #[n(5)]
    pub shape: Shape,
    /// Billed for at least so long.
    #[n(6)]
    pub minimum_billed: Span,
    /// From accepted order to registered agent, typically.
    #[n(7)]
    pub typical_boot: Span,
    /// Nodes that one call may ask for.
    #[n(8)]
    pub max_per_order: u32,
}

/// What a provisioner promises beyond its four verbs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Capabilities {
    /// A gang's order is delivered whole or not at all.
    #[n(0)]
    pub all_or_none: bool,
    /// Nodes that one launch may ask for.
    #[n(1)]
    pub max_per_order: u32,
    /// Instances that one retire may name.
    #[n(2)]
    pub max_per_retire: u32,
    /// How long a repeated launch is recognised; past it only a listing tells what became of an order.
    #[n(3)]
    pub token_lifetime: Span,
    /// For so long after a launch a complete listing may still miss its instances.
    #[n(4)]
    pub listing_grace: Span,
    /// The provider itself ends an instance at its die-at, even one whose agent never booted.
    #[n(5)]
    pub ends_at_die_at: bool,
}

/// Who a provisioner in a process of its own is, and what it promises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Which edition of the contract between controllers and provisioners it keeps.
    pub contract: u32,
    /// Its program's name, for people.
    pub program: String,
    pub version: String,
    pub capabilities: Capabilities,
}

/// The resolved request of one order: journaled before the call, so that a retry is byte-identical.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct LaunchOrder {
    #[n(0)]
    pub order: OrderId,
    #[n(1)]
    pub pool: PoolName,
    #[n(2)]
    pub token: LaunchToken,
    #[n(3)]
    pub offer: Offer,
    /// One instance for each name.
    #[n(4)]
    pub names: Vec<NodeName>,
    /// All or none, where the provider can promise it.
    #[n(5)]
    pub gang: bool,
    /// Each instance ends itself by then at the latest, unless an event extends it.
    #[n(6)]
    pub die_at: Timestamp,
    #[n(7)]
    pub tags: BTreeMap<String, String>,
    /// What a booting node needs to join: derived from the controller's key, never stored, so empty in events.
    #[n(8)]
    pub join: Option<JoinTicket>,
}

/// What a machine joins with: what user data carries to a new node, and what an admin takes to a machine of one's own.
/// Not part of any stored event.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct JoinTicket {
    /// `https://host:port` of the controller.
    #[n(0)]
    pub controller: String,
    /// SHA-256 of the cluster CA's certificate, in hexadecimal.
    #[n(1)]
    pub ca_pin: String,
    /// HMAC of the order under the controller's key, or a token for one machine.
    #[n(2)]
    pub secret: String,
}

/// What a provider accepted. Fewer instances than names means that it delivered a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Launched {
    #[n(0)]
    pub instances: Vec<LaunchedInstance>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct LaunchedInstance {
    #[n(0)]
    pub instance: InstanceId,
    #[n(1)]
    pub name: NodeName,
}

/// Why a launch did not do what it was asked: one variant for each thing that the scheduler does differently.
///
/// The plain, storable twin of the provisioner's own error, whose causes it keeps as text.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize, thiserror::Error)]
pub enum LaunchFailure {
    /// Another offer, or wait: this one is dry.
    #[n(0)]
    #[error("no capacity in {scope}")]
    NoCapacity {
        /// The narrowest thing known to be dry: a zone, a type in a zone, a region.
        #[n(0)]
        scope: String,
    },
    /// Hold until usage drops or the quota is raised; not repeated on a timer.
    #[n(1)]
    #[error("quota `{name}` allows {limit}, {used} are in use")]
    Quota {
        #[n(0)]
        name: String,
        #[n(1)]
        limit: u64,
        #[n(2)]
        used: u64,
    },
    /// Repeat the identical request, not before `retry_after` has passed.
    #[n(2)]
    #[error("throttled, may be repeated after {} ms", retry_after.as_millis())]
    Throttled {
        #[n(0)]
        retry_after: Span,
    },
    /// The request itself is wrong: the pool's configuration has to change.
    #[n(3)]
    #[error("rejected: {why}")]
    Rejected {
        #[n(0)]
        why: String,
    },
    /// The credentials do not allow it.
    #[n(4)]
    #[error("denied: {why}")]
    Denied {
        #[n(0)]
        why: String,
    },
    /// The token is taken by a different request.
    #[n(5)]
    #[error("conflict: {why}")]
    Conflict {
        #[n(0)]
        why: String,
    },
    /// It may have happened. Repeat the identical request while its token lives, after that list; never lack of capacity.
    #[n(6)]
    #[error("the outcome is unknown: {why}")]
    Unknown {
        #[n(0)]
        why: String,
    },
}

/// An instance in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenInstance {
    pub instance: InstanceId,
    /// From the order's tag; `None` where the tag is missing or not a number.
    pub order: Option<OrderId>,
    pub name: Option<NodeName>,
    pub launched_at: Timestamp,
    /// Still listed but will not run again.
    pub ending: bool,
}

/// Everything that bears our cluster's tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    pub instances: Vec<SeenInstance>,
    /// Only a complete listing proves an absence.
    pub complete: bool,
}
