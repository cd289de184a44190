//! A machine from its launch to its end.

use squall_types::offer::JoinTicket;
use squall_types::{InstanceId, NodeName, Offer, OrderId, Shape, Timestamp};

/// Where a machine is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineState {
    /// Billed, without a word from its agent.
    Booting,
    /// Its agent has begun.
    Running,
    /// Retired, and gone by then. Its agent still runs.
    Ending { gone_at: Timestamp },
    /// Gone.
    Ended { at: Timestamp },
}

/// Why a machine is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Death {
    Retired,
    /// Taken back by the spot market.
    Spot,
    /// Broken, or ended by somebody by hand.
    Hardware,
    /// Before its agent spoke.
    WhileBooting,
    /// By its own agent.
    PoweredOff,
    /// By the cloud, at its die-at.
    DieAt,
}

/// A machine in the cloud, known to the caller or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    pub instance: InstanceId,
    /// It bears our cluster's tag.
    pub ours: bool,
    /// The order's tag as it is now.
    pub order: Option<OrderId>,
    pub name: Option<NodeName>,
    pub offer: Offer,
    /// What it has, which may be less than the offer promised.
    pub shape: Shape,
    pub launched_at: Timestamp,
    pub die_at: Option<Timestamp>,
    pub state: MachineState,
    /// What its user data carries.
    pub join: Option<JoinTicket>,
    /// Not listed before.
    pub(crate) listed_from: Timestamp,
    /// Though gone, it is listed as if it ran.
    pub(crate) haunts: bool,
    /// Index of its line in the bill.
    pub(crate) line: usize,
}

impl Machine {
    /// It boots, runs or is about to end: it counts against quotas and is billed.
    pub fn exists(&self) -> bool {
        !matches!(self.state, MachineState::Ended { .. })
    }

    /// Its agent can run something.
    pub fn has_agent(&self) -> bool {
        matches!(self.state, MachineState::Running | MachineState::Ending { .. })
    }
}
