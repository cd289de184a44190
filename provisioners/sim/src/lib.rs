//! An in-memory cloud: offers, quotas, booting machines, spot losses, lying listings and a bill of its own.
//!
//! [`Cloud`] is a synchronous value. It reads no clock and draws every chance from its seed, so one seed,
//! one configuration and the same calls at the same times give the same history; a simulator on virtual time
//! drives it directly. [`SimProvisioner`] puts the provisioner trait over it for whoever needs one that is async.
//!
//! With the feature `program` it is a program of its own, to try a configuration on and to prove the bridge with.
//!
//! What the cloud does wrong is a [`FaultPlan`]: rules that say which fault strikes where, when and how often.
//! Every fault is counted by name, so that a fault that never struck is seen to be a bug of the test.
#![forbid(unsafe_code)]

mod adaptor;
mod answer;
mod bill;
mod cloud;
mod config;
mod fault;
mod launching;
mod listing;
mod machine;
#[cfg(feature = "program")]
pub mod program;
mod retiring;
mod timeline;

pub use adaptor::{Pace, SimProvisioner};
pub use answer::{Answer, CallRecord};
pub use bill::{Bill, BillLine};
pub use cloud::{Cloud, Planted};
pub use config::{CloudConfig, QuotaOf, QuotaRule, SoldOffer, Spread};
pub use fault::{Fault, FaultPlan, Permille, Rule};
pub use machine::{Death, Machine, MachineState};
pub use timeline::{CloudEvent, CloudNews};
