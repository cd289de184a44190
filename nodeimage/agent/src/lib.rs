//! The node agent.
//!
//! [`duty`] is its judgement: a state machine that is told what happens and says what to do, with no
//! IO and no clock, which the simulator drives as well. Everything else (feature `daemon`) is its
//! hands: the ledger on disk, the shim that outlives the agent, containment, measuring, the
//! connection to the controller, and the service through which steps run.

pub mod canary;
pub mod duty;

#[cfg(feature = "daemon")]
pub mod cell;
#[cfg(feature = "daemon")]
pub mod clock;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "daemon")]
pub mod hands;
#[cfg(feature = "daemon")]
pub mod launch;
#[cfg(feature = "daemon")]
pub mod ledger;
#[cfg(feature = "daemon")]
pub mod login;
#[cfg(feature = "daemon")]
pub mod measure;
#[cfg(feature = "daemon")]
pub mod program;
#[cfg(feature = "daemon")]
pub mod shim;
#[cfg(feature = "daemon")]
pub mod steps;
#[cfg(feature = "daemon")]
mod sys;
